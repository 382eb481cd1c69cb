"""Attacks on faults: a hole of today, servers that disagree, errors that are kept, a swollen sign-on."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import Ints, zipf

_KEPT_S: Final = 60.0  # so long a cache keeps an error
_SCANNERS: Final = (
    "Go-http-client/1.1", "python-requests/2.32.3", "Mozilla/5.0 zgrab/0.x", "curl/8.5.0", "Nuclei (Open-source)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
)  # fmt: skip


@family(oat="OAT-014", weak=Strength(80, 0.05, 2400), medium=Strength(500, 0.2, 900), strong=Strength(1500, 0.8, 300))
def first_day_rush(scene: Scene, how: Strength) -> Rows:
    """A hole was published an hour ago, and everybody tries it: a look at the front page, a request that breaks in.

    More from minute to minute, from clouds and homes, under the names of scanners, of libraries and of a browser. Each
    comes once or twice and never again. What breaks in is answered 500 (it worked, or nearly), 400 or 403; no address
    that is not there is asked for.

    Source: Amazon Web Services, "China-nexus cyber threat groups rapidly exploit React2Shell vulnerability
    (CVE-2025-55182)" (within hours), 2025-12-04.
    """
    rng = scene.rng
    pairs = max(how.sources, round(how.sources * how.per_s * how.lasts_s / 2))
    begins_s = np.sort(np.sqrt(rng.random(pairs)) * max(1.0, how.lasts_s - 4))
    half = how.sources // 2
    ip = np.concatenate([scene.addresses(half, "hosting"), scene.addresses(how.sources - half, "bot")])
    turn = scene.by_turns(np.arange(how.sources), pairs)
    ua: Ints = scene.world.agents.all(_SCANNERS)[rng.integers(0, len(_SCANNERS), how.sources)]
    who = {"ip": ip[turn], "ua": ua[turn]}
    looked = scene.requests(begins_s, "home", **who)
    status = rng.choice([500, 400, 403], pairs, p=[0.6, 0.25, 0.15])
    tried = scene.requests(begins_s + rng.uniform(0.1, 3, pairs), "graphql", status=status, **who)
    return together(looked, tried)


@family(oat="OAT-014", weak=Strength(1, 4, 2400), medium=Strength(2, 30, 900), strong=Strength(4, 100, 420))
def desync_probing(scene: Scene, how: Strength) -> Rows:
    """Where does a request end? Two servers are made to disagree, and the rest of one is read as another's beginning.

    Always two on one connection, a few milliseconds apart: something put into a cart with two lengths (400; one in six
    waits for what never comes, 408; one in ten is taken, 200), then an item as anybody asks for it. One in thirty of
    those is answered as what it is not (404, 405): it worked, and the next may be a customer's.

    Source: J. Kettle (PortSwigger), "HTTP/1.1 must die: the desync endgame", 2025-08-06; C. Linhart and others
    (Watchfire), "HTTP request smuggling", 2005.
    """
    rng = scene.rng
    begins_s = scene.steady(how.sources * how.per_s / 2, how.lasts_s)
    n = len(begins_s)
    ip = scene.addresses(how.sources, "hosting")[np.arange(n) % how.sources]
    who = {"ip": ip, "ua": scene.browser(ip)}
    status = rng.choice([400, 408, 200], n, p=[0.733, 1 / 6, 1 - 0.733 - 1 / 6])
    swallowed = np.where(rng.random(n) < 1 / 30, rng.choice([404, 405], n), 200)
    path = scene.world.items[zipf(rng, n, 200)]
    return together(
        scene.requests(begins_s, "cart_add", status=status, **who),
        scene.requests(begins_s + rng.uniform(0.002, 0.03, n), "item", path=path, status=swallowed, **who),
    )


@family(oat="OAT-015", weak=Strength(1, 6, 2400), medium=Strength(1, 40, 900), strong=Strength(3, 90, 300))
def cache_denial(scene: Scene, how: Strength) -> Rows:
    """One request a minute takes a page away from everybody: its error is kept in place of the page, until it lapses.

    Page by page what people want most, each with the kind of fault that works on it: a head too long (431), a character
    that must not be (400), a method within a method (405). As soon as an error is a minute old it is made anew. Nothing
    is answered otherwise, and what people are shown meanwhile never comes here.

    Source: H. V. Nguyen, L. Lo Iacono and H. Federrath, "Your cache has fallen: cache-poisoned denial-of-service
    attack", ACM CCS 2019, 2019-10-22 (cpdos.org).
    """
    rng, world = scene.rng, scene.world
    pages = max(1, round(how.sources * how.per_minute))
    rounds = max(3, round(how.lasts_s / _KEPT_S))
    wanted = np.concatenate([world.statics, world.items[:pages]])[:pages]
    late_s = rng.uniform(0, 40, pages) + rng.uniform(0, 1.5, (rounds, pages))
    at_s = (np.arange(rounds)[:, None] * _KEPT_S + late_s).ravel()
    page = np.tile(np.arange(pages), rounds)
    who = {
        "ip": scene.addresses(how.sources, "hosting")[page % how.sources],
        "ua": world.browsers[2:3],
        "status": np.array([431, 400, 405])[page % 3],
    }
    made = scene.requests(at_s, "item", path=wanted[page], **who)
    script = np.isin(wanted[page], world.statics)
    made[script] = scene.requests(at_s, "static", path=wanted[page], **who)[script]
    return made


@family(oat="OAT-015", weak=Strength(1, 2, 1800), medium=Strength(4, 6, 900), strong=Strength(12, 30, 300))
def saml_bomb(scene: Scene, how: Strength) -> Rows:
    """Nobody who works here gets in: the sign-on is handed messages that are small and swell to gigabytes in it.

    No name, no password, no second route. A half ends the process (500), a third takes it until it is given up (504);
    one in six is refused as too long or malformed (413, 400).

    Source: HeroDevs, CVE-2026-40988 (Spring Security inflates what comes to its single sign-on without a bound), 2026;
    CVE-2025-25293 (ruby-saml, the same), 2025-03-12.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=6.0)
    n = len(at_s)
    ip, ua = scene.by_turns(scene.addresses(how.sources, "hosting"), n), scene.tool("python-requests/2.32.3")
    status = scene.rng.choice([500, 504, 413, 400], n, p=[0.5, 1 / 3, 1 / 12, 1 / 12])
    return scene.requests(at_s, "sso", ip=ip, ua=ua, status=status)
