"""What a decision costs from check to bill: CPU time by part and bytes on the wire, under load and in a calm hour.

`floodwarden bench cost` calls `run()`. A check and its row are measured in this process, the publisher, the broker, the
stream worker and the meter as processes of their own, by the CPU time the system charged them: `busy` a backlog of
100,000 decisions a second of event time from 20,000 clients, `calm` 2,000 a second as they come. Real Kafka where it is
found, else the embedded broker.
"""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer
from entity_traffic import text
from local_check import CHECKS, _node, _Rounds
from processor import cpu_s
from redis.asyncio import Redis
from servers import ROOT, kafka, why_no_kafka
from stream_worker import Worker, make_settings, reading

from floodwarden import embedded
from floodwarden.embedded import free_port
from schemas import codec, topics
from schemas import decision as d
from schemas.settings import Settings

BUSY_A_S, CALM_A_S = 100_000, 2_000
BUSY, CALM = 1_600_000, 40_000
ROWS, CALM_ROWS = 2000, 100  # of a message: full batches, and what a linger of 50 ms holds
SETTLE_S: Final = 90
_PUBLISH = """
import os, sys, time
from limiter.metrics import Metrics
from limiter.publisher import Publisher
from schemas.decision import Decision
from schemas.settings import load
rows, now_ms = int(sys.argv[1]), int(time.time() * 1000)
made = [Decision(ts_ms=now_ms, verdict="allow", node="bench", ip=f"198.18.{i % 200}.{i % 97}", key_id=f"key-{i % 3000}",
    method="GET", route=f"/v1/things-{i % 40}/{{id}}", path=f"/v1/things/{i % 500}", rule="r", tier="default",
    status=200, latency_ms=3.25) for i in range(20_000)]
publisher = Publisher(load(), Metrics())
publisher.start()
began_s = time.process_time()
for i in range(rows):
    while publisher.waiting > 100_000:
        time.sleep(0.002)
    publisher.offer(made[i % len(made)])
while publisher.waiting:
    time.sleep(0.002)
print((time.process_time() - began_s) / rows * 1e9)
publisher.stop()
"""


@dataclass
class Spent:
    """Nanoseconds of CPU a decision by part, bytes a decision by topic."""

    cpu_ns: dict[str, float]
    wire_bytes: dict[str, float]

    def told(self) -> dict[str, Any]:
        return {
            "cpu_ns": {name: round(ns) for name, ns in self.cpu_ns.items()},
            "bytes": {name: round(size, 1) for name, size in self.wire_bytes.items()},
        }


def run() -> dict[str, Any]:
    """CPU time a decision under load, all parts together, and each."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        check_ns = asyncio.run(_check_ns(stack.enter_context(embedded.redis())))
        reason = why_no_kafka()
        if reason:
            broker, pid = stack.enter_context(embedded.broker()), None
        else:
            node = stack.enter_context(kafka(directory))
            broker, pid = node.address, node.pid
        publish_ns = _publish_ns(make_settings(broker, "publish.", directory))
        busy = _streamed(make_settings(broker, "busy.", directory / "busy"), directory, pid, live=False)
        calm = _streamed(make_settings(broker, "calm.", directory / "calm"), directory, pid, live=True)
    first = {"check": check_ns, "publish": publish_ns}
    busy.cpu_ns, calm.cpu_ns = first | busy.cpu_ns, first | calm.cpu_ns
    total_ns = sum(ns for name, ns in busy.cpu_ns.items() if "." not in name)
    return {
        "name": "cost",
        "unit": "CPU ns/decision",
        "ours": round(total_ns),
        "peers": {},
        "ratios": {},
        "limit": f"busy: {BUSY:,} decisions, 100,000 a second of event time; calm: {CALM_A_S:,} a second, live",
        "busy": busy.told(),
        "calm": calm.told(),
        "core_hours_a_billion": round(total_ns / 3600, 1),
        "broker": "embedded (its CPU is not counted)" if pid is None else "Apache Kafka",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


async def _check_ns(url: str) -> float:
    """A leased check among 1,000 limits and 100,000 denials, its request made and its row queued."""
    client = Redis.from_url(url)
    node = _node(url, client)
    await node.warm()
    rounds = _Rounds(node)
    await rounds.with_request_made()
    began_s = time.process_time()
    for _ in range(5):
        await rounds.with_request_made()
    spent_s = time.process_time() - began_s
    await node.aclose()
    await client.aclose()
    return spent_s / (5 * CHECKS) * 1e9


def _publish_ns(settings: Settings) -> float:
    given = {f"FLOODWARDEN_{n.upper()}": str(getattr(settings, n)) for n in ("kafka", "topic_prefix", "data_dir")}
    done = subprocess.run(
        [sys.executable, "-c", _PUBLISH, "300000"],
        cwd=ROOT, env={**os.environ, **given}, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def _streamed(settings: Settings, directory: Path, broker_pid: int | None, *, live: bool) -> Spent:
    """What the broker, a stream worker and a meter spent on decisions that were all counted in the end."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    worker = Worker(settings, directory)
    meter = Worker(
        settings.model_copy(update={"port": free_port(), "node": ""}), directory, program="stream.metering.app"
    )
    parts = [worker, meter]
    try:
        for part in parts:
            part.start()
        worker.ready()
        meter.answers("/readyz", bool)
        pids = {"stream": _pid(worker), "meter": _pid(meter)} | ({"broker": broker_pid} if broker_pid else {})
        _send(settings, 20_000, live=False)  # what is compiled or loaded at first
        _counted(worker, meter, 20_000)
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        inside = _stages(worker)
        count = CALM if live else BUSY
        _send(settings, count, live=live)
        _counted(worker, meter, 20_000 + count)
        spent = {name: (cpu_s(pid) - before[name]) / count * 1e9 for name, pid in pids.items()}
        stages = {f"stream.{name}": (s - inside.get(name, 0)) / count * 1e9 for name, s in _stages(worker).items()}
    finally:
        for part in parts:
            if part.process and part.process.poll() is None:
                part.kill()
    wire = {topic.name: _size(settings, topic) / (20_000 + count) for topic in (topics.DECISIONS, topics.USAGE)}
    return Spent(spent | stages, wire)


def _pid(worker: Worker) -> int:
    assert worker.process
    return worker.process.pid


def _stages(worker: Worker) -> dict[str, float]:
    found = {}
    for line in worker.text("/metrics").splitlines():
        if line.startswith("floodwarden_stream_cpu_seconds_total{"):
            name, _, value = line.partition("}")
            found[name.split('"')[1]] = float(value)
    return found


def _counted(worker: Worker, meter: Worker, wanted: int) -> None:
    worker.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] >= wanted, SETTLE_S)
    ends = worker.get("/v1/totals")["usage_offsets"]
    meter.answers("/readyz", lambda r: r["usage_offsets"] == ends, SETTLE_S)


def _send(settings: Settings, count: int, *, live: bool) -> None:
    chance, rows = np.random.default_rng(1), CALM_ROWS if live else ROWS
    shapes = [_columns(chance, rows) for _ in range(40)]
    producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 0})
    headers = [(topics.CONTENT_TYPE, topics.ARROW.encode())]
    rate, began_s = (CALM_A_S if live else BUSY_A_S), time.time()
    for i in range(count // rows):
        at_ms = int(began_s * 1000) + (i * rows - (0 if live else count)) * 1000 // rate
        ts_ms = pa.array(at_ms + np.arange(rows) * 1000 // rate)
        value = codec.encode(pa.RecordBatch.from_arrays([ts_ms, *shapes[i % 40]], schema=d.SCHEMA))
        partition = i % settings.decisions_partitions
        producer.produce(settings.topic(topics.DECISIONS), value, partition=partition, headers=headers)
        producer.poll(0)
        if live:
            time.sleep(max(0.0, began_s + (i + 1) * rows / rate - time.time()))
    if producer.flush(60):
        raise RuntimeError("the broker did not take the decisions")


def _columns(chance: np.random.Generator, rows: int) -> list[pa.Array]:
    """20,000 addresses, 3,000 keys, 40 routes, 20 tenants, 50 countries; few clients make most of it."""
    key, route = chance.integers(0, 3000, rows), chance.integers(0, 40, rows)
    keyless, zeros = chance.random(rows) < 0.5, np.zeros(rows, np.int64)
    given = {
        "verdict": text(zeros, lambda _: "allow"),
        "node": text(zeros, lambda _: "node-0"),
        "tenant": text(key % 20, lambda v: f"tenant-{v}"),
        "ip": text(chance.zipf(1.3, rows) % 20_000, lambda v: f"198.{v >> 8}.{v & 255}.1"),
        "key_id": text(key, lambda v: f"key-{v}", keyless),
        "user": text(key, lambda v: f"user-{v}", keyless),
        "method": text(zeros, lambda _: "GET"),
        "route": text(route, lambda v: f"/v1/things-{v}/{{id}}"),
        "path": text(route * 1000 + chance.zipf(1.3, rows) % 500, lambda v: f"/v1/things/{v}"),
        "country": text(chance.zipf(1.5, rows) % 50, lambda v: f"C{v}"),
        "cost": pa.array(np.ones(rows, np.int32)),
        "status": pa.array(np.where(chance.random(rows) < 0.01, 404, 200).astype(np.int16)),
        "latency_ms": pa.array(chance.gamma(2, 20, rows).astype(np.float32)),
    }
    return [given.get(f.name, pa.nulls(rows, f.type)) for f in d.SCHEMA if f.name != "ts_ms"]


def _size(settings: Settings, topic: topics.Topic) -> int:
    """Bytes of all messages of a topic."""
    size, deadline = 0, time.monotonic() + SETTLE_S
    with reading(settings, topic) as consumer:
        ends = {p.partition: consumer.get_watermark_offsets(p, timeout=10)[1] for p in consumer.assignment()}
        while any(ends.values()) and time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is None or message.error():
                continue
            size += len(message.value() or b"")
            if message.offset() + 1 >= ends[message.partition()]:
                ends[message.partition()] = 0
    return size
