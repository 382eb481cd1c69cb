"""First sight: floods with a plan: up and down with the machines, a demonstration, other people's browsers, servers."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, Seconds, together

_PERIOD_S: Final = 600.0
_ON_S: Final = 280.0  # of a period
_PROBE_S: Final = 15.0
_NOTE: Final = "/?this-is-only-a-demonstration-the-next-one-stays-pay-before-noon"
_TICK_S: Final = 2.0  # of a script in a page that people have open
_CATALOGUE: Final = "/downloads/catalogue-autumn.pdf"


@family(oat="OAT-015", weak=Strength(20, 6, 3600), medium=Strength(80, 9, 2400), strong=Strength(150, 12, 1500))
def yoyo_scaling(scene: Scene, how: Strength) -> Rows:
    """Load comes until the site has rented more machines, and goes until it has given them back, again and again.

    Nearly five minutes in every ten: searches and feeds by turns, from homes worldwide. In a wave's first minute some
    fail (503, to a quarter), then the new machines are there and nothing does. A rented machine looks at the health
    page every fifteen seconds, waves or not, to learn when they have come and gone.

    Source: A. Bremler-Barr, E. Brosh and M. Sides, "DDoS attack on cloud auto-scaling mechanisms", IEEE INFOCOM,
    2017-05; R. Ben David and A. Bremler-Barr, "Kubernetes autoscaling: YoYo attack vulnerability and mitigation",
    CLOSER 2021.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    full, rest_s = divmod(how.lasts_s, _PERIOD_S)
    busy_s = scene.scattered(n, full * _ON_S + min(rest_s, _ON_S))  # as if there were no pauses
    into_s = busy_s % _ON_S
    at_s = busy_s // _ON_S * _PERIOD_S + into_s
    ip = scene.by_turns(scene.addresses(how.sources - 1, "bot"), n)
    short = min(0.25, n / how.lasts_s / 60)
    status = np.where((into_s < 60) & (rng.random(n) < short), 503, 200)
    who = {"ip": ip, "ua": scene.browser(ip), "status": status}
    made = scene.requests(at_s, "search", path=scene.world.searches[rng.integers(0, 900, n)], **who)
    feeds = rng.random(n) < 0.5
    made[feeds] = scene.requests(at_s, "app_feed", **who)[feeds]
    probe_s = scene.regular(0, how.lasts_s, _PROBE_S, 0.01)
    probe = scene.requests(probe_s, "health", ip=int(scene.addresses(1, "hosting")[0]), ua=scene.tool("curl/8.5.0"))
    return together(made, probe)


@family(oat="OAT-015", weak=Strength(25, 4, 2400), medium=Strength(100, 10, 1500), strong=Strength(250, 16, 600))
def ransom_demonstration(scene: Scene, how: Strength) -> Rows:
    """A short flood to show what one can do, with the letter in its address; half the time nothing; then the long one.

    The demonstration takes a tenth of the time and one request in seven, all to the front page with the same words
    behind it. The other flood, from six tenths on, goes to searches, lists, sign-ins of nobody (401) and the front
    page, in three steps, each twice the last; the more there are, the more fails (to four in ten: 503, 504).

    Source: Imperva (N. Klepfish) on a ransom attack whose note stood in the requests' address, 2022-03-04; Swiss
    Governmental Computer Emergency Response Team, "Armada Collective blackmails Swiss hosting providers", 2015-09-22.
    """
    rng = scene.rng
    n = max(2 * how.sources, int(how.sources * how.per_s * how.lasts_s))
    shown = n // 7
    step = rng.choice(3, n - shown, p=[1 / 7, 2 / 7, 4 / 7])
    long_s = how.lasts_s * (0.6 + (step + rng.random(n - shown)) * 0.4 / 3)
    at_s = np.concatenate([scene.scattered(shown, how.lasts_s * 0.1), long_s])
    ip = scene.by_turns(scene.addresses(how.sources, "bot"), n)
    who = {"ip": ip, "ua": scene.browser(ip)}
    made = scene.requests(at_s, "home", path=_NOTE, **who)
    kind = np.where(np.arange(n) < shown, 0, rng.choice(4, n, p=[0.2, 0.4, 0.2, 0.2]))
    terms, lists = scene.world.searches[rng.integers(0, 900, n)], scene.world.lists[rng.integers(0, 60, n)]
    nobody = scene.world.users.all([f"root{one:03d}" for one in range(200)])[rng.integers(0, 200, n)]
    made["path"][shown:] = scene.world.fixed("home")
    made[kind == 1] = scene.requests(at_s, "search", path=terms, **who)[kind == 1]
    made[kind == 2] = scene.requests(at_s, "list", path=lists, **who)[kind == 2]
    made[kind == 3] = scene.requests(at_s, "login", user=nobody, status=401, **who)[kind == 3]
    busy = min(0.4, n / how.lasts_s / 100)
    fails = rng.random(n) < busy
    made["status"][fails] = rng.choice([503, 504], int(fails.sum()), p=[0.7, 0.3])
    return made


@family(oat="OAT-015", weak=Strength(150, 2, 1200), medium=Strength(600, 3, 900), strong=Strength(1500, 8, 240))
def borrowed_browsers(scene: Scene, how: Strength) -> Rows:
    """People read something else elsewhere, and a script that was slipped in there lets their browsers ask here.

    Every two seconds, as long as their page is open (a minute or so): two pages of ours by turns, each time with a
    number so that no cache helps. Real browsers, worldwide, no script or picture of the page; other people all the
    while. The more there are, the more fails (to three in ten: 503).

    Source: B. Marczak and others (Citizen Lab), "China's Great Cannon" (GitHub, two of its pages), 2015-04-10;
    Cloudflare, "Mobile ad networks as DDoS vectors" (650,000 browsers), 2015-09-25.
    """
    rng, people = scene.rng, how.sources
    mean = how.per_s * how.lasts_s
    asks = np.maximum(2, rng.gamma(4, mean / 4, people)).astype(np.int64)
    asks = np.minimum(asks, max(2, int(how.lasts_s / _TICK_S)))
    opens_s = rng.random(people) * np.maximum(0.0, how.lasts_s - asks * _TICK_S)
    who = np.repeat(np.arange(people), asks)
    nth = np.arange(len(who)) - np.searchsorted(who, who)
    at_s = opens_s[who] + nth * _TICK_S + rng.normal(0, 0.03, len(who))
    stamp = scene.start_ms + (at_s * 1000).astype(np.int64)
    page = [
        ("/items?page=1&_={}", "/blog/article-3?_={}")[one % 2].format(ms) for one, ms in zip(nth, stamp, strict=True)
    ]
    ip = scene.addresses(people, "bot")[who]
    busy = min(0.3, len(who) / how.lasts_s / 600)
    columns = {"ip": ip, "ua": scene.browser(ip), "status": scene.mostly(len(who), 200, 503, busy)}
    made = scene.requests(at_s, "list", path=page, **columns)
    made[nth % 2 == 1] = scene.requests(at_s, "article", path=page, **columns)[nth % 2 == 1]
    return made


@family(oat="OAT-015", weak=Strength(24, 5, 1800), medium=Strength(80, 15, 900), strong=Strength(200, 45, 300))
def cracked_servers(scene: Scene, how: Strength) -> Rows:
    """Other people's web servers, broken into, flood on command: one order for all, and four orders one by one.

    The heaviest file, then searches, then sign-ins of nobody (401), then the front page, a quarter of the time each,
    all changing within a second; a dozen browsers' names among them. Owners clean up: at every order an eighth of all
    is gone and others are there. The more there are, the more fails (to a third: 503).

    Source: Prolexic on the botnet "itsoknoproblembro" (Operation Ababil against US banks), 2013-01; US Department of
    Justice, indictment of seven who worked for the Iranian government, 2016-03-24.
    """
    rng = scene.rng
    n = max(2 * how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s: Seconds = scene.scattered(n, how.lasts_s)
    order = np.minimum(3, (at_s / how.lasts_s * 4).astype(np.int64))
    gone = how.sources // 8
    alive = how.sources - 3 * gone
    ip = scene.addresses(how.sources, "hosting")[order * gone + rng.permutation(n) % alive]
    ua = scene.world.browsers[rng.integers(0, 12, n)]
    busy = min(1 / 3, n / how.lasts_s / 450)
    who = {"ip": ip, "ua": ua}
    made = scene.requests(at_s, "missing", path=_CATALOGUE, **who)
    terms = scene.world.searches[rng.integers(0, 900, n)]
    nobody = scene.world.users.all([f"admin{one:03d}" for one in range(300)])[rng.integers(0, 300, n)]
    made[order == 1] = scene.requests(at_s, "search", path=terms, **who)[order == 1]
    made[order == 2] = scene.requests(at_s, "login", user=nobody, status=401, **who)[order == 2]
    made[order == 3] = scene.requests(at_s, "home", **who)[order == 3]
    made["status"][rng.random(n) < busy] = 503
    return made
