"""Batches and dead letters to the broker, from a thread of its own; a ticket tells when all of a chunk is there.

Nothing is given up: librdkafka repeats a batch with its sequence number until the broker answers. What is handed over
and not answered is bounded, and whoever brings more waits. So a source's position is kept only behind its tickets.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import pyarrow as pa
import structlog

from limiter.delivery import Delivery, Parcel
from limiter.ingest.metrics import Metrics
from schemas import codec, dead_letter, topics
from schemas.dead_letter import Origin
from schemas.errors import BadMessageError
from schemas.settings import Settings

_SERVE_S: Final = 0.002
_IDLE_S: Final = 0.05
log = structlog.get_logger("ingest.outlet")


class Ticket:
    """What was handed over together; done when the broker has all of it. `then` is called once, in any thread."""

    def __init__(self, parcels: int, then: Callable[[], None]) -> None:
        self._left = parcels
        self._then = then
        self._done = threading.Event()
        if not parcels:
            self._finish()

    @property
    def done(self) -> bool:
        """Whether the broker has all of it."""
        return self._done.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Whether it is done, at the latest after so long."""
        return self._done.wait(timeout_s)

    def arrived(self) -> None:
        """One parcel more is there."""
        self._left -= 1
        if not self._left:
            self._finish()

    def _finish(self) -> None:
        self._then()
        self._done.set()


class Outlet:
    """`send` may be called from any thread; `start` and `stop` frame its life."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._dead_topic = settings.topic(topics.DEAD_LETTER)
        self._waiting_max = settings.publish_queue_rows
        self._delivery = Delivery(settings, metrics, self._ended)
        self._tickets: dict[int, tuple[Parcel, Ticket]] = {}
        self._arriving: queue.SimpleQueue[tuple[Parcel, Ticket] | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting = 0
        self._closing = False
        self._stop_by_s = 0.0
        self._thread = threading.Thread(target=self._run, name="ingest-outlet", daemon=True)
        metrics.waiting.set_function(lambda: float(self._waiting))
        metrics.kafka_away.set_function(lambda: float(self.away))

    @property
    def away(self) -> bool:
        """Whether the broker leaves batches waiting for longer than our patience."""
        return self._delivery.away

    @property
    def full(self) -> bool:
        """Whether there is no room for more."""
        return self._waiting >= self._waiting_max

    def start(self) -> None:
        """Begin to send; a broker that is away is waited for."""
        self._thread.start()

    def send(self, parcels: Sequence[Parcel], then: Callable[[], None]) -> Ticket:
        """Hands over, waiting for room as long as it takes; what is alone may be larger than the room."""
        rows = sum(parcel.rows for parcel in parcels)
        with self._room:
            self._room.wait_for(lambda: self._waiting + rows <= self._waiting_max or not self._waiting or self._closing)
            self._waiting += rows
        ticket = Ticket(len(parcels), then)
        for parcel in parcels:
            self._arriving.put((parcel, ticket))
        return ticket

    def parcels(self, batch: pa.RecordBatch) -> list[Parcel]:
        """A batch as messages of which each fits into the topic."""
        rows = batch.num_rows
        value = codec.encode(batch, compress=rows > 64)
        if len(value) > topics.MESSAGE_BYTES_MAX - 2_000 and rows > 1:
            halves = (batch.slice(0, rows // 2), batch.slice(rows // 2))
            return [parcel for half in halves for parcel in self.parcels(half)]
        return [Parcel(value, rows, int(batch.column("ts_ms")[rows - 1].as_py()))]

    def letter(self, value: bytes, error: BadMessageError, origin: Origin, content_type: str) -> Parcel:
        """A dead letter, delivered like any batch."""
        value, headers = dead_letter.letter(value, error, origin, content_type)
        return Parcel(value, 1, 0, topic=self._dead_topic, headers=headers)

    def hurry(self) -> None:
        """Nobody waits for room any more: the sources are about to stop."""
        with self._room:
            self._closing = True
            self._room.notify_all()

    def stop(self, timeout_s: float) -> None:
        """Waits for the broker's answers, not at all for one that is away, and ends."""
        self._stop_by_s = time.monotonic() + timeout_s
        self._arriving.put(None)
        self._thread.join(timeout_s + 2)

    def _run(self) -> None:
        while True:
            try:
                if not self._turn():
                    break
            except Exception:  # the loop's outermost line: without it nothing would be sent any more
                self._metrics.faults.labels("outlet").inc()
                log.exception("outlet_fault")
                time.sleep(_IDLE_S)
        while self._delivery.pending and not self._delivery.away and time.monotonic() < self._stop_by_s:
            self._delivery.serve(_SERVE_S)
        if self._tickets:
            log.warning("decisions_unanswered", parcels=len(self._tickets), meaning="their sources give them again")
        self._delivery.close()

    def _turn(self) -> bool:
        if not self._delivery.takes():
            self._delivery.serve(_SERVE_S)
            return not (self._stop_by_s and (self._delivery.away or time.monotonic() > self._stop_by_s))
        try:
            given = self._arriving.get(timeout=_SERVE_S if self._delivery.pending else _IDLE_S)
        except queue.Empty:
            self._delivery.serve(0)
            return True
        if given is None:
            return False
        parcel = given[0]
        self._tickets[id(parcel)] = given
        if not self._delivery.hand(parcel):
            self._delivery.keep(parcel)
        self._delivery.serve(0)
        return True

    def _ended(self, parcel: Parcel, failure: str | None) -> None:
        if failure is not None:
            log.error("batch_refused", why=failure, topic=parcel.topic, size_bytes=len(parcel.value))
            self._delivery.keep(parcel)  # an operator may mend the topic; given up, its records would be lost
            return
        _, ticket = self._tickets.pop(id(parcel))
        with self._room:
            self._waiting -= parcel.rows
            self._room.notify_all()
        ticket.arrived()
