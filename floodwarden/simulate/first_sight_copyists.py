"""First sight: those who copy: a map, and faces."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ITEMS, Ints

_CELLS: Final = 40  # of a worker's round
_PICTURES: Final = 7  # of those who wrote on one page of reviews


@family(oat="OAT-011", weak=Strength(4, 6, 2400), medium=Strength(20, 8, 1200), strong=Strength(60, 24, 480))
def map_scanning(scene: Scene, how: Strength) -> Rows:
    """A town is laid out in cells, and made-up players walk round in them for ever, so that a map shows what is where.

    An account each, forty cells each, in a spiral and back to the first, seventy metres at every step, never a rest:
    the app's feed for the place where it says it is. One step in two hundred and fifty the account is found out (403):
    the next one gets a token, and goes on in the same cell.

    Source: Niantic, "Update on maintaining and running the Pokémon GO service" (third parties' servers that read
    its map), 2016-08-04.
    """
    rng, walkers = scene.rng, how.sources
    each = max(6, int(how.per_s * how.lasts_s))
    every_s = how.lasts_s / (each + 1)
    who = np.repeat(np.arange(walkers), each)
    nth = np.tile(np.arange(each), walkers)
    at_s = (rng.random(walkers)[who] + nth) * every_s + rng.normal(0, 0.05 * every_s, len(who))
    turn = np.sqrt(4 * np.pi * (nth % _CELLS + 0.25))  # of a spiral with steps as long as its arms are apart
    lat = 48.0 + who // 8 * 0.01 + 0.0001 * turn * np.sin(turn)
    lon = 11.0 + who % 8 * 0.014 + 0.00015 * turn * np.cos(turn)
    asked = [f"/api/v2/feed?lat={a:.5f}&lon={b:.5f}" for a, b in zip(lat.tolist(), lon.tolist(), strict=True)]
    found_out = rng.random(len(who)) < 1 / 250
    before: Ints = np.cumsum(found_out) - found_out
    account = who + before  # the next one from there on; a walker's first is his own
    users = scene.strangers(int(account.max()) + 2, "trainer")
    ip, ua = scene.addresses(walkers, "bot"), scene.tool("ShopApp/5.9.4 (Android 13)")
    status = np.where(found_out, 403, 200)
    walked = scene.requests(at_s, "app_feed", path=asked, ip=ip[who], user=users[account], ua=ua, status=status)
    first = np.flatnonzero(np.concatenate([[True], np.diff(account) != 0]))
    token_s = np.maximum(0, at_s[first] - 0.4 * every_s)
    return together(walked, scene.requests(token_s, "token", ip=ip[who[first]], user=users[account[first]], ua=ua))


@family(oat="OAT-011", weak=Strength(6, 3, 2400), medium=Strength(30, 10, 900), strong=Strength(100, 30, 300))
def face_harvest(scene: Scene, how: Strength) -> Rows:
    """Pictures of people are collected, with their names, to find them by their faces: reviews are where they stand.

    A page of reviews, and the seven portraits on it within some seconds; then the next item's, in order, by the next
    home. Neither the item itself nor a script nor any other picture. Three in a hundred portraits are gone (404).

    Source: Office of the Privacy Commissioner of Canada, joint investigation of Clearview AI (three billion pictures
    from public pages), 2021-02-02; The New York Times on the same, 2020-01-18.
    """
    rng = scene.rng
    pages = max(how.sources, round(how.sources * how.per_s * how.lasts_s / (_PICTURES + 1)))
    begins_s = scene.scattered(pages, max(1.0, how.lasts_s - 8))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), pages)
    item = (int(rng.integers(ITEMS)) + np.arange(pages)) % ITEMS
    read = scene.requests(begins_s, "reviews", path=scene.world.reviews[item], ip=ip, ua=scene.browser(ip))
    page = np.repeat(np.arange(pages), _PICTURES)
    seen_s = begins_s[page] + 0.6 + np.tile(np.arange(_PICTURES), pages) * 0.7 + rng.uniform(0, 0.5, len(page))
    people = rng.permutation(900_000)[: len(page)]
    path = [f"/media/people/{one}/large.jpg" for one in people.tolist()]
    at, status = ip[page], scene.mostly(len(page), 200, 404, 0.03)
    return together(read, scene.requests(seen_s, "missing", path=path, ip=at, ua=scene.browser(at), status=status))
