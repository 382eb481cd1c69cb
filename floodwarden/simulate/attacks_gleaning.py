"""Attacks by those who read for others, or to be counted: once each, over and over, in pairs."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ARTICLES, ITEMS, zipf

_QUOTES: Final = 30  # of one cart
_POPULAR: Final = 50
_OWN: Final = 4
_ROUND_S: Final = {120: 1200.0, 200: 150.0, 400: 30.0}  # items that are watched: how often


@family(
    oat="OAT-011", weak=Strength(400, 0.02, 3000), medium=Strength(1500, 0.06, 1000), strong=Strength(4000, 0.15, 400)
)
def one_hit_crawl(scene: Scene, how: Strength) -> Rows:
    """The whole site is read for a model, page by page, and no address makes more than a single request, ever.

    Homes all over the world, each with one of sixty old browsers' names; lists far down, items, reviews and articles,
    no page twice until all were read, no script, no picture. One in a hundred is gone (404). By itself each is like a
    visitor who came by a link and left.

    Source: D. DeVault (SourceHut), "Please stop externalizing your costs directly into my face", 2025-03-17.
    """
    rng, world, n = scene.rng, scene.world, how.sources
    names = [
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
        for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
        for version in range(96, 116)
    ]
    who = {"ip": scene.addresses(n, "bot"), "ua": world.agents.all(names)[rng.integers(0, len(names), n)]}
    at_s, status = scene.scattered(n, how.lasts_s), scene.mostly(n, 200, 404, 0.01)
    pages = rng.permutation(2 * ITEMS + ARTICLES + len(world.lists))[np.arange(n) % (2 * ITEMS)]
    made = scene.requests(at_s, "item", path=world.items[pages % ITEMS], status=status, **who)
    for endpoint, first, paths in (
        ("reviews", ITEMS, world.reviews),
        ("article", 2 * ITEMS, world.articles),
        ("list", 2 * ITEMS + ARTICLES, world.lists),
    ):
        here = (pages >= first) & (pages < first + len(paths))
        path = paths[np.clip(pages - first, 0, len(paths) - 1)]
        made[here] = scene.requests(at_s, endpoint, path=path, status=status, **who)[here]
    return made


@family(oat="OAT-011", weak=Strength(15, 0.4, 3600), medium=Strength(40, 2, 1500), strong=Strength(100, 8, 480))
def price_watching(scene: Scene, how: Strength) -> Rows:
    """A rival's program looks at the same few hundred items again and again, to be a cent below them within minutes.

    120 items every twenty minutes when it is weak, 200 every two and a half, 400 twice a minute when it is strong; in
    another order each round, and each look by another of its homes. The item's page alone, nothing before or after.

    Source: Reuters (J. Dastin), "Amazon trounces rivals in battle of the shopping 'bots'" (a rival's prices checked
    several million times a day), 2017-05-10.
    """
    rng = scene.rng
    watched = {15: 120, 40: 200}.get(how.sources, 400)
    every_s = _ROUND_S[watched]
    rounds = max(1, int(how.lasts_s // every_s))
    items = zipf(rng, 4 * watched, ITEMS // 2)
    items = np.resize(rng.permutation(np.unique(items)), watched)
    order = np.concatenate([rng.permutation(items) for _ in range(rounds)])
    n = len(order)
    begin_s = np.repeat(np.arange(rounds) * every_s, watched)
    at_s = begin_s + np.tile(np.arange(watched) * (every_s * 0.7 / watched), rounds) + rng.uniform(0, 1, n)
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    made = scene.requests(at_s, "item", path=scene.world.items[order], ip=ip, ua=scene.browser(ip))
    return np.asarray(made[at_s < how.lasts_s])


@family(oat="OAT-021", weak=Strength(60, 0.1, 2400), medium=Strength(300, 0.6, 900), strong=Strength(800, 2.4, 300))
def covisit_injection(scene: Scene, how: Strength) -> Rows:
    """What others also looked at is made up: what everybody looks at, and seconds later one of the seller's own items.

    Four items of his, fifty that are popular, as a pair, four to nine seconds apart, from a home worldwide each time;
    the page's script with the first. Nobody signs in, buys, or looks at a third.

    Source: G. Yang, N. Z. Gong and Y. Cai, "Fake co-visitation injection attacks to recommender systems" (done on
    YouTube, eBay, Amazon, Yelp, LinkedIn), NDSS 2017, 2017-02.
    """
    rng = scene.rng
    pairs = max(how.sources, round(how.sources * how.per_s * how.lasts_s / 3))
    begins_s = scene.scattered(pairs, max(1.0, how.lasts_s - 10))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), pairs)
    who = {"ip": ip, "ua": scene.browser(ip)}
    own = scene.world.items[ITEMS - 1 - rng.permutation(900)[:_OWN]]
    first = scene.world.items[zipf(rng, pairs, _POPULAR)]
    second = own[rng.integers(0, _OWN, pairs)]
    return together(
        scene.requests(begins_s, "item", path=first, **who),
        scene.requests(begins_s + rng.uniform(0.2, 0.6, pairs), "static", path="/static/app.js", **who),
        scene.requests(begins_s + rng.uniform(4, 9, pairs), "item", path=second, **who),
    )


@family(oat="OAT-011", weak=Strength(3, 1, 3000), medium=Strength(15, 8, 1200), strong=Strength(50, 30, 420))
def quote_mining(scene: Scene, how: Strength) -> Rows:
    """What delivery costs is read out of the checkout: one thing in a cart, and postcode after postcode for it.

    Guests, each address a cart of one piece, thirty postcodes for it (one in fifteen is not delivered to, 422), and the
    next piece. Nothing is ever paid; each quote is worked out anew by the carriers' interfaces, and costs.

    Source: Travel in Motion, "Look-to-book: the (old) new evil" (10,000 questions to a booking), 2023-08; Netacea, "How
    much is fare scraping costing the travel industry?", read 2026-11.
    """
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s = scene.scattered(n, how.lasts_s)
    turn, nth = np.arange(n) % how.sources, np.arange(n) // how.sources
    ip = scene.addresses(how.sources, "bot")[turn]
    who = {"ip": ip, "ua": scene.browser(ip)}
    asked = [f"/checkout?zip={one:05d}&quote=1" for one in (1000 + (turn * 997 + nth * 13) % 98_000).tolist()]
    made = scene.requests(at_s, "checkout", path=asked, status=scene.mostly(n, 200, 422, 1 / 15), **who)
    begins = nth % (_QUOTES + 1) == 0
    made[begins] = scene.requests(at_s, "cart_add", status=scene.mostly(n, 200, 409, 0.01), **who)[begins]
    return made


@family(weak=Strength(10, 0.5, 3000), medium=Strength(60, 4, 900), strong=Strength(150, 16, 300))
def download_inflation(scene: Scene, how: Strength) -> Rows:
    """A library nobody uses is fetched again and again, so that it looks like one that everybody builds upon.

    One package, the same file, by builds that there are not: a free key an address, one of five versions of the package
    manager, an even trickle day and night. Always answered (200), never unchanged, and no other package beside it, as a
    build would want.

    Source: A. Richardson, "How I exploited NPM downloads ... and why you shouldn't trust them" (a million within a
    month), read 2026-11; npm, on what a download counts as, 2014-07-22.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=8.0)
    n = len(at_s)
    turn = rng.permutation(n) % how.sources
    keys = scene.world.keys.all([f"key-trial-{one:06x}" for one in rng.integers(1 << 24, size=how.sources).tolist()])
    names = scene.world.agents.all([f"npm/10.{minor}.0 node/v22.{minor}.0 linux x64" for minor in range(5, 10)])
    ip, ua = scene.addresses(how.sources, "hosting"), names[rng.integers(0, 5, how.sources)]
    path = f"/api/v1/packages/lib-left-trim-{int(rng.integers(90))}?version=1.0.1"
    return scene.requests(at_s, "build", path=path, ip=ip[turn], key=keys[turn], ua=ua[turn])
