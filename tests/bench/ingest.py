"""JSON events a second from a foreign topic into decisions through one `floodwarden ingest`, beside Quix Streams.

`floodwarden bench ingest` calls `run()`: one broker, one topic, one process after the other. Quix Streams is held to
older libraries than ours: set FW_BENCH_QUIX_PYTHON to an interpreter that has it; without one it is left out.
"""

from __future__ import annotations

import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from processor import cpu_s
from servers import ROOT, kafka, why_no_kafka

from floodwarden import embedded
from floodwarden.embedded import free_port
from floodwarden.topics import ensure_topics
from schemas.settings import Settings

EVENTS, PARTITIONS = 400_000, 4
_MAPPING = """
sources:
  gate:
    kafka: {topic: EVENTS}
    id: request_id
    columns:
      ts_ms: {from: time, time: s}
      ip: remote_addr
      method: request_method
      path: request_uri
      status: status
      latency_ms: {from: request_time, unit: s}
      ua: http_user_agent
      user: remote_user
      node: {constant: edge-1}
      verdict: {from: status, values: {429: limit, 403: deny}, otherwise: allow}
"""
_QUIX = """
import os, sys, time
from quixstreams import Application
broker, wanted, sends = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "sends"
app = Application(broker_address=broker, consumer_group="quix-" + sys.argv[3], auto_offset_reset="earliest",
                  loglevel="ERROR")
seen, began = 0, None
def decision(event):
    global seen, began
    began = began or time.perf_counter()
    seen += 1
    if seen == wanted:
        os.write(1, b"RATE %f" % (wanted / (time.perf_counter() - began)))
        if not sends:
            os._exit(0)
    return {"ts_ms": int(event["time"] * 1000), "ip": event["remote_addr"], "method": event["request_method"],
            "path": event["request_uri"], "status": event["status"], "latency_ms": event["request_time"] * 1000,
            "ua": event["http_user_agent"], "node": "edge-1",
            "verdict": "limit" if event["status"] == 429 else "allow"}
frame = app.dataframe(app.topic("EVENTS", value_deserializer="json")).apply(decision)
if sends:
    frame = frame.to_topic(app.topic("quix-out", value_serializer="json"))
app.run(count=wanted)
"""


def run() -> dict[str, Any]:
    """Events a second, ours and the peers'."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        reason = why_no_kafka()
        broker = stack.enter_context(embedded.broker()) if reason else stack.enter_context(kafka(directory)).address
        settings = Settings(kafka=broker, data_dir=directory, port=free_port())
        ensure_topics(settings)
        size = _fill(broker)
        peers = {"consume_only": _consume_only(broker)}
        peers |= {name: rate for name, rate in _quix(broker).items() if rate}
        ours, cpu_us = _ours(settings, directory)
    return {
        "name": "ingest",
        "unit": "events/s",
        "ours": round(ours),
        "peers": {name: round(rate) for name, rate in peers.items()},
        "limit": f"{EVENTS:,} JSON events of {size} bytes in {PARTITIONS} partitions; ours: one process, mapped to ten "
        "columns, without events seen before, in lz4 Arrow batches in the topic, offsets committed behind them",
        "ratios": {name: round(ours / rate, 2) for name, rate in peers.items()},
        "cpu_us_an_event": round(cpu_us, 2),
        "broker": "embedded" if reason else "Apache Kafka",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _event(number: int, chance: random.Random) -> bytes:
    event = {
        "time": 1_760_000_000 + number / 1000,
        "remote_addr": f"198.51.{chance.randrange(100)}.{chance.randrange(250)}",
        "request_method": "GET",
        "request_uri": f"/items/{chance.randrange(5000)}?q=abc",
        "status": chance.choice((200, 200, 200, 404, 429)),
        "request_time": 0.012,
        "http_user_agent": f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 {chance.randrange(50)}",
        "request_id": f"{chance.getrandbits(128):032x}",
        "remote_user": "",
        "upstream": {"name": "shop", "time": "0.011"},
    }
    return json.dumps(event).encode()


def _fill(broker: str) -> int:
    admin = AdminClient({"bootstrap.servers": broker})
    made = [NewTopic("EVENTS", PARTITIONS, 1), NewTopic("quix-out", PARTITIONS, 1)]
    for future in admin.create_topics(made).values():
        future.result(20)
    chance = random.Random(1)
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 20, "queue.buffering.max.messages": 2_000_000})
    size = 0
    for number in range(EVENTS):
        value = _event(number, chance)
        size += len(value)
        producer.produce("EVENTS", value, partition=number % PARTITIONS)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the broker did not take the events")
    return size // EVENTS


def _consume_only(broker: str) -> float:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "only", "enable.auto.commit": False})
    consumer.assign([TopicPartition("EVENTS", p, 0) for p in range(PARTITIONS)])
    seen, began = 0, 0.0
    while seen < EVENTS:
        values = [message.value() for message in consumer.consume(4000, 0.05) if not message.error()]
        began = began or time.perf_counter()
        seen += len(values)
    took_s = time.perf_counter() - began
    consumer.close()
    return seen / took_s


def _quix(broker: str) -> dict[str, float]:
    python = os.environ.get("FW_BENCH_QUIX_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import quixstreams"], capture_output=True, check=False).returncode:
        return {}
    rates = {}
    for name, way in (("quix_stateless", "maps"), ("quix_stateless_to_topic", "sends")):
        told = subprocess.run(
            [python, "-c", _QUIX, broker, str(EVENTS), way], capture_output=True, text=True, timeout=300, check=False
        )
        found = re.search(r"RATE ([\d.]+)", told.stdout)
        if found is None:
            raise RuntimeError(told.stderr[-2000:])
        rates[name] = float(found[1])
    return rates


def _ours(settings: Settings, directory: Path) -> tuple[float, float]:
    """Events a second acknowledged, from the first that was to the last, and processor time of each."""
    file = directory / "ingest.yaml"
    file.write_text(_MAPPING, "utf-8")
    names = ("kafka", "data_dir", "port")
    given = {f"FLOODWARDEN_{name.upper()}": str(getattr(settings, name)) for name in names}
    command = [sys.executable, "-m", "floodwarden", "ingest", str(file)]
    with (directory / "ingest.log").open("wb") as log:
        one = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **given})
    try:
        first = began = spent_s = 0.0
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            done, now = _acknowledged(settings.port), time.perf_counter()
            if done and not first:
                first, began, spent_s = done, now, cpu_s(one.pid)
            if done >= EVENTS:
                return (done - first) / (now - began), (cpu_s(one.pid) - spent_s) / (done - first) * 1e6
            time.sleep(0.02)
        raise RuntimeError((directory / "ingest.log").read_text("utf-8", "replace")[-3000:])
    finally:
        one.kill()
        one.wait(10)


def _acknowledged(port: int) -> float:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0
    found = re.search(r'^floodwarden_ingest_decisions_total\{source="gate"\} (\S+)', text, re.MULTILINE)
    return float(found[1]) if found else 0.0
