"""Whether a partition goes as far as somebody once read it: what a broker calls its end is not always its end.

The embedded broker names the offset behind the first record of the last batch. So where its word lies before a mark of
ours, what it has is read from there: where the record before the mark is, the topic is the one that was read.
"""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

_POLL_S: Final = 0.1
_BATCH: Final = 500


def reaches(settings: dict[str, object], topic: str, partition: int, mark: int, wait_s: float) -> bool:
    """Whether the record at `mark` - 1 is in the partition. `settings` of a client, in no group that counts.

    Raises:
        KafkaException: the broker refuses us, or says neither within `wait_s`.
    """
    one = {
        "enable.auto.commit": False, "auto.offset.reset": "earliest", "enable.partition.eof": True,
        "fetch.wait.max.ms": 50,
    }  # fmt: skip
    consumer = Consumer(settings | one)
    try:
        earliest, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=wait_s)
        if mark <= end or end == earliest:
            return bool(earliest < mark <= end)
        # From inside the last batch: where it is asked for what lies beyond its end, it need not answer at all.
        consumer.assign([TopicPartition(topic, partition, end - 1)])
        return _read_to(consumer, mark, time.monotonic() + wait_s)
    finally:
        consumer.close()


def _read_to(consumer: Consumer, mark: int, deadline_s: float) -> bool:
    while time.monotonic() < deadline_s:
        for message in consumer.consume(_BATCH, _POLL_S):
            error = message.error()
            if error is None:
                if (message.offset() or 0) >= mark - 1:
                    return True
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                return False
            elif error.fatal() or not error.retriable():
                raise KafkaException(error)
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - its public name
