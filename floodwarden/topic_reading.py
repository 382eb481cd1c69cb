"""A topic as it stands, read once to its end, in no group: looking changes nothing."""

from __future__ import annotations

import heapq
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from floodwarden.errors import UnreachableError
from floodwarden.topics import reason
from schemas import topics
from schemas.settings import PREFIX, Settings

TIMEOUT_S: Final = 10.0
PAST_END: Final = 10_000
"""Messages read past the end that a broker names: Tansu counts only the first of the last batch, and a batch of
librdkafka's holds at most so many. A topic that grows all the while is left there, any other at its true end."""
_BATCH: Final = 500
_SOON: Final = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
_SOON_S: Final = 0.05
_QUEUED_KB: Final = 16_384  # of a partition, fetched ahead


def read(
    settings: Settings,
    topic: topics.Topic,
    newest: int | None = None,
    partition: int | None = None,
    *,
    since_ms: int = 0,
) -> Generator[Message, None, None]:
    """The messages of every partition (or of one), the `newest` of each where that is given; partitions come mixed.

    Of stamps before `since_ms` there are none. What lies before them is not read, as far as the broker knows times.

    Raises:
        UnreachableError: no broker, no such topic, or the broker gives nothing for 10 s.
    """
    with _consumer(settings) as consumer:
        name = settings.topic(topic)
        ends = _begin(consumer, name, newest, partition, since_ms)
        for message in _read(consumer, name, ends):
            if message.timestamp()[1] >= since_ms:  # stamps of producers may go back
                yield message


def in_order(settings: Settings, topic: topics.Topic, *, since_ms: int = 0) -> Iterator[Message]:
    """All messages since a time, in the order of their stamps, each partition's in its own; raises as `read`.

    Each partition is read by itself, as far as its turn has come: what waits is bounded.
    """
    with _consumer(settings) as consumer:
        partitions = _partitions(consumer, settings.topic(topic))
    parts = [read(settings, topic, partition=partition, since_ms=since_ms) for partition in partitions]
    try:
        yield from heapq.merge(*parts, key=lambda message: message.timestamp()[1])
    finally:
        for part in parts:
            part.close()


@contextmanager
def _consumer(settings: Settings) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": settings.topic_prefix + "look",  # the client wants one, and never joins it
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": _QUEUED_KB,
            "fetch.queue.backoff.ms": 10,  # else, once that much is queued, nothing is asked for a whole second
            "log_level": 0,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {settings.kafka}: {reason(error)}; set {PREFIX}KAFKA") from error
    finally:
        consumer.close()


def _read(consumer: Consumer, name: str, ends: dict[int | None, int]) -> Iterator[Message]:
    heard_s = time.monotonic()
    while ends:
        # Not waited for whole batches: `consume` gives what it has only when it has as many or its time is up.
        found = consumer.consume(_BATCH, 0.05)
        if not found and time.monotonic() - heard_s > TIMEOUT_S:
            raise UnreachableError(f"{name}: the broker gave nothing for {TIMEOUT_S:g} s")
        for message in found:
            error, partition = message.error(), message.partition()
            if error is None:
                if partition in ends:
                    yield message
                    if (message.offset() or 0) + 1 >= ends[partition] + PAST_END:
                        del ends[partition]
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                ends.pop(partition, None)
            else:
                raise UnreachableError(f"{name}: {error.str()}")
        if found:
            heard_s = time.monotonic()  # not before: whom we read for may have taken long


def _begin(
    consumer: Consumer, name: str, newest: int | None, partition: int | None, since_ms: int
) -> dict[int | None, int]:
    """Stand where reading begins; by partition that holds something where the broker says its end is."""
    ends: dict[int | None, int] = {}
    places = []
    for number in _partitions(consumer, name) if partition is None else [partition]:
        low, high = _watermarks(consumer, TopicPartition(name, number))
        if high > low:
            ends[number] = high
            places.append(TopicPartition(name, number, low if newest is None else max(low, high - newest)))
    consumer.assign(_later(consumer, places, ends, since_ms) if since_ms > 0 and places else places)
    return ends


def _later(
    consumer: Consumer, places: list[TopicPartition], ends: dict[int | None, int], since_ms: int
) -> list[TopicPartition]:
    """Where messages stand that are no older than `since_ms`, no sooner than `places`; of none, the last one's place.

    For a broker that knows only the first of a batch may say there is none while the last batch goes on past the time.
    """
    asked = [TopicPartition(place.topic, place.partition, since_ms) for place in places]
    found = {}
    for one in consumer.offsets_for_times(asked, TIMEOUT_S):
        if one.error is not None:
            raise KafkaException(one.error)
        found[one.partition] = one.offset if one.offset >= 0 else ends[one.partition] - 1
    return [TopicPartition(place.topic, place.partition, max(place.offset, found[place.partition])) for place in places]


def _watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """Where it begins and ends. A topic just made is known to all brokers a moment before one takes its partitions."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        try:
            low, high = consumer.get_watermark_offsets(partition, TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in _SOON or time.monotonic() > deadline_s:
                raise
            time.sleep(_SOON_S)
        else:
            return low, high


def _partitions(consumer: Consumer, name: str) -> list[int]:
    known = consumer.list_topics(name, TIMEOUT_S).topics[name]
    if known.error is not None:
        fix = "; make it with `floodwarden topics`" if known.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART else ""
        raise UnreachableError(f"{name}: {known.error.str()}{fix}")
    return sorted(known.partitions)
