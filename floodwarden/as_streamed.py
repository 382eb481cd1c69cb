"""The decisions of a topic as the stream takes them: set in time by the broker's stamps, combined into blocks.

What runs on these blocks says what it would have said live. Partitions come side by side, in the order of the stamps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka import Message as KafkaMessage

from detectors.filters import Filter
from floodwarden import topic_reading
from floodwarden.formats import Rejects
from floodwarden.traffic import Recorded
from schemas import topics
from schemas.usage import Block
from stream import intake
from stream.blocks import Cut, Message, Terms
from stream.combine import combine
from stream.event_time import Rule
from stream.plan import Plan

MESSAGES: Final = 500
"""Read at once: half a million decisions at most."""
MS_DIGITS_MAX: Final = 13  # of epoch milliseconds until 2286


@dataclass(frozen=True, slots=True)
class Taken:
    """Blocks of one usage partition, when the last of their messages was appended, and how many decisions they have."""

    blocks: list[Block]
    now_ms: int
    rows: int


def blocks(recorded: Recorded, plan: Plan, conditions: tuple[Filter, ...], rejects: Rejects) -> Iterator[Taken]:
    """The topic's decisions since `recorded.from_ms`. Messages that are none are counted: the stream put them aside.

    Raises:
        UnreachableError: no broker, or no such topic.
    """
    settings = recorded.settings
    rule = Rule(settings.lateness_ms, settings.skew_ms)
    at: dict[int, tuple[int, int]] = {}  # by partition the end of its last block, and its time
    messages = topic_reading.in_order(settings, topics.DECISIONS, since_ms=recorded.from_ms)
    while some := list(islice(messages, MESSAGES)):
        made, rows = [], 0
        for partition, of in groupby(sorted(some, key=_partition), key=_partition):
            kept = tuple(_message(message) for message in of)
            start, newest_ms = at.get(partition, (kept[0].offset, 0))
            end = kept[-1].offset + 1
            taken = intake.take(Cut(start, end, kept, Terms(newest_ms)), partition, rule, settings.login_globs)
            for bad in taken.rejected:
                rejects.add(recorded.name, bad.message.offset, str(bad.error), "")
            made += combine(
                taken.batch,
                partition=partition,
                start=start,
                end=end,
                ts_ms_max=taken.newest_ms,
                usage_partitions=1,
                login_globs=settings.login_globs,
                judged_s=taken.judged_s,
                plan=plan,
                conditions=conditions,
            )
            at[partition] = end, taken.newest_ms
            rows += taken.rows
        yield Taken(made, some[-1].timestamp()[1], rows)


def _partition(message: KafkaMessage) -> int:
    return message.partition() or 0


def _message(message: KafkaMessage) -> Message:
    headers = dict(message.headers() or [])
    kind, sent = headers.get(topics.CONTENT_TYPE), headers.get(topics.SENT)
    stamped_by, stamp_ms = message.timestamp()
    return Message(
        message.offset() or 0,
        message.value() or b"",
        kind.decode("latin-1") if kind else None,
        stamp_ms=stamp_ms,
        by_broker=stamped_by == TIMESTAMP_LOG_APPEND_TIME,
        sent_ms=int(sent) if sent and sent.isdigit() and len(sent) <= MS_DIGITS_MAX else None,
    )
