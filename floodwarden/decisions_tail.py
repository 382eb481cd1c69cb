"""The newest decisions of the topic, read once, in no group: looking changes nothing."""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from floodwarden.errors import UnreachableError
from schemas import codec, topics
from schemas.decision import Decision
from schemas.errors import BadMessageError
from schemas.settings import PREFIX, Settings

ROWS_MAX: Final = 20_000
MESSAGES_MAX: Final = 2_000  # of a partition
_WAIT_S: Final = 10.0


def newest(settings: Settings, seconds: int, rows_max: int = ROWS_MAX) -> list[Decision]:
    """The decisions of the last `seconds` by the broker's stamps, at most the `rows_max` newest.

    Raises:
        UnreachableError: no broker, or no such topic.
    """
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka, "group.id": settings.topic_prefix + "look", "log_level": 0,
         "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    )  # fmt: skip
    try:
        rows = _read(consumer, settings, (time.time_ns() // 1_000_000) - seconds * 1000)
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {settings.kafka}: {error}; start it, or set {PREFIX}KAFKA") from error
    finally:
        consumer.close()
    return sorted(rows, key=lambda row: row.ts_ms)[-rows_max:]


def _read(consumer: Consumer, settings: Settings, from_ms: int) -> list[Decision]:
    name = settings.topic(topics.DECISIONS)
    partitions = consumer.list_topics(name, timeout=_WAIT_S).topics[name].partitions
    ends: dict[int, int] = {}
    places = []
    for number in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=_WAIT_S)
        if high > low:
            ends[number] = high
            places.append(TopicPartition(name, number, max(low, high - MESSAGES_MAX)))
    if not places:
        return []
    consumer.assign(places)
    rows: list[Decision] = []
    deadline_s = time.monotonic() + _WAIT_S
    while ends and time.monotonic() < deadline_s:
        for message in consumer.consume(500, 0.2):
            if message.error() is not None:
                continue
            if message.timestamp()[1] >= from_ms:
                rows += _rows(message.value() or b"", dict(message.headers() or []).get(topics.CONTENT_TYPE))
            number, offset = message.partition() or 0, message.offset() or 0
            if offset + 1 >= ends.get(number, 0):
                ends.pop(number, None)
    return rows


def _rows(value: bytes, content_type: bytes | None) -> list[Decision]:
    try:
        return codec.to_rows(codec.decode(value, content_type.decode() if content_type else None))
    except BadMessageError:
        return []  # the stream puts it into `dead-letter`
