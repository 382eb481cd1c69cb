"""Attacks that only weigh: bodies that never end, pieces of a file, visitors and telephones of nobody."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.people import Visit, browse
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT

_FORMS: Final = ("login", "register", "reset", "checkout", "cart_add")
_BIG: Final = ("/static/vendor.js", "/static/maps.js")
_MODELS: Final = tuple(f"ShopApp/5.9.4 (Android {11 + one % 5}; SM-{4000 + 37 * one})" for one in range(60))
_VISIT: Final = 13.0  # requests, as people's


@family(oat="OAT-015", weak=Strength(10, 1.5, 2400), medium=Strength(40, 5, 1200), strong=Strength(120, 16, 480))
def slow_bodies(scene: Scene, how: Strength) -> Rows:
    """Forms are sent a byte at a time: each holds a connection until the server has waited long enough, and comes anew.

    Sign-on, sign-up, reset, checkout and cart, an address one of them, always so many connections open and each begun
    anew like a timer. Ninety-four in a hundred end as 408; of what does arrive nothing makes sense (400).

    Source: W. O. Chee and T. Brennan, "H.....t.....t....p....p....o....s....t" (slow HTTP POST), OWASP AppSec DC,
    2010-11; R. Barnett on defences, 2010-11-24.
    """
    parts = []
    for number, ip in enumerate(scene.addresses(how.sources, "bot")):
        every_s = 1 / how.per_s
        at_s = scene.regular(0, max(how.lasts_s, 2 * every_s), every_s, 0.05)
        status, who = scene.mostly(len(at_s), 408, 400, 0.06), np.full(len(at_s), ip)
        form = _FORMS[number % len(_FORMS)]
        parts.append(scene.requests(at_s, form, ip=who, ua=scene.browser(who), status=status))
    return together(*parts)


@family(oat="OAT-015", weak=Strength(3, 4, 2400), medium=Strength(15, 24, 900), strong=Strength(50, 70, 300))
def range_amplification(scene: Scene, how: Strength) -> Rows:
    """Two large scripts are asked for in hundreds of overlapping pieces at once: a short question, a very long answer.

    The same two addresses of a page over and over, answered in parts (206), and when it is much one in ten not at all
    (503). No page, no parameter, a tool's name; each machine below the limit.

    Source: Apache HTTP Server, CVE-2011-3192 (in use before it was known), 2011-08-24; W. Li and others, "CDN
    backfired: amplification attacks based on HTTP range requests", DSN 2020, 2020-06.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=2.0)
    n = len(at_s)
    path = scene.world.paths.all(_BIG)[scene.rng.integers(0, len(_BIG), n)]
    ip, ua = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.tool("Go-http-client/1.1")
    status = scene.mostly(n, 206, 503, min(0.1, n / how.lasts_s / 500))
    return scene.requests(at_s, "static", path=path, ip=ip, ua=ua, status=status)


@family(oat="OAT-015", weak=Strength(100, 1, 1800), medium=Strength(250, 2.5, 900), strong=Strength(600, 6, 480))
def imitated_visitors(scene: Scene, how: Strength) -> Rows:
    """Real browsers without anybody before them visit the shop as people do, page and script and pause, but for nobody.

    Every visit by itself is a person's: searches, items, typed letters, dead links; what they are is their number, and
    homes all over the world at any hour. Nobody signs on. When it is much up to one answer in four is an error (503).
    The weak one adds a quarter to an evening's visits and is next to impossible to tell from them.

    Source: Incapsula, "Funded, persistent, multi-vector DDoS attack" (headless browsers, 180,000 addresses, 150 hours),
    2013-11; summed up by Bizety, 2014-03-17.
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / _VISIT))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    stay_s = min(180.0, 0.2 * how.lasts_s)
    visit = Visit(
        start_s=scene.scattered(n, max(1.0, how.lasts_s - stay_s)),
        requests=np.minimum(rng.geometric(1 / (_VISIT - 1), n) + 1, 60),
        ip=ip,
        user=np.full(n, ABSENT),
        ua=scene.browser(ip),
        failures=np.full(n, ABSENT),
        known=np.zeros(n, np.bool_),
    )
    made = browse(scene, visit)
    failed = rng.random(len(made)) < min(0.25, len(made) / how.lasts_s / 240)
    made["status"][failed & (made["status"] == 200)] = 503
    return made


@family(oat="OAT-003", weak=Strength(40, 0.1, 3600), medium=Strength(150, 1, 1200), strong=Strength(400, 4, 480))
def install_fraud(scene: Scene, how: Strength) -> Rows:
    """The app is installed on telephones that are not there, so that whoever advertised for it is paid by the head.

    A device is registered (201; one in twenty is known already, 409), a token, the feed once, and that telephone never
    comes again: no item, no account, no second day. Sixty models in no order, from homes worldwide.

    Source: Adjust, figures of the first quarter of 2018 (37 per cent of fraudulent installations made by replayed
    messages), 2018-04; OWASP Automated Threat Handbook 1.2, OAT-003, 2018-02-15.
    """
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / 3))
    begins_s = scene.scattered(n, max(1.0, how.lasts_s - 15))
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    ua = scene.world.agents.all(_MODELS)[scene.rng.integers(0, len(_MODELS), n)]
    made = scripted(scene, begins_s, [("device", 0.0, 201), ("token", 1.2, 200), ("app_feed", 1.5, 200)], ip=ip, ua=ua)
    made["status"][:n] = scene.mostly(n, 201, 409, 0.05)
    return made
