"""How wrong the clocks of nodes are, as the newest messages of `decisions` show it."""

from __future__ import annotations

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
    partitions = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
    places = []
    for p in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=_TIMEOUT_S)
        if high > low:
            places.append(TopicPartition(topic, p, max(low, high - TAIL)))
    consumer.assign(places)
    found: list[Message] = []
    open_ = len(places)
    while open_:
        batch = consumer.consume(TAIL * len(places), _TIMEOUT_S)
        if not batch:
            break
        found += [message for message in batch if not message.error()]
        open_ -= sum(message.error() is not None for message in batch)
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
