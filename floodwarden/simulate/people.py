"""People: sessions with think time, logins that sometimes fail, dead links, shared addresses, and flash crowds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ITEMS, SEARCHES, Ints, World, rows, zipf

SESSION_REQUESTS: Final = 13.0  # mean
_MIX: Final = {
    "item": 0.30, "static": 0.12, "list": 0.10, "search": 0.10, "suggest": 0.12, "reviews": 0.07, "article": 0.04,
    "home": 0.05, "cart": 0.03, "cart_add": 0.02, "account": 0.02, "orders": 0.015,
    "checkout": 0.005, "api_items": 0.01,
}  # fmt: skip
_FAILURES: Final = np.array([0.86, 0.095, 0.032, 0.013])  # failed attempts before a login succeeds: typos


@dataclass(frozen=True, slots=True)
class _Visit:
    """One array entry a session: when, from where, who (ABSENT: nobody we know), with what."""

    start_ms: Ints
    requests: Ints
    ip: Ints
    user: Ints
    ua: Ints
    failures: Ints  # before the login at its second request; -1: no login in this session
    known: NDArray[np.bool_]  # logged in from the first request on
    label: Ints


def moments(rng: np.random.Generator, config: SimulationConfig, n: int) -> Ints:
    """`n` sorted event times with the daily shape: quiet at 04:00 UTC, busiest at 20:00."""
    minutes = np.arange(0.0, config.duration_s + 60, 60.0)
    hour = (config.start_ms / 3_600_000 + minutes / 3600) % 24
    density = 0.62 + 0.42 * np.cos((hour - 20) / 24 * 2 * np.pi) + 0.12 * np.cos((hour - 12) / 12 * 2 * np.pi)
    grown = np.concatenate(([0.0], np.cumsum(density[:-1])))
    at_s = np.interp(np.sort(rng.random(n)), grown / grown[-1], minutes)
    at_ms: Ints = (at_s * config.duration_s / minutes[-1] * 1000).astype(np.int64)
    return config.start_ms + at_ms


def people(rng: np.random.Generator, world: World, config: SimulationConfig) -> NDArray[np.void]:
    """Everyone who browses: members and visitors, with the good cases `cgnat` and `forgetful` among them."""
    n = max(1, round(config.duration_s * config.requests_per_s / SESSION_REQUESTS))
    shared = max(8, config.clients // 100, round(config.requests_per_s * 3))
    cgnat = world.addresses("cgnat", shared)
    member_ip = np.where(
        rng.random(config.clients) < 0.8,
        world.addresses("home", config.clients),
        world.addresses("home6", config.clients),
    )
    accounts = world.users.all([f"user{number:05d}" for number in range(config.clients)])
    member = zipf(rng, n, config.clients, 1.6)
    is_member = rng.random(n) < 0.55
    regular = world.addresses("home", config.clients)[zipf(rng, n, config.clients, 1.4)]
    fresh = world.addresses("home", n)
    stranger = np.where(rng.random(n) < 0.5, regular, fresh)
    mobile = rng.random(n) < 0.18 if "cgnat" in config.cases else np.zeros(n, bool)
    ip = np.where(mobile, cgnat[rng.integers(0, shared, n)], np.where(is_member, member_ip[member], stranger))
    failures = np.where(is_member & (rng.random(n) < 0.45), rng.choice(4, n, p=_FAILURES), ABSENT)
    forgetful = is_member & (rng.random(n) < 0.003) & ("forgetful" in config.cases)
    failures = np.where(forgetful, rng.integers(3, 6, n), failures)
    label = np.where(mobile, world.labels.code("benign/cgnat"), 0)
    visit = _Visit(
        start_ms=moments(rng, config, n),
        requests=np.minimum(rng.geometric(1 / (SESSION_REQUESTS - 1), n) + 1, 160),
        ip=ip,
        user=np.where(is_member, accounts[member], ABSENT),
        ua=world.browsers[np.where(is_member, member, ip) % len(world.browsers)],
        failures=failures,
        known=is_member & (failures < 0),
        label=np.where(forgetful, world.labels.code("benign/forgetful"), label),
    )
    return _browse(rng, world, visit)


def flash_crowd(rng: np.random.Generator, world: World, config: SimulationConfig) -> NDArray[np.void]:
    """A link goes round: within minutes many times the usual visitors, all new, most on one item, some logging in."""
    at_s = config.flash_start_s if config.flash_start_s is not None else config.duration_s * rng.uniform(0.55, 0.7)
    length_s = min(900.0, config.duration_s * 0.25)
    n = max(20, round(config.requests_per_s * 6 * length_s / SESSION_REQUESTS * 2))
    # Steep rise, long tail.
    begins = at_s + length_s * np.clip(rng.gamma(1.6, 0.16, n), 0, 1)
    some = rng.random(n) < 0.12
    failures = np.where(some, rng.choice(4, n, p=_FAILURES), ABSENT)
    accounts = world.users.all([f"guest{number:05d}" for number in range(n)])
    visit = _Visit(
        start_ms=np.sort(config.start_ms + (begins * 1000).astype(np.int64)),
        requests=np.minimum(rng.geometric(1 / 6, n) + 1, 40),
        ip=world.addresses("crowd", n),
        user=np.where(some, accounts, ABSENT),
        ua=world.browsers[rng.integers(0, len(world.browsers), n)],
        failures=failures,
        known=np.zeros(n, bool),
        label=np.full(n, world.labels.code("benign/flash_crowd")),
    )
    made = _browse(rng, world, visit)
    popular = (made["endpoint"] == ENDPOINT_CODES["item"]) & (rng.random(len(made)) < 0.8)
    made["path"][popular] = world.items[4242]
    made["status"][popular] = np.where(rng.random(int(popular.sum())) < 0.015, 503, 200)
    return made


def _browse(rng: np.random.Generator, world: World, visit: _Visit) -> NDArray[np.void]:
    """Sessions as rows: each its requests, with think time between pages and bursts within one."""
    requests = np.maximum(visit.requests, np.where(visit.failures >= 0, visit.failures + 4, 1))
    session = np.repeat(np.arange(len(requests)), requests)
    first = np.concatenate(([0], np.cumsum(requests)[:-1]))
    n = len(session)
    position = np.arange(n) - first[session]
    gaps = np.where(rng.random(n) < 0.42, rng.uniform(40, 420, n), rng.lognormal(8.9, 0.95, n))
    gaps[position == 0] = 0
    elapsed = np.cumsum(gaps)
    made = rows(
        n,
        ts_ms=visit.start_ms[session] + (elapsed - elapsed[first][session]).astype(np.int64),
        ip=visit.ip[session],
        ua=visit.ua[session],
        label=visit.label[session],
        user=np.where(visit.known, visit.user, ABSENT)[session],
    )
    names = list(_MIX)
    weights = np.array([_MIX[name] for name in names])
    made["endpoint"] = np.array([ENDPOINT_CODES[name] for name in names])[
        rng.choice(len(names), n, p=weights / weights.sum())
    ]
    _paths(rng, world, made)
    _mishaps(rng, world, made)
    _logins(world, made, visit, session, position)
    return made


def _paths(rng: np.random.Generator, world: World, made: NDArray[np.void]) -> None:
    """The path of each endpoint; popular items more often than others."""
    popular = zipf(rng, len(made), ITEMS)
    many = {
        "item": world.items[popular],
        "reviews": world.reviews[popular],
        "search": world.searches[popular % SEARCHES],
        "suggest": world.suggests[popular % SEARCHES],
        "list": world.lists[popular % 60],
        "article": world.articles[popular % len(world.articles)],
        "static": world.statics[popular % len(world.statics)],
    }
    for name in _MIX:
        here = made["endpoint"] == ENDPOINT_CODES[name]
        made["path"][here] = many[name][here] if name in many else world.fixed(name)


def _mishaps(rng: np.random.Generator, world: World, made: NDArray[np.void]) -> None:
    """Not modified, dead links that many follow, items that are gone, rare upstream errors."""
    chance = rng.random(len(made))
    static = made["endpoint"] == ENDPOINT_CODES["static"]
    made["status"][static & (chance < 0.3)] = 304
    item = made["endpoint"] == ENDPOINT_CODES["item"]
    made["status"][item & (chance > 0.997)] = 404
    dead = chance < 0.004
    made["endpoint"][dead] = ENDPOINT_CODES["missing"]
    made["path"][dead] = world.dead[rng.integers(0, len(world.dead), int(dead.sum()))]
    made["status"][dead] = 404
    made["status"][(chance > 0.5) & (chance < 0.5004)] = 502


def _logins(world: World, made: NDArray[np.void], visit: _Visit, session: Ints, position: Ints) -> None:
    """A login from a session's second request on: its failures, then success, and the account from there on."""
    failures = visit.failures[session]
    trying = (failures >= 0) & (position >= 1)
    attempt = trying & (position <= failures + 1)
    made["user"][trying] = visit.user[session][trying]
    made["endpoint"][attempt] = ENDPOINT_CODES["login"]
    made["path"][attempt] = world.fixed("login")
    made["status"][attempt] = np.where(position == failures + 1, 200, 401)[attempt]
    lost = attempt & (failures >= 3) & (position == failures)  # gave up guessing: asks for a new password
    made["endpoint"][lost] = ENDPOINT_CODES["reset"]
    made["path"][lost] = world.fixed("reset")
    made["status"][lost] = 202
