"""Attacks by those who read what is not theirs: where a seller lives, customers by number and by key."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ITEMS

_HALVINGS: Final = 12  # from fifty kilometres to some metres
_DIRECTIONS: Final = 3
_KEYS: Final = 40


@family(oat="OAT-011", weak=Strength(1, 3, 2400), medium=Strength(4, 20, 1200), strong=Strength(12, 60, 480))
def trilateration(scene: Scene, how: Strength) -> Rows:
    """Where a private seller lives is found out by the app's feed: from place after place it tells whether he is near.

    An account with an emulated telephone an address: a token, then the feed from made-up places, halving the distance
    twelve times in each of three directions; 36 places, and on to the next seller. All is answered (200); no item.

    Source: Check Point Research (A. Bukhteyev), "The illusion of privacy: geolocation risks in modern dating apps",
    2024-04-04; KU Leuven on fifteen such apps, 2024-07.
    """
    rng, asked = scene.rng, _HALVINGS * _DIRECTIONS
    parts = []
    ua = scene.tool("ShopApp/5.9.4 (Android 13)")
    users = scene.strangers(how.sources, "collector")
    for ip, user in zip(scene.addresses(how.sources, "neighbour").tolist(), users.tolist(), strict=True):
        at_s = 3 + scene.steady(how.per_s, max(3.0, how.lasts_s - 3))
        nth = np.arange(len(at_s))
        sellers = rng.uniform((47.3, 6.1), (54.8, 14.9), (len(nth) // asked + 1, 2))
        reach = 0.45 * 0.5 ** (nth % asked % _HALVINGS)
        angle = 2 * np.pi * (nth % asked // _HALVINGS) / _DIRECTIONS
        seen = sellers[nth // asked] + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        path = [f"/api/v2/feed?lat={lat:.5f}&lon={lon:.5f}" for lat, lon in seen.tolist()]
        who = {"ip": ip, "user": user, "ua": ua}
        parts.append(scene.requests(rng.uniform(0, 2, 1), "token", **who))
        parts.append(scene.requests(at_s, "app_feed", path=path, **who))
    return together(*parts)


@family(oat="OAT-018", weak=Strength(30, 0.1, 3600), medium=Strength(150, 1, 1200), strong=Strength(500, 4, 420))
def forgotten_version(scene: Scene, how: Strength) -> Rows:
    """A version of the interface that everybody forgot still hands customers out, number by number, to whoever asks.

    No key, no sign-on. The numbers go up one by one while the address changes with each; nine in ten are somebody
    (200), the rest nobody any more (404). No other page of the site is opened.

    Source: Optus (9.5 million customers), 2022-09-22; Australian Communications and Media Authority, statement on how
    it was done, 2024-06-19; OWASP API Security Top 10, API9:2023 (improper inventory management), 2023-06.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n, first = len(at_s), int(scene.rng.integers(100_000, 900_000))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    path = [f"/api/beta/customers/{first + one}" for one in range(n)]
    status = scene.mostly(n, 200, 404, 0.1)
    return scene.requests(at_s, "missing", path=path, ip=ip, status=status, ua=scene.tool("okhttp/4.12.0"))


@family(oat="OAT-011", weak=Strength(1, 6, 2400), medium=Strength(3, 50, 900), strong=Strength(8, 100, 420))
def integration_breach(scene: Scene, how: Strength) -> Rows:
    """A provider that customers gave their keys to was broken into, and all customers' orders are taken, key by key.

    With the provider's own name for a program, from rented machines: an eighth of the customers' keys when it is weak,
    a half, all forty when it is strong. Of each key the orders page by page, an export and what it gives (202, 200),
    then the next key; one in ten has been changed meanwhile (401), and is left.

    Source: Google Threat Intelligence Group, "Widespread data theft targets Salesforce instances via Salesloft Drift"
    (700 customers' tokens), 2025-08-26.
    """
    rng, m = scene.rng, how.sources
    taken = {1: _KEYS // 8, 3: _KEYS // 2}.get(m, _KEYS)
    keys = scene.world.keys.all([f"key-app-{one:02d}" for one in rng.permutation(_KEYS)[:taken].tolist()])
    stale, ua, parts = rng.permutation(taken) % 10 == 4, scene.tool("LeadBridge/3.4 python-requests/2.32.4"), []
    for number, ip in enumerate(scene.addresses(m, "hosting").tolist()):
        mine = np.arange(number, taken, m)
        at_s = scene.steady(how.per_s, how.lasts_s)
        good = mine[~stale[mine]] if (~stale[mine]).any() else mine
        which = good[np.arange(len(at_s)) * len(good) // len(at_s)]
        nth = np.arange(len(which)) - np.searchsorted(which, which)
        who = {"ip": ip, "key": keys[which], "ua": ua}
        pages = [f"/api/v1/orders?page={one + 1}" for one in nth.tolist()]
        made = scene.requests(at_s, "api_orders", path=pages, **who)
        reports = [f"/api/v1/exports/{one}" for one in rng.integers(1, 99_999, len(at_s)).tolist()]
        ordered, fetched = nth % 8 == 6, nth % 8 == 7
        made[ordered] = scene.requests(at_s, "export", status=202, **who)[ordered]
        made[fetched] = scene.requests(at_s, "exported", path=reports, **who)[fetched]
        refused = mine[stale[mine]]
        tried_s = rng.uniform(0, how.lasts_s, len(refused))
        parts += [made, scene.requests(tried_s, "api_orders", ip=ip, key=keys[refused], ua=ua, status=401)]
    return together(*parts)


@family(oat="OAT-014", weak=Strength(2, 1.5, 3000), medium=Strength(4, 15, 1200), strong=Strength(8, 60, 420))
def borrowed_crawler(scene: Scene, how: Strength) -> Rows:
    """The search engine itself carries the attack: elsewhere stand links to searches here that have SQL in them.

    From addresses, network and name of the engine, for it is the engine, which follows links as it always does: three
    in four are such a search, each once, a quarter an item. Of the searches six in ten are answered as any (200), a
    fifth slowly, and so it worked; one in eight is an error (500), one in ten refused (403). Nearly all that can be
    told is what is asked for: who denies the engine denies himself.

    Source: Sucuri (D. Cid), "Google bots doing SQL injection attacks", 2013-11-05.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s)
    n, ua = len(at_s), scene.tool(ENGINE)
    ip = scene.by_turns(scene.addresses(how.sources, "engine"), n)
    column = rng.integers(1, 60, n).tolist()
    asked = scene.world.paths.all(
        [
            f"/search?q=term{one % 900}%27+UNION+SELECT+{nth},concat(login,0x3a,pass)+FROM+users+LIMIT+{one},1--"
            for one, nth in enumerate(column)
        ]
    )
    drawn = rng.random(n)
    status = np.select([drawn < 0.125, drawn < 0.225], [500, 403], 200)
    made = scene.requests(at_s, "search", path=asked, ip=ip, ua=ua, status=status)
    slow = drawn > 0.8
    made[slow] = scene.requests(at_s, "search_deep", path=asked, ip=ip, ua=ua)[slow]
    crawled = rng.random(n) < 0.25
    item = scene.world.items[rng.integers(0, ITEMS, n)]
    made[crawled] = scene.requests(at_s, "item", path=item, ip=ip, ua=ua)[crawled]
    return made
