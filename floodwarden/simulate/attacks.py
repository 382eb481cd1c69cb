"""Attacks: one function a family, each in three strengths. Rows carry `attack/FAMILY/STRENGTH/INCIDENT`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from floodwarden.simulate.config import Attack, SimulationConfig
from floodwarden.simulate.world import ENDPOINT_CODES, ITEMS, Ints, World, rows

# (requests a second, usual length in seconds) of one source
_BRUTE: Final = {"weak": (0.1, 1800.0), "medium": (1.0, 600.0), "strong": (10.0, 240.0)}
_SCRAPE: Final = {"weak": (0.5, 2400.0), "medium": (3.0, 900.0), "strong": (15.0, 420.0)}
_HAMMER: Final = {"weak": (6.0, 900.0), "medium": (20.0, 420.0), "strong": (100.0, 120.0)}
_PROBE: Final = {"weak": (0.1, 1800.0), "medium": (2.0, 420.0), "strong": (20.0, 120.0)}
# (addresses, attempts a minute of each, usual length in seconds)
_STUFF: Final = {"weak": (120, 0.2, 1800.0), "medium": (300, 0.5, 1200.0), "strong": (500, 1.0, 900.0)}

_NAMES: Final = (
    ".env", ".git/config", "wp-login.php", "wp-admin", "admin", "phpmyadmin", "backup", "config", "old", "test",
    "shell", "cgi-bin/status", "server-status", "actuator/env", "vendor/phpunit", "console", "api/swagger", "debug",
    "db", "dump", "private", "install", "setup", "portal", "manager/html", "solr/admin", "login.action", "xmlrpc",
)  # fmt: skip
_SUFFIXES: Final = ("", ".php", ".bak", ".zip", ".sql", ".old", ".txt", "/", ".tar.gz", ".asp", ".jsp", ".yml")


def attack(rng: np.random.Generator, world: World, config: SimulationConfig, what: Attack, n: int) -> NDArray[np.void]:
    """Rows of incident number `n`, sorted by no promise; it begins where `what` says or where the seed puts it."""
    begin_s = what.start_s if what.start_s is not None else _placed(rng, config, n)
    made = _FAMILIES[what.family](rng, world, what.strength, what.duration_s, max(1.0, config.duration_s - begin_s))
    made["ts_ms"] += config.start_ms + int(begin_s * 1000)
    made["label"] = world.labels.code(f"attack/{what.family}/{what.strength}/{n}")
    return made


def _placed(rng: np.random.Generator, config: SimulationConfig, n: int) -> float:
    slots = max(len(config.attacks), 1)
    return float(config.duration_s * (0.12 + 0.82 * (n - 1 + rng.uniform(0, 0.5)) / slots))


def _one_source(
    rng: np.random.Generator, world: World, pace: tuple[float, float], length_s: float | None, left_s: float
) -> NDArray[np.void]:
    rate, usual_s = pace
    span_s = min(length_s or usual_s, left_s)
    n = max(3, int(rate * span_s))
    at_ms = np.cumsum(rng.gamma(3, 1 / (3 * rate), n)) * 1000
    made = rows(n, ts_ms=at_ms.astype(np.int64), ip=int(world.addresses("attacker", 1)[0]))
    return np.asarray(made[made["ts_ms"] <= span_s * 1000]) if n > 3 else made


def _brute_force(
    rng: np.random.Generator, world: World, strength: str, length_s: float | None, left_s: float
) -> NDArray[np.void]:
    """One address, a handful of accounts, one password after the other."""
    made = _one_source(rng, world, _BRUTE[strength], length_s, left_s)
    targets = world.users.all([f"user{number:05d}" for number in rng.integers(0, 400, 3)] + ["admin", "root"])
    made["user"] = targets[np.arange(len(made)) // 25 % len(targets)]
    made["endpoint"], made["path"], made["status"] = ENDPOINT_CODES["login"], world.fixed("login"), 401
    made["ua"] = world.agents.code("python-requests/2.31.0")
    return made


def _stuffing(
    rng: np.random.Generator, world: World, strength: str, length_s: float | None, left_s: float
) -> NDArray[np.void]:
    """A leaked list tried from many addresses, a few attempts each; one in eighty fits."""
    sources, per_minute, usual_s = _STUFF[strength]
    span_s = min(length_s or usual_s, left_s)
    n = max(sources, int(sources * per_minute * span_s / 60))
    ip: Ints = world.addresses("bot", sources)[rng.permutation(n) % sources]
    made = rows(n, ts_ms=np.sort(rng.uniform(0, span_s * 1000, n)).astype(np.int64), ip=ip)
    leaked = world.users.all([f"leaked{number:06d}" for number in rng.permutation(90_000)[:n]])
    hit = rng.random(n) < 0.0125
    made["user"] = np.where(hit, world.users.all([f"user{i:05d}" for i in rng.integers(0, 900, n)]), leaked)
    made["status"] = np.where(hit, 200, 401)
    made["endpoint"], made["path"] = ENDPOINT_CODES["login"], world.fixed("login")
    made["ua"] = world.browsers[ip % len(world.browsers)]
    return made


def _scraper(
    rng: np.random.Generator, world: World, strength: str, length_s: float | None, left_s: float
) -> NDArray[np.void]:
    """One address that walks the catalogue and never looks back."""
    made = _one_source(rng, world, _SCRAPE[strength], length_s, left_s)
    item = (int(rng.integers(0, ITEMS)) + np.arange(len(made))) % ITEMS
    made["endpoint"], made["path"] = ENDPOINT_CODES["item"], world.items[item]
    made["status"] = np.where(rng.random(len(made)) < 0.003, 404, 200)
    made["ua"] = world.browsers[1]
    return made


def _hammer(
    rng: np.random.Generator, world: World, strength: str, length_s: float | None, left_s: float
) -> NDArray[np.void]:
    """One address asking one thing far beyond its limit, whatever it is told."""
    made = _one_source(rng, world, _HAMMER[strength], length_s, left_s)
    made["endpoint"] = ENDPOINT_CODES["search"]
    made["path"] = world.searches[rng.integers(0, 4, len(made))]
    made["ua"] = world.agents.code("Go-http-client/1.1")
    return made


def _probing(
    rng: np.random.Generator, world: World, strength: str, length_s: float | None, left_s: float
) -> NDArray[np.void]:
    """One address working through a list of things that are not there."""
    made = _one_source(rng, world, _PROBE[strength], length_s, left_s)
    words = [f"/{name}{suffix}" for suffix in _SUFFIXES for name in _NAMES]
    n = len(made)
    words += [f"/{name}{number}" for number in range(n // len(_NAMES) + 1) for name in _NAMES]
    made["path"] = world.paths.all(words[:n])
    made["endpoint"] = ENDPOINT_CODES["missing"]
    made["status"] = np.where(rng.random(n) < 0.08, 403, 404)
    made["ua"] = world.agents.code("Mozilla/5.0 zgrab/0.x")
    return made


_Make = Callable[[np.random.Generator, World, str, float | None, float], NDArray[np.void]]
_FAMILIES: Final[dict[str, _Make]] = {
    "brute_force": _brute_force,
    "stuffing": _stuffing,
    "scraper": _scraper,
    "hammer": _hammer,
    "probing": _probing,
}
