"""Shell of the meter: usage blocks from Kafka into `Minutes`, what is over into the store, in a thread of its own.

Who owns a usage partition is the group's to say, but exactness does not rest on it: progress and rows are one
transaction, and a write that does not know the last one is refused. Nothing is ever committed to Kafka.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage
from sqlalchemy.exc import OperationalError

from schemas import codec, topics
from schemas.errors import BadMessageError
from schemas.settings import Settings
from schemas.topic_ends import reaches
from stream.metering.errors import TakenOverError
from stream.metering.metrics import Metrics
from stream.metering.minutes import Message, Minutes
from stream.metering.store import HOUR_S, Store

log = structlog.get_logger(__name__)
SESSION_MS: Final = 6000
WRITE_S: Final = 2.0  # late rows wait so long for company
UPKEEP_S: Final = 600  # so often old minutes become hours, by one meter of several
TIDY_S: Final = 30.0  # so often each looks whether it is due
_CONSUME_MAX: Final = 128
_CONSUME_S: Final = 1.0  # minutes do not hurry, and one step for many blocks costs less than many
_ANSWER_S: Final = 10.0


@dataclass(slots=True)
class Held:
    """A usage partition: its minutes, the turn its next write must know, and whether all of its log has been read."""

    minutes: Minutes
    turn: int
    at_end: bool = False


class Meter:
    """All usage partitions of this process."""

    def __init__(self, settings: Settings, store: Store, metrics: Metrics) -> None:
        self._settings, self._store, self._metrics = settings, store, metrics
        self._topic = settings.topic(topics.USAGE)
        self._held: dict[int, Held] = {}
        self._due_s = self._tidy_due_s = 0.0
        self.ready = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Read, count and store until told to stop; what is over or late is stored before it returns.

        Raises:
            KafkaException: the broker refuses us. OperationalError: the store does not answer.
        """
        consumer = Consumer(_configuration(self._settings))
        consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        try:
            while not stop.is_set():
                began_s = time.thread_time()
                self._take(consumer.consume(_CONSUME_MAX, _CONSUME_S))
                if time.monotonic() >= self._due_s:
                    self._due_s = time.monotonic() + WRITE_S
                    self._write(consumer)
                if time.monotonic() >= self._tidy_due_s:
                    self._tidy_due_s = time.monotonic() + TIDY_S
                    self._tidy()
                self._metrics.cpu_seconds.inc(time.thread_time() - began_s)
            for held in self._held.values():
                held.minutes.finish()
            self._write(consumer)
        finally:
            consumer.close()

    def offsets(self) -> dict[int, int]:
        """Next usage offset to count, by partition held."""
        return {partition: held.minutes.next for partition, held in sorted(self._held.items())}

    def _take(self, messages: Sequence[KafkaMessage]) -> None:
        by_partition: dict[int, list[KafkaMessage]] = defaultdict(list)
        for message in messages:
            error, partition = message.error(), message.partition() or 0
            at_end = error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name
            if error is not None and not at_end and (error.fatal() or not error.retriable()):
                raise KafkaException(error)
            if error is None:
                by_partition[partition].append(message)
            if (error is None or at_end) and partition in self._held:
                self._held[partition].at_end = at_end
        for partition, some in by_partition.items():
            if (held := self._held.get(partition)) is not None:
                self._add(held, some)

    def _add(self, held: Held, some: Sequence[KafkaMessage]) -> None:
        read = []
        for message in some:
            try:
                block = codec.decode_block(message.value() or b"", flows=False)
            except BadMessageError as error:
                self._metrics.bad_blocks.labels(error.code).inc()
                log.warning("no usage block", partition=message.partition(), offset=message.offset(), reason=str(error))
                continue
            read.append(Message(message.offset() or 0, message.timestamp()[1], block))
        repeated = held.minutes.repeated
        counted = held.minutes.add(read)
        self._metrics.decisions.inc(counted)
        self._metrics.blocks.inc(len(read))
        self._metrics.repeated.inc(held.minutes.repeated - repeated)

    def _write(self, consumer: Consumer) -> None:
        now_ms = time.time_ns() // 1_000_000
        for partition, held in list(self._held.items()):
            held.minutes.close(now_ms if held.at_end else None, self._settings.idle_ms, self._settings.lateness_ms)
            if (batch := held.minutes.batch()) is not None:
                began_s = time.perf_counter()
                try:
                    held.turn = self._store.write(partition, held.turn, batch)
                except TakenOverError as error:
                    log.warning("taken over", reason=str(error))
                    self._metrics.writes.labels("taken_over").inc()
                    self._again(consumer, partition)
                    continue
                held.minutes.stored(batch)
                self._metrics.writes.labels("ok").inc()
                self._metrics.write_seconds.observe(time.perf_counter() - began_s)
                self._metrics.rows_written.inc(batch.closed.height + batch.late.height)
                for hole in batch.holes:
                    self._metrics.lost_messages.inc(hole.end - hole.start)
                    log.error("decisions that nobody counted", partition=partition, hole=hole)
            self._metrics.rows_held.labels(str(partition)).set(len(held.minutes))
            self._metrics.closed_ms.labels(str(partition)).set(held.minutes.closed_s * 1000)

    def _tidy(self) -> None:
        ages = {
            "minutes_s": self._settings.usage_by_minute_hours * HOUR_S,
            "hours_s": self._settings.usage_hours * HOUR_S,
        }
        try:
            self._store.upkeep(int(time.time()), **ages, every_s=UPKEEP_S)
        except OperationalError as error:  # on PostgreSQL somebody else's write may have come between: next time
            log.warning("usage was not tidied", reason=str(error.orig))

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        for place in places:
            place.offset = self._begin(consumer, place.partition)
        consumer.assign(places)
        self.ready.set()
        log.info("metering", partitions=sorted(self._held))

    def _revoked(self, _: Consumer, places: list[TopicPartition]) -> None:
        """What is not stored yet, the next owner reads again."""
        for place in places:
            self._held.pop(place.partition, None)

    def _begin(self, consumer: Consumer, partition: int) -> int:
        """Take a partition up where the store says it stands: the offset to read from."""
        kept = self._store.load(partition)
        earliest, end = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=_ANSWER_S)
        progress = kept.progress
        if progress is not None and progress.mark > end and not self._reaches(partition, progress.mark):
            log.warning("the usage topic is a new one", partition=partition, stored=progress.mark, end=end)
            progress = msgspec.structs.replace(progress, mark=earliest, written=0, sources={})
        elif progress is not None and progress.mark < earliest:
            log.warning("usage blocks were removed before they were counted", partition=partition, from_=progress.mark)
        held = self._held[partition] = Held(Minutes(self._settings.usage_heaviest, progress), kept.turn)
        return max(held.minutes.next, int(earliest))

    def _reaches(self, partition: int, mark: int) -> bool:
        client = {"bootstrap.servers": self._settings.kafka, "group.id": f"{self._settings.topic_prefix}look"}
        return reaches(client | {"log_level": 0}, self._topic, partition, mark, _ANSWER_S)

    def _again(self, consumer: Consumer, partition: int) -> None:
        """Somebody else has stored this partition: forget ours and go on from theirs, unless it is no longer ours."""
        consumer.seek(TopicPartition(self._topic, partition, self._begin(consumer, partition)))


def _configuration(settings: Settings) -> dict[str, object]:
    given: dict[str, object] = {
        "bootstrap.servers": settings.kafka,
        "group.id": f"{settings.topic_prefix}meter",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": SESSION_MS // 6,
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 100,
        "max.partition.fetch.bytes": topics.USAGE_BYTES_MAX,
        "queued.max.messages.kbytes": 4 * topics.USAGE_BYTES_MAX // 1024,
        "fetch.queue.backoff.ms": 10,  # else, once that much is queued, nothing is asked for a whole second
        "log_level": 3,
    }
    return given | ({"group.instance.id": settings.node} if settings.node else {})
