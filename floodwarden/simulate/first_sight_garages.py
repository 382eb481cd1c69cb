"""First sight: hard good cases of things whose owners stand before them: cars, and boxes behind the television."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import at_home
from floodwarden.simulate.scene import Rows, Scene, again, scripted, those, together

_REPEATS_S: Final = np.array([0.0, 1.0, 3.0, 7.0])  # the app's own: after one second, two, four
_KEY_APP: Final = "CarKey/4.2.1 (iOS 18.5; iPhone15,2)"
_DASHBOARD: Final = "HomeDash-car/0.38 (aiohttp/3.9.1)"


@case()
def locked_cars(scene: Scene) -> Rows:
    """Cars are opened by telephone, a release makes all cars talk more, and for two and a half hours none opens.

    A car for each 25 accounts with a key for all, every ten minutes; from twenty minutes before until the end of it
    every three, and in it each report fails (500), and once more after five seconds. Three in five owners want to
    drive: the app asks where the car is and, two to six times, opens it, and repeats by itself what fails (500) after
    one second, two and four. One owner in ten has a screen at home that asks every minute, all day. Within twenty
    minutes of the end the owners are back, and their cars open.

    Source: Tesla, the app's "500 server error", 2021-11-19, some five hours; E. Musk the next day: "we may have
    accidentally increased verbosity of network traffic".
    """
    rng, n = scene.rng, max(10, scene.clients // 25)
    begin_s, lasts_s = scene.moment(0.3, 0.55), min(9000.0, 0.25 * scene.span_s)
    end_s, loud_s = begin_s + lasts_s, begin_s - min(1200.0, 0.05 * scene.span_s)
    key, ua, parts = scene.key("key-fleet-cars"), scene.tool("TelematicsUnit/11.4 (LTE)"), []
    for one, ip in enumerate(scene.addresses(n, "device").tolist()):
        usual_s, often_s = scene.regular(0, scene.span_s, 600.0, 0.05), scene.regular(loud_s, end_s, 180.0, 0.05)
        at_s = np.concatenate([usual_s[(usual_s < loud_s) | (usual_s > end_s)], often_s])
        fails = (at_s > begin_s) & (at_s < end_s)
        path, car = f"/api/v1/devices/car-{one:04d}/telemetry", {"ip": ip, "key": key, "ua": ua}
        parts.append(scene.requests(at_s, "telemetry", path=path, status=np.where(fails, 500, 200), **car))
        parts.append(scene.requests(at_s[fails] + 5, "telemetry", path=path, status=500, **car))
    by = at_home(scene, n, 0.5)
    by["ua"] = np.full(n, scene.tool(_KEY_APP))
    unlock = scene.world.paths.all([f"/api/v2/devices?car={one:04d}&do=unlock" for one in range(n)])
    drivers = np.flatnonzero(rng.permutation(n) % 5 < 3)
    comes_s = begin_s + 0.9 * lasts_s * rng.random(len(drivers))
    press, nth = again(rng.integers(2, 7, len(drivers)))
    pressed_s = comes_s[press] + 12 + nth * 25 + rng.uniform(0, 10, len(press))
    for asked_s, who, endpoint in ((comes_s, drivers, "app_feed"), (pressed_s, drivers[press], "device")):
        tried_s = (asked_s[:, None] + _REPEATS_S + rng.uniform(0, 0.3, (len(asked_s), 4))).ravel()
        four = np.repeat(who, 4)
        tried = scene.requests(tried_s, endpoint, status=500, **those(by, four))
        if endpoint == "device":
            tried["path"] = unlock[four]
        parts.append(tried)
    back_s = end_s + min(1200.0, 0.1 * scene.span_s) * rng.random(len(drivers))
    opened = scripted(scene, back_s, [("app_feed", 0.0, 200), ("device", 8.0, 200)], **those(by, drivers))
    opened["path"][len(drivers) :] = unlock[drivers]
    homes = np.arange(0, n, 10)
    for one, ip in zip(homes.tolist(), scene.addresses(len(homes), "home").tolist(), strict=True):
        at_s = scene.regular(0, scene.span_s, 60.0, 0.02)
        status = np.where((at_s > begin_s) & (at_s < end_s), 500, 200)
        user, dash = int(by["user"][one]), scene.tool(_DASHBOARD)
        parts.append(scene.requests(at_s, "app_feed", ip=ip, user=user, ua=dash, status=status))
    return together(*parts, opened)
