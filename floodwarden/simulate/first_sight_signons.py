"""First sight: hard good cases of sign-ons that fail good people: another's outage, a move, links that are spent."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.first_sight_households import mistyped
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, again, scripted, those, together
from floodwarden.simulate.world import ABSENT

_BORROWED: Final = "/api/token?provider=elsewhere"
_APP: Final = "ShopApp/6.2.1 (iOS 18.5; iPhone15,2)"


@case()
def borrowed_signon(scene: Scene) -> Rows:
    """The service that members sign on with instead of a password of ours is down for three quarters of an hour.

    As many as the site has requests in fifty seconds (250 at 5 a second), four in ten behind carriers' addresses. Each
    presses the button two to six times, some twenty seconds apart: no token (502, one time in three 401). One in three
    then thinks that there must be a password: two to four guesses (401), and of these every second has a new one sent
    (202) and gets in by it. The others are back within ten minutes of its end, and in at once.

    Source: Google Cloud, report on the incident of 2020-12-14: for 47 minutes nobody could sign on by Google, here or
    with others.
    """
    rng = scene.rng
    n, lasts_s = max(24, round(scene.requests_per_s * 50)), min(2820.0, 0.3 * scene.span_s)
    begin_s, pace, by = scene.moment(0.25, 0.6), min(1.0, lasts_s / 2820), at_home(scene, n, 0.4)
    comes_s = begin_s + 0.9 * lasts_s * rng.random(n)
    press, nth = again(rng.integers(2, 7, n))
    pressed_s = comes_s[press] + (nth * 20 + rng.uniform(0, 8, len(press))) * pace
    unknown = those(by, press) | {"user": np.full(len(press), ABSENT)}
    parts = [
        scene.requests(pressed_s, "token", path=_BORROWED, status=scene.mostly(len(press), 502, 401, 1 / 3), **unknown)
    ]
    guesses = np.flatnonzero(rng.permutation(n) % 3 == 0)
    tries, nth = again(rng.integers(2, 5, len(guesses)))
    tried_s = comes_s[guesses][tries] + (150 + nth * 25 + rng.uniform(0, 10, len(tries))) * pace
    parts.append(scene.requests(tried_s, "login", status=401, **those(by, guesses[tries])))
    asks = guesses[::2]
    steps = [("reset", 0.0, 202), ("verify", 90.0 * pace, 200), ("login", 20.0 * pace, 200), ("orders", 9.0, 200)]
    parts.append(scripted(scene, comes_s[asks] + 290 * pace, steps, **those(by, asks)))
    rest = np.setdiff1d(np.arange(n), asks)
    back_s = begin_s + lasts_s + min(600.0, 0.05 * scene.span_s) * rng.beta(1, 2.5, len(rest))
    made = scripted(
        scene, back_s, [("token", 0.0, 200), ("account", 5.0, 200), ("orders", 9.0, 200)], **those(by, rest)
    )
    made["path"][: len(rest)] = scene.world.paths.code(_BORROWED)
    return together(*parts, made)


@case()
def migration_weekend(scene: Scene) -> Rows:
    """Accounts were moved into a new system over the weekend, and on Monday the right passwords of a third do not fit.

    As many as the site has requests in eighty seconds (400 at 5 a second) within five hours, two in five of them by the
    app; one sign-in in eight is not answered (503) and tried again. For a third it is refused (401) however right it
    is: two to four times in a row, and again two or three times before the day is over; every second of them has a new
    password sent (202), which is for nobody that is known (400). One by one they are mended, and then are let in.

    Source: Slaughter and May, "TSB Bank plc, an independent review following TSB's migration onto a new IT platform in
    April 2018", 2019-11-19: up to 1.9 million customers could not get at their accounts.
    """
    rng = scene.rng
    n, lasts_s = max(30, round(scene.requests_per_s * 80)), min(18_000.0, 0.5 * scene.span_s)
    begin_s, by = scene.moment(0.1, 0.3), at_home(scene, n, 0.3)
    by["ua"] = np.where(rng.permutation(n) % 5 < 2, scene.tool(_APP), by["ua"])
    comes_s = begin_s + 0.5 * lasts_s * rng.beta(1.3, 2.5, n)
    lost = rng.permutation(n) % 3 == 0
    late, well = np.flatnonzero(lost), np.flatnonzero(~lost)
    in_s = np.where(lost, begin_s + lasts_s * rng.uniform(0.75, 1.0, n), comes_s)
    sits, sitting = again(rng.integers(3, 5, len(late)))
    sits_s = comes_s[late][sits] + sitting / 4 * (in_s - comes_s)[late][sits] * rng.uniform(0.8, 1, len(sits))
    tries, nth = again(rng.integers(2, 5, len(sits)))
    tried_s = sits_s[tries] + nth * 15 + rng.uniform(0, 8, len(tries))
    parts = [scene.requests(tried_s, "login", status=401, **those(by, late[sits][tries]))]
    asks = late[::2]
    steps = [("reset", 0.0, 202), ("verify", 60.0, 400), ("verify", 20.0, 400)]
    parts.append(scripted(scene, comes_s[asks] + 80, steps, **those(by, asks)))
    parts.append(mistyped(scene, in_s, by, (rng.random(n) < 1 / 8) * 1, "login", 503))
    parts.append(mistyped(scene, comes_s[well] - 20, those(by, well), typos(scene, len(well)), "login", 401))
    steps = [("login", 0.0, 200), ("account", 6.0, 200), ("orders", 12.0, 200), ("item", 20.0, 200)]
    made = scripted(scene, in_s, steps, **by)
    made["path"][3 * n :] = scene.world.items[rng.integers(0, 900, n)]
    return together(*parts, made)


@case()
def spent_links(scene: Scene) -> Rows:
    """Firms' mail guards open every link before it is delivered, also those that may be opened once.

    A firm for each 400 accounts, a dozen to thirty of its people at one address, who are to choose a new password this
    morning. Each has a link sent (202); within twenty seconds one of the guard's three machines opens it (200), and a
    minute or two later the one for whom it is finds it spent (410), and has another sent: two to five times. After two
    hours the page asks for a press of a button, and three in four come once more: link, guard, page, password, in.

    Source: FusionAuth, issue 629 ("Magic links don't work when Outlook safe links are enabled"), 2020; Supabase, guide
    on e-mail templates (providers that prefetch links consume them), 2025-11-02.
    """
    rng, firms = scene.rng, max(2, scene.clients // 400)
    people = np.repeat(np.arange(firms), rng.integers(12, 31, firms))
    n, lasts_s = len(people), min(7200.0, 0.25 * scene.span_s)
    begin_s, pace = scene.moment(0.2, 0.5), min(1.0, lasts_s / 7200)
    by = {
        "ip": scene.addresses(firms, "office")[people],
        "user": scene.accounts(n, distinct=True),
        "ua": scene.world.browsers[np.array([0, 3])[rng.integers(0, 2, n)]],
    }
    guards, guard_ua = scene.addresses(3, "hosting"), int(scene.world.browsers[0])
    comes_s = begin_s + 0.7 * lasts_s * rng.beta(1.2, 2, n)
    ask, nth = again(rng.integers(2, 6, n))
    sent_s = comes_s[ask] + nth * (200 + rng.uniform(0, 60, len(ask))) * pace
    more = np.flatnonzero(rng.permutation(n) % 4 < 3)
    who = np.concatenate([ask, more])
    mended_s = begin_s + lasts_s + rng.uniform(0, 0.35 * lasts_s, len(more))
    sent_s = np.concatenate([sent_s, mended_s])
    links = [f"/account/password?once={one:08x}" for one in rng.integers(1 << 32, size=len(who)).tolist()]
    path = scene.world.paths.all(links)
    parts = [scene.requests(sent_s, "reset", status=202, **those(by, who))]
    guarded_s = sent_s + rng.uniform(3, 20, len(who))
    parts.append(scene.requests(guarded_s, "account", path=path, ip=scene.by_turns(guards, len(who)), ua=guard_ua))
    opened_s = guarded_s + rng.uniform(30, 130, len(who)) * pace
    stranger = those(by, who) | {"user": np.full(len(who), ABSENT)}
    spent = np.where(np.arange(len(who)) < len(ask), 410, 200)
    parts.append(scene.requests(opened_s, "account", path=path, status=spent, **stranger))
    steps = [("profile", 25.0, 200), ("login", 12.0, 200), ("orders", 8.0, 200)]
    return together(*parts, scripted(scene, opened_s[len(ask) :], steps, **those(by, more)))
