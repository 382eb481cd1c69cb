"""What one stream worker is held against in `stream`: textbook Faust, Quix Streams, and reading and decoding alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas import codec, topics
from schemas.settings import Settings
from stream.combine import COLUMNS

TEXTBOOK_ROWS = 30_000


class Rate(NamedTuple):
    """Decisions a second, and nanoseconds of processor a decision in the process that counts them."""

    per_s: float
    ns: float


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
seen, began, spent = 0, None, None
@app.agent(rows)
async def count(stream):
    global seen, began, spent
    async for row in stream:
        began, spent = (began, spent) if seen else (time.perf_counter(), time.process_time())
        counts[row.ip] += 1
        seen += 1
        if seen == wanted:
            ns = (time.process_time() - spent) / wanted * 1e9
            os.write(1, b"RATE %f %f" % (wanted / (time.perf_counter() - began), ns))
            os._exit(0)
app.main()
"""
_QUIX = """
import os, sys, time
from quixstreams import Application
broker, topic, wanted, window, state = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
app = Application(broker_address=broker, consumer_group="quix-" + window, auto_offset_reset="earliest",
                  loglevel="ERROR", state_dir=state)
seen, began, spent = 0, None, None
def count(row):
    global seen, began, spent
    began, spent = (began, spent) if seen else (time.perf_counter(), time.process_time())
    seen += 1
    if seen == wanted:
        ns = (time.process_time() - spent) / wanted * 1e9
        os.write(1, b"RATE %f %f" % (wanted / (time.perf_counter() - began), ns))
        os._exit(0)
frame = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="str")).update(count)
frame = frame.tumbling_window(10_000) if window == "tumbling" else frame.hopping_window(60_000, 10_000)
frame.count().final()
app.run()
"""


def decode_only(settings: Settings, wanted: int) -> Rate:
    """Read the decisions and decode them, no more; without the second that the client waits when its queue was full."""
    name, at_once = settings.topic(topics.DECISIONS), {"fetch.queue.backoff.ms": 10}
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka, "group.id": "decode", "enable.auto.commit": False, **at_once}
    )
    consumer.assign([TopicPartition(name, p, 0) for p in range(settings.decisions_partitions)])
    rows, began, spent_s = 0, time.perf_counter(), time.process_time()
    while rows < wanted:
        messages = [(m.value(), topics.ARROW) for m in consumer.consume(64, 0.05) if not m.error()]
        if messages:
            rows += codec.decode_many(messages, COLUMNS).num_rows
    took_s, spent_s = time.perf_counter() - began, time.process_time() - spent_s
    consumer.close()
    return Rate(rows / took_s, spent_s * 1e9 / rows)


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


def quix(settings: Settings, directory: Path) -> dict[str, Rate]:
    """Quix Streams with both windows; nothing where it is not installed."""
    python = os.environ.get("FW_BENCH_QUIX_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import quixstreams"], capture_output=True, check=False).returncode:
        return {}
    rates = {}
    for window in ("tumbling", "hopping"):
        topic = f"quix-{window}"
        _records(settings, topic)
        command = [python, "-c", _QUIX, settings.kafka, topic, str(TEXTBOOK_ROWS), window, str(directory / topic)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        rates[f"quix_{window}"] = _told(told)
    return rates


def textbook(settings: Settings, directory: Path, window: str) -> Rate:
    """Faust as its documentation has it: a windowed Table, one record a decision."""
    topic = f"textbook-{window}"
    _records(settings, topic)
    script = directory / "textbook.py"
    script.write_text(_TEXTBOOK, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), "worker", "-l", "error"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "TEXTBOOK": json.dumps([settings.kafka, topic, TEXTBOOK_ROWS, window])},
    )
    return _told(done)


def _told(done: subprocess.CompletedProcess[str]) -> Rate:
    """What a peer's last line says."""
    if "RATE" not in done.stdout:
        raise RuntimeError(f"a peer did not finish: {done.stdout[-500:]}{done.stderr[-1500:]}")
    per_s, ns = done.stdout.split("RATE")[1].split()[:2]
    return Rate(float(per_s), float(ns))
