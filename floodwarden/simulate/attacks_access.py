"""Attacks on what there is to get: scraping, probing, stolen and shared keys, and asking in spite of every 429."""

from __future__ import annotations

from itertools import islice, product
from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ITEMS

_NAMES: Final = (
    ".env", ".git/config", "wp-login.php", "wp-admin", "admin", "phpmyadmin", "backup", "config", "old", "test",
    "shell", "cgi-bin/status", "server-status", "actuator/env", "vendor/phpunit", "console", "api/swagger", "debug",
    "db", "dump", "private", "install", "setup", "portal", "manager/html", "solr/admin", "login.action", "xmlrpc",
)  # fmt: skip
_SUFFIXES: Final = ("", ".php", ".bak", ".zip", ".sql", ".old", ".txt", "/", ".tar.gz", ".asp", ".jsp", ".yml")
_SYLLABLES: Final = (
    "ac", "ad", "ar", "ba", "be", "ca", "co", "da", "de", "do", "fi", "fo", "ga", "in", "la", "ma", "me", "no", "pa",
    "pro", "re", "sa", "se", "ta", "up", "us", "vi", "web",
)  # fmt: skip


@family(oat="OAT-011", weak=Strength(1, 30, 2400), medium=Strength(1, 180, 900), strong=Strength(1, 900, 420))
def scraper(scene: Scene, how: Strength) -> Rows:
    """One address walks the catalogue in order and never looks back."""
    at_s = scene.steady(how.per_s, how.lasts_s)
    item = (int(scene.rng.integers(ITEMS)) + np.arange(len(at_s))) % ITEMS
    status = scene.mostly(len(at_s), 200, 404, 0.003)
    ip, ua = int(scene.addresses(1)[0]), int(scene.world.browsers[1])
    return scene.requests(at_s, "item", path=scene.world.items[item], ip=ip, status=status, ua=ua)


@family(oat="OAT-014", weak=Strength(1, 6, 1800), medium=Strength(1, 120, 420), strong=Strength(1, 1200, 120))
def probing(scene: Scene, how: Strength) -> Rows:
    """One address works through a list of weak spots that are not there."""
    at_s = scene.steady(how.per_s, how.lasts_s)
    words = [f"/{name}{suffix}" for suffix in _SUFFIXES for name in _NAMES]
    words += [f"/{name}{number}" for number in range(len(at_s) // len(_NAMES) + 1) for name in _NAMES]
    return scene.requests(
        at_s,
        "missing",
        path=words[: len(at_s)],
        ip=int(scene.addresses(1)[0]),
        status=scene.mostly(len(at_s), 404, 403, 0.08),
        ua=scene.tool("Mozilla/5.0 zgrab/0.x"),
    )


@family(oat="OAT-018", weak=Strength(8, 1.5, 1800), medium=Strength(16, 10, 600), strong=Strength(30, 60, 240))
def enumeration(scene: Scene, how: Strength) -> Rows:
    """A word list of directories, dealt out over some addresses; a few are there, or are but not for everyone."""
    n = max(how.sources * 3, int(how.sources * how.per_s * how.lasts_s))
    words = ["/" + "".join(parts) for parts in islice(product(_SYLLABLES, repeat=4), n)]
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), len(words))
    drawn = scene.rng.random(len(words))
    status = np.select([drawn < 0.02, drawn < 0.05, drawn < 0.06], [301, 403, 200], 404)
    at_s = scene.scattered(len(words), how.lasts_s)
    return scene.requests(at_s, "missing", path=words, ip=ip, status=status, ua=scene.browser(ip))


@family(oat="OAT-011", weak=Strength(1, 6, 1800), medium=Strength(2, 30, 900), strong=Strength(3, 200, 300))
def stolen_key(scene: Scene, how: Strength) -> Rows:
    """A partner's key, leaked: from addresses and a network it never came from, everything it may read is read."""
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    key = scene.key(f"key-poll-{scene.rng.integers(14):02d}")
    ua = scene.tool()
    walk = scene.world.api_items[(int(scene.rng.integers(ITEMS)) + np.arange(n)) % ITEMS]
    made = scene.requests(at_s, "api_item", path=walk, ip=ip, key=key, ua=ua)
    orders = scene.rng.random(n) < 0.3
    made[orders] = scene.requests(at_s, "api_orders", ip=ip, key=key, ua=ua)[orders]
    return made


@family(oat="OAT-019", weak=Strength(15, 1, 2400), medium=Strength(60, 1, 1200), strong=Strength(200, 1, 900))
def key_sharing(scene: Scene, how: Strength) -> Rows:
    """One customer's key is passed around: dozens of addresses on many networks with many agents ask what they like."""
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    who = np.arange(how.sources)[scene.rng.permutation(n) % how.sources]
    ip = scene.addresses(how.sources, "bot")[who]
    agents = np.array([scene.tool(f"community-client/{a}.{b}") for a in range(6) for b in range(8)])
    item = scene.world.api_items[scene.rng.integers(0, ITEMS, n)]
    key = scene.key(f"key-app-{scene.rng.integers(40):02d}")
    ua = agents[who * 7 % len(agents)]
    return scene.requests(scene.scattered(n, how.lasts_s), "api_item", path=item, ip=ip, key=key, ua=ua)


@family(oat="OAT-015", weak=Strength(1, 360, 900), medium=Strength(1, 1200, 420), strong=Strength(1, 6000, 120))
def hammer(scene: Scene, how: Strength) -> Rows:
    """One address asks one thing far beyond its limit, whatever it is told."""
    at_s = scene.steady(how.per_s, how.lasts_s)
    path = scene.world.searches[scene.rng.integers(0, 4, len(at_s))]
    ip, ua = int(scene.addresses(1)[0]), scene.tool("Go-http-client/1.1")
    return scene.requests(at_s, "search", path=path, ip=ip, ua=ua)
