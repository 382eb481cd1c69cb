"""Machines with good intent: pollers, batch jobs, a CI job that ignores 429, a search engine, a fleet of devices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.world import ENDPOINT_CODES, ITEMS, Ints, World, rows


def pollers(rng: np.random.Generator, world: World, config: SimulationConfig) -> NDArray[np.void]:
    """Fourteen keys asking the same few things every 10 to 60 seconds, day and night."""
    made = []
    for number, ip in enumerate(world.addresses("partner", 14)):
        every_s = rng.uniform(10, 60)
        at_s = _regular(rng, 0, config.duration_s, every_s, 0.04)
        endpoint = ("api_orders", "api_items", "api_orders")[number % 3]
        polled = _keyed(world, at_s, config, ip, f"key-poll-{number:02d}", f"orders-sync/{number % 4}.2")
        polled["endpoint"], polled["path"] = ENDPOINT_CODES[endpoint], world.fixed(endpoint)
        polled["status"][rng.random(len(polled)) < 0.001] = 503
        polled["label"] = world.labels.code("benign/poller")
        made.append(polled)
    return np.concatenate(made)


def batches(rng: np.random.Generator, world: World, config: SimulationConfig) -> NDArray[np.void]:
    """Four keys that on the hour walk hundreds of items at 2 to 6 a second, now and then one that is gone."""
    made = []
    for number, ip in enumerate(world.addresses("partner", 4)):
        stock = number % 2 == 1
        for hour in range(int(config.duration_s // 3600) + 1):
            if (hour + number) % 3 == 2:
                continue
            begin_s = hour * 3600 + 120 * number + rng.uniform(0, 60)
            n = int(rng.integers(250, 900))
            at_s = begin_s + np.cumsum(rng.gamma(4, 1 / rng.uniform(8, 24), n))
            walked = _keyed(world, at_s, config, ip, f"key-batch-{number}", "nightly-import/3.1 python-requests/2.32")
            item = (int(rng.integers(0, ITEMS)) + np.arange(len(walked))) % ITEMS
            walked["endpoint"] = ENDPOINT_CODES["api_stock" if stock else "api_item"]
            walked["path"] = (world.stock if stock else world.api_items)[item]
            walked["status"] = np.where(rng.random(len(walked)) < 0.004, 404, 200)
            walked["label"] = world.labels.code("benign/batch")
            made.append(walked)
    return np.concatenate(made)


def ci_jobs(rng: np.random.Generator, world: World, config: SimulationConfig) -> NDArray[np.void]:
    """Three keys that for two to four minutes fetch packages at about four a second and take no notice of 429."""
    made = []
    packages = world.paths.all([f"/api/v1/packages/lib-{n}" for n in range(90)])
    for number, ip in enumerate(world.addresses("partner", 3)):
        runs = max(1, round(config.duration_s / 86_400 * 14))
        for begin_s in np.sort(rng.uniform(0, config.duration_s * 0.9, runs)):
            n = int(rng.integers(480, 960))
            at_s = begin_s + np.cumsum(rng.exponential(0.25, n))
            run = _keyed(world, at_s, config, ip, f"key-ci-{number}", "ci-runner/9.4")
            run["endpoint"] = ENDPOINT_CODES["build"]
            run["path"] = packages[np.arange(len(run)) % len(packages)]
            run["label"] = world.labels.code("benign/ci")
            made.append(run)
    return np.concatenate(made)


def crawler(rng: np.random.Generator, world: World, config: SimulationConfig) -> NDArray[np.void]:
    """A search engine: three addresses, one request every few seconds, the whole catalogue over and over."""
    made = []
    for number, ip in enumerate(world.addresses("engine", 3)):
        at_s = _regular(rng, 0, config.duration_s, 5.0, 0.4)
        walk = rows(len(at_s), ts_ms=_ms(config, at_s), ip=ip)
        item = (number * 2000 + np.arange(len(walk))) % ITEMS
        walk["endpoint"], walk["path"] = ENDPOINT_CODES["item"], world.items[item]
        walk["status"] = np.where(rng.random(len(walk)) < 0.006, 404, 200)
        walk["ua"] = world.agents.code("Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about)")
        walk["label"] = world.labels.code("benign/crawler")
        made.append(walk)
    return np.concatenate(made)


def fleet(rng: np.random.Generator, world: World, config: SimulationConfig) -> NDArray[np.void]:
    """Three hundred devices behind one key, each from its own address, reporting every few minutes."""
    made = []
    for number, ip in enumerate(world.addresses("device", 300)):
        at_s = _regular(rng, rng.uniform(0, 300), config.duration_s, 300.0, 0.1)
        sent = _keyed(world, at_s, config, ip, "key-fleet-0", "sensor-fw/4.0.1")
        sent["endpoint"] = ENDPOINT_CODES["telemetry"]
        sent["path"] = world.paths.code(f"/api/v1/devices/{number}/telemetry")
        sent["label"] = world.labels.code("benign/fleet")
        made.append(sent)
    return np.concatenate(made)


def _regular(
    rng: np.random.Generator, begin_s: float, end_s: float, every_s: float, jitter: float
) -> NDArray[np.float64]:
    at_s = np.arange(begin_s + rng.uniform(0, every_s), end_s, every_s)
    return np.asarray(at_s + rng.normal(0, every_s * jitter, len(at_s)))


def _ms(config: SimulationConfig, at_s: NDArray[np.float64]) -> Ints:
    return config.start_ms + (np.maximum(at_s, 0) * 1000).astype(np.int64)


def _keyed(
    world: World, at_s: NDArray[np.float64], config: SimulationConfig, ip: np.int64, key: str, agent: str
) -> NDArray[np.void]:
    made = rows(len(at_s), ts_ms=_ms(config, at_s), ip=int(ip))
    made["key"], made["ua"] = world.keys.code(key), world.agents.code(agent)
    return made
