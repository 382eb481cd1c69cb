"""Hard good cases of what runs in people's homes: televisions, an extension, a box in another's page."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse
from floodwarden.simulate.scene import Rows, Scene, Seconds, together
from floodwarden.simulate.world import ABSENT, zipf

_SOLD: Final = 3500  # of the widget's three items, the first


@case()
def new_televisions(scene: Scene) -> Rows:
    """Christmas Eve: new televisions are signed in by a code on a telephone, and ask every five seconds whether it was.

    As many homes as the site has requests in 20 seconds (100 at 5 a second) within three hours. Registered (201), then
    asked for one to six minutes (400: not yet) until somebody has typed it in (200); one in six gives the first code up
    after ten minutes and takes another. Then feed and two items, and the feed again at every full half hour, all of
    them in the same three seconds.
    """
    rng = scene.rng
    n, begin_s = max(20, round(scene.requests_per_s * 20)), scene.moment(0.15, 0.35)
    ip, user = scene.addresses(n, "home"), scene.accounts(n, distinct=True)
    sets = scene.world.agents.all([f"ShopTV/2.1 (webOS {version}.0; OLED55)" for version in range(6, 10)])
    ua, parts = sets[rng.integers(0, len(sets), n)], []
    on_s = begin_s + np.minimum(rng.gamma(2, 2000, n), min(10_800.0, scene.span_s * 0.4))
    for late in (True, False):
        who = np.flatnonzero(rng.random(n) < 1 / 6) if late else np.arange(n)
        lasts_s = np.full(len(who), 600.0) if late else rng.uniform(60, 360, n)
        each = np.repeat(np.arange(len(who)), (lasts_s / 5).astype(np.int64))
        nth = np.arange(len(each)) - np.searchsorted(each, each)
        asks_s = on_s[who][each] + 6 + nth * 5.0 + rng.uniform(0, 0.3, len(each))
        parts.append(scene.requests(on_s[who], "device", ip=ip[who], ua=ua[who], status=201))
        parts.append(scene.requests(asks_s, "token", ip=ip[who][each], ua=ua[who][each], status=400))
        on_s[who] += lasts_s + 8
    mine = {"ip": ip, "user": user, "ua": ua}
    parts.append(scene.requests(on_s, "token", **mine))
    parts.append(scene.requests(on_s + 2, "app_feed", **mine))
    for wait_s in (25.0, 60.0):
        item = [f"/api/v2/items/{one}" for one in (1 + zipf(rng, n, 900)).tolist()]
        parts.append(scene.requests(on_s + wait_s * rng.uniform(0.7, 1.3, n), "app_item", path=item, **mine))
    half_hours = np.arange(1800.0 - (scene.start_ms / 1000) % 1800, scene.span_s, 1800.0)
    for at_s in half_hours.tolist():
        running = np.flatnonzero((on_s < at_s) & (at_s < on_s + 14_400))
        here = {"ip": ip[running], "user": user[running], "ua": ua[running]}
        parts.append(scene.requests(at_s + rng.uniform(0, 3, len(running)), "app_feed", **here))
    return together(*parts)


@case()
def wish_watchers(scene: Scene) -> Rows:
    """An extension of people's browsers looks every hour whether what they wish for has become cheaper.

    As many homes as the site has requests in 16 seconds (80 at 5 a second), each for the hours its browser is open:
    four to thirty items of a list of its own, one in two seconds, an hour after the last time to the second. No page,
    no account, no key; three in five unchanged (304), one in thirty gone (404).
    """
    rng = scene.rng
    n = max(15, round(scene.requests_per_s * 16))
    ip, items = scene.addresses(n, "home"), rng.integers(4, 31, n)
    ua, parts = scene.browser(ip), []
    opens_s, stays = rng.uniform(0, scene.span_s * 0.6, n), rng.integers(2, 9, n)
    for home in range(n):
        wished = scene.world.api_items[zipf(rng, int(items[home]), 4000)]
        rounds_s = opens_s[home] + 90 + np.arange(stays[home]) * 3600.0
        at_s: Seconds = (rounds_s[:, None] + np.arange(len(wished)) * 2.0 + rng.uniform(0, 0.2, len(wished))).ravel()
        at_s = at_s[at_s < scene.span_s]
        path = np.tile(wished, len(rounds_s))[: len(at_s)]
        status = rng.choice([304, 200, 404], len(at_s), p=[0.6, 0.37, 0.03])
        parts.append(scene.requests(at_s, "api_item", path=path, ip=int(ip[home]), ua=int(ua[home]), status=status))
    return together(*parts)


@case()
def embedded_widget(scene: Scene) -> Rows:
    """A newspaper's article has a box of the shop's in it: readers' browsers ask for three items and open no page.

    As many readers as the site has requests in three minutes (900 at 5 a second), most within the first hour, a third
    behind their carrier's addresses. The box's script (304 where it is known), then the same three items within half a
    second; one reader in thirty clicks, and looks round as people do.
    """
    rng = scene.rng
    n, begin_s = max(60, round(scene.requests_per_s * 180)), scene.moment(0.2, 0.6)
    reads_s = begin_s + np.minimum(rng.gamma(1.2, 1800, n), min(10_800.0, scene.span_s * 0.35))
    shared = scene.addresses(max(4, n // 25), "cgnat")
    ip = np.where(rng.random(n) < 1 / 3, shared[rng.integers(0, len(shared), n)], scene.addresses(n, "crowd"))
    who = {"ip": ip, "ua": scene.world.browsers[rng.integers(0, 16, n)]}
    script = scene.requests(reads_s, "static", path="/static/box.js", status=scene.mostly(n, 200, 304, 0.1), **who)
    asked = [
        scene.requests(reads_s + rng.uniform(0.2, 0.7, n), "api_item", path=f"/api/v1/items/{_SOLD + one}", **who)
        for one in range(3)
    ]
    clicks = np.arange(0, n, 30)
    visit = Visit(
        start_s=reads_s[clicks] + rng.gamma(2, 20, len(clicks)),
        requests=np.minimum(rng.geometric(1 / 7, len(clicks)) + 1, 40),
        ip=ip[clicks],
        user=np.full(len(clicks), ABSENT),
        ua=who["ua"][clicks],
        failures=np.full(len(clicks), ABSENT),
        known=np.zeros(len(clicks), bool),
    )
    return together(script, *asked, browse(scene, visit))


@case()
def parcel_questions(scene: Scene) -> Rows:
    """Before Christmas people ask the box in their living room where their parcel is, and its maker's cloud asks here.

    As many members as the site has requests in 40 seconds (200 at 5 a second) within four hours, one to three times
    each, all from the cloud's six addresses under one name: a token, their orders; one link in twenty has lapsed (401),
    and is tried twice more a second later, in vain.
    """
    rng = scene.rng
    n, begin_s = max(20, round(scene.requests_per_s * 40)), scene.moment(0.2, 0.5)
    who = np.repeat(np.arange(n), rng.integers(1, 4, n))
    at_s: Seconds = np.sort(begin_s + rng.uniform(0, min(14_400.0, scene.span_s * 0.4), len(who)))
    user, lapsed = scene.accounts(n, distinct=True)[who], (rng.random(n) < 0.05)[who]
    asked = {"ip": scene.by_turns(scene.addresses(6, "hosting"), len(who)), "user": user}
    ua = scene.tool("HomeVoice-Skills/3.1 (+https://voice.example/skills)")
    parts = [scene.requests(at_s, "token", ua=ua, status=np.where(lapsed, 401, 200), **asked)]
    parts.append(scene.requests(at_s + rng.uniform(0.2, 0.6, len(who)), "orders", ua=ua, **asked)[~lapsed])
    parts += [scene.requests(at_s + wait_s, "token", ua=ua, status=401, **asked)[lapsed] for wait_s in (1.0, 2.0)]
    return together(*parts)
