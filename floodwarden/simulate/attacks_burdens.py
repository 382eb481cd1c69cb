"""Attacks that weigh on the site: hung up on, reflected, quotas burnt."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import SEARCHES

_STREAMS: Final = 15  # opened and dropped at once
_KEY_A_MINUTE: Final = 130  # a little more than a customer's key may


@family(oat="OAT-015", weak=Strength(10, 3, 1800), medium=Strength(60, 15, 600), strong=Strength(150, 100, 180))
def hangups(scene: Scene, how: Strength) -> Rows:
    """Searches are begun by the dozen on one connection and hung up on before the first byte: the work is done in vain.

    Fifteen within a tenth of a second, then nothing until the next; 24 in 25 end as abandoned (499), the rest was too
    fast to be stopped (200). Each address stays below its limit, and no answer is ever read.

    Source: CVE-2023-44487 (HTTP/2 rapid reset); Cloudflare, "HTTP/2 rapid reset: deconstructing the record-breaking
    attack", 2023-10-10.
    """
    rng = scene.rng
    bursts = max(how.sources, int(how.sources * how.per_s * how.lasts_s) // _STREAMS)
    burst = np.repeat(np.arange(bursts), _STREAMS)
    at_s = scene.scattered(bursts, how.lasts_s)[burst] + rng.uniform(0, 0.1, len(burst))
    ip = scene.addresses(how.sources, "bot")[burst % how.sources]
    path = scene.world.searches[rng.integers(0, SEARCHES, len(burst))]
    status = scene.mostly(len(burst), 499, 200, 1 / 25)
    return scene.requests(at_s, "search", path=path, ip=ip, ua=scene.browser(ip), status=status)


@family(oat="OAT-015", weak=Strength(60, 0.4, 1500), medium=Strength(300, 3, 600), strong=Strength(900, 12, 240))
def pingback_reflection(scene: Scene, how: Strength) -> Rows:
    """Other people's blogs are told that the front page links to them, and all look whether it does, again and again.

    The machines are what they say, and their owners know nothing of it: each has its own blog's name in its user agent.
    A number of its own in every address of the page gets past caches; the more there are, the more is 503 (to 20 %).

    Source: D. Cid (Sucuri), "More than 162,000 WordPress sites used for distributed denial of service attack",
    2014-03-10.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    at_s, who = scene.scattered(n, how.lasts_s), scene.by_turns(np.arange(how.sources), n)
    ip, blog = scene.addresses(how.sources, "hosting"), rng.integers(10_000, 99_999, how.sources).tolist()
    agents = scene.world.agents.all(
        [f"WordPress/5.{one % 9}; https://blog{one}.example; verifying pingback from 203.0.113.9" for one in blog]
    )
    drawn = rng.integers(1 << 22, size=(n, 2)).tolist()
    asked = [f"/?{one}={other}" for one, other in drawn]
    status = scene.mostly(n, 200, 503, min(0.2, n / how.lasts_s / 600))
    return scene.requests(at_s, "home", path=asked, ip=ip[who], ua=agents[who], status=status)


@family(weak=Strength(4, 3.2, 2400), medium=Strength(10, 4.3, 1200), strong=Strength(30, 13, 480))
def quota_burning(scene: Scene, how: Strength) -> Rows:
    """A customer's key, seen in his app, is used up at the beginning of the minute, so that he himself is refused.

    The cheapest request there is, 130 times within four seconds, then silence until the next minute that is to be
    spoilt: one in ten when it is weak, more than one in three, and every minute for three keys at once when it is
    strong. Nothing is read.

    Source: Truffle Security, "Google API keys weren't secrets. But then Gemini changed the rules" (public keys, whose
    quota others may exhaust), 2026-02-25; OWASP API Security Top 10, API4:2023.
    """
    rng = scene.rng
    bursts = max(1, round(how.sources * how.per_s * how.lasts_s / _KEY_A_MINUTE))
    keys = [scene.key(f"key-app-{one:02d}") for one in rng.permutation(40)[: 3 if how.per_minute > 10 else 1].tolist()]
    minutes = max(1, int(how.lasts_s // 60))
    whole_s = -(scene.start_ms % 60_000) / 1000 % 60  # until the first full minute
    burst = np.repeat(np.arange(bursts), _KEY_A_MINUTE)
    spoilt = np.arange(bursts) // len(keys) * minutes // -(-bursts // len(keys))
    at_s = whole_s + 60.0 * spoilt[burst] + rng.uniform(0, 4, len(burst))
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), len(burst))
    key = np.array(keys)[burst % len(keys)]
    return scene.requests(at_s, "api_items", ip=ip, key=key, ua=scene.tool("Go-http-client/2.0"))
