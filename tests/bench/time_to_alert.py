"""From a decision to the alert it leads to, at several rates of decisions: one stream worker on Kafka, paced traffic.

Good traffic comes in limiters' batches (2,000 rows, or what 50 ms bring) over all partitions, its event time being now.
A few times a second a guesser fails to log in, all tries in one batch. The time runs from the try with which the
evidence sufficed (`crossed_ms`) to the alert's arrival at a consumer; the worker's own counter says whether it kept up.
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from servers import kafka, why_no_kafka
from stream_worker import Worker, make_settings, reading

from floodwarden import embedded
from schemas import codec, topics
from schemas import decision as d
from schemas.alert import Alert, Status
from schemas.decision import Decision
from schemas.settings import Settings

RATES = (1_000, 50_000, 500_000)
SECONDS, WARM_S, SETTLE_S = 20.0, 5.0, 3.0
ATTACKS_PER_S, TRIES = 4, 40
STAGES = ("decode", "combine", "record", "write", "judge", "tell")
ROWS_MAX, LINGER_S, SHAPES = 2000, 0.05, 40


def run() -> dict[str, Any]:
    """p50 and p99 in milliseconds, by rate."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        reason = why_no_kafka()
        broker = stack.enter_context(embedded.broker()) if reason else stack.enter_context(kafka(directory)).address
        settings = make_settings(broker, "bench.", directory / "data")
        one = Worker(settings, directory)
        one.start()
        stack.callback(one.kill)
        one.ready()
        heard = stack.enter_context(_Heard(settings))
        rates = {f"{rate}_per_s": _at(rate, one, heard) for rate in RATES}
    first = rates[f"{RATES[0]}_per_s"]
    return {
        "name": "time_to_alert",
        "unit": "ms",
        "ours": first["p50"],
        "rates": rates,
        "peers": {},
        "ratios": {},
        "limit": "two Kafka hops to the alert and one to who reads it; 4 decisions partitions, one worker process",
        "broker": "embedded" if reason else "Apache Kafka",
    }


class _Heard(threading.Thread):
    """Reads alerts as they come: by address, how long after the crossing decision the first word came, in ms."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings, self._enough = settings, threading.Event()
        self.took_ms: dict[str, float] = {}

    def __enter__(self) -> _Heard:  # noqa: PYI034 - nobody derives from it
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join(10)

    def run(self) -> None:
        """Until it is told that it is enough."""
        with reading(self._settings, topics.ALERTS) as alerts:
            while not self._enough.is_set():
                message = alerts.poll(0.1)
                if message is None or message.error():
                    continue
                now_ms = time.time() * 1000
                alert = Alert.model_validate_json(message.value())
                if alert.status is Status.OPEN:
                    self.took_ms.setdefault(alert.entity.value, now_ms - alert.crossed_ms)


def _at(rate: int, one: Worker, heard: _Heard) -> dict[str, Any]:
    before = _metrics(one)
    began_s = time.monotonic()
    offered, addresses = _traffic(one.settings, rate)
    sent_s = time.monotonic() - began_s
    time.sleep(SETTLE_S)  # a worker that keeps up needs far less; who is later is not counted as answered
    took = sorted(heard.took_ms[a] for a in addresses if a in heard.took_ms)
    after = _metrics(one)
    counted = after["decisions_total"] - before["decisions_total"]
    if not took:
        raise RuntimeError(f"no attack was told of at {rate}/s:\n{one.log()}")
    return {
        "p50": round(took[len(took) // 2], 1),
        "p99": round(took[min(len(took) - 1, int(len(took) * 0.99))], 1),
        "attacks": len(addresses),
        "told": len(took),
        "offered_per_s": round(offered / sent_s),
        "counted_share": round(counted / offered, 4),
        "mean_ms": {stage: _mean_ms(f'stage_seconds_{{}}{{{{stage="{stage}"}}}}', before, after) for stage in STAGES},
    }


def _metrics(one: Worker) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{one.settings.port}/metrics", timeout=30) as answer:
        found = re.findall(r"^floodwarden_stream_(\S+) (\S+)$", answer.read().decode(), re.MULTILINE)
    return {name: float(value) for name, value in found}


def _mean_ms(form: str, before: dict[str, float], after: dict[str, float]) -> float:
    seconds, count = (after[form.format(of)] - before.get(form.format(of), 0) for of in ("sum", "count"))
    return round(1000 * seconds / count, 2) if count else 0.0


def _traffic(settings: Settings, rate: int) -> tuple[int, list[str]]:
    """Sends for `SECONDS`; how many decisions, and whose attacks count."""
    producer = Producer({"bootstrap.servers": settings.kafka, "queue.buffering.max.kbytes": 1 << 18, "linger.ms": 0})
    topic, began_s = settings.topic(topics.DECISIONS), time.monotonic()
    rows_each = min(ROWS_MAX, max(1, int(rate * LINGER_S)))
    chance = np.random.default_rng(rate)
    shapes = [_columns(chance, rows_each) for _ in range(SHAPES)]
    offered, sent, attacks, counting = 0, 0, 0, []
    while (passed_s := time.monotonic() - began_s) < SECONDS:
        while offered < passed_s * rate:
            now_ms = int(time.time() * 1000)
            batch = pa.RecordBatch.from_arrays(
                [pa.array(np.full(rows_each, now_ms)), *shapes[sent % SHAPES]], schema=d.SCHEMA
            )
            _send(producer, topic, codec.encode(batch), sent % settings.decisions_partitions)
            offered, sent = offered + rows_each, sent + 1
        if attacks < passed_s * ATTACKS_PER_S:
            address = f"203.{RATES.index(rate)}.{attacks >> 8}.{attacks & 255}"
            _send(
                producer,
                topic,
                codec.encode(codec.from_rows(_guesses(address))),
                attacks % settings.decisions_partitions,
            )
            offered, attacks = offered + TRIES, attacks + 1
            if passed_s > WARM_S:
                counting.append(address)
        producer.poll(0.001)
    if producer.flush(30):
        raise RuntimeError("the broker did not take the decisions")
    return offered, counting


def _send(producer: Producer, topic: str, value: bytes, partition: int) -> None:
    sent = str(int(time.time() * 1000)).encode()
    producer.produce(
        topic, value, partition=partition, headers=[(topics.CONTENT_TYPE, topics.ARROW.encode()), (topics.SENT, sent)]
    )
    producer.poll(0)


def _guesses(address: str) -> list[Decision]:
    now_ms = int(time.time() * 1000)
    login = {"method": "POST", "route": "/login", "path": "/login", "status": 401}
    return [Decision(ts_ms=now_ms, verdict="allow", ip=address, user=f"u{i}", **login) for i in range(TRIES)]  # type: ignore[arg-type]


def _columns(chance: np.random.Generator, rows: int) -> list[pa.Array]:
    """All columns but the time: 20,000 addresses, 3,000 keys, 40 routes."""

    def text(codes: np.ndarray[Any, Any], form: str, absent: np.ndarray[Any, Any] | None = None) -> pa.Array:
        distinct, at = np.unique(codes, return_inverse=True)
        values = pa.array([form.format(v >> 8, v & 255) for v in distinct.tolist()])
        return pa.DictionaryArray.from_arrays(pa.array(at.astype(np.int32), mask=absent), values)

    same, key, route = np.zeros(rows, np.int64), chance.integers(0, 3000, rows), chance.integers(0, 40, rows)
    given = {
        "verdict": text(same, "allow"),
        "node": text(same, "n{0}"),
        "ip": text(chance.zipf(1.3, rows) % 20_000, "198.18.{}.{}"),
        "key_id": text(key, "key-{}-{}", chance.random(rows) < 0.5),
        "method": text(same, "GET"),
        "route": text(route, "/v1/things-{}-{}/{{id}}"),
        "path": text(route * 500 + chance.zipf(1.3, rows) % 500, "/v1/things/{}-{}"),
        "cost": pa.array(np.ones(rows, np.int32)),
        "status": pa.array(np.where(chance.random(rows) < 0.01, 404, 200).astype(np.int16)),
        "latency_ms": pa.array(chance.gamma(2, 20, rows).astype(np.float32)),
    }
    return [given.get(f.name, pa.nulls(rows, f.type)) for f in d.SCHEMA if f.name != "ts_ms"]
