"""Attacks on what may be read and done: other people's papers, a schema, prices, methods nobody guards."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths
from floodwarden.simulate.world import ITEMS, SEARCHES, Ints

_VERBS: Final = {
    "item_put": (0.25, (405, 401, 403)), "item_delete": (0.2, (405, 401, 403)), "home_trace": (0.15, (405, 501, 400)),
    "account_patch": (0.15, (401, 405, 403)), "api_options": (0.25, (204, 204, 200)),
}  # fmt: skip


@family(weak=Strength(1, 4, 2400), medium=Strength(6, 20, 900), strong=Strength(20, 60, 420))
def invoice_walk(scene: Scene, how: Strength) -> Rows:
    """Ordinary accounts sign in, open their own orders, and then fetch the invoices of everybody, number by number.

    The number in the address is all that says whose it is. Eight in ten are given, the rest are no invoice (404) or
    were guarded after all (403). From homes, with a browser's user agent, each account its own stretch of numbers.

    Source: First American Financial, 885 million documents by their number (B. Krebs), 2019-05-24; OWASP API Security
    Top 10, API1:2023 (broken object-level authorisation), 2023-06.
    """
    rng = scene.rng
    at_s = 20 + scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    turn = rng.permutation(n) % how.sources
    ip, user = scene.addresses(how.sources, "bot"), scene.strangers(how.sources, "customer")
    ua = scene.browser(ip)
    nth = np.zeros(n, np.int64)
    for one in range(how.sources):
        mine = np.flatnonzero(turn == one)
        nth[mine] = 100_000 + int(rng.integers(50_000)) + np.arange(len(mine))
    status = rng.choice([200, 404, 403], n, p=[0.8, 0.12, 0.08])
    who = {"ip": ip[turn], "user": user[turn], "ua": ua[turn]}
    walked = scene.requests(at_s, "invoice", path=invoice_paths(scene, nth), status=status, **who)
    begins_s = np.array([at_s[turn == one][0] for one in range(how.sources) if (turn == one).any()])
    first = {"ip": ip[: len(begins_s)], "user": user[: len(begins_s)], "ua": ua[: len(begins_s)]}
    came = scene.requests(begins_s - rng.uniform(13, 19, len(begins_s)), "login", **first)
    own = scene.requests(begins_s - rng.uniform(4, 9, len(begins_s)), "orders", **first)
    return together(came, own, walked)


@family(weak=Strength(1, 3, 2400), medium=Strength(1, 40, 900), strong=Strength(2, 90, 420))
def graphql_probing(scene: Scene, how: Strength) -> Rows:
    """With one customer's key the schema is guessed field by field, since the server says "did you mean".

    Introspection is off, so words are tried in batches. Path and key never change; errors of GraphQL come with 200,
    three in ten do not parse (400), one in fifty asks too deep and times out (504). The strong one exceeds the limit.

    Source: N. Stupin, Clairvoyance (obtains a schema although introspection is off), 2020; OWASP Web Security
    Testing Guide 4.2, "Testing GraphQL", 2020-12-03.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=8.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    key = scene.key(f"key-app-{scene.rng.integers(40):02d}")
    status = scene.rng.choice([200, 400, 504], n, p=[0.68, 0.3, 0.02])
    return scene.requests(at_s, "graphql", ip=ip, key=key, status=status, ua=scene.tool("aiohttp/3.9.1"))


@family(oat="OAT-011", weak=Strength(15, 1, 2400), medium=Strength(40, 6, 1200), strong=Strength(60, 30, 420))
def fare_scraping(scene: Scene, how: Strength) -> Rows:
    """Prices are read off the search pages, term after term and six pages of each, another browser at every request.

    Half through rented machines and half through homes, each below the limit of an address; no script, no picture, no
    item is ever loaded. When all terms are through it begins again, for prices change.

    Source: Ryanair v. Booking Holdings, verdict on screen scraping, Delaware, 2024-07-18 (set aside 2025-01); OWASP
    Automated Threat Handbook 1.2, OAT-011, 2018-02-15.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n, half = len(at_s), how.sources // 2
    ip = scene.by_turns(
        np.concatenate([scene.addresses(half, "hosting"), scene.addresses(how.sources - half, "bot")]), n
    )
    place = int(scene.rng.integers(SEARCHES * 6)) + np.arange(n)
    asked = [f"/search?q=term{one // 6 % SEARCHES}&page={one % 6 + 1}" for one in place.tolist()]
    status = scene.mostly(n, 200, 503, 0.004)
    return scene.requests(at_s, "search", path=asked, ip=ip, status=status, ua=_made_up_browsers(scene, n))


@family(oat="OAT-014", weak=Strength(1, 2, 2400), medium=Strength(2, 20, 900), strong=Strength(4, 120, 300))
def verb_tampering(scene: Scene, how: Strength) -> Rows:
    """Known pages are asked with methods they were not made for: PUT, PATCH, DELETE, TRACE, OPTIONS.

    All the pages exist, so there is no 404 in it; most is 405, 401 or 403, OPTIONS is answered, one PUT in forty is
    taken (200).

    Source: OWASP Web Security Testing Guide 4.2, "Test HTTP Methods", 2020-12-03; OWASP API Security Top 10, API5:2023;
    JBoss JMX console, CVE-2010-0738 (other methods were not guarded), used by a worm in 2011-10.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n = len(at_s)
    ip, ua = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.tool("curl/8.5.0")
    items = scene.world.items[rng.integers(0, ITEMS, n)]
    kind = rng.choice(len(_VERBS), n, p=[share for share, _ in _VERBS.values()])
    made = scene.requests(at_s, "item_put", path=items, ip=ip, ua=ua)
    for number, (endpoint, (_, answers)) in enumerate(_VERBS.items()):
        here = kind == number
        path = items[here] if endpoint.startswith("item_") else None
        status = rng.choice(answers, int(here.sum()), p=[0.7, 0.15, 0.15])
        made[here] = scene.requests(at_s[here], endpoint, path=path, ip=ip[here], ua=ua, status=status)
    made["status"][(kind == 0) & (rng.random(n) < 1 / 40)] = 200
    return made


def _made_up_browsers(scene: Scene, n: int) -> Ints:
    agents = [
        f"Mozilla/5.0 ({system}) Gecko/20100101 Firefox/{version}.0"
        for system in ("Windows NT 10.0; Win64; x64; rv:128.0", "X11; Linux x86_64; rv:128.0", "Macintosh; rv:128.0")
        for version in range(90, 140)
    ]
    return scene.world.agents.all(agents)[scene.rng.integers(0, len(agents), n)]
