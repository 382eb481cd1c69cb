"""A foreign topic, read in bulk; its offsets are committed once the broker has what their messages came to."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from limiter.ingest.mapping import TopicAt
from limiter.ingest.outlet import Ticket
from limiter.ingest.source import Intake
from schemas.dead_letter import Origin
from schemas.settings import Settings

CHUNK: Final = 4_000
_WAIT_S: Final = 0.05
_CHUNKS_MAX: Final = 8
_COMMIT_EVERY_S: Final = 0.2
_HAND_OVER_S: Final = 5.0
_LAG_EVERY_S: Final = 1.0
log = structlog.get_logger("ingest.topic")
_ERROR, _VALUE, _PARTITION, _OFFSET = Message.error, Message.value, Message.partition, Message.offset
Offsets = dict[int, int]
"""By partition."""


class TopicSource:
    """Of one thread, but for `ready`."""

    def __init__(self, settings: Settings, at: TopicAt, intake: Intake) -> None:
        self._name, self._at, self._intake = intake.source.name, at, intake
        self._pending: deque[tuple[Ticket, Offsets]] = deque()
        self._done: Offsets = {}
        self._commit_due_s = self._lag_due_s = 0.0
        self._joined = False
        self._consumer: Any = Consumer(
            {
                "client.id": f"floodwarden-ingest-{self._name}",
                "session.timeout.ms": 10_000,
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 32_768,
                "fetch.queue.backoff.ms": 10,  # else, once that much is queued, nothing is asked for a whole second
                "log_level": 2,
                **at.options,
                "bootstrap.servers": at.servers or settings.kafka,
                "group.id": at.group or f"{settings.topic_prefix}ingest.{self._name}",
                "enable.auto.commit": False,
                "auto.offset.reset": "latest" if intake.source.latest else "earliest",
                "error_cb": self._heard,
            }
        )

    @property
    def why_not_ready(self) -> str:
        """What it waits for; empty once the group gave it its share."""
        return "" if self._joined else f"{self._name}: waiting for a share of {self._at.topic}"

    def run(self, stopping: threading.Event) -> None:
        """Reads until stopped."""
        self._consumer.subscribe([self._at.topic], on_assign=self._assigned, on_revoke=self._revoked)
        try:
            while not stopping.is_set():
                self._turn()
            self._settle(_HAND_OVER_S)
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        messages = self._consumer.consume(CHUNK, _WAIT_S)
        if any(map(_ERROR, messages)):
            messages = [message for message in messages if not self._failed(message)]
        if messages:

            def origin(at: int) -> Origin:
                return Origin(self._at.topic, messages[at].partition(), messages[at].offset(), self._name)

            _, ticket = self._intake.take([value or b"" for value in map(_VALUE, messages)], origin)
            ends = dict(zip(map(_PARTITION, messages), map(_OFFSET, messages), strict=True))  # the last of each
            self._pending.append((ticket, {partition: offset + 1 for partition, offset in ends.items()}))
        while self._pending and (self._pending[0][0].done or len(self._pending) > _CHUNKS_MAX):
            ticket, offsets = self._pending[0]
            if not ticket.wait(_WAIT_S):
                break
            self._pending.popleft()
            self._done |= offsets
        now_s = time.monotonic()
        if now_s >= self._commit_due_s:
            self._commit_due_s = now_s + _COMMIT_EVERY_S
            self._commit(wait=False)
        if now_s >= self._lag_due_s:
            self._lag_due_s = now_s + _LAG_EVERY_S
            self._show_lag()

    def _commit(self, *, wait: bool) -> None:
        if not self._done:
            return
        done, self._done = self._done, {}
        places = [TopicPartition(self._at.topic, partition, offset) for partition, offset in done.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=not wait)
        except KafkaException as error:
            self._intake.metrics.position_errors.labels(self._name).inc()
            log.warning("commit_failed", source=self._name, why=str(error), meaning="what follows may be read again")

    def _settle(self, within_s: float) -> None:
        """Commits what arrives within this time."""
        by_s = time.monotonic() + within_s
        while self._pending:
            ticket, offsets = self._pending.popleft()
            if not ticket.wait(max(0.0, by_s - time.monotonic())):
                break
            self._done |= offsets
        self._pending.clear()
        self._commit(wait=True)

    def _assigned(self, _consumer: object, partitions: list[TopicPartition]) -> None:
        self._joined = True
        log.info("assigned", source=self._name, partitions=[each.partition for each in partitions])

    def _revoked(self, _consumer: object, _partitions: list[TopicPartition]) -> None:
        """Before others have them: what was read of them is delivered and committed, if the broker lets us."""
        self._settle(_HAND_OVER_S)

    def _failed(self, message: Message) -> bool:
        error = message.error()
        if error is not None:
            log.warning("read_failed", source=self._name, why=error.str())
        return error is not None

    def _show_lag(self) -> None:
        lag = 0
        for place in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            lag += max(0, high - place.offset) if place.offset >= 0 else 0
        self._intake.metrics.lag.labels(self._name).set(lag)

    def _heard(self, error: KafkaError) -> None:
        log.warning("kafka_trouble", source=self._name, why=str(error))
