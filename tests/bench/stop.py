"""From `floodwarden stop` to nothing automatic in force at any limiter, by how much of it stands.

`floodwarden bench stop` calls `run()`: an enforcer and 8 limiters, each a process of its own, on a Redis and an Apache
Kafka of their own (else the embedded broker). Automatic denials stand, then 100,000 more that people asked for; `stop`
is given as the command line gives it. Measured is until the last limiter acknowledged the hold, from where on it heeds
no automatic answer (ADR 0061); until it acknowledged the version that has none of them left; and until the command
answered.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from enforcer_world import World, eventually, now_ms
from in_force import HELD, WITHIN_S, limiters, publish, reached
from servers import kafka, why_no_kafka

from enforcer import command, records
from enforcer.names import AUTO
from floodwarden import embedded
from schemas import topics
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind

NODES: Final = 8
AUTOMATIC: Final = (10, 1_000, 10_000)


def run() -> dict[str, Any]:
    """Milliseconds from the command until 8 limiters heed nothing automatic."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        real = why_no_kafka() is None
        broker = stack.enter_context(kafka(directory)).address if real else stack.enter_context(embedded.broker())
        world = World(broker, stack.enter_context(embedded.redis()), f"b{uuid.uuid4().hex[:8]}.")
        stack.enter_context(world.enforcer(quiet=True))
        with limiters(world, directory, NODES):
            told = {f"{count:,} automatic": _stopped(world, count) for count in AUTOMATIC}
            before = _held(world)
            publish(world)
            _settled(world, before + HELD)
            told |= {f"{count:,} automatic of {HELD + count:,}": _stopped(world, count) for count in AUTOMATIC}
    return {
        "name": "stop", "unit": f"ms from `stop` until {NODES} limiters heed nothing automatic",
        "peers": {}, "ratios": {}, "ours": told[f"{AUTOMATIC[1]:,} automatic"]["heeded_ms"],
        "limit": "all processes on one machine: limiters share its processors with the rest",
        "broker": "Apache Kafka" if real else "embedded", **told,
    }  # fmt: skip


def _stopped(world: World, count: int) -> dict[str, int]:
    """Have so many automatic denials stand beside what does, and stop."""
    before = _held(world)
    _deny(world, count)
    _settled(world, before + count)
    found: dict[str, int] = {}
    last = world.redis.xrevrange(world.keys.feed, count=1)[0][0]
    began_s = time.monotonic()

    def heed() -> None:
        version = eventually(lambda: _version_of_hold(world, last), WITHIN_S)
        eventually(lambda: all(reached(world, f"bench-{n}", version) for n in range(NODES)), WITHIN_S)
        found["heeded_ms"] = _since(began_s)

    def look() -> None:
        eventually(lambda: _held(world) <= before + 1, WITHIN_S)
        found["written_ms"] = _since(began_s)
        eventually(lambda: _everywhere(world), WITHIN_S)
        found["at_all_limiters_ms"] = _since(began_s)

    looking = [threading.Thread(target=each) for each in (heed, look)]
    for each in looking:
        each.start()
    command.stop(world.settings, 600, "measured", "bench")
    found["command_ms"] = _since(began_s)
    for each in looking:
        each.join()
    command.resume(world.settings, "bench")
    eventually(lambda: _held(world) <= before, WITHIN_S)
    return found


def _version_of_hold(world: World, after: str) -> int | None:
    entries = world.redis.xrange(world.keys.feed, min=f"({after}", count=100)
    return next((int(entry["v"]) for _, entry in entries if '"kind":"hold"' in entry["body"]), None)


def _held(world: World) -> int:
    return world.redis.hlen(world.keys.enforcement)


def _settled(world: World, count: int) -> None:
    eventually(lambda: _held(world) >= count, WITHIN_S)
    eventually(lambda: _everywhere(world), WITHIN_S)


def _everywhere(world: World) -> bool:
    return all(reached(world, f"bench-{n}") for n in range(NODES))


def _deny(world: World, count: int) -> None:
    name, at_ms = world.settings.topic(topics.ACTIONS), now_ms()
    producer = Producer({"bootstrap.servers": world.settings.kafka})
    partitions = len(producer.list_topics(name, timeout=10).topics[name].partitions)
    for n in range(count):
        target = Target(kind=TargetKind.IP, value=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
        action = Action(
            uid=f"auto-{at_ms}-{n}", kind=ActionKind.DENY, status=ActionStatus.ACTIVE, reason="guessed", owner=AUTO,
            target=target, created_ms=at_ms, expires_ms=at_ms + 3_600_000,
        )  # fmt: skip
        producer.produce(name, records.encode(action), records.key(action), records.partition(target, partitions))
        producer.poll(0)
    producer.flush(60)


def _since(began_s: float) -> int:
    return round((time.monotonic() - began_s) * 1000)
