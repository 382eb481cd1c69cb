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
LINGER_MS: Final = 5  # a worker tells many alerts of one moment together
WITHIN_S: Final = 180.0
_ENFORCER: Final = """
import sys
from enforcer.consumer import run
from floodwarden.logs import configure
from schemas.settings import load
told = open(sys.argv[1], "a", buffering=1)
configure(load())
run(load(), lambda done: told.write(f"{done.target} {done.total_ms} {len(done.missing)}\\n"))
"""
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
        enforcer = stack.enter_context(telling(world, directory / "told"))
        told: dict[str, Any] = {}
        for count in NODES:
            with limiters(world, directory, count):
                told[f"{count} nodes, 1/s"] = _at(world, directory, f"1.{count}", SLOW, 1)
                told[f"{count} nodes, {FAST}/s"] = _at(world, directory, f"2.{count}", FAST * FAST_S, FAST)
        told["100,000 denials"] = _held(world, enforcer, directory)
    ours = told[f"{NODES[-1]} nodes, {FAST}/s"]["p50"]
    return {
        "name": "in_force", "unit": f"ms to {NODES[-1]} limiters at {FAST} actions a second, p50", "ours": ours,
        "peers": {}, "ratios": {}, "limit": "all processes on one machine: limiters share its processors with the rest",
        "broker": "Apache Kafka" if real else "embedded", **told,
    }  # fmt: skip


@contextmanager
def telling(world: World, told: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An enforcer that writes how each action came into force to a file: to ask it meanwhile would slow it down."""
    with Path(f"{told}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", _ENFORCER, str(told)], env=world.environment, stderr=log)
    try:
        eventually(world.is_ready, 100)
        yield process
    finally:
        process.terminate()
        process.wait(20)


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


def _at(world: World, directory: Path, network: str, count: int, per_s: int) -> dict[str, Any]:
    """So many alerts at so many a second."""
    name = world.settings.topic(topics.ALERTS)
    producer = Producer({"bootstrap.servers": world.settings.kafka, "linger.ms": LINGER_MS})
    values = [f"{network}.{n >> 8}.{n & 255}" for n in range(count)]
    began_s = time.monotonic()
    for n, value in enumerate(values):
        time.sleep(max(0.0, began_s + n / per_s - time.monotonic()))
        message = alert(value, uid=f"b-{value}", crossed_ms=now_ms())
        producer.produce(name, message.model_dump_json().encode(), message.uid.encode())
        producer.poll(0)
    producer.flush(30)
    sent_s = time.monotonic() - began_s
    mine = f"ip:{network}."

    def settled() -> dict[str, tuple[int | None, int]] | None:
        found = {target: took for target, took in _told(directory).items() if target.startswith(mine)}
        return found if len(found) == count else None

    found = eventually(settled, WITHIN_S)
    took = sorted(total_ms for total_ms, missing in found.values() if total_ms is not None and not missing)
    return {"p50": _share(took, 50), "p99": _share(took, 99), "max": took[-1], "measured": len(took),
            "unacknowledged": count - len(took), "per_second": round(count / sent_s)}  # fmt: skip


def _told(directory: Path) -> dict[str, tuple[int | None, int]]:
    """Milliseconds until the last limiter had it, and how many had not within ten seconds, by target."""
    time.sleep(0.5)
    lines = (line.split() for line in (directory / "told").read_text().splitlines())
    return {target: (None if total == "None" else int(total), int(missing)) for target, total, missing in lines}


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
        told["1 node, 1/s"] = _at(world, directory, "3.1", SLOW // 2, 1)
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


def reached(world: World, node: str, version: int | None = None) -> bool:
    """Whether a limiter runs that version, or the newest."""
    newest = version or world.redis.hget(world.keys.enforcement, "version")
    return newest is not None and int((world.redis.hget(world.keys.acks, node) or "-1").split(" ")[0]) >= int(newest)


def _mib(world: World, enforcer: subprocess.Popen[bytes], node: subprocess.Popen[bytes]) -> dict[str, float]:
    resident = {"enforcer": _resident(enforcer.pid), "limiter": _resident(node.pid)}
    return resident | {"redis": world.redis.info("memory")["used_memory"] / 2**20}


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _share(ordered: list[int], percent: int) -> int:
    return ordered[-(-len(ordered) * percent // 100) - 1]
