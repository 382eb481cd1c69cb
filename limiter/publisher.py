"""Decisions -> Kafka, from a thread of its own: columnar batches by size or after a linger, spread over partitions.

`offer` never blocks and never raises. Rows wait in memory, at most `publish_queue_rows` of them, acknowledged or not;
what finds no room, and what the broker will not take, is counted by reason. A broker that is away, at start or later,
is waited for until the bound is reached.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from limiter.metrics import Metrics
from schemas import codec, dead_letter, topics
from schemas.decision import Decision
from schemas.errors import BadMessageError
from schemas.settings import Settings

_POLL_S: Final = 0.05
_KEPT_MS: Final = 300_000  # an unacknowledged batch is tried again this long
_DEAD_BYTES_MAX: Final = 900_000
_HEADERS: Final = [(topics.CONTENT_TYPE, topics.ARROW.encode())]
log = structlog.get_logger("limiter.publisher")


class _Complaint:
    """Says that Kafka is away, at most every ten seconds; librdkafka itself would say so twice a second."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def __call__(self, error: KafkaError) -> None:
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + 10
            log.warning("kafka_trouble", why=str(error))


def producer_config(settings: Settings) -> dict[str, Any]:
    """What librdkafka is told: batching is ours, so it sends at once, and batches are lz4 inside already."""
    return {
        "bootstrap.servers": settings.kafka,
        "client.id": f"floodwarden-limiter-{settings.node or 'node'}",
        "enable.idempotence": True,
        "linger.ms": 0,
        "sticky.partitioning.linger.ms": 0,  # every batch goes to a partition of its own choosing
        "compression.type": "none",
        "message.max.bytes": topics.MESSAGE_BYTES_MAX,
        "message.timeout.ms": _KEPT_MS,
        "queue.buffering.max.kbytes": 262_144,
        "reconnect.backoff.max.ms": 1_000,
        "socket.nagle.disable": True,
        "log_level": 2,
        "error_cb": _Complaint(),
    }


class Publisher:
    """Rows in, acknowledged batches out. `start` and `stop` frame its life."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._topic = settings.topic(topics.DECISIONS)
        self._dead_topic = settings.topic(topics.DEAD_LETTER)
        self._rows_max = settings.publish_batch_rows
        self._linger_s = settings.publish_linger_ms / 1000
        self._waiting_max = settings.publish_queue_rows
        self._metrics = metrics
        self._producer = Producer(producer_config(settings))
        self._lock = threading.Lock()
        self._rows: list[Decision] = []
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0  # rows queued or in flight
        self._arrived = threading.Event()
        self._full = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="limiter-publisher", daemon=True)
        metrics.waiting.set_function(lambda: float(self._waiting))

    @property
    def waiting(self) -> int:
        """Rows queued or in flight."""
        return self._waiting

    def start(self) -> None:
        """Begin to send; a broker that is away is waited for."""
        self._thread.start()

    def offer(self, decision: Decision) -> bool:
        """Takes one row for publishing; False when there is no room, which is counted."""
        with self._lock:
            kept = not self._stopping and self._waiting < self._waiting_max
            if kept:
                self._rows.append(decision)
                self._waiting += 1
                full = len(self._rows) >= self._rows_max
        if not kept:
            self._lose(1, "shutdown" if self._stopping else "queue_full", waited=False)
            return False
        self._wake(full=full)
        return True

    def offer_batch(self, batch: pa.RecordBatch) -> bool:
        """Takes a checked batch of `decision.SCHEMA`, wholly or not at all."""
        with self._lock:
            kept = not self._stopping and self._waiting + batch.num_rows <= self._waiting_max
            if kept:
                self._batches.append(batch)
                self._waiting += batch.num_rows
        if not kept:
            self._lose(batch.num_rows, "shutdown" if self._stopping else "queue_full", waited=False)
            return False
        self._wake(full=batch.num_rows >= self._rows_max)
        return True

    def dead_letter(
        self, value: bytes, error: BadMessageError, origin: dead_letter.Origin, content_type: str | None
    ) -> None:
        """Puts a message nobody could take aside, its bytes untouched (but cut where no broker would take them)."""
        self._metrics.dead_letters.labels(error.code).inc()
        try:
            self._producer.produce(
                self._dead_topic, value[:_DEAD_BYTES_MAX], headers=dead_letter.headers(error, origin, content_type)
            )
        except (BufferError, KafkaException) as failure:
            log.warning("dead_letter_lost", why=str(failure), code=error.code)
        self._wake(full=False)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Sends what waits and stops; blocks at most `timeout_s`. What is not acknowledged then is counted as lost."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._stopping = True
        self._wake(full=True)
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._producer.flush(max(0.0, deadline - time.monotonic()))
        if self._waiting:
            log.warning("decisions_lost", rows=self._waiting, reason="shutdown")
            self._producer.purge()
            self._lose(self._waiting, "shutdown", waited=True)

    def _wake(self, *, full: bool) -> None:
        if full and not self._full.is_set():
            self._full.set()
        if not self._arrived.is_set():
            self._arrived.set()

    def _run(self) -> None:
        while not self._stopping:
            self._arrived.wait(_POLL_S)
            if self._rows or self._batches:
                self._linger()
            self._arrived.clear()
            self._send_all()
            self._producer.poll(0)
        self._send_all()

    def _linger(self) -> None:
        """Waits until a batch is full or its first row has waited long enough, serving acknowledgements."""
        deadline = time.monotonic() + self._linger_s
        while not self._stopping and (left_s := deadline - time.monotonic()) > 0:
            if self._full.wait(min(left_s, 0.02)):
                break
            self._producer.poll(0)
        self._full.clear()

    def _send_all(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, []
            batches, self._batches = self._batches, []
        for at in range(0, len(rows), self._rows_max):
            self._send_rows(rows[at : at + self._rows_max])
        for batch in batches:
            for at in range(0, batch.num_rows, self._rows_max):
                self._send(batch.slice(at, self._rows_max))

    def _send_rows(self, rows: Sequence[Decision]) -> None:
        try:
            batch = codec.from_rows(rows)
        except BadMessageError as error:
            if len(rows) == 1:
                log.warning("bad_row", field=error.field, why=error.reason)
                self._lose(1, "bad_row", waited=True)
                return
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                self._send_rows(half)
            return
        self._send(batch)

    def _send(self, batch: pa.RecordBatch) -> None:
        rows = batch.num_rows
        value = codec.encode(batch, compress=rows > 64)
        if len(value) > topics.MESSAGE_BYTES_MAX - 2_000 and rows > 1:
            for half in (batch.slice(0, rows // 2), batch.slice(rows // 2)):
                self._send(half)
            return
        try:
            self._producer.produce(
                self._topic, value, headers=_HEADERS, on_delivery=lambda error, _: self._delivered(error, rows)
            )
        except BufferError:
            self._lose(rows, "producer_full", waited=True)
        except KafkaException as error:
            self._lose(rows, str(error.args[0].name()).lower(), waited=True)
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, rows: int) -> None:
        if error is None:
            with self._lock:
                self._waiting -= rows
            self._metrics.published.inc(rows)
        elif error.code() != KafkaError._PURGE_QUEUE and error.code() != KafkaError._PURGE_INFLIGHT:  # noqa: SLF001 - librdkafka's names
            self._lose(rows, str(error.name()).lower().lstrip("_"), waited=True)

    def _lose(self, rows: int, reason: str, *, waited: bool) -> None:
        if waited:
            with self._lock:
                self._waiting -= rows
        self._metrics.lost.labels(reason).inc(rows)
