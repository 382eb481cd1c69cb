"""The thread that keeps the store what the topics tell. Enforcement neither waits for it nor knows of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from sqlalchemy.exc import DBAPIError

from enforcer import metrics, records
from enforcer.acknowledgements import Enforcement
from enforcer.notify.destinations import Notices
from enforcer.notify.outbox import Outbox
from enforcer.projector import backoff_s
from enforcer.store import database, enforcements
from enforcer.store.archive import Archive, Heard
from schemas import topics
from schemas.action import Action
from schemas.alert import Alert
from schemas.errors import BadMessageError, SettingsError
from schemas.settings import Settings
from schemas.topic_ends import reaches

BATCH_MAX: Final = 500
POLL_S: Final = 0.1
MEASURED_MAX: Final = 10_000
AGAIN_S: Final = 1.0
FORGET_EVERY_S: Final = 3600.0
NAME_CHARS_MAX: Final = 512
KIND_CHARS_MAX: Final = 100
_KAFKA_WAIT_S: Final = 5.0
log = structlog.get_logger("enforcer.archivist")


class Archivist:
    """Reads `alerts` and `actions` from where the store stands, forever. `heard` is called after each batch, from here.

    SQL away: what was read is tried again until it is through, and nothing more is read meanwhile.
    """

    def __init__(
        self, settings: Settings, engine: sa.Engine, heard: Callable[[], None], notices: Notices | None = None
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._archive = Archive(engine, None if notices is None else Outbox(notices, _clock_ms))
        self._heard = heard
        self._measured: deque[Enforcement] = deque(maxlen=MEASURED_MAX)
        self.stopped = threading.Event()

    def measured(self, enforcement: Enforcement) -> None:
        """Have it written when there is time; from any thread. The oldest go while SQL is away for long."""
        self._measured.append(enforcement)

    def stop(self) -> None:
        """Let `run` end at its next turn."""
        self.stopped.set()

    def run(self) -> None:
        """Make the tables, then read, write and forget until stopped.

        Raises:
            SettingsError: the tables are of a newer program.
        """
        self._until_done(lambda: database.upgrade(self._engine))
        consumer = _consumer(self._settings)
        try:
            if self._until_done(lambda: self._begin(consumer)):
                self._read(consumer)
        finally:
            consumer.close()

    def _begin(self, consumer: Consumer) -> None:
        """Go on where the store stands, in every partition."""
        places = []
        for topic in (topics.ALERTS, topics.ACTIONS):
            name = self._settings.topic(topic)
            found = consumer.list_topics(name, timeout=_KAFKA_WAIT_S).topics[name]
            if found.error is not None or not found.partitions:
                raise KafkaException(found.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
            stored = self._archive.offsets(name)
            places += [self._place(consumer, name, p, stored.get(p)) for p in sorted(found.partitions)]
        consumer.assign(places)

    def _place(self, consumer: Consumer, name: str, partition: int, stored: int | None) -> TopicPartition:
        place = TopicPartition(name, partition, OFFSET_BEGINNING if stored is None else stored)
        _, end = consumer.get_watermark_offsets(place, timeout=_KAFKA_WAIT_S)
        if stored is not None and stored > end and not self._reaches(name, partition, stored):
            log.warning("topic_is_another", topic=name, partition=partition, stored=stored, end=end)
            self._archive.begin_anew(name, partition)
            place.offset = OFFSET_BEGINNING
        return place

    def _reaches(self, name: str, partition: int, mark: int) -> bool:
        client = {"bootstrap.servers": self._settings.kafka, "group.id": f"{self._settings.topic_prefix}look"}
        return reaches(client | {"log_level": 0}, name, partition, mark, _KAFKA_WAIT_S)

    def _read(self, consumer: Consumer) -> None:
        forgot_s = -FORGET_EVERY_S
        while not self.stopped.is_set():
            if time.monotonic() - forgot_s >= FORGET_EVERY_S:
                forgot_s = time.monotonic()
                self._until_done(self._forget)
            batch = [_heard(message) for message in consumer.consume(BATCH_MAX, POLL_S) if not _failed(message)]
            if batch and self._until_done(partial(self._write, batch)):
                self._heard()
            measured = [self._measured.popleft() for _ in range(min(len(self._measured), BATCH_MAX))]
            if measured:
                self._until_done(partial(enforcements.put, self._engine, measured))

    def _forget(self) -> None:
        database.forget(self._engine, _clock_ms(), self._settings.store_days)

    def _write(self, batch: Sequence[Heard]) -> None:
        metrics.STORED.inc(self._archive.write(batch))

    def _until_done(self, attempt: Callable[[], object]) -> bool:
        """Try until it is through; False: stopped before."""
        failures = 0
        while not self.stopped.is_set():
            try:
                attempt()
            except (DBAPIError, KafkaException) as error:
                failures += 1
                metrics.STORE_ERRORS.inc()
                what = "store_away" if isinstance(error, DBAPIError) else "broker_away"
                log.warning(what, store=database.shown(self._settings), error=_reason(error), failures=failures)
                self.stopped.wait(backoff_s(failures))
            else:
                return True
        return False


def run_to_the_end(archivist: Archivist) -> None:
    """`run`, as a thread's target, begun again where it falls over; with tables that are not ours it ends."""
    while not archivist.stopped.is_set():
        try:
            archivist.run()
        except SettingsError as error:
            log.warning("store_not_used", error=str(error))
            return
        except Exception:  # the outermost line of the thread: a mistake of ours must not end the record for good
            metrics.STORE_ERRORS.inc()
            log.exception("archivist_fell_over", again_in_s=AGAIN_S)
            archivist.stopped.wait(AGAIN_S)


def _consumer(settings: Settings) -> Consumer:
    # It joins no group and commits nothing: the store knows best what the store has.
    return Consumer(
        {"bootstrap.servers": settings.kafka, "group.id": settings.topic_prefix + "store", "enable.auto.commit": False,
         "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50, "log_level": 0}
    )  # fmt: skip


def _failed(message: Any) -> bool:
    error = message.error()
    if error is not None:
        log.warning("broker_away", error=str(error))
    return error is not None


def _heard(message: Any) -> Heard:
    """A record as far as it says something; what nobody can take the enforcer itself puts into `dead-letter`."""
    topic, value = message.topic(), message.value()
    read: Callable[[bytes], Any] = records.alert if topic.endswith(topics.ALERTS.name) else records.action
    try:
        told = read(value) if value is not None else None
    except BadMessageError:
        told = None
    if told is not None and not _fits(told):
        metrics.NOT_STORED.inc()
        log.warning("not_stored", topic=topic, offset=message.offset(), reason="times or names of no sensible size")
        told = None
    return Heard(topic, message.partition(), message.offset(), told)


def _fits(told: Alert | Action) -> bool:
    """Whether every database of ours has room for it: in its numbers, and in its indexes."""
    if isinstance(told, Alert):
        times, names = (told.first_ms, told.last_ms, told.crossed_ms), (told.uid, told.route)
        return len(told.kind) <= KIND_CHARS_MAX and _are_small(times, names)
    return _are_small((told.created_ms, told.expires_ms, told.ended_ms or 0), (told.uid, told.alert_uid))


def _are_small(times: Iterable[int], names: Iterable[str | None]) -> bool:
    return all(abs(at) < 1 << 62 for at in times) and all(len(name or "") <= NAME_CHARS_MAX for name in names)


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


def _reason(error: DBAPIError | KafkaException) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error).strip()
