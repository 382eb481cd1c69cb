"""Decisions -> Kafka, from a thread of its own: columnar batches by size or after a linger, spread over partitions.

    offer -> rows in memory -> batch -> librdkafka -> topic           the broker answers
                                   `--> spool on disk -> librdkafka   it does not, or batches are there already

`offer` never blocks and never raises. Rows in memory, acknowledged or not, are at most `publish_queue_rows`; a broker
that leaves a batch waiting for longer than `publish_patience_ms` is away, and what comes then goes to disk, at most
`spool_bytes_max`. It is sent when the broker answers (`outlet` says in which order). What finds no room is counted by
reason.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Final

import pyarrow as pa
import structlog
from confluent_kafka import KafkaException

from limiter.delivery import Parcel
from limiter.metrics import Metrics
from limiter.outlet import Outlet
from limiter.sampling import Sampler
from schemas import codec, dead_letter, topics
from schemas.decision import Decision
from schemas.errors import BadMessageError
from schemas.settings import Settings

_POLL_S: Final = 0.05
log = structlog.get_logger("limiter.publisher")


class Publisher:
    """Rows in, acknowledged batches out. `start` and `stop` frame its life; `spool` names its directory."""

    def __init__(self, settings: Settings, metrics: Metrics, *, spool: str | None = None) -> None:
        self._dead_topic = settings.topic(topics.DEAD_LETTER)
        self._rows_max = settings.publish_batch_rows
        self._linger_s = settings.publish_linger_ms / 1000
        self._waiting_max = settings.publish_queue_rows
        self._metrics = metrics
        self._sampler = (
            Sampler(settings.sample_allowed, settings.login_globs, random.random)
            if settings.sample_allowed < 1
            else None
        )
        self._outlet = Outlet(settings, metrics, spool or settings.node or "node", self._in_memory)
        self._lock = threading.Lock()
        self._rows: list[Decision] = []
        self._batches: list[pa.RecordBatch] = []
        self._parts: deque[list[Decision] | pa.RecordBatch] = deque()  # of these, taken from there
        self._in_hand = 0  # rows of the part that is being sent
        self._waiting = 0  # rows in memory
        self._arrived = threading.Event()
        self._full = threading.Event()
        self._stopping = False
        self._stop_by_s = 0.0
        self._thread = threading.Thread(target=self._run, name="limiter-publisher", daemon=True)
        metrics.waiting.set_function(lambda: float(self._waiting))

    @property
    def waiting(self) -> int:
        """Rows in memory, queued or not yet acknowledged."""
        return self._waiting

    @property
    def stopped(self) -> bool:
        """Whether it takes no more rows."""
        return self._stopping

    def start(self) -> None:
        """Begin to send; a broker that is away is waited for."""
        self._thread.start()

    def offer(self, decision: Decision) -> bool:
        """Takes one row for publishing; False when there is no room, which is counted."""
        if self._sampler is not None:
            kept_row = self._sampler.sampled(decision)
            if kept_row is None:
                self._metrics.sampled_out.inc()
                return True
            decision = kept_row
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
        """Takes a checked batch of `decision.SCHEMA`, wholly or not at all, and every row of it."""
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
        value, headers = dead_letter.letter(value, error, origin, content_type)
        try:
            self._outlet.raw(self._dead_topic, value, headers)
        except (BufferError, KafkaException) as failure:
            log.warning("dead_letter_lost", why=str(failure), code=error.code)
        self._wake(full=False)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Sends what waits and stops, in at most about `timeout_s`: at once where the broker is away.

        What is not acknowledged then goes to the spool; only what finds no room there either is lost, and counted.
        """
        with self._lock:
            self._stop_by_s = time.monotonic() + timeout_s
            self._stopping = True
        self._wake(full=True)
        if self._thread.is_alive():
            self._thread.join(timeout_s + 2)
        elif self._thread.ident is None:
            self._drain()
        if self._waiting:
            log.warning("decisions_lost", rows=self._waiting, reason="shutdown")
            self._lose(self._waiting, "shutdown", waited=True)

    def _wake(self, *, full: bool) -> None:
        if full and not self._full.is_set():
            self._full.set()
        if not self._arrived.is_set():
            self._arrived.set()

    def _run(self) -> None:
        self._outlet.open()
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # the loop's outermost line: without it every later row would be lost
                self._metrics.publisher_faults.inc()
                log.exception("publisher_fault")
                self._lose_in_hand()
                self._arrived.wait(_POLL_S)
        self._drain()

    def _turn(self) -> None:
        if not self._outlet.moving:
            self._arrived.wait(_POLL_S)
        if self._rows or self._batches:
            self._linger()
        self._arrived.clear()
        self._send_all()
        self._outlet.forward()
        self._outlet.serve()
        self._outlet.tend()

    def _linger(self) -> None:
        """Waits until a batch is full or its first row has waited long enough, serving acknowledgements."""
        deadline = time.monotonic() + self._linger_s
        while not self._stopping and (left_s := deadline - time.monotonic()) > 0:
            if self._full.wait(min(left_s, 0.02)):
                break
            self._outlet.serve()
            self._outlet.forward()
        self._full.clear()

    def _send_all(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, []
            batches, self._batches = self._batches, []
        self._parts += [rows[at : at + self._rows_max] for at in range(0, len(rows), self._rows_max)]
        for batch in batches:
            self._parts += [batch.slice(at, self._rows_max) for at in range(0, batch.num_rows, self._rows_max)]
        while self._parts:
            part = self._parts.popleft()
            self._in_hand = len(part)
            if isinstance(part, list):
                self._send_rows(part)
            else:
                self._send(part)

    def _lose_in_hand(self) -> None:
        """What a fault of ours took is counted; the parts behind it are sent in the next turn."""
        if self._in_hand:
            self._lose(self._in_hand, "fault", waited=True)
            self._in_hand = 0

    def _send_rows(self, rows: list[Decision]) -> None:
        try:
            batch = codec.from_rows(rows)
        except BadMessageError as error:
            if len(rows) == 1:
                log.warning("bad_row", field=error.field, why=error.reason)
                self._in_hand -= 1
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
        self._outlet.send(Parcel(value, rows, int(batch.column("ts_ms")[rows - 1].as_py())))
        self._in_hand -= rows

    def _drain(self) -> None:
        self._send_all()
        self._outlet.close(self._stop_by_s)

    def _in_memory(self, rows: int) -> None:
        with self._lock:
            self._waiting += rows

    def _lose(self, rows: int, reason: str, *, waited: bool) -> None:
        if waited:
            with self._lock:
                self._waiting -= rows
        self._metrics.lost.labels(reason).inc(rows)
