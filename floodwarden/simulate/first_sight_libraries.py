"""First sight: good programs that keep what is written: feed readers, an archive."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ARTICLES, ITEMS, zipf

_FEED: Final = "/blog/feed.xml"
_READERS: Final = (
    "FreshRSS/1.26.{} (Linux; https://freshrss.org)", "Tiny Tiny RSS/24.{} (https://tt-rss.org/)",
    "Miniflux/2.2.{} (https://miniflux.app)", "NetNewsWire/6.{} (RSS Reader)", "Feedbin feed-id:{}",
)  # fmt: skip
_OUTLINKS: Final = 20


@case()
def feed_readers(scene: Scene) -> Rows:
    """People read the shop's articles by feed: some hundred readers ask for it by their timers, some every minute.

    As many as the site has requests in 40 seconds (200 at 5 a second), half at home and half on rented machines, each
    under its own name. Every 15, 30 or 60 minutes, at the full quarter if it is badly made; one in twelve every minute.
    Nearly always nothing is new (304), but for the badly made tenth that never says what it has (200). When something
    is, each gets it the next time, and two in five fetch the article as well.
    """
    rng, n = scene.rng, max(24, round(scene.requests_per_s * 40))
    appears_s = scene.moment(0.3, 0.7)
    half = n // 2
    ip = np.concatenate([scene.addresses(half, "home"), scene.addresses(n - half, "hosting")])
    agents = scene.world.agents.all([_READERS[one % len(_READERS)].format(one // 5 % 9) for one in range(n)])
    article = int(scene.world.articles[int(rng.integers(ARTICLES))])
    parts = []
    for number in range(n):
        every_s = 60.0 if number % 12 == 5 else (900.0, 1800.0, 3600.0)[number % 3]
        begin_s = rng.uniform(0, 4) if number % 7 == 0 else rng.uniform(0, every_s)  # at the full quarter
        at_s = begin_s + np.arange(max(3, int((scene.span_s - begin_s) / every_s))) * every_s
        at_s = at_s + rng.normal(0, 0.4, len(at_s))
        first = int(np.searchsorted(at_s, appears_s))
        fresh = (np.arange(len(at_s)) == first) | (np.arange(len(at_s)) == 0) | (number % 10 == 3)
        who = {"ip": int(ip[number]), "ua": int(agents[number])}
        parts.append(scene.requests(at_s, "article", path=_FEED, status=np.where(fresh, 200, 304), **who))
        if number % 5 < 2 and first < len(at_s):
            got_s = at_s[first : first + 1] + rng.uniform(0.3, 3, 1)
            parts.append(scene.requests(got_s, "article", path=np.array([article]), **who))
    return together(*parts)


@case()
def page_savers(scene: Scene) -> Rows:
    """Something we wrote may be taken back, people think, and have an archive keep it: one page, and what it links to.

    As many times as the site has requests in 24 seconds (120 at 5 a second) within three hours, most in the first: one
    article each time, its scripts (never 304), and twenty pages it leads to, five a second, by six rented machines
    under the archive's name. One link in fifteen is dead (404), and one time in ten the machine gives up half-way.
    """
    rng, n = scene.rng, max(12, round(scene.requests_per_s * 24))
    begins_s = scene.moment(0.2, 0.6) + np.minimum(rng.gamma(1.2, min(2200.0, scene.span_s / 12), n), 10_800)
    world, scripts = scene.world, scene.world.statics
    links = np.concatenate([world.articles[80 : 80 + _OUTLINKS // 2], world.items[zipf(rng, _OUTLINKS // 2, ITEMS)]])
    order = np.concatenate([world.articles[7:8], scripts, links])
    steps = len(order)
    nth = np.tile(np.arange(steps), n)
    at_s = np.repeat(begins_s, steps) + nth / 5 + rng.uniform(0, 0.1, n * steps)
    ip = np.repeat(scene.by_turns(scene.addresses(6, "hosting"), n), steps)
    dead = np.isin(nth, np.array([11, 19])) & (rng.random(n * steps) < 0.7)
    agent = scene.tool("Mozilla/5.0 (compatible; archive-keeper/2.4; +https://archive.example/save)")
    columns = {"ip": ip, "ua": np.array([agent]), "status": np.where(dead, 404, 200), "path": np.tile(order, n)}
    made = scene.requests(at_s, "article", **columns)
    made[(nth > 0) & (nth <= len(scripts))] = scene.requests(at_s, "static", **columns)[
        (nth > 0) & (nth <= len(scripts))
    ]
    items = nth > len(scripts) + _OUTLINKS // 2
    made[items] = scene.requests(at_s, "item", **columns)[items]
    stops = np.repeat(rng.random(n) < 0.1, steps) & (nth > steps // 2)
    return np.asarray(made[~stops])
