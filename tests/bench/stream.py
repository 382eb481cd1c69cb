"""Decisions a second through one stream worker, Kafka in to alerts out, beside its peers on the same broker and run:

a textbook Faust app (one JSON record a decision, counted into a windowed Table), the same with Quix Streams, and
reading and decoding alone. `floodwarden bench stream` calls `run()`. Real Kafka where it is found, else the embedded
broker; both are started here. A JVM that has just started spends as much on compiling itself as on records: a worker
drains as long a backlog before anything is measured, so that no peer is measured on a colder broker than another.
Quix Streams is held to older libraries than ours: set FW_BENCH_QUIX_PYTHON to an interpreter that has it; without one
it is left out, and on the embedded broker, which does not say how long it keeps a topic. Then ours anew by the number
of active addresses.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from entity_traffic import ROWS, ROWS_PER_EVENT_S, batches, text
from servers import kafka, why_no_kafka
from stream_worker import Worker, make_settings, next_alert, reading

from floodwarden import embedded
from schemas import codec, topics
from schemas import decision as d
from schemas.decision import Decision
from schemas.settings import Settings
from stream.combine import COLUMNS

MESSAGES = 3600
ACTIVE = (100_000, 1_000_000)
TEXTBOOK_ROWS = 30_000
GUESSER = "203.0.113.7"
_TEXTBOOK = """
import json, os, time, faust
broker, topic, wanted, window = json.loads(os.environ["TEXTBOOK"])
class Row(faust.Record, serializer="json"):
    ts_ms: int
    ip: str
    route: str
    verdict: str
app = faust.App("textbook-" + topic + window, broker="kafka://" + broker, store="memory://", web_enabled=False,
                consumer_auto_offset_reset="earliest", topic_partitions=4)
rows = app.topic(topic, value_type=Row)
table = app.Table("counts", default=int)
counts = table.tumbling(10, expires=600) if window == "tumbling" else table.hopping(60, 10, expires=600)
seen, began = 0, None
@app.agent(rows)
async def count(stream):
    global seen, began
    async for row in stream:
        began = began or time.perf_counter()
        counts[row.ip] += 1
        seen += 1
        if seen == wanted:
            os.write(1, b"RATE %f" % (wanted / (time.perf_counter() - began)))
            os._exit(0)
app.main()
"""
_QUIX = """
import os, sys, time
from quixstreams import Application
broker, topic, wanted, window, state = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
app = Application(broker_address=broker, consumer_group="quix-" + window, auto_offset_reset="earliest",
                  loglevel="ERROR", state_dir=state)
seen, began = 0, None
def count(row):
    global seen, began
    began = began or time.perf_counter()
    seen += 1
    if seen == wanted:
        os.write(1, b"RATE %f" % (wanted / (time.perf_counter() - began)))
        os._exit(0)
frame = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="str")).update(count)
frame = frame.tumbling_window(10_000) if window == "tumbling" else frame.hopping_window(60_000, 10_000)
frame.count().final()
app.run()
"""


def run() -> dict[str, Any]:
    """Decisions a second, ours and the peers'."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        reason = why_no_kafka()
        broker = stack.enter_context(embedded.broker()) if reason else stack.enter_context(kafka(directory)).address
        warming = make_settings(broker, "warming.", directory / "warming")
        _fill(warming)
        _decode_only(warming)
        _ours(warming, directory)
        settings = make_settings(broker, "bench.", directory / "data")
        _fill(settings)
        decode_rate = _decode_only(settings)
        ours, crossing_ms = _ours(settings, directory)
        textbook = {f"faust_table_{w}": _textbook(settings, directory, w) for w in ("tumbling", "hopping")}
        textbook |= {} if reason else _quix(settings, directory)
        sizes = {active: _of(active, broker, directory) for active in ACTIVE}
    peers = {**textbook, "consume_and_decode": decode_rate}
    return {
        "name": "stream",
        "unit": "decisions/s",
        "ours": round(ours),
        "peers": {name: round(rate) for name, rate in peers.items()},
        "limit": "one worker process: 4 decisions partitions, combine and detect, windows of 10 s to an hour for ip, "
        "key, user, route and global, families of evidence; a backlog of batches of 2,000",
        "ratios": {name: round(ours / rate, 2) for name, rate in peers.items()},
        "active_addresses": sizes,
        "decisions": MESSAGES * ROWS,
        "drained_to_alert_ms": round(crossing_ms),
        "broker": "embedded" if reason else "Apache Kafka, which had drained such a backlog before",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _of(active: int, broker: str, directory: Path) -> dict[str, int]:
    """The same with so many addresses, each of them active, and with all that clients have."""
    settings = make_settings(broker, f"bench-{active}.", directory / f"data-{active}")
    _fill(settings, active)
    decode_rate = _decode_only(settings)
    ours, crossing_ms = _ours(settings, directory)
    return {"ours": round(ours), "consume_and_decode": round(decode_rate), "drained_to_alert_ms": round(crossing_ms)}


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
    given = {
        "verdict": text(none, lambda _: "allow"),
        "node": text(none, lambda _: "node-0"),
        "ip": text(ip, lambda v: f"198.{v >> 8}.{v & 255}.1"),
        "key_id": text(key, lambda v: f"key-{v}", keyless),
        "user": text(key, lambda v: f"user-{v}", keyless),
        "method": text(none, lambda _: "GET"),
        "route": text(route, lambda v: f"/v1/things-{v}/{{id}}"),
        "path": text(route * 1000 + page, lambda v: f"/v1/things/{v}"),
        "cost": pa.array(np.ones(ROWS, np.int32)),
        "status": pa.array(np.where(chance.random(ROWS) < 0.01, 404, 200).astype(np.int16)),
        "latency_ms": pa.array(chance.gamma(2, 20, ROWS).astype(np.float32)),
    }
    return [given.get(f.name, pa.nulls(ROWS, f.type)) for f in d.SCHEMA if f.name != "ts_ms"]


def _ours(settings: Settings, directory: Path) -> tuple[float, float]:
    """Rate of draining the backlog, and how long after it an attack sent then took to become an alert."""
    one = Worker(settings, directory, environment={"FLOODWARDEN_SHED_BEHIND_MS": "0"})  # all of it, however old
    one.start()
    wanted = MESSAGES * ROWS
    try:
        first = one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] > 0)["kinds"]["global"]["n"]
        began = time.perf_counter()
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] >= wanted, 120)
        rate = (wanted - first) / (time.perf_counter() - began)
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


def _decode_only(settings: Settings) -> float:
    name = settings.topic(topics.DECISIONS)
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "decode", "enable.auto.commit": False})
    consumer.assign([TopicPartition(name, p, 0) for p in range(settings.decisions_partitions)])
    rows, began = 0, time.perf_counter()
    while rows < MESSAGES * ROWS:
        messages = [(m.value(), topics.ARROW) for m in consumer.consume(64, 0.05) if not m.error()]
        if messages:
            rows += codec.decode_many(messages, COLUMNS).num_rows
    took_s = time.perf_counter() - began
    consumer.close()
    return rows / took_s


def _records(settings: Settings, topic: str) -> None:
    """`TEXTBOOK_ROWS` decisions as JSON records, an address's in one partition."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 5})
    now_ms = int(time.time() * 1000)
    for i in range(TEXTBOOK_ROWS):
        address = i * 7919 % 20_000
        ip = f"198.18.{address >> 8}.{address & 255}"
        row = {"ts_ms": now_ms, "ip": ip, "route": "/v1/things/{id}", "verdict": "allow"}
        producer.produce(topic, json.dumps(row).encode(), key=ip.encode(), partition=address % 4)
        producer.poll(0)
    producer.flush(60)


def _quix(settings: Settings, directory: Path) -> dict[str, float]:
    python = os.environ.get("FW_BENCH_QUIX_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import quixstreams"], capture_output=True, check=False).returncode:
        return {}
    rates = {}
    for window in ("tumbling", "hopping"):
        topic = f"quix-{window}"
        _records(settings, topic)
        command = [python, "-c", _QUIX, settings.kafka, topic, str(TEXTBOOK_ROWS), window, str(directory / topic)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if "RATE" not in told.stdout:
            raise RuntimeError(told.stderr[-2000:])
        rates[f"quix_{window}"] = float(told.stdout.split("RATE")[1].split()[0])
    return rates


def _textbook(settings: Settings, directory: Path, window: str) -> float:
    topic = f"textbook-{window}"
    _records(settings, topic)
    script = directory / "textbook.py"
    script.write_text(_TEXTBOOK, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), "worker", "-l", "error"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "TEXTBOOK": json.dumps([settings.kafka, topic, TEXTBOOK_ROWS, window])},
    )
    for line in done.stdout.splitlines():
        if "RATE" in line:
            return float(line.split("RATE")[1].split()[0])
    raise RuntimeError(f"the textbook app did not finish: {done.stdout[-500:]}{done.stderr[-1500:]}")
