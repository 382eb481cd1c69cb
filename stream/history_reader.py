"""Reads what was told of a partition's history, for a worker that has nothing else left of it."""

from __future__ import annotations

import time
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas import history, topics
from schemas.errors import BadMessageError
from schemas.history import Sights
from schemas.settings import Settings

log = structlog.get_logger(__name__)
TIMEOUT_S: Final = 30.0


def read(settings: Settings, partition: int) -> list[Sights]:
    """The newest of each slice of `partition`. A slice that cannot be read is left out, and logged.

    Raises:
        KafkaException: the broker gave nothing for `TIMEOUT_S`. To begin without would wipe what the topic holds.
    """
    name = settings.topic(topics.HISTORY)
    consumer = Consumer({
        "bootstrap.servers": settings.kafka, "group.id": settings.topic_prefix + "look", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "enable.partition.eof": True, "fetch.wait.max.ms": 50, "log_level": 0,
    })  # fmt: skip
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), TIMEOUT_S)
        if high <= low:
            return []
        consumer.assign([TopicPartition(name, partition, low)])
        return _decoded(_newest(consumer, name))
    finally:
        consumer.close()


def _newest(consumer: Consumer, name: str) -> dict[bytes, bytes]:
    """The newest value under each key, up to the end."""
    found: dict[bytes, bytes] = {}
    heard_s = time.monotonic()
    while time.monotonic() - heard_s < TIMEOUT_S:
        message = consumer.poll(0.2)
        if message is None:
            continue
        heard_s = time.monotonic()
        error, key, value = message.error(), message.key(), message.value()
        if error is None:
            if key is not None:
                found[_bytes(key)] = _bytes(value or b"")
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            return found
        else:
            raise KafkaException(error)
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{name}: nothing for {TIMEOUT_S:g} s"))  # noqa: SLF001 - its public name


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _decoded(values: dict[bytes, bytes]) -> list[Sights]:
    slices = []
    for key, value in values.items():
        try:
            slices.append(history.decode(value))
        except BadMessageError as error:
            log.warning("no slice of history", key=key.decode(errors="replace"), reason=str(error))
    return slices
