"""First sight: what is shown is not seen by whom it was meant for: articles, advertisements, spoken questions."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ARTICLES, ITEMS, zipf

_PREVIEW: Final = "previewbot/1.1 (+https://network.example/preview)"
_RUNGS: Final = ((0.0, 402), (0.5, 403), (0.5, 403), (1.0, 403))  # share that is let through, else the answer
_TELEVISIONS: Final = (
    "Roku/DVP-14.5 (14.5.4.5934-29)", "Mozilla/5.0 (SMART-TV; LINUX; Tizen 8.0) AppleWebKit/537.36 TV Safari/537.36",
    "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 WebAppManager", "AppleTV11,1/17.6",
    "Dalvik/2.1.0 (Linux; U; Android 12; BRAVIA 4K VH2)", "Mozilla/5.0 (Linux; Android 9; AFTKA) AppleWebKit/537.36",
)  # fmt: skip
_QUARTER_S: Final = 7.5  # of an advertisement of half a minute
_BEACONS: Final = ("start", "firstQuartile", "midpoint", "thirdQuartile", "complete")
_HEARD: Final = 0.85  # of the spoken questions a program gets right
_TRIES: Final = 3


@family(oat="OAT-011", weak=Strength(2, 3, 2400), medium=Strength(8, 12, 1200), strong=Strength(24, 40, 480))
def paywall_piercing(scene: Scene, how: Strength) -> Rows:
    """A service shows anybody the articles that are for who pays: it asks as ever other people until it gets one.

    People hand in links, the newest most. Within three seconds, from the same rented machine: as a browser (402), as
    the search engine (one in two is let through, else 403), as a network that makes a preview (one in two), and for
    its printed form, which always works. It stops at the first that does. No script, no second article, no account.

    Source: News/Media Alliance, on the removal of 12ft.io (articles for subscribers, read as if by a search engine),
    2025-07-14; The Verge on the same, 2025-07.
    """
    rng = scene.rng
    n = max(how.sources, round(how.sources * how.per_s * how.lasts_s / 2.75))
    at_s, ip = scene.scattered(n, how.lasts_s), scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    article = zipf(rng, n, ARTICLES)
    names = (scene.browser(ip), scene.tool(ENGINE), scene.tool(_PREVIEW), scene.browser(ip))
    printed = scene.world.paths.all([f"/blog/article-{one}?output=print" for one in range(ARTICLES)])
    here, parts = np.arange(n), []
    for rung, (through, refused) in enumerate(_RUNGS):
        path = (printed if rung == 3 else scene.world.articles)[article[here]]
        passed = rng.random(len(here)) < through
        ua = np.broadcast_to(names[rung], (n,))[here]
        status = np.where(passed, 200, refused)
        parts.append(scene.requests(at_s[here], "article", path=path, ip=ip[here], ua=ua, status=status))
        at_s = at_s + rng.uniform(0.3, 0.9, n)
        here = here[~passed]
    return together(*parts)


@family(oat="OAT-003", weak=Strength(3, 10, 2400), medium=Strength(10, 45, 900), strong=Strength(40, 75, 420))
def television_spoofing(scene: Scene, how: Strength) -> Rows:
    """Televisions that are not there watch the advertisements of the shop's channel, and somebody is paid for each.

    A few rented machines say that they are televisions, of six makes: one asks for a break, and reports it begun, a
    quarter, a half, three quarters and wholly seen, to the tenth of a second as long as it takes; a minute later a
    second break, and then there is no such television ever again. Nobody turns it off, changes over, or looks at a
    page; all is 200.

    Source: White Ops (now HUMAN), on ICEBUCKET: advertisements asked for from data centres in the name of televisions
    that did not exist, two million people, 1.9 billion requests a day, 2020-04-16.
    """
    rng = scene.rng
    sets = max(1, round(how.per_s * how.lasts_s / 12))  # of one machine
    begins_s = np.tile(np.arange(sets), how.sources) + rng.random(sets * how.sources)
    begins_s = begins_s * max(1.0, how.lasts_s - 90) / sets
    n = len(begins_s)
    name = rng.permutation(9_000_000)[:n].tolist() if n < 9_000_000 else list(range(n))
    agents = scene.world.agents.all(_TELEVISIONS)
    who = {"ip": scene.addresses(how.sources, "hosting").repeat(sets), "ua": agents[rng.integers(0, len(agents), n)]}
    reported = scene.world.paths.all([f"/api/v1/devices/tv-{one:07d}/telemetry" for one in name])
    wanted = scene.world.paths.all([f"/api/v2/feed?break=30&device=tv-{one:07d}" for one in name])
    parts = []
    for pause_s in (0.0, 60.0):
        shown_s = begins_s + pause_s + rng.normal(0.5, 0.05, n)
        parts.append(scene.requests(begins_s + pause_s, "app_feed", path=wanted, **who))
        for nth in range(len(_BEACONS)):
            seen_s = shown_s + nth * _QUARTER_S + rng.normal(0, 0.03, n)
            parts.append(scene.requests(seen_s, "telemetry", path=reported, **who))
    return together(*parts)


@family(oat="OAT-009", weak=Strength(2, 6, 2400), medium=Strength(8, 20, 1200), strong=Strength(30, 50, 480))
def spoken_solving(scene: Scene, how: Strength) -> Rows:
    """Sellers' telephone numbers are shown to people only, and a program has itself asked as the blind are.

    Item after item, the newest first: the page, at once the spoken question (never the picture), and five to six
    seconds later what a program that writes down speech makes of it: right in 85 of a hundred (200), else 403 and
    another one, three at most. Where it was right, the number. From homes at good clients' providers, no script.

    Source: K. Bock, D. Patel, G. Hughey and D. Levin (University of Maryland), "unCaptcha: a low-resource defeat of
    reCaptcha's audio challenge", USENIX WOOT, 2017-08: 450 spoken questions, 85 of a hundred right, 5.4 seconds each.
    """
    rng, homes = scene.rng, how.sources
    each = max(1, round(how.per_s * how.lasts_s / 4.35))
    n = each * homes
    nth = np.tile(np.arange(each), homes)
    at_s = (nth + rng.random(n)) * max(1.0, how.lasts_s - 20) / each
    ip = scene.addresses(homes, "neighbour").repeat(each)
    ua = scene.browser(ip)
    item = ITEMS - 1 - (nth * homes + np.arange(homes).repeat(each)) % ITEMS
    parts = [scene.requests(at_s, "item", path=scene.world.items[item], ip=ip, ua=ua)]
    here, at_s = np.arange(n), at_s + rng.uniform(0.4, 1.0, n)
    for _ in range(_TRIES):
        number = [f"{one:010x}" for one in rng.integers(1 << 36, 1 << 40, len(here))]
        who = {"ip": ip[here], "ua": ua[here]}
        spoken = [f"/challenge/{one}/speech.mp3" for one in number]
        parts.append(scene.requests(at_s[here], "missing", path=spoken, **who))
        at_s = at_s + rng.uniform(5.0, 6.2, n)
        heard = rng.random(len(here)) < _HEARD
        answer = [f"/challenge/{one}?answer=speech" for one in number]
        parts.append(scene.requests(at_s[here], "missing", path=answer, status=np.where(heard, 200, 403), **who))
        got = here[heard]
        shown = [f"/contact/{one + 1}" for one in item[got].tolist()]
        parts.append(scene.requests(at_s[got] + 0.5, "missing", path=shown, ip=ip[got], ua=ua[got]))
        here, at_s = here[~heard], at_s + rng.uniform(1.0, 2.0, n)
    return together(*parts)
