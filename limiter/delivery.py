"""Batches in librdkafka's hands: how many, since when, and what came of each.

What was handed over stays there until the broker answers, however long: librdkafka repeats it with its sequence number,
so the broker writes it once. Taking it back and sending it anew is what would write it twice. So a broker that is away
is not noticed by an error but by the age of the oldest batch it has not acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from prometheus_client import Counter

from limiter.spool_directory import Place
from schemas import topics
from schemas.settings import Settings

PARCELS_MAX: Final = 256  # out at once
_BYTES_MAX: Final = 64 << 20
_AGAIN_AFTER_S: Final = 1.0
_HEADERS: Final = [(topics.CONTENT_TYPE, topics.ARROW.encode())]
# Sending these once more would be answered the same; everything else is a broker or an operator who may mend it.
_HOPELESS: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_RECORD,
    }
)
log = structlog.get_logger("limiter.publisher")


@dataclass(slots=True, eq=False)
class Parcel:
    """One encoded batch on its way; `place` is where the spool has it too."""

    value: bytes
    rows: int
    ts_ms: int
    place: Place | None = None
    replayed: bool = False
    handed_s: float = 0.0
    topic: str | None = None  # None: decisions
    headers: list[tuple[str, bytes]] | None = None


class Counters(Protocol):
    """What deliveries count."""

    delivery_errors: Counter
    in_doubt: Counter


def producer_config(settings: Settings, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    """What librdkafka is told: batching is ours, so it sends at once, and batches are lz4 inside already."""
    return {
        "bootstrap.servers": settings.kafka,
        "client.id": f"floodwarden-limiter-{settings.node or 'node'}",
        "enable.idempotence": True,
        "linger.ms": 0,
        "sticky.partitioning.linger.ms": 0,  # every batch goes to a partition of its own choosing
        "compression.type": "none",
        "message.max.bytes": topics.MESSAGE_BYTES_MAX,
        "message.timeout.ms": 0,  # never given up: a batch given up may have been written
        "queue.buffering.max.kbytes": 262_144,
        "reconnect.backoff.max.ms": 1_000,
        "socket.timeout.ms": 10_000,  # of a broker that holds the connection and says nothing
        "socket.nagle.disable": True,
        "log_level": 2,
        "error_cb": on_error,
    }


class Delivery:
    """The producer and what it holds. Of one thread, but for `raw`.

    `on_end(parcel, error)` hears of each parcel once: None when it is in the topic, else why it never will be.
    """

    def __init__(self, settings: Settings, metrics: Counters, on_end: Callable[[Parcel, str | None], None]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._on_end = on_end
        self._topic = settings.topic(topics.DECISIONS)
        self._patience_s = settings.publish_patience_ms / 1000
        self._rows_max = max(1, settings.publish_queue_rows // 2)
        self._out: dict[int, Parcel] = {}  # by number, so the oldest is first
        self._again: list[Parcel] = []
        self._again_s = 0.0
        self._number = 0
        self._rows = self._bytes = 0
        self._broken = False
        self._quiet_until_s = 0.0
        self._producer = Producer(producer_config(settings, self._heard))

    @property
    def rows(self) -> int:
        """Rows handed over or to be handed over again."""
        return self._rows

    @property
    def pending(self) -> bool:
        """Whether anything waits for an answer, what is no batch included."""
        return bool(self._again) or len(self._producer) > 0

    @property
    def away(self) -> bool:
        """Whether a batch waits for the broker's answer longer than our patience, or is to be handed over again."""
        if self._again:
            return True
        oldest = next(iter(self._out.values()), None)
        return oldest is not None and time.monotonic() - oldest.handed_s > self._patience_s

    def takes(self, share: float = 1.0) -> bool:
        """Whether more may be handed over: the broker answers, and less than `share` of what may be is out."""
        rows, size, parcels = self._rows / self._rows_max, self._bytes / _BYTES_MAX, len(self._out) / PARCELS_MAX
        return max(rows, size, parcels) < share and not self.away

    def parcels(self) -> list[Parcel]:
        """What is out, oldest first."""
        return [*self._again, *self._out.values()]

    def hand(self, parcel: Parcel) -> bool:
        """Gives a batch to librdkafka, whatever `takes` says; False when its queue is full."""
        self._number += 1
        number = self._number
        try:
            self._producer.produce(
                parcel.topic or self._topic,
                parcel.value,
                headers=parcel.headers or [*_HEADERS, (topics.SENT, str(time.time_ns() // 1_000_000).encode())],
                on_delivery=lambda error, _: self._answered(number, error),
            )
        except BufferError:
            return False
        except KafkaException as failure:
            self._failed(parcel, failure.args[0])
            return True
        parcel.handed_s = time.monotonic()
        self._count(parcel, 1)
        self._out[number] = parcel
        return True

    def raw(self, topic: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """A message that is no batch, best effort. Of any thread. Raises BufferError and KafkaException."""
        self._producer.produce(topic, value, headers=headers)

    def serve(self, wait_s: float) -> None:
        """Takes the broker's answers; waits for one at most so long."""
        self._producer.poll(wait_s)
        if self._broken:
            self._renew()
        if self._again and time.monotonic() >= self._again_s:
            again, self._again = self._again, []
            for parcel in again:
                self._count(parcel, -1)
                if not self.hand(parcel):
                    self.keep(parcel)

    def close(self) -> None:
        """Drops what is still out: nobody will hear of it any more."""
        self._out.clear()
        self._again.clear()
        self._producer.purge()
        self._producer.flush(0.5)

    def _answered(self, number: int, error: KafkaError | None) -> None:
        parcel = self._out.pop(number, None)
        if parcel is None:
            return  # of a producer that was given up, or purged at the end
        self._count(parcel, -1)
        if error is None:
            self._on_end(parcel, None)
        else:
            self._failed(parcel, error)

    def _failed(self, parcel: Parcel, error: KafkaError) -> None:
        reason = str(error.name()).lower().lstrip("_")
        self._metrics.delivery_errors.labels(reason).inc()
        self._broken |= _fatal(error)
        if error.code() in _HOPELESS:
            self._on_end(parcel, reason)
        else:
            self.keep(parcel)

    def keep(self, parcel: Parcel) -> None:
        """Holds a batch, to be handed over in a second."""
        if not self._again:
            self._again_s = time.monotonic() + _AGAIN_AFTER_S
        self._again.append(parcel)
        self._count(parcel, 1)

    def _count(self, parcel: Parcel, sign: int) -> None:
        self._rows += sign * parcel.rows
        self._bytes += sign * len(parcel.value)

    def _heard(self, error: KafkaError) -> None:
        """Says that Kafka is away, at most every ten seconds; librdkafka itself would say so twice a second."""
        self._broken |= _fatal(error)
        if time.monotonic() >= self._quiet_until_s:
            self._quiet_until_s = time.monotonic() + 10
            log.warning("kafka_trouble", why=str(error))

    def _renew(self) -> None:
        """A producer the broker will not hear any more (it forgot its number): another one, which sends all of it."""
        self._broken = False
        parcels = list(self._out.values())
        self._out.clear()
        self._producer.purge()
        self._producer.flush(0.5)
        self._producer = Producer(producer_config(self._settings, self._heard))
        for parcel in parcels:
            self._count(parcel, -1)
            self.keep(parcel)
        rows = sum(parcel.rows for parcel in parcels)
        self._metrics.in_doubt.inc(rows)
        log.error("producer_renewed", rows_in_doubt=rows)


def _fatal(error: KafkaError) -> bool:
    return bool(error.fatal()) or error.code() == KafkaError._FATAL  # noqa: SLF001 - librdkafka's name
