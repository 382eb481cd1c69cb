"""First sight: hard good cases of the app: it falls down as it starts, renews a token twice, asks twelve questions."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.first_sight_households import mistyped
from floodwarden.simulate.people import at_home
from floodwarden.simulate.scene import Rows, Scene, again, scripted, those, together
from floodwarden.simulate.world import Ints

_APPS: Final = ("ShopApp/6.2.1 (iOS 18.5; iPhone15,2)", "ShopApp/6.2.1 (iOS 17.7; iPhone12,1)")
_ANDROIDS: Final = ("ShopApp/6.3.0 (Android 15)", "ShopApp/6.3.0 (Android 13)")
_QUESTIONS: Final = 12
_ANSWER_S: Final = 10.0


@case()
def crashing_sdk(scene: Scene) -> Rows:
    """A library of somebody else's in the app falls over what its maker sends it, and the app with it, at each start.

    As many as the site has requests in a minute (300 at 5 a second), within two and a half hours, a half behind
    carriers' addresses. Each starts it three to six times within a minute, and so one to four times over: a token, the
    feed, and nothing more, always 200. One in five installs it anew (registered, 201, signed in, one in four
    mistyping), and it falls all the same; one in six goes to the pages. Within the hour after its end all start it
    once more, and it stays.

    Source: Facebook's library for iOS, which let Spotify, Tinder, TikTok and others fall at their start, 2020-05-06
    (its issue 1374) and again 2020-07-10 (its issue 1429).
    """
    rng = scene.rng
    n, lasts_s = max(30, round(scene.requests_per_s * 60)), min(9000.0, 0.35 * scene.span_s)
    begin_s, by = scene.moment(0.15, 0.4), at_home(scene, n, 0.5)
    browser, by["ua"] = by["ua"], _apps(scene, n, _APPS)
    bouts, _ = again(rng.integers(1, 5, n))
    bouts_s = begin_s + 0.93 * lasts_s * rng.random(len(bouts))
    starts, nth = again(rng.integers(3, 7, len(bouts)))
    starts_s = bouts_s[starts] + nth * 8 + rng.uniform(0, 5, len(starts))
    who = those(by, bouts[starts])
    parts = [scene.requests(starts_s, "token", **who), scene.requests(starts_s + 0.6, "app_feed", **who)]
    first_s = np.full(n, np.inf)
    np.minimum.at(first_s, bouts, bouts_s)
    anew = np.flatnonzero(rng.permutation(n) % 5 == 0)
    made = scripted(scene, first_s[anew] + 120, [("device", 0.0, 201), ("login", 40.0, 200)], **those(by, anew))
    signs_s = made["ts_ms"][len(anew) :] / 1000
    slips = (rng.permutation(len(anew)) % 4 == 0) * 1
    parts += [made, mistyped(scene, signs_s, those(by, anew), slips, "login", 401)]
    parts.append(scripted(scene, signs_s + 2, [("token", 0.0, 200), ("app_feed", 0.6, 200)], **those(by, anew)))
    pages = np.flatnonzero(rng.permutation(n) % 6 == 0)
    steps = [("home", 0.0, 200), ("login", 15.0, 200), *[("item", 30.0, 200)] * 4]
    seen = scripted(scene, first_s[pages] + 180, steps, **those(by | {"ua": browser}, pages))
    seen["path"][2 * len(pages) :] = scene.world.items[rng.integers(0, 900, 4 * len(pages))]
    over_s = begin_s + lasts_s + min(3600.0, 0.15 * scene.span_s) * rng.beta(1, 2, n)
    steps = [("token", 0.0, 200), ("app_feed", 0.6, 200), *[("app_item", 15.0, 200)] * 3]
    stays = scripted(scene, over_s, steps, **by)
    stays["path"][2 * n :] = scene.world.paths.all([f"/api/v2/items/{one}" for one in rng.integers(1, 900, 3 * n)])
    return together(*parts, seen, stays)


@case()
def rotated_twice(scene: Scene) -> Rows:
    """A release of the app renews its token from two threads at once, and the second is taken for a thief.

    A member for each twenty accounts, who opens it every forty to hundred minutes: a token, the feed, three to eight
    things. Within three hours the release is on all telephones: now there are two tokens within a fifth of a second,
    and three times in five the second is refused (400), and all that this member has ends with it: the feed and a
    thing are 401, the token 400 once more, and he signs in, one in six mistyping. Who had to do so three times thinks
    of thieves, every second, and takes a new password (202). Half the run later comes a better release.

    Source: IETF, RFC 9700, section 4.14.2 (a refresh token that comes twice ends all of its line), 2025-01; Nocturne,
    change 326 (415 of 679 tokens ended as stolen, none of which was), 2026-06-05.
    """
    rng, n = scene.rng, max(12, scene.clients // 20)
    release_s, spread_s = scene.moment(0.08, 0.2), min(10_800.0, 0.3 * scene.span_s)
    by = at_home(scene, n, 0.4)
    by["ua"] = _apps(scene, n, _ANDROIDS)
    sick_s = release_s + spread_s * rng.random(n)
    well_s = release_s + 0.5 * scene.span_s + 0.3 * spread_s * rng.random(n)
    every_s = (rng.uniform(2400, 6000, n) * min(1.0, scene.span_s / 20_000)).tolist()
    opens = [scene.regular(0, 0.95 * scene.span_s, every_s[one], 0.2) for one in range(n)]
    who, at_s = np.repeat(np.arange(n), [len(one) for one in opens]), np.abs(np.concatenate(opens))
    twice = (at_s > sick_s[who]) & (at_s < well_s[who])
    out = twice & (rng.random(len(who)) < 0.6)
    parts = [scene.requests(at_s, "token", **those(by, who))]
    second_s = at_s[twice] + rng.uniform(0.02, 0.2, int(twice.sum()))
    parts.append(scene.requests(second_s, "token", status=np.where(out[twice], 400, 200), **those(by, who[twice])))
    thrown, thrown_s = those(by, who[out]), at_s[out]
    steps = [("app_feed", 0.4, 401), ("app_item", 0.2, 401), ("token", 0.5, 400)]
    parts.append(scripted(scene, thrown_s + 0.3, steps, **thrown))
    signs_s = thrown_s + rng.uniform(25, 60, len(thrown_s))
    parts.append(mistyped(scene, signs_s, thrown, (rng.random(len(signs_s)) < 1 / 6) * 1, "login", 401))
    parts.append(scene.requests(signs_s, "login", **thrown))
    nth = np.arange(len(signs_s)) - np.searchsorted(who[out], who[out])
    scared = (nth == 2) & (who[out] % 2 == 0)
    steps = [("reset", 0.0, 202), ("verify", 60.0, 200), ("profile", 30.0, 200)]
    parts.append(scripted(scene, signs_s[scared] + 30, steps, **those(thrown, scared)))
    goes_s = at_s.copy()
    goes_s[out] = signs_s
    parts.append(scene.requests(goes_s + 1, "app_feed", **those(by, who)))
    looks, nth = again(rng.integers(3, 9, len(who)))
    path = [f"/api/v2/items/{one}" for one in rng.integers(1, 900, len(looks)).tolist()]
    looked_s = goes_s[looks] + 4 + nth * 12 + rng.uniform(0, 10, len(looks))
    return together(*parts, scene.requests(looked_s, "app_item", path=path, **those(by, who[looks])))


@case()
def quiz_night(scene: Scene) -> Rows:
    """Twice a day the app asks twelve questions, for ten seconds each, and whoever answers them all shares a prize.

    As many as the site has requests in two minutes (600 at 5 a second), six in ten behind carriers' addresses. Within
    six minutes before the hour all open it: a token, the feed. Every seventy-five seconds comes a question, and whoever
    is still in answers within ten seconds; one in twenty-five too late (410), one in four wrongly, and they are out. To
    the first one in eight gets no answer (503), and the app sends it again after a second, every second of these once
    more after three. Who answers all takes his voucher.

    Source: HQ Trivia, twice a day, 2,380,000 players at once on 2018-03-28.
    """
    rng = scene.rng
    n, every_s = max(60, round(scene.requests_per_s * 120)), min(75.0, 0.01 * scene.span_s)
    by, parts = at_home(scene, n, 0.6), []
    by["ua"] = _apps(scene, n, (*_APPS, *_ANDROIDS))
    for evening, hour_s in enumerate((scene.moment(0.2, 0.35), scene.moment(0.6, 0.75))):
        opens_s = hour_s - min(360.0, 5 * every_s) * rng.beta(1, 2, n) - 3
        parts += [scene.requests(opens_s, "token", **by), scene.requests(opens_s + 0.8, "app_feed", **by)]
        still = np.arange(n)
        for question in range(_QUESTIONS):
            m, shown_s = len(still), hour_s + question * every_s
            late = rng.random(m) < 1 / 25
            at_s = shown_s + np.where(late, rng.uniform(10.2, 13, m), 0.8 + (_ANSWER_S - 1) * rng.beta(1.4, 2, m))
            path = f"/api/graphql?op=answer&quiz={evening + 41}&question={question + 1}"
            if question == 0:
                unheard = np.flatnonzero(rng.permutation(m) % 8 == 0)
                twice = unheard[::2]
                parts.append(scene.requests(at_s[unheard], "graphql", path=path, status=503, **those(by, unheard)))
                parts.append(scene.requests(at_s[twice] + 1, "graphql", path=path, status=503, **those(by, twice)))
                late[unheard] = False
                at_s[unheard] += 1
                at_s[twice] += 3
            answer = np.where(late, 410, 200)
            parts.append(scene.requests(at_s, "graphql", path=path, status=answer, **those(by, still)))
            still = still[~late & (rng.random(m) < 0.75)]
        taken_s = hour_s + _QUESTIONS * every_s + rng.uniform(5, 60, len(still))
        parts.append(scene.requests(taken_s, "coupon", **those(by, still)))
    return together(*parts)


def _apps(scene: Scene, n: int, agents: tuple[str, ...]) -> Ints:
    """The app as `n` telephones have it."""
    return np.array([scene.tool(one) for one in agents])[scene.rng.integers(0, len(agents), n)]
