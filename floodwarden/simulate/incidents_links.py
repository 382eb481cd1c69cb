"""Hard good cases of who follows links: importers, checkers, a crawler, a platform's robots; and rented exits."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.people import browse, typos, visiting
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ABSENT, ARTICLES, ITEMS, zipf

_OLD: Final = 1 / 3  # of what people keep: links of years ago
_SERVICES: Final = ("readlater", "shelfmark", "linkding", "wallabag")
_FILTERS: Final = ("color=red", "brand=7", "size=4", "in_stock=1", "new=1", "under=50", "sort=price", "view=grid")


@case()
def vpn_evening(scene: Scene) -> Rows:
    """A law takes effect that makes people take tunnels for everything, and from that evening they come from abroad.

    As many as the site has requests in 50 seconds (250 at 5 a second), within five hours, behind twenty-four rented
    exits in three countries, a dozen to each. Four in five are members: they sign in, with typos, and because the
    country is another they are asked for a code as well, which one in ten mistypes (401). An hour later a third comes
    again by another exit.
    """
    rng, n = scene.rng, max(24, round(scene.requests_per_s * 50))
    begins_s = scene.moment(0.15, 0.35) + np.minimum(rng.gamma(2, min(3000.0, scene.span_s / 11), n), 18_000)
    exits = scene.addresses(24, "hosting")
    member, again = rng.random(n) < 0.8, np.flatnonzero(rng.random(n) < 1 / 3)
    user, ua = np.where(member, scene.accounts(n, distinct=True), ABSENT), scene.world.browsers[rng.integers(0, 16, n)]
    ip = exits[rng.integers(0, 24, n)]
    failures = np.where(member, typos(scene, n), ABSENT)
    made = browse(scene, visiting(scene, begins_s, ip, user, ua, failures))
    code_s = begins_s[member] + 45 + rng.gamma(2, 10, int(member.sum()))
    who = {"ip": ip[member], "user": user[member], "ua": ua[member]}
    codes = scene.requests(code_s, "verify", **who)
    mistyped = codes[rng.random(len(codes)) < 0.1].copy()
    mistyped["status"], mistyped["ts_ms"] = 401, mistyped["ts_ms"] - 9000
    other = exits[rng.integers(0, 24, len(again))]
    later = visiting(scene, begins_s[again] + 3600, other, user[again], ua[again], np.full(len(again), ABSENT))
    return together(made, codes, mistyped, browse(scene, later))


@case()
def saved_links(scene: Scene) -> Rows:
    """A service where people kept what they would read later closes, and others fetch their lists, link after link.

    As many lists as the site has requests in 30 seconds (150 at 5 a second) within five hours, twenty to eighty of our
    pages each, by twelve rented machines of four services, three a second, in the order they were kept. A third was
    kept years ago and is gone (404); the rest are articles, items and reviews, the popular ones many times over.
    """
    rng, n = scene.rng, max(16, round(scene.requests_per_s * 30))
    begins_s = scene.moment(0.1, 0.3) + np.minimum(rng.gamma(1.4, min(4000.0, scene.span_s / 8), n), 18_000)
    kept = rng.integers(20, 81, n)
    which = np.repeat(np.arange(n), kept)
    nth = np.arange(len(which)) - np.searchsorted(which, which)
    at_s = begins_s[which] + nth / 3 + rng.uniform(0, 0.2, len(which))
    service = rng.integers(0, 4, n)
    machine = scene.addresses(12, "hosting")[(service[which] * 3 + nth % 3)]
    agents = scene.world.agents.all([f"Mozilla/5.0 (compatible; {one}-importer/1.{len(one)})" for one in _SERVICES])
    columns = {"ip": machine, "ua": agents[service[which]]}
    world, drawn = scene.world, rng.random(len(which))
    popular = zipf(rng, len(which), ITEMS)
    made = scene.requests(at_s, "article", path=world.articles[popular % ARTICLES], **columns)
    items = (drawn > 0.55) & (drawn < 0.9)
    made[items] = scene.requests(at_s, "item", path=world.items[popular], **columns)[items]
    said = drawn >= 0.9
    made[said] = scene.requests(at_s, "reviews", path=world.reviews[popular], **columns)[said]
    years = rng.integers(2012, 2024, len(which)).tolist()
    gone = [f"/blog/{year}/{one:04d}" for year, one in zip(years, (popular % 4000).tolist(), strict=True)]
    old = rng.random(len(which)) < _OLD
    made[old] = scene.requests(at_s, "article", path=gone, status=404, **columns)[old]
    return made


@case()
def link_rot_check(scene: Scene) -> Rows:
    """An encyclopaedia's robot looks whether what its articles quote of us is still there, three times, to be sure.

    As many links as the site has requests in three minutes (900 at 5 a second), one every two and a half seconds, from
    one rented machine, the next round an hour after the last. Two in five are dead, always the same (404), and each of
    those is asked for again at once under a browser's name, in case it is only robots that are sent away.
    """
    rng, n = scene.rng, min(ITEMS, max(60, round(scene.requests_per_s * 180)))
    begin_s, every_s = scene.moment(0.05, 0.2), min(2.5, scene.span_s * 0.2 / n)
    world = scene.world
    quoted = np.concatenate([world.articles, world.items[rng.permutation(ITEMS)[: max(1, n)]]])[:n]
    gone = world.paths.all([f"/blog/{2009 + one % 12}/{one * 37 % 5000:04d}" for one in range(n)])
    dead = rng.random(n) < 0.4
    path = np.where(dead, gone, quoted)
    again = np.flatnonzero(dead)
    ip, parts = int(scene.addresses(1, "hosting")[0]), []
    rest_s = min(3600.0, scene.span_s * 0.05)
    for turn in range(3):
        at_s = begin_s + turn * (n * every_s + rest_s) + np.arange(n) * every_s + rng.uniform(0, every_s / 4, n)
        who = {"ip": ip, "ua": scene.tool("LinkKeeperBot/2.0 (https://encyclopaedia.example/robots)")}
        made = scene.requests(at_s, "article", path=path, status=np.where(dead, 404, 200), **who)
        items = ~dead & (np.arange(n) >= ARTICLES)
        made[items] = scene.requests(at_s, "item", path=path, **who)[items]
        who = {"ip": ip, "ua": int(world.browsers[0])}
        parts += [made, scene.requests(at_s[again] + 0.7, "article", path=path[again], status=404, **who)]
    return together(*parts)


@case()
def crawler_trap(scene: Scene) -> Rows:
    """A release puts every filter into every link, and the search engine, trusting us, follows them without an end.

    Twelve of its own addresses, three requests for every ten of people (1.5 a second at 5), for two and a half hours:
    lists that nobody else asked for, each with one filter more than the page it was found on, up to eight in any order
    and each page once. An item in twelve, and all is answered (200). It stops by itself.
    """
    rng = scene.rng
    begin_s = scene.moment(0.15, 0.4)
    at_s = begin_s + scene.steady(0.3 * scene.requests_per_s, min(9000.0, scene.span_s * 0.4), shape=6.0)
    n = len(at_s)
    deep = np.minimum(8, 1 + (np.arange(n) * 9 // n))
    asked = []
    for nth, filters in enumerate(deep.tolist()):
        order = rng.permutation(len(_FILTERS))[:filters].tolist()
        asked.append(f"/items?{'&'.join(_FILTERS[one] for one in order)}&page={nth + 2}")
    ip = scene.by_turns(scene.addresses(12, "engine"), n)
    made = scene.requests(at_s, "list", path=asked, ip=ip, ua=scene.tool(ENGINE))
    items = rng.random(n) < 1 / 12
    path = scene.world.items[rng.integers(0, ITEMS, n)]
    made[items] = scene.requests(at_s, "item", path=path, ip=ip, ua=scene.tool(ENGINE))[items]
    return made


@case()
def landing_review(scene: Scene) -> Rows:
    """The shop uploads a season's advertisements, and the platform's robots look at every page they lead to, at once.

    As many pages as the site has requests in three minutes (900 at 5 a second), each as a computer and as a telephone
    sees it, with its script, within forty minutes, from ten of the platform's addresses, a made-up click behind each.
    One in thirty is not there yet (404): it is looked at thrice more, half an hour apart, and the last time it is.
    """
    rng, n = scene.rng, min(ITEMS, max(40, round(scene.requests_per_s * 180)))
    begin_s, lasts_s = scene.moment(0.1, 0.4), min(2400.0, scene.span_s * 0.15)
    apart_s = min(1800.0, scene.span_s * 0.1)
    pool = scene.addresses(10, "engine")
    agents = scene.world.agents.all(
        [
            "AdsBot-Example (+https://ads.example/adsbot)",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 14_7_1 like Mac OS X) (compatible; AdsBot-Example-Mobile)",
        ]
    )
    numbers = rng.permutation(ITEMS)[:n] + 1
    missing = rng.random(n) < 1 / 30
    parts = []
    for turn in range(4):
        which = np.flatnonzero(missing) if turn else np.arange(n)
        for kind in (0, 1):
            seen_s = begin_s + turn * apart_s + rng.uniform(0, lasts_s if turn == 0 else 120, len(which))
            asked = [f"/items/{one}?gclid=TEST-{one:05d}-{kind}" for one in numbers[which].tolist()]
            ip, ua = scene.by_turns(pool, len(which)), int(agents[kind])
            there = ~missing[which] | (turn == 3)
            parts.append(scene.requests(seen_s, "item", path=asked, ip=ip, ua=ua, status=np.where(there, 200, 404)))
            script = scene.world.statics[:1].repeat(int(there.sum()))
            parts.append(scene.requests(seen_s[there] + 0.4, "static", path=script, ip=ip[there], ua=ua))
    return together(*parts)


@case()
def statistics_office(scene: Scene) -> Rows:
    """The statistical office reads prices for its index, the same basket every month, and says in its name who it is.

    As many items as the site has requests in four minutes (1,200 at 5 a second), one every three seconds, in the order
    of its basket, from two addresses of the office; robots.txt first. One in thirty is no longer sold (404): then it
    searches for a like one, in two wordings, and opens the first two that are found.
    """
    rng, n = scene.rng, min(ITEMS, max(60, round(scene.requests_per_s * 240)))
    begin_s, every_s = scene.moment(0.05, 0.2), min(3.0, scene.span_s * 0.6 / n)
    at_s = begin_s + np.arange(n) * every_s + rng.uniform(0, every_s / 5, n)
    pool = scene.addresses(2, "office")
    ua = scene.tool("price-statistics/4.0 (+https://statistics.example/web-prices; prices@statistics.example)")
    ip = pool[np.arange(n) % 2]
    basket, gone = rng.permutation(ITEMS)[:n], rng.random(n) < 1 / 30
    gone[0] = True
    read = scene.requests(at_s, "item", path=scene.world.items[basket], ip=ip, ua=ua, status=np.where(gone, 404, 200))
    which = np.flatnonzero(gone)
    term = scene.world.searches[basket[which] % len(scene.world.searches)]
    parts = [read, scene.requests(at_s[:1] - 2, "missing", path="/robots.txt", ip=int(pool[0]), ua=ua, status=404)]
    for nth in (1, 2):
        asked_s = at_s[which] + every_s * 0.2 * nth
        parts.append(scene.requests(asked_s, "search", path=np.roll(term, nth - 1), ip=ip[which], ua=ua))
        like = scene.world.items[(basket[which] + 11 * nth) % ITEMS]
        parts.append(scene.requests(asked_s + every_s * 0.4, "item", path=like, ip=ip[which], ua=ua))
    return together(*parts)
