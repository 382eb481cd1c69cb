"""First sight: good people on other ways than usual: a cut cable, a browser's warning, icons."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import browse, daily, typos, visiting
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT

_UNLIKELY: Final = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200/"
_ICONS: Final = tuple(
    f"/apple-touch-icon{size}{suffix}.png"
    for size in ("-180x180", "-167x167", "-152x152", "")
    for suffix in ("-precomposed", "")
)


@case()
def cable_cut(scene: Scene) -> Rows:
    """An excavator cuts a cable: a whole provider's customers are gone, and come back by their telephones.

    As many members as the site has requests in a minute (300 at 5 a second), a visit each before, at home; a sixth has
    come in the last minute and a half, and who is still here breaks off in mid-visit (499). Within half an hour a half
    comes again behind the carrier's shared addresses, one for a dozen, and nearly all must sign in there, with typos.
    After two hours the cable is mended, and two in three come once more, from home.
    """
    rng, n = scene.rng, max(30, round(scene.requests_per_s * 60))
    cut_s = scene.moment(0.3, 0.5)
    mended_s = cut_s + min(7200.0, scene.span_s * 0.3)
    home, user, ua = (
        scene.addresses(n, "home"),
        scene.accounts(n, distinct=True),
        scene.world.browsers[rng.integers(0, 16, n)],
    )
    nobody = np.full(n, ABSENT)
    comes_s = np.where(rng.random(n) < 1 / 6, cut_s - rng.uniform(5, 90, n), (cut_s - 90) * rng.random(n))
    before = browse(scene, visiting(scene, np.maximum(0, comes_s), home, user, ua, nobody))
    here = before["ts_ms"] < cut_s * 1000
    broken = np.flatnonzero(before["ts_ms"] >= cut_s * 1000)
    _, first = np.unique(before["ip"][broken], return_index=True)
    last = before[broken[first]].copy()
    last["ts_ms"], last["status"] = int(cut_s * 1000), 499
    away = np.flatnonzero(rng.random(n) < 0.5)
    shared = scene.addresses(max(3, n // 24), "cgnat")
    signs = np.where(rng.random(len(away)) < 0.9, typos(scene, len(away)), ABSENT)
    goes_s = cut_s + np.minimum(rng.gamma(2, 420, len(away)), 1800)
    by = shared[rng.integers(0, len(shared), len(away))]
    during = browse(scene, visiting(scene, goes_s, by, user[away], ua[away], signs))
    back = np.flatnonzero(rng.random(n) < 2 / 3)
    comes_s = mended_s + rng.gamma(2, 900, len(back))
    after = browse(scene, visiting(scene, comes_s, home[back], user[back], ua[back], nobody[back]))
    return together(before[here], last, during, after)


@case()
def password_checkup(scene: Scene) -> Rows:
    """A browser tells its users that passwords of theirs are known to thieves, and leads them where one changes it.

    As many members as the site has requests in 40 seconds (200 at 5 a second), within six hours of its release. The
    browser asks for two places by itself, one of which nobody has and the other of which we have not either (404
    both), and opens the front page instead. Then they are at a loss: two in three sign in (a fifth mistypes) and change
    the profile, the others have a new password sent (202).
    """
    rng, n = scene.rng, max(20, round(scene.requests_per_s * 40))
    begins_s = scene.moment(0.1, 0.3) + np.minimum(rng.gamma(1.5, min(4000.0, scene.span_s / 8), n), 21_600)
    ip, user = scene.addresses(n, "home"), scene.accounts(n, distinct=True)
    ua = scene.world.browsers[np.array([0, 4, 8, 12])[rng.integers(0, 4, n)]]  # one maker's
    who = {"ip": ip, "ua": ua}
    probe = scene.requests(begins_s, "missing", path=_UNLIKELY, status=404, **who)
    door = scene.requests(begins_s + 0.05, "missing", path="/.well-known/change-password", status=404, **who)
    front = scripted(scene, begins_s + 0.4, [("home", 0.0, 200), ("static", 0.3, 200), ("account", 15.0, 401)], **who)
    front["path"][n : 2 * n] = scene.world.statics[0]
    knows = rng.random(n) < 2 / 3
    mine = {"ip": ip[knows], "user": user[knows], "ua": ua[knows]}
    steps = [("login", 0.0, 200), ("account", 4.0, 200), ("profile", 40.0, 200)]
    changed = scripted(scene, begins_s[knows] + 40, steps, **mine)
    mistyped = changed[: int(knows.sum())][rng.random(int(knows.sum())) < 0.2].copy()
    mistyped["status"], mistyped["ts_ms"] = 401, mistyped["ts_ms"] - 8000
    lost = {"ip": ip[~knows], "user": user[~knows], "ua": ua[~knows]}
    sent = scripted(scene, begins_s[~knows] + 45, [("reset", 0.0, 202), ("login", 180.0, 200)], **lost)
    return together(probe, door, front, changed, mistyped, sent)


@case()
def bookmark_icons(scene: Scene) -> Rows:
    """A telephone's new release shows an icon for every site, and at each visit looks for it under eight names.

    None of them is here (404), all within half a second, at the beginning of a visit and again after each tenth minute.
    As many visits as the site has requests in a minute (300 at 5 a second) over the day, two in five behind the
    carrier's shared addresses; the visits are as everybody's.
    """
    rng, n = scene.rng, max(30, round(scene.requests_per_s * 60))
    begins_s = daily(scene, n, scene.start_ms)
    shared = scene.addresses(max(4, n // 20), "cgnat")
    ip = np.where(rng.random(n) < 0.4, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "home"))
    ua = np.full(
        n, scene.tool("Mozilla/5.0 (iPhone; CPU iPhone OS 26_2 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1")
    )
    member = rng.random(n) < 0.5
    user = np.where(member, scene.accounts(n), ABSENT)
    visits = browse(scene, visiting(scene, begins_s, ip, user, ua, np.full(n, ABSENT)))
    asks = np.repeat(np.arange(n), 1 + (rng.random(n) < 0.3))
    again = np.concatenate([[False], np.diff(asks) == 0])
    who = np.repeat(np.arange(len(asks)), len(_ICONS))
    at_s = (begins_s[asks] + again * 600.0)[who] + 0.2 + rng.uniform(0, 0.5, len(who))
    path = scene.world.paths.all(_ICONS)[np.arange(len(who)) % len(_ICONS)]
    at = asks[who]
    return together(visits, scene.requests(at_s, "missing", path=path, ip=ip[at], user=user[at], ua=ua[at], status=404))
