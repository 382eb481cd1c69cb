"""How wrong the clocks of nodes are, as the newest messages of `decisions` show it."""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, Message, TopicPartition

from floodwarden.errors import UnreachableError
from floodwarden.topics import reason
from schemas import codec, topics
from schemas.errors import BadMessageError
from schemas.settings import Settings

TAIL: Final = 50
"""Messages looked at of each partition."""
_TIMEOUT_S: Final = 3.0


def skews_ms(settings: Settings) -> dict[str, int] | None:
    """By node how far its clock is ahead of the broker's (behind: less than 0); None: the broker stamps no messages.

    Raises:
        UnreachableError: the broker did not answer.
    """
    options = {"bootstrap.servers": settings.kafka, "group.id": "floodwarden-doctor", "enable.auto.commit": False}
    consumer = Consumer(options | {"log_level": 0, "enable.partition.eof": True})
    try:
        found = _tails(consumer, settings.topic(topics.DECISIONS))
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {settings.kafka}: {reason(error)}; set FLOODWARDEN_KAFKA") from error
    finally:
        consumer.close()
    if any(message.timestamp()[0] != TIMESTAMP_LOG_APPEND_TIME for message in found):
        return None
    return {node: ahead_ms for message in found for node, ahead_ms in _skew(message)}


def _tails(consumer: Consumer, topic: str) -> list[Message]:
    """The last messages there were when it began, as far as they come in time; new ones come without end."""
    partitions = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
    ends, places = {}, []
    for p in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=_TIMEOUT_S)
        if high > low:
            ends[p] = high
            places.append(TopicPartition(topic, p, max(low, high - TAIL)))
    consumer.assign(places)
    found: list[Message] = []
    by_s = time.monotonic() + _TIMEOUT_S
    while ends and time.monotonic() < by_s:
        for message in consumer.consume(TAIL, 0.1):
            end = ends.get(message.partition())
            if not message.error():
                found.append(message)
            if end is not None and (message.error() or message.offset() >= end - 1):  # its end, or where it was
                del ends[message.partition()]
    return found


def _skew(message: Message) -> list[tuple[str, int]]:
    headers = dict(message.headers() or ())
    sent, content_type = headers.get(topics.SENT), headers.get(topics.CONTENT_TYPE)
    if sent is None or not sent.isdigit():
        return []
    try:
        rows = codec.decode_many([(message.value(), content_type.decode() if content_type else None)], ("node",))
    except BadMessageError:
        return []
    name = rows.column("node")[0].as_py() if rows.num_rows else None
    return [(str(name), int(sent) - message.timestamp()[1])] if name else []
