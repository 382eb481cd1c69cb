"""First sight: hard good cases at desks: whoever watches us."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together


@case()
def outage_watchers(scene: Scene) -> Rows:
    """The shop fails for eleven minutes, and the monitors that customers set upon it all want to know exactly.

    A monitor for each thirty-three accounts, of one of four services, looks at the front page from one of twelve places
    every three minutes. When it is down (503): at once from three other places as well, then every ten seconds until it
    is up, and once more from all twelve, to be sure. Nobody told us of these monitors.
    """
    rng, monitors = scene.rng, max(8, scene.clients // 33)
    begin_s, down_s = scene.moment(0.3, 0.7), min(660.0, 0.1 * scene.span_s)
    places = scene.addresses(12, "hosting")
    names = (
        "UptimeEye/3.0",
        "PingHarbor/2.6 (+https://ping.example)",
        "StatusOwl/1.9",
        "Mozilla/5.0 (compatible; Watchly)",
    )
    agents = np.array([scene.tool(name) for name in names])
    parts = []
    for one in range(monitors):
        who, ua = rng.permutation(12), agents[one % 4 : one % 4 + 1]
        at_s = scene.regular(0, scene.span_s, 180.0, 0.01)
        down = (at_s >= begin_s) & (at_s < begin_s + down_s)
        kept = ~down
        parts.append(scene.requests(at_s[kept], "home", ip=places[who[:1]], ua=ua))
        if not down.any():
            continue
        seen_s = float(at_s[down][0])
        sure_s = np.repeat(seen_s, 4) + np.array([0.0, 1.0, 1.2, 1.5])
        parts.append(scene.requests(sure_s, "home", ip=places[who[:4]], ua=ua, status=np.full(4, 503)))
        close_s = np.arange(seen_s + 10, begin_s + down_s, 10.0)
        parts.append(scene.requests(close_s, "home", ip=places[who[:1]], ua=ua, status=np.full(len(close_s), 503)))
        up_s = begin_s + down_s + rng.uniform(0, 10) + rng.uniform(0, 2, 12)
        parts.append(scene.requests(up_s, "home", ip=places, ua=ua))
    return together(*parts)
