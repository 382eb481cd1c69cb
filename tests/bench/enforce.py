"""From an alert on the topic to the feed entry every limiter waits for, beside Redis PING and one bare Kafka hop.

`floodwarden bench enforce` calls `run()`; it starts a broker, a Redis and an enforcer of its own. The chain holds two
Kafka hops (the alert, the action) and one script. Samples are taken in turn, so that whatever else the machine does
meets all of them alike.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from enforcer.broker import FETCH_WAIT_MS
from floodwarden import embedded

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from enforcer_world import World, alert, eventually

SAMPLES = 60
WARM_UP = 5


class _Hop:
    """A bare produce -> consume: the floor of anything that goes over this broker."""

    def __init__(self, world: World) -> None:
        self._topic = world.settings.topic_prefix + "usage"
        servers = world.settings.kafka
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": "hop", "fetch.wait.max.ms": FETCH_WAIT_MS})
        self._consumer.assign([TopicPartition(self._topic, 0, 0)])

    def __call__(self) -> None:
        self._producer.produce(self._topic, b"x", partition=0)
        self._producer.poll(0)
        while True:
            message = self._consumer.poll(10)
            assert message is not None
            if not message.error():
                return

    def close(self) -> None:
        self._producer.flush(5)
        self._consumer.close()


def run() -> dict[str, Any]:
    """Milliseconds from produce to visible, p50 and p99, and the ratios to the peers' p50."""
    samples: dict[str, list[float]] = {"alert_to_feed": [], "kafka_hop": [], "redis_ping": []}
    with embedded.broker() as broker, embedded.redis() as url:
        world = World(broker, url, f"b{uuid.uuid4().hex[:8]}.", live_floor=1000)
        hop = _Hop(world)
        with world.enforcer(quiet=True):
            last = "0-0"
            for n in range(SAMPLES + WARM_UP):
                took: dict[str, float] = {}
                last, took["alert_to_feed"] = _enforce(world, f"198.51.100.{n}", last)
                took["kafka_hop"] = _timed(hop)
                took["redis_ping"] = _timed(world.redis.ping)
                if n >= WARM_UP:
                    for name, ms in took.items():
                        samples[name].append(ms)
            acknowledged = _acknowledged(world)
        hop.close()
    return _result(samples, acknowledged)


def _enforce(world: World, value: str, last: str) -> tuple[str, float]:
    told = alert(value)
    began = time.perf_counter()
    world.send(told)
    found: Any = world.redis.xread({world.keys.feed: last}, block=10_000)
    took_ms = (time.perf_counter() - began) * 1000
    return str(found[0][1][-1][0]), took_ms


def _acknowledged(world: World) -> int:
    world.node("limiter-1")
    eventually(lambda: world.get("/v1/enforcements").json()["enforcements"])
    return len(world.get("/v1/enforcements").json()["enforcements"])


def _timed(act: Any) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def _share(taken: list[float], share: float) -> float:
    return round(sorted(taken)[min(len(taken) - 1, int(len(taken) * share))], 3)


def _result(samples: dict[str, list[float]], acknowledged: int) -> dict[str, Any]:
    figures = {f"{n}_{label}": _share(t, s) for n, t in samples.items() for label, s in (("p50", 0.5), ("p99", 0.99))}
    ours = {name: figures.pop(f"alert_to_feed_{name}") for name in ("p50", "p99")}
    return {
        "name": "enforce",
        "unit": "ms",
        "ours": ours["p50"],
        "ours_p99": ours["p99"],
        "peers": figures,
        "limit": "one alert at a time, one enforcer, embedded broker and Redis on the same machine",
        "ratios": {name: round(ours["p50"] / figures[f"{name}_p50"], 2) for name in ("kafka_hop", "redis_ping")},
        "samples": len(samples["alert_to_feed"]),
        "acknowledged": acknowledged,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
