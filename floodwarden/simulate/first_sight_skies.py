"""First sight: hard good cases of things far out, and of where one is: weeks, passes, a frost, the wrong country."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together

_PASS_S: Final = 5700.0  # from one pass to the next
_SEEN_S: Final = 540.0  # so long it is above the horizon
_VALVES: Final = 4


@case()
def gps_rollover(scene: Scene) -> Rows:
    """The satellites begin to count weeks anew, and trackers of one make report what was twenty years ago.

    A tracker for each sixteen accounts, in lorries, behind one key; every five minutes. From that second on what two in
    three say is refused (422), and said twice more, after twenty seconds and after a minute. After three hours the shop
    has learned to read it: each hands in what it kept, two a second, and all is well.
    """
    rng, trackers = scene.rng, max(12, scene.clients // 16)
    over_s, lasts_s = scene.moment(0.2, 0.5), min(10_800.0, 0.3 * scene.span_s)
    read_s = over_s + lasts_s
    key, ua = scene.key("key-fleet-trackers"), [scene.tool(name) for name in ("roadmate/2.8.1", "truckeye-fw/11.0")]
    parts = []
    for one, ip in enumerate(scene.addresses(trackers, "mobile").tolist()):
        old = one % 3 < 2
        who = {"ip": ip, "key": key, "ua": ua[0 if old else 1]}
        base = f"/api/v1/devices/trk-{one:04d}/telemetry?week="
        weeks = scene.world.paths.all([f"{base}{1023 if old else 2047}", f"{base}{0 if old else 2048}"])
        at_s = scene.regular(0, scene.span_s, 300.0, 0.05)
        wrong = old & (at_s >= over_s) & (at_s < read_s)
        path = np.where(at_s < over_s, weeks[0], weeks[1])
        parts.append(scene.requests(at_s, "telemetry", path=path, status=np.where(wrong, 422, 200), **who))
        again_s = (at_s[wrong][:, None] + np.array([20.0, 80.0])).ravel()
        again = np.where(again_s < read_s, 422, 200)
        parts.append(scene.requests(again_s, "telemetry", path=np.repeat(path[wrong], 2), status=again, **who))
        kept = int(wrong.sum())
        in_s = np.asarray(read_s + rng.uniform(0, 2.4 * trackers) + np.arange(kept) * 0.5, np.float64)
        parts.append(scene.requests(in_s, "telemetry", path=weeks[1:].repeat(kept), **who))
    return together(*parts)


@case()
def satellite_passes(scene: Scene) -> Rows:
    """Buoys at sea are heard when the satellite comes over them: all at once, and then for an hour and a half nothing.

    A buoy for each 25 accounts, behind two ground stations with one key. Every 95 minutes, within nine, one after the
    other hands in the eighteen to thirty reports that it kept, three a second; many are heard at the same time. One in
    thirty arrives broken (400), and comes again when the satellite does.
    """
    rng, buoys = scene.rng, max(8, scene.clients // 25)
    every_s = min(_PASS_S, 0.3 * scene.span_s)
    passes_s = np.arange(rng.uniform(0, 0.5) * every_s, scene.span_s - 60, every_s)
    stations = scene.addresses(2, "office")
    rises_s = np.sort(rng.uniform(0, 0.85 * min(_SEEN_S, every_s / 5), buoys))
    parts = []
    for nth, pass_s in enumerate(passes_s.tolist()):
        each = rng.integers(18, 31, buoys)
        by = np.repeat(np.arange(buoys), each)
        kept = np.arange(len(by)) - np.repeat(np.cumsum(each) - each, each)
        at_s = pass_s + rises_s[by] + kept / 3 + rng.uniform(0, 0.1, len(by))
        path = [f"/api/v1/devices/buoy-{one:03d}/telemetry?pass={nth}&frame={at}"
                for one, at in zip(by.tolist(), kept.tolist(), strict=True)]  # fmt: skip
        broken = rng.random(len(by)) < 1 / 30
        who = {"key": np.array([scene.key("key-fleet-buoys")]), "ua": np.array([scene.tool("groundlink/2.1 (sbd)")])}
        code, status = scene.world.paths.all(path), np.where(broken, 400, 200)
        parts.append(scene.requests(at_s, "telemetry", path=code, ip=stations[by % 2], status=status, **who))
        if nth + 1 < len(passes_s):
            again_s = at_s[broken] + every_s
            parts.append(scene.requests(again_s, "telemetry", path=code[broken], ip=stations[by[broken] % 2], **who))
    return together(*parts)


@case()
def frost_night(scene: Scene) -> Rows:
    """Frost comes down a valley of vines: sensor after sensor reports faster, and the growers get up at three.

    A sensor for each 25 accounts with a key for all, every ten minutes; for three hours, the lowest first and the
    highest half an hour later, every ninety seconds. A grower has four of them: woken by the first he signs in, one in
    five mistyping, has the feed every minute and opens his four valves one by one, each tried again after five seconds
    while it is frozen (503, a third). At sunrise all are shut within ten minutes.
    """
    rng, sensors = scene.rng, max(8, scene.clients // 25)
    begin_s, lasts_s = scene.moment(0.25, 0.5), min(10_800.0, 0.35 * scene.span_s)
    cold_s = begin_s + np.linspace(0, min(1800.0, lasts_s / 4), sensors)
    over_s = begin_s + lasts_s
    key, ua = scene.key("key-fleet-vines"), scene.tool("vine-node/1.7 (lora-bridge)")
    parts = []
    for one, ip in enumerate(scene.addresses(sensors, "device").tolist()):
        usual_s, fast_s = scene.regular(0, scene.span_s, 600.0, 0.05), scene.regular(cold_s[one], over_s, 90.0, 0.05)
        usual_s = usual_s[(usual_s < cold_s[one]) | (usual_s > over_s)]
        path = f"/api/v1/devices/vine-{one:04d}/telemetry"
        at_s = np.concatenate([usual_s, fast_s])
        parts.append(scene.requests(at_s, "telemetry", path=path, ip=ip, key=key, ua=ua))
    growers = max(2, sensors // 4)
    homes, accounts = scene.addresses(growers, "home"), scene.accounts(growers, distinct=True)
    app = np.array([scene.tool("ShopApp/6.2.0 (Android 15)")])
    for one in range(growers):
        who = {"ip": homes[one : one + 1], "user": accounts[one : one + 1], "ua": app}
        woken_s = float(cold_s[min(one * 4, sensors - 1)]) + rng.uniform(30, 240)
        signs_s = np.asarray(woken_s + 14.0 * np.arange(2 if one % 5 == 0 else 1), np.float64)
        status = np.where(np.arange(len(signs_s)) < len(signs_s) - 1, 401, 200)
        parts.append(scene.requests(signs_s, "login", status=status, **who))
        parts.append(scene.requests(scene.regular(signs_s[-1] + 3, over_s, 60.0, 0.2), "app_feed", **who))
        for valve in range(_VALVES):
            frozen = int(rng.geometric(2 / 3)) - 1
            opens_s = np.asarray(signs_s[-1] + 25 + 20 * valve + 5.0 * np.arange(frozen + 1), np.float64)
            answer = np.where(np.arange(frozen + 1) < frozen, 503, 200)
            base = f"/api/v2/devices?serial=VLV{one * _VALVES + valve:05d}&set="
            parts.append(scene.requests(opens_s, "device", path=f"{base}open", status=answer, **who))
            shut_s = np.array([over_s + rng.uniform(0, 600)])
            parts.append(scene.requests(shut_s, "device", path=f"{base}shut", **who))
    return together(*parts)
