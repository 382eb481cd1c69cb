"""First sight: hard good cases of looking and listening: an exhibition, old books, a new episode."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together

_ROOMS: Final = 36
_LEAVES: Final = 300  # of a register
_PLAYERS: Final = (
    "AppleCoreMedia/1.0.0.22F76 (iPhone; U; CPU OS 18_5 like Mac OS X)", "AntennaPod/3.4.0", "Podcasts/4025.500.1",
    "PocketCasts/7.66 (Android 14)", "ExoPlayerLib/2.19.1 (Linux; Android 13)",
)  # fmt: skip
_PLATFORMS: Final = ("podcast-directory/2.1", "AudioFeedFetcher/1.0", "episode-cache/5.0", "castindex/0.9", "airwave/3")


@case()
def museum_codes(scene: Scene) -> Rows:
    """An exhibition has a code to scan beside everything in it, and visitors read our pages in the order of the rooms.

    As many as the site has requests in forty seconds (200 at 5 a second) within six hours, in groups of one to twelve;
    a half by the museum's network, which is one address, the others by their carriers. Thirty-six pages in order, one
    every minute and a half, one in four passed over; at one in three what is said to it is played as well, in two
    parts (206). All of it is read in the same order by everybody, by telephone, and nothing else of ours.
    """
    rng, n = scene.rng, max(12, round(scene.requests_per_s * 40))
    lasts_s, begin_s = min(21_600.0, 0.6 * scene.span_s), scene.moment(0.05, 0.2)
    group = np.sort(rng.integers(0, max(2, n // 4), n))
    comes_s = begin_s + rng.uniform(0, 0.8 * lasts_s, int(group.max()) + 1)[group] + rng.uniform(0, 40, n)
    every_s = rng.uniform(0.6, 1.4, n) * min(90.0, 0.2 * lasts_s / _ROOMS)
    inside, carriers = int(scene.addresses(1, "office")[0]), scene.addresses(max(3, n // 20), "cgnat")
    ip = np.where(rng.random(n) < 0.5, inside, carriers[rng.integers(0, len(carriers), n)])
    ua = scene.world.browsers[rng.integers(12, 16, n)]
    who, room = np.repeat(np.arange(n), _ROOMS), np.tile(np.arange(_ROOMS), n)
    stops = rng.random(len(who)) < 0.75
    who, room = who[stops], room[stops]
    at_s = comes_s[who] + (room + rng.uniform(0, 0.6, len(who))) * every_s[who]
    pages = scene.world.paths.all([f"/blog/exhibit-{one:02d}?code=wall" for one in range(1, _ROOMS + 1)])
    sounds = scene.world.paths.all([f"/audio/exhibit-{one:02d}.mp3" for one in range(1, _ROOMS + 1)])
    read = scene.requests(at_s, "article", path=pages[room], ip=ip[who], ua=ua[who])
    plays = np.flatnonzero(rng.random(len(who)) < 1 / 3).repeat(2)
    played_s = at_s[plays] + 4 + np.tile([0.0, 11.0], len(plays) // 2)
    where = {"path": sounds[room[plays]], "ip": ip[who[plays]], "ua": ua[who[plays]]}
    return together(read, scene.requests(played_s, "missing", status=206, **where))


@case()
def old_registers(scene: Scene) -> Rows:
    """People look for their forebears in scanned church books, and turn leaf after leaf for an hour or two.

    One for each two thirds of a request a second (8 at 5), from home, each in a book of his own from somewhere in its
    middle: a leaf every eight to twenty-five seconds, in order, one in fifteen times back by one; with each leaf the
    four to seven tiles it is shown in, within a second and a half. One tile in a hundred was never scanned (404).
    """
    rng, readers = scene.rng, max(3, round(scene.requests_per_s * 1.6))
    ip, parts = scene.addresses(readers, "home"), []
    ua = scene.browser(ip)
    for reader in range(readers):
        sits_s = min(float(rng.uniform(3000, 8000)), 0.35 * scene.span_s)
        turns_s = scene.moment(0.05, 0.6) + np.cumsum(rng.uniform(8, 25, int(sits_s / 16.5) + 3))
        n = len(turns_s)
        step = np.where(rng.random(n) < 1 / 15, -1, 1)
        leaf = (int(rng.integers(40, 160)) + np.cumsum(step)) % _LEAVES + 1
        who = {"ip": int(ip[reader]), "ua": int(ua[reader])}
        book = f"baptisms-{1650 + 11 * reader}"
        shown = [f"/blog/register-{book}?leaf={one}" for one in leaf.tolist()]
        parts.append(scene.requests(turns_s, "article", path=shown, **who))
        tiles = np.repeat(np.arange(n), rng.integers(4, 8, n))
        nth = np.arange(len(tiles)) - np.searchsorted(tiles, tiles)
        drawn_s = turns_s[tiles] + rng.uniform(0.2, 1.5, len(tiles))
        drawn = zip(leaf[tiles].tolist(), (nth % 3).tolist(), (nth // 3).tolist(), strict=True)
        path = [f"/registers/{book}/l{one:04d}/{x}_{y}.jpg" for one, x, y in drawn]
        status = scene.mostly(len(tiles), 200, 404, 0.01)
        parts.append(scene.requests(drawn_s, "missing", path=path, status=status, **who))
    return together(*parts)


@case()
def podcast_morning(scene: Scene) -> Rows:
    """The shop's podcast has a new episode, and hundreds of programs fetch the same large file, piece by piece.

    At a full hour it is there. Five platforms' fetchers have it within half a minute, each from two machines, four
    times. Then listeners' programs, as many as the site has requests in seventy seconds (350 at 5 a second): they ask
    for the feed by their timers (every fifteen to sixty minutes, nine in ten answers without it 304), and when it is
    in it, three in five load it at once in four to twelve pieces (206), the others while they listen, one in half a
    minute or so. One in thirty breaks off and begins anew.
    """
    rng, n = scene.rng, max(20, round(scene.requests_per_s * 70))
    began_s = scene.start_ms / 1000
    out_s = float(np.ceil((began_s + scene.moment(0.2, 0.4)) / 3600) * 3600 - began_s)
    carriers = scene.addresses(max(4, n // 15), "cgnat")
    moving = rng.random(n) < 0.4
    ip = np.where(moving, carriers[rng.integers(0, len(carriers), n)], scene.addresses(n, "home"))
    ua = scene.world.agents.all(_PLAYERS)[rng.integers(0, len(_PLAYERS), n)]
    parts, found_s = [], np.zeros(n)
    for one, every_s in enumerate(rng.choice([900.0, 1800.0, 3600.0], n).tolist()):
        at_s = scene.regular(0, min(scene.span_s, out_s + 10_800.0), every_s, 0.02)
        known = np.cumsum(at_s > out_s) != 1  # but for the first time it is in it
        who = {"ip": int(ip[one]), "ua": int(ua[one])}
        status = np.where(known & (rng.random(len(at_s)) < 0.9), 304, 200)
        parts.append(scene.requests(at_s, "missing", path="/podcast/feed.xml", status=status, **who))
        found_s[one] = np.append(at_s[at_s > out_s], out_s + every_s)[0]
    pieces = rng.integers(4, 13, n) * np.where(rng.random(n) < 1 / 30, 2, 1)
    which = np.repeat(np.arange(n), pieces)
    nth = np.arange(len(which)) - np.searchsorted(which, which)
    at_once = rng.random(n) < 0.6
    apart_s = np.where(at_once, rng.uniform(0.4, 2.0, n), rng.uniform(20, 45, n))
    listens_s = found_s + np.where(at_once, 2.0, rng.uniform(60, 3600, n))
    loaded_s = listens_s[which] + (nth + rng.uniform(0, 0.3, len(which))) * apart_s[which]
    file, part = "/podcast/episode-112.mp3", 206
    parts.append(scene.requests(loaded_s, "missing", path=file, status=part, ip=ip[which], ua=ua[which]))
    agents = scene.world.agents.all(_PLATFORMS).repeat(8)
    machines = scene.addresses(10, "hosting").repeat(4)
    had_s = out_s + rng.uniform(1, 30, 40)
    parts.append(scene.requests(had_s, "missing", path=file, status=part, ip=machines, ua=agents))
    return together(*parts)
