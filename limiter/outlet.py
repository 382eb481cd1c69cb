"""Where encoded batches go: to the broker where it answers, else to disk, else they wait in memory.

A batch of the last few seconds keeps its place: fresh ones go behind it, by way of the disk if need be. An older one,
which the stream has closed its books on, holds nobody up: it is sent beside them. Of one thread.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Final

import structlog

from limiter.delivery import Delivery, Parcel
from limiter.metrics import Metrics
from limiter.spool import Record, Spool
from limiter.spool_directory import writable
from schemas.settings import Settings

_OLD_SHARE: Final = 0.5  # of what may be out is for rows from disk; fresh ones find room beside them
_ANSWER_S: Final = 0.01  # of waiting for the broker while there is more to hand over
_LEFT_EVERY_S: Final = 30.0
_COMPLAIN_EVERY_S: Final = 10.0
log = structlog.get_logger("limiter.publisher")


class Outlet:
    """`on_memory(rows)` hears of rows that come back into memory, and of those that leave it as a negative number."""

    def __init__(self, settings: Settings, metrics: Metrics, name: str, on_memory: Callable[[int], None]) -> None:
        self._in_place_ms = settings.idle_ms + settings.lateness_ms
        self._metrics = metrics
        self._on_memory = on_memory
        self._delivery = Delivery(settings, metrics, self._ended)
        self._directory = settings.data_dir / "spool"
        self._spool = Spool(self._directory, name, settings.spool_bytes_max, self._unkept)
        self._left_s = self._complained_s = float("-inf")

    @property
    def moving(self) -> bool:
        """Whether batches leave the disk."""
        return self._spool.rows > 0 and not self._delivery.away

    def open(self) -> None:
        """Finds what an earlier run left; it goes first."""
        if self._spool.enabled and not writable(self._directory):
            log.warning(
                "spool_not_writable", path=str(self._directory), fix="set FLOODWARDEN_DATA_DIR to a directory of ours"
            )
        self.tend()
        self.forward()

    def raw(self, topic: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """A message that is no batch, best effort. Of any thread. Raises BufferError and KafkaException."""
        self._delivery.raw(topic, value, headers)

    def send(self, parcel: Parcel) -> None:
        """To the broker where it answers and nothing recent waits before it, else to disk, else to memory."""
        behind = self._peek()
        in_order = behind is None or parcel.ts_ms - behind.ts_ms > self._in_place_ms
        if in_order and self._delivery.takes() and self._delivery.hand(parcel):
            return
        if self._delivery.away:
            self._secure()
        if self._put(parcel, handed=False):
            self._on_memory(-parcel.rows)
            self._metrics.spooled.inc(parcel.rows)
        elif not self._delivery.hand(parcel):
            self._lost(parcel, "producer_full")

    def forward(self) -> None:
        """Hands over what is on disk, as fast as the broker takes it."""
        while self._delivery.takes(_OLD_SHARE) and (record := self._peek()) is not None:
            parcel = Parcel(record.value, record.rows, record.ts_ms, record.place, replayed=True)
            self._spool.take(record)
            self._on_memory(record.rows)
            if record.in_doubt:
                self._metrics.in_doubt.inc(record.rows)
            if not self._delivery.hand(parcel):
                self._delivery.keep(parcel)

    def serve(self) -> None:
        """Takes the broker's answers, waiting a moment for one while there is more to hand over."""
        self._delivery.serve(_ANSWER_S if self.moving else 0)

    def tend(self) -> None:
        """To be called now and then."""
        now_s = time.monotonic()
        if self._delivery.away:
            self._secure()
        try:
            self._spool.tend(now_s)
            if now_s - self._left_s >= _LEFT_EVERY_S and not self._delivery.rows:
                self._left_s = now_s
                if self._spool.open_left():
                    log.info("spool_found", rows=self._spool.rows, size_bytes=self._spool.size_bytes)
        except OSError as error:
            self._disk_failed(error)
        self._show()

    def close(self, by_s: float) -> None:
        """Waits for the broker's answers until `by_s` on the monotonic clock, not at all for one that is away.

        What it did not acknowledge goes to disk.
        """
        while self._delivery.pending and not self._delivery.away and time.monotonic() < by_s:
            self._delivery.serve(_ANSWER_S)
        self._secure()
        kept = sum(parcel.rows for parcel in self._delivery.parcels() if parcel.place is not None)
        self._on_memory(-kept)
        self._delivery.close()
        self._show()
        if self._spool.rows or kept:
            log.warning("decisions_kept_on_disk", rows=self._spool.rows + kept, path=str(self._directory))
        try:
            self._spool.close()
        except OSError as error:
            self._disk_failed(error)

    def _secure(self) -> None:
        """Copies on disk of what librdkafka holds, for the run after a kill; this one waits for its answers."""
        for parcel in self._delivery.parcels():
            if parcel.place is None:
                self._put(parcel, handed=True)

    def _put(self, parcel: Parcel, *, handed: bool) -> bool:
        if not self._spool.enabled:
            return False
        try:
            place = self._spool.append(parcel.value, parcel.rows, parcel.ts_ms, handed=handed)
        except OSError as error:
            self._disk_failed(error)
            return False
        parcel.place = place if handed else None
        return True

    def _peek(self) -> Record | None:
        try:
            return self._spool.peek()
        except OSError as error:
            self._disk_failed(error)
            return None

    def _ended(self, parcel: Parcel, failure: str | None) -> None:
        """The last word on a batch that was handed over."""
        if failure is not None:
            self._lost(parcel, failure)
        else:
            self._on_memory(-parcel.rows)
            self._metrics.published.inc(parcel.rows)
            self._metrics.published_bytes.inc(len(parcel.value))
            if parcel.replayed:
                self._metrics.replayed.inc(parcel.rows)
        if parcel.place is not None:
            try:
                self._spool.done(parcel.place)
            except OSError as error:
                self._disk_failed(error)

    def _lost(self, parcel: Parcel, reason: str) -> None:
        self._on_memory(-parcel.rows)
        self._metrics.lost.labels(reason).inc(parcel.rows)

    def _show(self) -> None:
        oldest = self._peek()
        self._metrics.kafka_away.set(self._delivery.away)
        self._metrics.spool_rows.set(self._spool.rows)
        self._metrics.spool_bytes.set(self._spool.size_bytes)
        self._metrics.spool_age_seconds.set(max(0.0, time.time() - oldest.ts_ms / 1000) if oldest else 0)

    def _disk_failed(self, error: OSError) -> None:
        self._metrics.spool_errors.labels(errno.errorcode.get(error.errno or 0, type(error).__name__).lower()).inc()
        if time.monotonic() - self._complained_s >= _COMPLAIN_EVERY_S:
            self._complained_s = time.monotonic()
            log.error("spool_failed", why=str(error), fix="free or mount the disk under FLOODWARDEN_DATA_DIR")

    def _unkept(self, reason: str, rows: int) -> None:
        self._metrics.spool_skips.labels(reason).inc()
        if rows:
            self._metrics.lost.labels(reason).inc(rows)
