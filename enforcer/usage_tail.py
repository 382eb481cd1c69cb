"""Reads what is new in `usage`, from now on: sums over everybody, for the site's health."""

from __future__ import annotations

import threading
import time
from typing import Final

import pyarrow.compute as pc
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from enforcer.health import Sums
from schemas import codec, topics
from schemas.errors import BadMessageError
from schemas.settings import Settings
from schemas.usage import Block, Kind

OLD_MS: Final = 60_000  # what was written longer ago says nothing of now
_MANY: Final = 500
_WAIT_S: Final = 1.0  # who stops waits for it, too
_log = structlog.get_logger("enforcer.usage_tail")


class UsageTail:
    """Every partition of `usage`, in no group and with nothing committed."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic(topics.USAGE)
        self._consumer = Consumer(
            {"bootstrap.servers": settings.kafka, "group.id": settings.topic_prefix + "health", "log_level": 0,
             "enable.auto.commit": False, "fetch.wait.max.ms": 50, "auto.offset.reset": "latest"}
        )  # fmt: skip
        self._ends: dict[tuple[int, int], int] = {}
        self._begun = False
        self._in_use = threading.Lock()

    def read(self, within_s: float) -> Sums:
        """What came, waiting at most so long for more; a broker that is away gives nothing."""
        deadline_s = time.monotonic() + within_s
        total = Sums()
        with self._in_use:
            if not self._begun and not self._begin():
                return total
            while (left_s := deadline_s - time.monotonic()) > 0:
                for message in self._consumer.consume(_MANY, left_s):
                    total += self._sums(message)
        return total

    def close(self) -> None:
        """Leave, once nobody reads any more: a reader that nobody waits for goes on to its end."""
        with self._in_use:
            self._consumer.close()

    def _begin(self) -> bool:
        """Stand at the end of every partition; False: the broker does not tell where that is."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=_WAIT_S).topics[self._topic]
            places = [TopicPartition(self._topic, number) for number in found.partitions]
            for place in places:
                place.offset = self._consumer.get_watermark_offsets(place, timeout=_WAIT_S)[1]
        except KafkaException as error:
            _log.warning("broker_away", error=str(error))
            return False
        self._consumer.assign(places)
        self._begun = bool(places)
        return self._begun

    def _sums(self, message: Message) -> Sums:
        error = message.error()
        if error is not None:
            self._begun = error.code() != KafkaError._UNKNOWN_PARTITION and self._begun  # noqa: SLF001 - its public name
            return Sums()
        if time.time_ns() // 1_000_000 - message.timestamp()[1] > OLD_MS:
            return Sums()
        try:
            block = codec.decode_block(message.value() or b"", flows=False)
        except BadMessageError:
            return Sums()  # whoever detects on it says what is wrong with it
        place = message.partition() or 0, block.partition
        if block.end <= self._ends.get(place, -1):
            return Sums()
        self._ends[place] = block.end
        return everybody(block)


def everybody(block: Block) -> Sums:
    """What a block says of all requests together."""
    rows = block.counts.filter(pc.equal(block.counts["kind"], int(Kind.GLOBAL)))
    if not rows.num_rows:
        return Sums()
    totals = {
        name: pc.sum(rows[name]).as_py() or 0 for name in ("allowed", "server_error", "latency_ms_sum", "latency_n")
    }
    return Sums(totals["allowed"], totals["server_error"], float(totals["latency_ms_sum"]), totals["latency_n"])
