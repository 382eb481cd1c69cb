"""First sight: long passwords, somebody's fetcher, exits that are being tested."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together

_ORDERED: Final = {6: 100, 16: 240}  # addresses in one order, by the fetcher's machines
_FETCHER: Final = (
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Answers-User/1.0; +https://answers.example/bot)"
)


@family(oat="OAT-015", weak=Strength(1, 1, 2400), medium=Strength(3, 6, 900), strong=Strength(8, 24, 420))
def long_passwords(scene: Scene, how: Strength) -> Rows:
    """Nobody is to be guessed: each password is a megabyte long, and hashing it keeps the site busy for a minute.

    Sign-ins in made-up names, a new one each time, and one in five a sign-up (422); by programs that wait for an
    answer. When it is weak most are refused in the end (401); the more there are, the more are given up (504, to eight
    in ten) or find nobody to serve them (503).

    Source: Django, security releases of 2013-09-15 (CVE-2013-1443, denial of service by large passwords); WordPress
    4.0.1 (CVE-2014-9034, the same), 2014-11-20.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=6.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    busy = min(0.8, 0.2 + n / how.lasts_s)
    answer = rng.choice([401, 504, 503], n, p=[1 - busy, busy * 0.75, busy * 0.25])
    who = {"ip": ip, "ua": np.array([scene.tool("python-requests/2.31.0")])}
    made = scene.requests(at_s, "login", user=scene.strangers(n, "p"), status=answer, **who)
    joins = rng.random(n) < 0.2
    answer = np.where(answer == 401, 422, answer)
    made[joins] = scene.requests(at_s, "register", status=answer, **who)[joins]
    return made


@family(oat="OAT-015", weak=Strength(6, 10, 1200), medium=Strength(16, 60, 600), strong=Strength(30, 240, 240))
def fetcher_reflection(scene: Scene, how: Strength) -> Rows:
    """An assistant's fetcher, which reads pages for people, is handed one page under hundreds of addresses at once.

    The front page with a number behind it, no number twice: a hundred within two seconds, then nothing until the next
    order is given; four hundred when it is strong. All by the fetcher's own machines, under its own honest name. Some
    fail (503, to a fifth).

    Source: B. Flesch, "ChatGPT crawler reflected DDoS vulnerability", 2025-01; chr13, "Using Facebook Notes to DDoS any
    website", 2014-04-20.
    """
    rng = scene.rng
    ordered = _ORDERED.get(how.sources, 400)
    orders = max(1, round(how.sources * how.per_s * how.lasts_s / ordered))
    begins_s = np.sort(rng.uniform(0, max(1.0, how.lasts_s - 3), orders))
    n = orders * ordered
    at_s = np.repeat(begins_s, ordered) + rng.beta(1.5, 2.5, n) * 2
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    first = int(rng.integers(10**6))
    asked = [f"/?ref={one}" for one in range(first, first + n)]
    status = scene.mostly(n, 200, 503, min(0.2, n / how.lasts_s / 400))
    return scene.requests(at_s, "home", path=asked, ip=ip, ua=scene.tool(_FETCHER), status=status)


@family(weak=Strength(300, 0.05, 3000), medium=Strength(1200, 0.15, 1200), strong=Strength(3000, 0.5, 480))
def exit_testing(scene: Scene, how: Strength) -> Rows:
    """Homes are for hire as exits, and whoever rents them out tries each with our script, whether it comes unchanged.

    One script, under one library's name, from homes worldwide: as soon as an exit joins, then like a clock, as long as
    it is there; a third does not answer the second time and is not tried again. No page, and it is never "not modified"
    (304). By hand nobody would notice; by the thousand it is how a flood or a scrape is made ready.

    Source: US Department of Justice, "911 S5 botnet dismantled" (19 million addresses for hire), 2024-05-29; X. Mi and
    others, "Resident evil: understanding residential IP proxy as a dark service", IEEE S&P 2019.
    """
    rng, exits = scene.rng, how.sources
    tests = max(2, round(how.per_s * how.lasts_s * 1.5))
    every_s = how.lasts_s / (tests + 1)
    joins_s = rng.uniform(0, every_s * 2, exits)
    times = np.where(rng.random(exits) < 1 / 3, 1, tests)
    which = np.repeat(np.arange(exits), times)
    nth = np.arange(len(which)) - np.searchsorted(which, which)
    at_s = joins_s[which] + nth * every_s + rng.normal(0, 0.4, len(which))
    ip = scene.addresses(exits, "bot")[which]
    path = scene.world.statics[:1].repeat(len(which))
    made = scene.requests(at_s, "static", path=path, ip=ip, ua=scene.tool("Go-http-client/2.0"))
    return together(made)
