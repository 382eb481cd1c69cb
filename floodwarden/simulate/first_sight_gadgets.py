"""First sight: attacks by and on things that report: meters, inverters, charging points, and a sensor that is none."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together

_SLOTS: Final = 96  # quarters of an hour in a day
_ROUND_S: Final = 60.0
_POSTS: Final = 20  # charging points to an address


@family(weak=Strength(3, 0.3, 3600), medium=Strength(20, 1, 1800), strong=Strength(80, 4, 600))
def meter_tampering(scene: Scene, how: Strength) -> Rows:
    """Households have their meter tell it anew: the day's reports are overwritten, quarter by quarter, with less.

    At home, a box bought on the internet with the fleet's own key: a meter each, backwards from the latest quarter of
    an hour. Each first as a report (409: there is one), and at once as its correction (200); a meter itself reports
    once in five minutes and corrects nothing.

    Source: B. Krebs, "FBI: smart meter hacks likely to spread" (meters told to record less, for a fee), 2012-04-09.
    """
    rng, m = scene.rng, how.sources
    pairs = max(2, round(how.per_s * how.lasts_s / 2))
    by, nth = np.repeat(np.arange(m), pairs), np.tile(np.arange(pairs), m)
    latest = rng.integers(0, _SLOTS, m)
    slot = ((latest[by] - nth) % _SLOTS).tolist()
    late_s = rng.uniform(0, 0.3 * how.lasts_s, m)
    at_s = late_s[by] + (nth + rng.uniform(0, 0.5, len(by))) * (0.95 * how.lasts_s - late_s[by]) / pairs
    meter = rng.permutation(300)[:m][by].tolist()
    base = [f"/api/v1/devices/{one}/telemetry?slot={at // 4:02d}:{at % 4 * 15:02d}"
            for one, at in zip(meter, slot, strict=True)]  # fmt: skip
    who = {
        "ip": scene.addresses(m, "neighbour")[by],
        "key": np.array([scene.key("key-fleet-0")]),
        "ua": np.array([scene.tool("sensor-fw/4.0.1 (bridge)")]),
    }
    told = scene.requests(at_s, "telemetry", path=base, status=409, **who)
    corrected_s = at_s + np.minimum(rng.uniform(0.5, 1.5, len(by)), 0.2 * how.lasts_s / pairs)
    corrected = scene.requests(corrected_s, "telemetry", path=[f"{one}&corrects=1" for one in base], **who)
    return together(told, corrected)


@family(weak=Strength(1, 5, 1800), medium=Strength(3, 60, 900), strong=Strength(8, 300, 360))
def load_switching(scene: Scene, how: Strength) -> Rows:
    """Somebody has the inverters of a whole valley in hand, and switches all of them off and on in the same second.

    With installers' keys, from rented machines: every minute the same devices at once, off, a minute later on; one in
    twenty does not answer (404). Between the minutes nothing; no state is read, no device is added.

    Source: Bitdefender, "60 hurts per second: how we got access to enough solar power to run the United States"
    (tokens for any installer's devices), 2024-08-07.
    """
    rng, m = scene.rng, how.sources
    round_s = min(_ROUND_S, how.lasts_s / 3)
    rounds = max(2, int(how.lasts_s / round_s))
    devices = max(m, round(m * how.per_s * how.lasts_s / rounds))
    which, turn = np.tile(np.arange(devices), rounds), np.repeat(np.arange(rounds), devices)
    at_s = turn * round_s + 0.25 * round_s + rng.gamma(2, 0.15, len(turn))
    serials = rng.integers(1 << 30, size=devices).tolist()
    paths = [[f"/api/v2/devices?serial=INV{one:010d}&set={to}" for one in serials] for to in ("off", "on")]
    path = np.stack([scene.world.paths.all(one) for one in paths])[turn % 2, which]
    deaf = rng.permutation(devices) % 20 == 19
    keys = scene.world.keys.all([f"key-batch-installer-{one}" for one in range(m)])
    return scene.requests(
        at_s,
        "device",
        path=path,
        ip=scene.addresses(m, "hosting")[which % m],
        key=keys[which % m],
        status=np.where(deaf[which], 404, 200),
        ua=scene.tool("python-requests/2.31.0"),
    )


@family(weak=Strength(1, 4, 2400), medium=Strength(2, 40, 900), strong=Strength(6, 180, 360))
def charger_eviction(scene: Scene, how: Strength) -> Rows:
    """Charging points are put out of service by who says he is them: who registers last is the one that is listened to.

    Twenty to an address, round and round, each registered again (201) before the true one has recovered, and one in
    five tells that it is out of order. The operator's key, read out of one of them; never a new device, nothing asked.

    Source: SaiFlow, "Hijacking EV charge points to cause DoS" (a second connection in a charging point's name ends the
    first), 2023-02-01.
    """
    rng, m = scene.rng, how.sources
    n = max(2 * _POSTS, round(m * how.per_s * how.lasts_s / 1.2))
    at_s = np.arange(n) * (how.lasts_s - 3) / n + rng.uniform(0, 0.5 * how.lasts_s / n, n)
    turn = np.arange(n) % m
    post = turn * _POSTS + np.arange(n) // m % _POSTS
    who = {
        "ip": scene.addresses(m, "hosting")[turn],
        "key": np.array([scene.key("key-fleet-chargers")]),
        "ua": np.array([scene.tool("ocpp-gateway/1.6 Python/3.11 websockets/12.0")]),
    }
    joined = [f"/api/v2/devices?serial=EVSE{one:05d}" for one in post.tolist()]
    made = scene.requests(at_s, "device", path=joined, status=201, **who)
    told = [f"/api/v1/devices/evse-{one:05d}/telemetry?state=faulted" for one in post.tolist()]
    broken = scene.requests(at_s + rng.uniform(0.2, 1.5, n), "telemetry", path=told, **who)
    return together(made, broken[np.arange(n) // (m * _POSTS) % 5 == np.arange(n) // m % 5])


@family(weak=Strength(30, 0.05, 3600), medium=Strength(200, 0.1, 2400), strong=Strength(900, 0.6, 900))
def covert_reports(scene: Scene, how: Strength) -> Rows:
    """What a script in other shops takes off their customers' forms leaves as reports of a device that does not exist.

    Browsers all over the world, each at its own moment, post to one device's telemetry (to eight of them when it is
    strong): a form in pieces within some seconds, three or more, all taken (200), and none of them ever opens a page.

    Source: Kaspersky, "Web skimming with Google Analytics" (cards sent away as measurements), 2020-06-22.
    """
    rng, m = scene.rng, how.sources
    pieces = np.maximum(3, rng.poisson(how.per_s * how.lasts_s, m))
    by = np.repeat(np.arange(m), pieces)
    nth = np.arange(len(by)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begins_s = scene.scattered(m, max(1.0, how.lasts_s - 12))
    at_s = begins_s[by] + nth * 0.6 + rng.uniform(0, 0.5, len(by))
    devices = 8 if m > 500 else 1
    kits = scene.world.keys.all([f"key-kit-{one:04d}" for one in rng.permutation(9000)[:devices].tolist()])
    ids = scene.world.paths.all(
        [f"/api/v1/devices/{one}/telemetry" for one in rng.integers(8000, 9000, devices).tolist()]
    )
    ip = scene.addresses(m, "bot")
    sink = by % devices
    return scene.requests(at_s, "telemetry", path=ids[sink], ip=ip[by], key=kits[sink], ua=scene.browser(ip)[by])
