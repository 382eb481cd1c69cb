"""Machines with good intent, part of every day: pollers, batches, CI jobs, a search engine, devices, scripts."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import daily
from floodwarden.simulate.scene import Rows, Scene, Seconds, together
from floodwarden.simulate.world import ITEMS

ENGINE: Final = "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about)"


@case(usual=True)
def poller(scene: Scene) -> Rows:
    """API keys asking the same few things every 10 to 60 seconds, day and night."""
    made = []
    for number, ip in enumerate(scene.addresses(14, "partner")):
        at_s = scene.regular(0, scene.span_s, scene.rng.uniform(10, 60), 0.04)
        endpoint = ("api_orders", "api_items", "api_orders")[number % 3]
        key, ua = scene.key(f"key-poll-{number:02d}"), scene.tool(f"orders-sync/{number % 4}.2")
        status = scene.mostly(len(at_s), 200, 503, 0.001)
        made.append(scene.requests(at_s, endpoint, ip=int(ip), key=key, ua=ua, status=status))
    return together(*made)


@case(usual=True)
def batch(scene: Scene) -> Rows:
    """Partners' jobs that walk hundreds of items at 2 to 6 a second, every hour or two."""
    rng, world = scene.rng, scene.world
    made = []
    for number, ip in enumerate(scene.addresses(4, "partner")):
        endpoint, walk = ("api_stock", world.stock) if number % 2 == 1 else ("api_item", world.api_items)
        key, ua = scene.key(f"key-batch-{number}"), scene.tool("nightly-import/3.1 python-requests/2.32")
        for hour in range(int(scene.span_s // 3600) + 1):
            if (hour + number) % 3 == 2:
                continue
            n = int(rng.integers(250, 900))
            begin_s = hour * 3600 + 120 * number + rng.uniform(0, 60)
            at_s = begin_s + np.cumsum(rng.gamma(4, 1 / rng.uniform(8, 24), n))
            path = walk[(int(rng.integers(0, ITEMS)) + np.arange(n)) % ITEMS]
            status = scene.mostly(n, 200, 404, 0.004)
            made.append(scene.requests(at_s, endpoint, path=path, ip=int(ip), key=key, ua=ua, status=status))
    return together(*made)


@case(usual=True)
def ci(scene: Scene) -> Rows:
    """Build jobs that fetch packages at four a second and take no notice of 429."""
    rng = scene.rng
    packages = scene.world.paths.all([f"/api/v1/packages/lib-{n}" for n in range(90)])
    made = []
    for number, ip in enumerate(scene.addresses(3, "partner")):
        key, ua = scene.key(f"key-ci-{number}"), scene.tool("ci-runner/9.4")
        for begin_s in rng.uniform(0, scene.span_s * 0.9, max(1, round(scene.span_s / 86_400 * 14))):
            n = int(rng.integers(480, 960))
            at_s = begin_s + np.cumsum(rng.exponential(0.25, n))
            path = packages[np.arange(n) % len(packages)]
            made.append(scene.requests(at_s, "build", path=path, ip=int(ip), key=key, ua=ua))
    return together(*made)


@case(usual=True)
def crawler(scene: Scene) -> Rows:
    """A search engine: three addresses, a request every few seconds, every item over and over."""
    made = []
    for number, ip in enumerate(scene.addresses(3, "engine")):
        at_s = scene.regular(0, scene.span_s, 5.0, 0.4)
        path = scene.world.items[(number * 2000 + np.arange(len(at_s))) % ITEMS]
        status = scene.mostly(len(at_s), 200, 404, 0.006)
        made.append(scene.requests(at_s, "item", path=path, ip=int(ip), status=status, ua=scene.tool(ENGINE)))
    return together(*made)


@case(usual=True)
def fleet(scene: Scene) -> Rows:
    """Three hundred devices behind one key, each from its own address, reporting every five minutes."""
    key, ua = scene.key("key-fleet-0"), scene.tool("sensor-fw/4.0.1")
    made = []
    for number, ip in enumerate(scene.addresses(300, "device")):
        at_s = scene.regular(scene.rng.uniform(0, 300), scene.span_s, 300.0, 0.1)
        path = f"/api/v1/devices/{number}/telemetry"
        made.append(scene.requests(at_s, "telemetry", path=path, ip=int(ip), key=key, ua=ua))
    return together(*made)


def customers(scene: Scene) -> Rows:
    """Ordinary traffic with a key: forty customers' scripts that run some times a day, from an address or two each."""
    rng = scene.rng
    made = []
    for number in range(40):
        key, ua = scene.key(f"key-app-{number:02d}"), scene.tool()
        where = scene.addresses(1 + number % 2, "home")
        for begin_s in daily(scene, max(1, round(scene.span_s / 86_400 * 12)), scene.start_ms):
            n = int(rng.integers(8, 60))
            at_s = begin_s + np.cumsum(rng.lognormal(0.6, 0.8, n))
            path = scene.world.api_items[rng.integers(0, 400, n)]
            ip = int(where[rng.integers(len(where))])
            status = scene.mostly(n, 200, 404, 0.01)
            made.append(scene.requests(at_s, "api_item", path=path, ip=ip, key=key, ua=ua, status=status))
    return together(*made)


def backing_off(scene: Scene, begin_s: float, end_s: float, first_s: float, most_s: float) -> Seconds:
    """Tries from a beginning on, each twice as long after the last one as that after its own, up to `most_s`."""
    n = 2 + int(np.log2(most_s / first_s)) + int(max(0.0, end_s - begin_s) / (0.8 * most_s))
    waits_s = np.minimum(first_s * 2.0 ** np.minimum(np.arange(n), 30), most_s) * scene.rng.uniform(0.85, 1.15, n)
    at_s = begin_s + np.concatenate(([0.0], np.cumsum(waits_s)))
    return np.asarray(at_s[at_s < end_s])
