"""First sight: hard good cases of people who wait and look: parents at night, after an earthquake, readers, buyers."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.first_sight_deadlines import behind
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, Seconds, again, one_client, those, together
from floodwarden.simulate.world import ABSENT, Ints

_FOLLOW: Final = ("GlucoFollow/4.3.1 (iOS 13.2; iPhone11,8)", "GlucoFollow/4.3.0 (Android 10)")
_QUAKES: Final = ("QuakeNews/3.1 (Android 13)", "QuakeNews/3.1.2 (iOS 17.4; iPhone14,2)")
_FELT: Final = "/api/graphql?op=feltReport"
_TIMELINE: Final = "/api/graphql?op=timeline"
_POST: Final = "/api/graphql?op=post&id={}"
_BUY: Final = "/api/graphql?op=buy&symbol=S{:02d}"
_HALTED: Final = 13  # that may not be bought
_TRADERS: Final = ("python-requests/2.25.1", "aiohttp/3.7.3", "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)")


@case()
def silent_monitors(scene: Scene) -> Rows:
    """Parents follow their child's blood sugar by an app, and one night it has nothing to show them for hours.

    As many as the site has requests in 24 seconds (120 at 5 a second), half behind carriers. The app asks every five
    minutes, all the time (200). For three tenths of the run two in three of these find nobody (503) and are asked
    again twice, fifteen and forty-five seconds later. An alarm wakes people up: they open the app three to eight times,
    minutes apart, and pull it down thrice within seconds each time (503). One in three signs out and in again, half
    asleep (401 before it); one in four deletes the app and installs it anew: registered (201), in, a code (200), and
    nothing to see (503).

    Source: Dexcom, "Dexcom Follow service interruption" (no readings for those who follow, over a night and the days
    after it), 2019-11-30 and 2019-12-02.
    """
    rng = scene.rng
    n, lasts_s = max(30, round(scene.requests_per_s * 24)), 0.3 * scene.span_s
    begin_s, pace = scene.moment(0.25, 0.5), min(1.0, lasts_s / 3600)
    by = at_home(scene, n, 0.5) | {"ua": np.array([scene.tool(one) for one in _FOLLOW])[np.arange(n) % 2]}
    every_s = 300.0
    who, nth = again(np.full(n, int(scene.span_s // every_s)))
    asked_s = rng.uniform(0, every_s, n)[who] + nth * every_s + rng.normal(0, 1.5, len(who))
    bad = (asked_s > begin_s) & (asked_s < begin_s + lasts_s) & (rng.random(len(who)) < 2 / 3)
    parts = [scene.requests(asked_s, "app_feed", status=np.where(bad, 503, 200), **those(by, who))]
    vain = those(by, who[bad])
    parts += [scene.requests(asked_s[bad] + later_s, "app_feed", status=503, **vain) for later_s in (15.0, 45.0)]
    opens, nth = again(rng.integers(3, 9, n))
    woken_s = begin_s + (0.03 + 0.3 * rng.random(n)) * lasts_s
    opened_s = woken_s[opens] + (nth * 260 + rng.uniform(0, 160, len(opens))) * pace
    for pull_s in (0.0, 2.5, 6.0):
        pulled_s = opened_s + pull_s + rng.uniform(0, 1.2, len(opens))
        parts.append(scene.requests(pulled_s, "app_feed", status=503, **those(by, opens)))
    out, anew = rng.permutation(n) % 3 == 0, rng.permutation(n) % 4 == 0
    out_s = woken_s + 130 * pace
    wrong, nth = again(out * (typos(scene, n) + (rng.random(n) < 0.4)))
    in_s = out_s + (25 + np.bincount(wrong, minlength=n) * 18) * pace
    anew_s = woken_s[anew] + rng.uniform(0.2, 0.5, int(anew.sum())) * lasts_s
    return together(
        *parts,
        scene.requests(out_s[out], "logout", **those(by, out)),
        scene.requests(out_s[wrong] + (25 + nth * 18) * pace, "login", status=401, **those(by, wrong)),
        scene.requests(in_s[out], "login", **those(by, out)),
        scene.requests(in_s[out] + 2, "app_feed", status=503, **those(by, out)),
        scene.requests(anew_s, "device", status=201, **those(by, anew)),
        scene.requests(anew_s + 40 * pace, "login", **those(by, anew)),
        scene.requests(anew_s + 75 * pace, "verify", **those(by, anew)),
        scene.requests(anew_s + 78 * pace, "app_feed", status=503, **those(by, anew)),
    )


@case()
def felt_earthquake(scene: Scene) -> Rows:
    """The ground shakes, and within two minutes everybody in the valley asks whether it did, and says that it did.

    As many as the site has requests in 150 seconds (750 at 5 a second), none with an account, two in five by telephone
    behind a carrier's address for each 25 of these, most within two minutes of a moment nobody knew; at two aftershocks
    a third and a fifth of them again. By the app (feed) or the page (front page, script, list). One in four finds
    nobody (503) and tries again, one to four times, some ten seconds apart. One in three reports what he felt: the
    place typed (three to six letters asked after), the form (200, one in ten twice: 409). Who lives there looks again
    every minute or two, one to four times.

    Source: R. Bossu and others (EMSC), "Flash sourcing" (an earthquake is seen by its visitors within two minutes),
    2011; US Geological Survey, Virginia earthquake of 2011-08-23, more than 140,000 reports of people who felt it.
    """
    rng, n = scene.rng, max(50, round(scene.requests_per_s * 150))
    mobile, begin_s = n * 2 // 5, scene.moment(0.2, 0.5)
    carriers = scene.addresses(max(3, mobile // 25), "cgnat")
    own = scene.addresses(n - mobile, "home")
    by = {"ip": np.concatenate((carriers[np.arange(mobile) % len(carriers)], own)), "user": np.full(n, ABSENT)}
    app, apps = np.arange(n) % 2 == 0, np.array([scene.tool(one) for one in _QUAKES])
    by["ua"] = np.where(app, apps[np.arange(n) % 4 // 2], scene.world.browsers[rng.integers(0, 16, n)])
    parts = []
    for after, share in ((0.0, 1.0), (0.1, 1 / 3), (0.28, 1 / 5)):
        felt = np.sort(rng.permutation(n)[: round(n * share)])
        comes_s = begin_s + after * scene.span_s + 12 + rng.gamma(1.6, 45, len(felt))
        parts.append(_felt(scene, comes_s, those(by, felt), app[felt]))
    return together(*parts)


def _felt(scene: Scene, comes_s: Seconds, by: dict[str, Ints], app: np.ndarray) -> Rows:
    """Everybody who felt it, from his first look to his last."""
    rng, n, page, parts = scene.rng, len(comes_s), ~app, []
    vain, nth = again((rng.permutation(n) % 4 == 0) * rng.integers(1, 5, n))
    vain_s = comes_s[vain] + nth * 10 + rng.uniform(0, 4, len(vain))
    for which, endpoint in ((app, "app_feed"), (page, "home")):
        here = which[vain]
        parts.append(scene.requests(vain_s[here], endpoint, status=503, **those(by, vain[here])))
    seen_s = comes_s + np.bincount(vain, minlength=n) * 10 + 4
    parts += [
        scene.requests(seen_s[app], "app_feed", **those(by, app)),
        scene.requests(seen_s[page], "home", **those(by, page)),
        scene.requests(seen_s[page] + 0.3, "static", path="/static/app.js", **those(by, page)),
        scene.requests(seen_s[page] + rng.uniform(3, 9, int(page.sum())), "list", **those(by, page)),
    ]
    tells = np.flatnonzero(rng.permutation(n) % 3 == 0)
    typed, nth = again(rng.integers(3, 7, len(tells)))
    letters = scene.world.suggests[rng.integers(0, 30, len(tells))[typed] + 30 * nth]
    typed_s = seen_s[tells][typed] + 20 + nth * 0.7 + rng.uniform(0, 0.4, len(typed))
    parts.append(scene.requests(typed_s, "suggest", path=letters, **those(by, tells[typed])))
    told_s = seen_s[tells] + rng.uniform(45, 110, len(tells))
    parts.append(scene.requests(told_s, "graphql", path=_FELT, **those(by, tells)))
    twice = rng.permutation(len(tells)) % 10 == 0
    parts.append(scene.requests(told_s[twice] + 5, "graphql", path=_FELT, status=409, **those(by, tells[twice])))
    looks, nth = again(rng.integers(1, 5, n))
    looked_s = seen_s[looks] + 60 + nth * 90 + rng.uniform(0, 60, len(looks))
    for which, endpoint in ((app, "app_feed"), (page, "list")):
        here = which[looks]
        parts.append(scene.requests(looked_s[here], endpoint, **those(by, looks[here])))
    return together(*parts)


@case()
def reading_ration(scene: Scene) -> Rows:
    """Since today everybody may read only so much a day, and an open page asks on by itself when it is used up.

    As many as the site has requests in twenty seconds (100 at 5 a second), half of them behind a carrier's address for
    each ten. Each reads 25 to 60 posts, a page of them after every eight, at his leisure, and then is refused (429),
    whatever he asks for. His open page does not understand that and asks for the next posts every three seconds, for
    one to four minutes, until it is closed. Two to four times more he looks whether he may again, twenty to eighty
    seconds each, and the page asks as before. One in four signs out and in; one in five goes on with another account of
    his family, for fifteen posts, until that one's ration is used up as well.

    Source: Twitter, limits on how many posts one may read, 2023-07-01, and S. Chang on Mastodon, 2023-07-01, on its
    page, which asked on and on as it was refused.
    """
    rng = scene.rng
    n, lasts_s = max(20, round(scene.requests_per_s * 20)), 0.75 * scene.span_s
    by, ration = behind(scene, n, 0.5, 10), rng.integers(25, 61, n)
    pace, begins_s = min(1.0, lasts_s / 10_800), scene.moment(0.04, 0.12) + 0.3 * lasts_s * rng.random(n)
    parts, used_s = _read(scene, begins_s, ration, by, pace)
    looks, nth = again(rng.integers(3, 6, n))
    first = nth == 0
    open_s = np.where(first, rng.uniform(60, 240, len(looks)), rng.uniform(20, 80, len(looks))) * min(1.0, 2 * pace)
    since_s = used_s[looks] + 1 + nth * 0.13 * lasts_s + ~first * rng.uniform(0, 0.05, len(looks)) * lasts_s
    which, tick = again(np.maximum(2, open_s / 3).astype(np.int64))
    asked_s = since_s[which] + tick * 3.0 + rng.normal(0, 0.1, len(which))
    parts.append(scene.requests(asked_s, "graphql", path=_TIMELINE, status=429, **those(by, looks[which])))
    out = rng.permutation(n) % 4 == 0
    ended_s = used_s + 260 * pace
    parts.append(scene.requests(ended_s[out], "logout", **those(by, out)))
    parts.append(scene.requests(ended_s[out] + 20 * pace, "login", **those(by, out)))
    parts.append(scene.requests(ended_s[out] + 23 * pace, "graphql", path=_TIMELINE, status=429, **those(by, out)))
    shared = np.flatnonzero(rng.permutation(n) % 5 == 0)
    other = those(by, shared) | {"user": scene.strangers(len(shared), "family")}
    parts.append(scene.requests(ended_s[shared] + 60 * pace, "login", **other))
    more, over_s = _read(scene, ended_s[shared] + 65 * pace, np.full(len(shared), 15), other, pace)
    again_s, whose = over_s[:, None] + 3.0 * np.arange(12), np.repeat(np.arange(len(shared)), 12)
    return together(
        *parts, *more, scene.requests(again_s.ravel(), "graphql", path=_TIMELINE, status=429, **those(other, whose))
    )


def _read(scene: Scene, begins_s: Seconds, posts: Ints, by: dict[str, Ints], pace: float) -> tuple[list[Rows], Seconds]:
    """So many posts, a page of them after every eight, and when the last one was read."""
    rng = scene.rng
    who, nth = again(posts)
    at_s = begins_s[who] + (nth * 22 + rng.uniform(0, 18, len(who))) * pace
    ids = rng.integers(1_000_000, 9_000_000, len(who)).tolist()
    pages = nth % 8 == 0
    made = [
        scene.requests(at_s, "graphql", path=[_POST.format(one) for one in ids], **those(by, who)),
        scene.requests(at_s[pages] - 1.5 * pace, "graphql", path=_TIMELINE, **those(by, who[pages])),
    ]
    return made, begins_s + (posts * 22 + 20) * pace


@case()
def halted_stock(scene: Scene) -> Rows:
    """Everybody wants the same few shares, and from one morning on the broker's app lets nobody buy them.

    As many as the site has requests in sixty seconds (300 at 5 a second), within half of the run, most in its first
    tenth. Each signs in and looks at one of the thirteen again and again, three to nine times; then he would buy it,
    and may not (403): three to ten times, fewer at a time, or another of the thirteen, ten to thirty seconds apart.
    A third sells what he has (200), one in five asks to be moved to another broker (202), one in four writes to the
    assistant, twice. And one customer for each 100 accounts has a program with a key, which looks at the price every
    one to three minutes (200) and would buy after every other look: half of these stop after five refusals, half go on
    until their owner is awake, twenty minutes to two hours later.

    Source: US Securities and Exchange Commission, staff report on the market structure conditions in early 2021
    (brokers let nobody buy GameStop and others on 2021-01-28), 2021-10-14.
    """
    rng = scene.rng
    n, lasts_s = max(40, round(scene.requests_per_s * 60)), 0.5 * scene.span_s
    begin_s, pace = scene.moment(0.2, 0.4), min(1.0, lasts_s / 7200)
    by = at_home(scene, n, 0.35)
    comes_s = begin_s + 0.85 * lasts_s * rng.beta(0.9, 4, n)
    parts = [scene.requests(comes_s, "login", **by)]
    wanted = rng.integers(0, _HALTED, n)
    looks, nth = again(rng.integers(3, 10, n))
    looked_s = comes_s[looks] + (5 + nth * 55 + rng.uniform(0, 40, len(looks))) * pace
    parts.append(scene.requests(looked_s, "item", path=scene.world.items[300 + wanted[looks]], **those(by, looks)))
    tries, nth = again(rng.integers(3, 11, n))
    tried_s = comes_s[tries] + (40 + nth * 20 + rng.uniform(0, 10, len(tries))) * pace
    symbol = np.where(nth % 3 == 2, rng.integers(0, _HALTED, len(tries)), wanted[tries]).tolist()
    few = np.maximum(1, 40 >> np.minimum(nth, 5)).tolist()
    asked = [f"{_BUY.format(one)}&qty={many}" for one, many in zip(symbol, few, strict=True)]
    parts.append(scene.requests(tried_s, "graphql", path=asked, status=403, **those(by, tries)))
    over_s = comes_s + (80 + np.bincount(tries) * 20) * pace
    sells, moves, writes = (rng.permutation(n) % one == 0 for one in (3, 5, 4))
    parts += [
        scene.requests(over_s[sells], "graphql", path="/api/graphql?op=sell", **those(by, sells)),
        scene.requests(over_s[moves] + 120 * pace, "export", status=202, **those(by, moves)),
        scene.requests(over_s[writes] + 60 * pace, "assistant", **those(by, writes)),
        scene.requests(over_s[writes] + 130 * pace, "assistant", **those(by, writes)),
    ]
    programs = max(4, scene.clients // 100)
    for one, ip in enumerate(scene.addresses(programs, "home").tolist()):
        who = one_client(ip, scene.key(f"key-app-trader-{one:03d}"), scene.tool(_TRADERS[one % 3]))
        look_s, thing = scene.regular(0, scene.span_s, rng.uniform(60, 180), 0.03), one % _HALTED
        parts.append(scene.requests(look_s, "api_item", path=f"/api/v1/items/{301 + thing}", **who))
        buys_s = look_s[look_s > begin_s][::2] + 0.8
        until_s = begin_s + min(0.8 * lasts_s, rng.uniform(1200, 7200))
        buys_s = buys_s[:5] if one % 2 == 0 else buys_s[buys_s < until_s]
        parts.append(scene.requests(buys_s, "graphql", path=_BUY.format(thing) + "&qty=10", status=403, **who))
    return together(*parts)
