"""First sight: hard good cases at the shelf: a food that runs short, a catalogue on paper, registers page by page."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.first_sight_households import mistyped
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT, ITEMS

_FORMULA: Final = (2201, 2202, 2203, 2207, 2210)
_SAVE: Final = "/api/graphql?op=saveTranscription"


@case()
def formula_shortage(scene: Scene) -> Rows:
    """Food for babies has run short, and parents look day and night whether one of five tins has come in.

    As many as the site has requests in fifty seconds (250 at 5 a second), over seven tenths of the run, four in ten
    behind carriers' addresses. Each comes five to fourteen times, looks at two to five of the five tins within some
    seconds, and one time in three tries to get one all the same (409). Four times some have come in: word goes round,
    and within six minutes half of all parents are there; who is among the first two thirds puts one tin into the cart,
    a second, and a third, which is refused (409: two to a family), and pays; for the others it is gone (409).
    """
    rng = scene.rng
    n, begin_s, lasts_s = max(30, round(scene.requests_per_s * 50)), scene.moment(0.05, 0.2), 0.7 * scene.span_s
    by, tins = at_home(scene, n, 0.4), scene.world.items[np.array(_FORMULA)]
    come = np.repeat(np.arange(n), rng.integers(5, 15, n))
    comes_s = begin_s + lasts_s * rng.random(len(come))
    looks = np.repeat(np.arange(len(come)), rng.integers(2, 6, len(come)))
    nth = np.arange(len(looks)) - np.searchsorted(looks, looks)
    looked_s = comes_s[looks] + nth * 5 + rng.uniform(0, 3, len(looks))
    who = {name: codes[come[looks]] for name, codes in by.items()}
    parts = [scene.requests(looked_s, "item", path=tins[nth], **who)]
    tries = rng.random(len(come)) < 1 / 3
    who = {name: codes[come[tries]] for name, codes in by.items()}
    parts.append(scene.requests(comes_s[tries] + 30, "cart_add", status=409, **who))
    for turn in range(4):
        told = rng.permutation(n)[: n // 2]
        at_s = begin_s + lasts_s * (0.1 + 0.24 * turn) + 360 * np.sort(rng.beta(1.4, 2, len(told)))
        who = {name: codes[told] for name, codes in by.items()}
        seen = scene.requests(at_s, "item", path=np.full(len(told), tins[turn]), **who)
        had = 2 * len(told) // 3
        got = {name: codes[:had] for name, codes in who.items()}
        steps = [("cart_add", 6.0, 200), ("cart_add", 3.0, 200), ("cart_add", 3.0, 409)]
        bought = scripted(scene, at_s[:had], [*steps, ("checkout", 10.0, 200), ("pay", 25.0, 200)], **got)
        gone = scene.requests(at_s[had:] + 6, "cart_add", status=409, **{name: c[had:] for name, c in who.items()})
        parts += [seen, bought, gone]
    return together(*parts)


@case()
def paper_catalogue(scene: Scene) -> Rows:
    """The catalogue comes with the post, and its old readers type the numbers from it, page by page, into the search.

    As many as the site has requests in forty seconds (200 at 5 a second) within six hours, most of them before noon;
    six in ten sign in, with typos, the others have no account. Each turns two to five pages of the catalogue and takes
    two to five numbers of every page, which are neighbours: the box suggests after the second and the fourth digit,
    then the item is asked for, one in eight with a digit too many (404) first. A half goes into the cart, and two in
    three readers pay; the rest write to the assistant that they would rather call.
    """
    rng = scene.rng
    n, lasts_s = max(24, round(scene.requests_per_s * 40)), min(21_600.0, 0.6 * scene.span_s)
    begins_s, by = scene.moment(0.05, 0.25) + 0.85 * lasts_s * rng.beta(1.5, 3, n), at_home(scene, n, 0.05)
    member = rng.permutation(n) % 5 < 3
    by["user"] = np.where(member, by["user"], ABSENT)
    signs = {name: codes[member] for name, codes in by.items()}
    parts = [mistyped(scene, begins_s[member], signs, typos(scene, int(member.sum())), "login", 401)]
    parts.append(scene.requests(begins_s[member], "login", **signs))
    page = np.repeat(np.arange(n), rng.integers(2, 6, n))
    start = rng.integers(1000, ITEMS - 20, len(page))
    on = np.repeat(np.arange(len(page)), rng.integers(2, 6, len(page)))
    number = start[on] + np.arange(len(on)) - np.searchsorted(on, on)
    reader = page[on]
    nth = np.arange(len(reader)) - np.searchsorted(reader, reader)
    pace = min(1.0, 0.15 * lasts_s / 1500)
    at_s = begins_s[reader] + 30 + (nth * 60 + rng.uniform(0, 15, len(reader))) * pace
    who = {name: codes[reader] for name, codes in by.items()}
    for digits, wait_s in ((2, 3.0), (4, 6.0)):
        typed = [f"/api/v1/suggest?q={str(one)[:digits]}" for one in number.tolist()]
        parts.append(scene.requests(at_s + wait_s * pace, "suggest", path=typed, **who))
    wrong = rng.permutation(len(reader)) % 8 == 0
    slip = [f"/items/{one}{one % 10}" for one in number[wrong].tolist()]
    slips = {name: codes[wrong] for name, codes in who.items()}
    parts.append(scene.requests(at_s[wrong] + 9 * pace, "item", path=slip, status=404, **slips))
    parts.append(scene.requests(at_s + 18 * pace, "item", path=scene.world.items[number - 1], **who))
    wants = rng.random(len(reader)) < 0.5
    added = {name: codes[wants] for name, codes in who.items()}
    parts.append(scene.requests(at_s[wants] + 34 * pace, "cart_add", **added))
    ends_s = np.array([at_s[reader == one].max() for one in range(n)]) + 60 * pace
    pays = rng.permutation(n) % 3 < 2
    steps = [("checkout", 30.0 * pace, 200), ("pay", 60.0 * pace, 200)]
    parts.append(scripted(scene, ends_s[pays], steps, **{name: codes[pays] for name, codes in by.items()}))
    return together(*parts, scene.requests(ends_s[~pays], "assistant", **{k: codes[~pays] for k, codes in by.items()}))


@case()
def register_readers(scene: Scene) -> Rows:
    """Old parish registers are put up, and people who look for their forebears read them page after page, by hand.

    As many as the site has requests in sixteen seconds (80 at 5 a second), a third of them within half an hour of the
    hour at which they are to be had, when one page in six is not given (503) and asked for anew; the others over the
    rest of the run. Each takes one of thirty volumes and reads sixty to two hundred of its pages in order from where he
    left off, some ten seconds each; one time in ten a page back. One in three writes down what stands there, every
    eighth page.
    """
    rng = scene.rng
    n, begin_s = max(10, round(scene.requests_per_s * 16)), scene.moment(0.1, 0.25)
    rush_s, rest_s = min(1800.0, 0.1 * scene.span_s), scene.span_s - begin_s
    early = rng.permutation(n) % 3 == 0
    begins_s = begin_s + np.where(early, rush_s * rng.beta(1, 3, n), 0.7 * rest_s * rng.random(n))
    by, pages = at_home(scene, n, 0.1), rng.integers(60, 201, n)
    who = np.repeat(np.arange(n), pages)
    first = np.searchsorted(who, who)
    pace = min(1.0, 0.25 * rest_s / 2600)
    gaps_s = np.cumsum(rng.lognormal(2.2, 0.6, len(who)) * pace)
    at_s = begins_s[who] + gaps_s - gaps_s[first]
    turns = np.cumsum(np.where(rng.random(len(who)) < 0.1, -1, 1))
    number = rng.integers(20, 140, n)[who] + turns - turns[first]
    path = [
        f"/blog/register-{v:02d}-{p}"
        for v, p in zip(rng.integers(0, 30, n)[who].tolist(), number.tolist(), strict=True)
    ]
    reads = {name: codes[who] for name, codes in by.items()}
    parts = [scene.requests(at_s, "article", path=path, **reads)]
    busy = (at_s < begin_s + rush_s) & (rng.random(len(who)) < 1 / 6)
    parts.append(parts[0][busy].copy())
    parts[1]["status"] = 503
    parts[1]["ts_ms"] = np.maximum(parts[1]["ts_ms"] - rng.integers(900, 4000, int(busy.sum())), 0)
    writes = (rng.permutation(n) % 3 == 0)[who] & ((np.arange(len(who)) - first) % 8 == 7)
    saved = {name: codes[writes] for name, codes in reads.items()}
    parts.append(scene.requests(at_s[writes] + 3 * pace, "graphql", path=_SAVE, **saved))
    return together(*parts)
