"""From an alert on the topic to its action in force at every limiter, by nodes and by rate; and 100,000 that stand.

`floodwarden bench in_force` calls `run()`: an enforcer and 1, then 8 limiters, each a process of its own, on a Redis
and an Apache Kafka of their own (else the embedded broker). One alert a second, then 1,000 a second for five seconds,
each about another client; the times are those of the action's own record, from the alert to the last limiter's
acknowledgement. Then 100,000 denials stand: what they take, and how long Redis is empty of them after it was emptied.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from enforcer_world import World, alert, eventually, now_ms
from servers import kafka, why_no_kafka

from enforcer import records
from floodwarden import embedded
from floodwarden.embedded import free_port
from schemas import topics
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind

NODES: Final = (1, 8)
SLOW, FAST, FAST_S = 20, 1_000, 5
HELD: Final = 100_000
WITHIN_S: Final = 180.0
LATEST: Final = 1_000
_LIMITER: Final = "from limiter.http import run; from schemas.settings import load; run(load())"


def run() -> dict[str, Any]:
    """Milliseconds from an alert to its action in force at 8 limiters, at 1,000 actions a second."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        real = why_no_kafka() is None
        broker = stack.enter_context(kafka(directory)).address if real else stack.enter_context(embedded.broker())
        url = stack.enter_context(embedded.redis())
        free = {"actions_per_minute_max": 10**7, "live_floor": 10**7, "tenant_actions_share_max": 1.0}
        world = World(broker, url, f"b{uuid.uuid4().hex[:8]}.", **free)
        enforcer = stack.enter_context(world.enforcer(quiet=True))
        told: dict[str, Any] = {}
        for count in NODES:
            with limiters(world, directory, count):
                told[f"{count} nodes, 1/s"] = _at(world, f"1.{count}", SLOW, 1)
                told[f"{count} nodes, {FAST}/s"] = _at(world, f"2.{count}", FAST * FAST_S, FAST)
        told["100,000 denials"] = _held(world, enforcer, directory)
    ours = told[f"{NODES[-1]} nodes, {FAST}/s"]["p50"]
    return {
        "name": "in_force", "unit": f"ms to {NODES[-1]} limiters at {FAST} actions a second, p50", "ours": ours,
        "peers": {}, "ratios": {}, "limit": "all processes on one machine: limiters share its processors with the rest",
        "broker": "Apache Kafka" if real else "embedded", **told,
    }  # fmt: skip


@contextmanager
def limiters(world: World, directory: Path, count: int, first: int = 0) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many limiters that follow the feed."""
    names = [f"bench-{first + n}" for n in range(count)]
    started = []
    for name in names:
        own = {"PORT": str(free_port()), "NODE": name, "KAFKA": "127.0.0.1:1", "DATA_DIR": str(directory / name)}
        given = world.environment | {f"FLOODWARDEN_{key}": value for key, value in own.items()}
        given = {key: value for key, value in given.items() if not key.endswith("_MAX")} | {
            "FLOODWARDEN_LOG_LEVEL": "error"
        }
        started.append(subprocess.Popen([sys.executable, "-c", _LIMITER], env=given, stdout=subprocess.DEVNULL))
    try:
        eventually(lambda: all(reached(world, name) for name in names), WITHIN_S)
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)
        for told in (world.keys.nodes, world.keys.acks):  # the next of that name has acknowledged nothing
            world.redis.hdel(told, *names)


def _at(world: World, network: str, count: int, per_s: int) -> dict[str, Any]:
    """So many alerts at so many a second."""
    name = world.settings.topic(topics.ALERTS)
    producer = Producer({"bootstrap.servers": world.settings.kafka, "linger.ms": 0})
    values = [f"{network}.{n >> 8}.{n & 255}" for n in range(count)]
    began_s = time.monotonic()
    for n, value in enumerate(values):
        time.sleep(max(0.0, began_s + n / per_s - time.monotonic()))
        message = alert(value, uid=f"b-{value}", crossed_ms=now_ms())
        producer.produce(name, message.model_dump_json().encode(), message.uid.encode())
        producer.poll(0)
    producer.flush(30)
    sent_s = time.monotonic() - began_s
    known: dict[str, int] = {}

    def settled() -> bool:
        for each in world.get(f"/v1/enforcements?limit={LATEST}").json()["enforcements"]:
            if each["target"].startswith(f"ip:{network}.") and each["total_ms"] is not None and not each["missing"]:
                known[each["target"]] = each["total_ms"]
        return f"ip:{values[-1]}" in known and len(known) >= min(count, LATEST)

    eventually(settled, WITHIN_S)
    took = sorted(known.values())
    return {"p50": _share(took, 50), "p99": _share(took, 99), "max": took[-1], "measured": len(took),
            "per_second": round(count / sent_s)}  # fmt: skip


def _held(world: World, enforcer: subprocess.Popen[bytes], directory: Path) -> dict[str, Any]:
    """What 100,000 denials take, and how soon an emptied Redis has them again."""
    before = world.redis.hlen(world.keys.enforcement)
    with limiters(world, directory, 1) as (node,):
        sizes = _mib(world, enforcer, node)
        began_s = time.monotonic()
        publish(world)
        eventually(lambda: world.redis.hlen(world.keys.enforcement) >= before + HELD, WITHIN_S)
        told: dict[str, Any] = {"written_s": round(time.monotonic() - began_s, 1)}
        eventually(lambda: reached(world, "bench-0"), WITHIN_S)
        told["mib"] = {name: round(mib - sizes[name], 1) for name, mib in _mib(world, enforcer, node).items()}
        told["snapshot_mib"] = round((world.redis.memory_usage(world.keys.enforcement) or 0) / 2**20, 1)
        told["1 node, 1/s"] = _at(world, "3.1", SLOW // 2, 1)
        began_s = time.monotonic()
        with limiters(world, directory, 1, first=1):
            told["node_starts_s"] = round(time.monotonic() - began_s, 1)
        began_s = time.monotonic()
        world.redis.flushall()
        eventually(lambda: world.redis.hlen(world.keys.enforcement) >= before + HELD, WITHIN_S)
        told["rebuilt_s"] = round(time.monotonic() - began_s, 2)
        eventually(lambda: reached(world, "bench-0"), WITHIN_S)
        told["rebuilt_and_acknowledged_s"] = round(time.monotonic() - began_s, 2)
    return told


def publish(world: World) -> None:
    """Have 100,000 denials of a list stand."""
    name, at_ms = world.settings.topic(topics.ACTIONS), now_ms()
    producer = Producer({"bootstrap.servers": world.settings.kafka, "queue.buffering.max.messages": 2 * HELD})
    partitions = len(producer.list_topics(name, timeout=10).topics[name].partitions)
    for n in range(HELD):
        action = Action(
            uid=f"held-{n}", kind=ActionKind.DENY, status=ActionStatus.ACTIVE, reason="on a list", owner="import:bench",
            target=Target(kind=TargetKind.IP, value=f"100.{64 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"), created_ms=at_ms,
            expires_ms=at_ms + 86_400_000,
        )  # fmt: skip
        producer.produce(
            name, records.encode(action), records.key(action), records.partition(action.target, partitions)
        )
    producer.flush(60)


def reached(world: World, node: str) -> bool:
    """Whether a limiter runs the newest version."""
    version = world.redis.hget(world.keys.enforcement, "version")
    return version is not None and int((world.redis.hget(world.keys.acks, node) or "-1").split(" ")[0]) >= int(version)


def _mib(world: World, enforcer: subprocess.Popen[bytes], node: subprocess.Popen[bytes]) -> dict[str, float]:
    resident = {"enforcer": _resident(enforcer.pid), "limiter": _resident(node.pid)}
    return resident | {"redis": world.redis.info("memory")["used_memory"] / 2**20}


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _share(ordered: list[int], percent: int) -> int:
    return ordered[-(-len(ordered) * percent // 100) - 1]
