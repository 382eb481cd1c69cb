"""Decisions a second through one stream worker, Kafka in to alerts out, beside its peers on the same broker and run:

a textbook Faust app (one JSON record a decision, counted into a windowed Table), the same with Quix Streams, and
reading and decoding alone. `floodwarden bench stream` calls `run()`. Real Kafka where it is found, else the embedded
broker; both are started here. A JVM that has just started spends as much on compiling itself as on records: a worker
drains as long a backlog before anything is measured, so that no peer is measured on a colder broker than another.
Quix Streams is held to older libraries than ours: set FW_BENCH_QUIX_PYTHON to an interpreter that has it; without one
it is left out, and on the embedded broker, which does not say how long it keeps a topic. Then ours anew by the number
of active addresses. `processor_ns` is what a decision takes of the processor, all threads of the process that counts
(the broker's not among them): a machine whose processors are lent to others (`stolen`: the share) slows what uses two
of them more than what uses one.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from entity_traffic import ROWS, ROWS_PER_EVENT_S, batches, text
from processor import Stolen, cpu_s
from servers import kafka, why_no_kafka
from stream_peers import Rate, decode_only, quix, textbook
from stream_worker import Worker, make_settings, next_alert, reading

from floodwarden import embedded
from schemas import codec, topics
from schemas import decision as d
from schemas.decision import Decision
from schemas.settings import Settings

MESSAGES = 3600
ACTIVE = (100_000, 1_000_000)
MEMBERS = 400  # of the busiest addresses: who asks without a key is signed in there, and comes back to what it knows
DRAINED_WITHIN_S = 600  # of a machine whose processors are lent to others half of the time
GUESSER = "203.0.113.7"


def run() -> dict[str, Any]:
    """Decisions a second, ours and the peers', and what one takes of the processor."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        reason, stolen = why_no_kafka(), Stolen()
        broker = stack.enter_context(embedded.broker()) if reason else stack.enter_context(kafka(directory)).address
        warming = make_settings(broker, "warming.", directory / "warming")
        _fill(warming)
        decode_only(warming, MESSAGES * ROWS)
        _ours(warming, directory)
        settings = make_settings(broker, "bench.", directory / "data")
        _fill(settings)
        decoded = decode_only(settings, MESSAGES * ROWS)
        ours, crossing_ms = _ours(settings, directory)
        peers = {f"faust_table_{w}": textbook(settings, directory, w) for w in ("tumbling", "hopping")}
        peers |= {} if reason else quix(settings, directory)
        peers["consume_and_decode"] = decoded
        sizes = {active: _of(active, broker, directory) for active in ACTIVE}
    return {
        "name": "stream",
        "unit": "decisions/s",
        "ours": round(ours.per_s),
        "peers": {name: round(rate.per_s) for name, rate in peers.items()},
        "limit": "one worker process: 4 decisions partitions, combine and detect, windows of 10 s to an hour for ip, "
        "key, user, route and global, families of evidence; a backlog of batches of 2,000",
        "ratios": {name: round(ours.per_s / rate.per_s, 2) for name, rate in peers.items()},
        "processor_ns": {name: round(rate.ns) for name, rate in {"ours": ours, **peers}.items()},
        "processor_ratios": {name: round(rate.ns / ours.ns, 2) for name, rate in peers.items()},
        "active_addresses": sizes,
        "decisions": MESSAGES * ROWS,
        "drained_to_alert_ms": round(crossing_ms),
        "stolen": round(stolen.share(), 2),
        "broker": "embedded" if reason else "Apache Kafka, which had drained such a backlog before",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _of(active: int, broker: str, directory: Path) -> dict[str, int]:
    """The same with so many addresses, each of them active, and with all that clients have."""
    settings = make_settings(broker, f"bench-{active}.", directory / f"data-{active}")
    _fill(settings, active)
    decoded = decode_only(settings, MESSAGES * ROWS)
    ours, crossing_ms = _ours(settings, directory)
    return {
        "ours": round(ours.per_s),
        "processor_ns": round(ours.ns),
        "consume_and_decode": round(decoded.per_s),
        "drained_to_alert_ms": round(crossing_ms),
    }


def _fill(settings: Settings, active: int | None = None) -> None:
    """Ordinary traffic of 20,000 addresses, or of `active` ones, its event time moving on evenly up to now."""
    chance = np.random.default_rng(1)
    start_ms = int(time.time() * 1000) - MESSAGES * ROWS * 1000 // ROWS_PER_EVENT_S
    made = batches(chance, active, range(MESSAGES), start_ms) if active else _usual(chance, start_ms)
    producer = Producer({"bootstrap.servers": settings.kafka, "queue.buffering.max.kbytes": 1 << 20, "linger.ms": 5})
    headers = [(topics.CONTENT_TYPE, topics.ARROW.encode())]
    for i, batch in enumerate(made):
        producer.produce(
            settings.topic(topics.DECISIONS), codec.encode(batch), partition=i % settings.decisions_partitions,
            headers=headers,
        )  # fmt: skip
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the broker did not take the decisions")


def _usual(chance: np.random.Generator, start_ms: int) -> Iterator[pa.RecordBatch]:
    shapes = [_columns(chance) for _ in range(60)]
    for i in range(MESSAGES):
        begin_ms = start_ms + i * ROWS * 1000 // ROWS_PER_EVENT_S
        ts_ms = begin_ms + np.arange(ROWS) * 1000 // ROWS_PER_EVENT_S
        yield pa.RecordBatch.from_arrays([pa.array(ts_ms), *shapes[i % len(shapes)]], schema=d.SCHEMA)


def _columns(chance: np.random.Generator) -> list[pa.Array]:
    ip, key = chance.zipf(1.3, ROWS) % 20_000, chance.integers(0, 3000, ROWS)
    route, page = chance.integers(0, 40, ROWS), chance.zipf(1.3, ROWS) % 500
    keyless, none = chance.random(ROWS) < 0.5, np.zeros(ROWS, np.int64)
    busy = keyless & (ip < MEMBERS)
    given = {
        "verdict": text(none, lambda _: "allow"),
        "node": text(none, lambda _: "node-0"),
        "ip": text(ip, lambda v: f"198.{v >> 8}.{v & 255}.1"),
        "key_id": text(key, lambda v: f"key-{v}", keyless),
        "user": text(np.where(busy, 3000 + ip, key), lambda v: f"user-{v}", keyless & ~busy),
        "method": text(none, lambda _: "GET"),
        "route": text(route, lambda v: f"/v1/things-{v}/{{id}}"),
        "path": text(route * 1000 + page, lambda v: f"/v1/things/{v}"),
        "cost": pa.array(np.ones(ROWS, np.int32)),
        "status": pa.array(np.where(chance.random(ROWS) < 0.01, 404, 200).astype(np.int16)),
        "latency_ms": pa.array(chance.gamma(2, 20, ROWS).astype(np.float32)),
    }
    return [given.get(f.name, pa.nulls(ROWS, f.type)) for f in d.SCHEMA if f.name != "ts_ms"]


def _ours(settings: Settings, directory: Path) -> tuple[Rate, float]:
    """What draining the backlog came to, and how long after it an attack sent then took to become an alert."""
    drained_whole = {"FLOODWARDEN_SHED_BEHIND_MS": "0"}  # all of it, however old
    one = Worker(settings, directory, environment=drained_whole | {"MALLOC_ARENA_MAX": "1"})  # as its image has it
    one.start()
    wanted = MESSAGES * ROWS
    try:
        first = one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] > 0)["kinds"]["global"]["n"]
        assert one.process
        began, spent_s = time.perf_counter(), cpu_s(one.process.pid)
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] >= wanted, DRAINED_WITHIN_S)
        drained = wanted - first
        spent_s = cpu_s(one.process.pid) - spent_s
        rate = Rate(drained / (time.perf_counter() - began), spent_s * 1e9 / drained)
        if one.global_n() != wanted:
            raise RuntimeError(f"{one.global_n()} decisions counted, {wanted} sent")
        return rate, _attack(settings)
    finally:
        one.kill()


def _attack(settings: Settings) -> float:
    login = {"ts_ms": int(time.time() * 1000), "verdict": "allow", "ip": GUESSER, "method": "POST", "route": "/login"}
    rows = [Decision(**login, path="/login", status=401, user=f"u{i}") for i in range(40)]
    with reading(settings, topics.ALERTS) as alerts:
        producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 0})
        began = time.perf_counter()
        producer.produce(settings.topic(topics.DECISIONS), codec.encode(codec.from_rows(rows)), partition=0)
        producer.flush(10)
        next_alert(alerts, lambda alert: alert.entity.value == GUESSER)
        return (time.perf_counter() - began) * 1000
