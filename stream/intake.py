"""Messages -> decisions: all at once when they are good, one by one when one is not; thinned, and set in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from schemas import codec
from schemas.errors import BadMessageError
from stream import sampling
from stream.blocks import Cut, Message
from stream.combine import COLUMNS
from stream.event_time import Rule, timed
from stream.grouping import I64

NODE_UNKNOWN: Final = "?"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message nobody can take, and why."""

    message: Message
    error: BadMessageError


@dataclass(frozen=True, slots=True)
class Clock:
    """A node whose clock was found wrong, and by how much it was ahead (behind: less than 0)."""

    node: str
    ahead_ms: int
    rows: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The decisions (`combine.COLUMNS`) of all good messages in their order, and what happened to the rest.

    `judged_s` as `combine` takes it; `newest_ms` is the partition's time after them; `rows` came, `late` among them.
    """

    batch: pa.RecordBatch
    judged_s: I64 | None
    newest_ms: int
    rows: int = 0
    late: int = 0
    clocks: tuple[Clock, ...] = ()
    rejected: list[Rejected] = field(default_factory=list)


def take(cut: Cut, partition: int, rule: Rule, login_globs: tuple[str, ...]) -> Taken:
    """A block's decisions, by its terms: the same block gives the same ones, whoever takes it."""
    level = cut.terms.level
    good, batch, lengths, rejected = _read(sampling.opened(cut.messages, partition, level))
    times = timed(batch.column("ts_ms").to_numpy(), lengths, good, cut.terms.ts_ms_max, rule)
    clocks = tuple(Clock(_node(good[s.index]), s.ahead_ms, lengths[s.index]) for s in times.skewed)
    if times.skewed:
        batch = batch.set_column(0, batch.schema.field(0), pa.array(times.ts_ms))
    rows, judged_s = batch.num_rows, times.judged_s
    batch, kept = sampling.thinned(batch, (partition, cut.start), level, login_globs)
    if kept is not None and judged_s is not None:
        judged_s = judged_s[kept]
    return Taken(batch, judged_s, times.newest_ms, rows, times.late, clocks, rejected)


def _read(messages: Sequence[Message]) -> tuple[Sequence[Message], pa.RecordBatch, list[int], list[Rejected]]:
    """Good messages, their rows, and how many each has; and the bad messages."""
    try:
        batch, lengths = codec.decode_each([(m.value, m.content_type) for m in messages], COLUMNS)
    except BadMessageError:
        pass
    else:
        return messages, batch, lengths, []
    good: list[Message] = []
    rejected: list[Rejected] = []
    for message in messages:
        try:
            codec.decode_many([(message.value, message.content_type)], COLUMNS)
        except BadMessageError as error:
            rejected.append(Rejected(message, error))
        else:
            good.append(message)
    batch, lengths = codec.decode_each([(m.value, m.content_type) for m in good], COLUMNS)
    return good, batch, lengths, rejected


def _node(message: Message) -> str:
    """Whose rows a good message has, as the first of them says."""
    names = codec.decode_many([(message.value, message.content_type)], ("node",)).column("node")
    return str(names[0].as_py() or NODE_UNKNOWN) if len(names) else NODE_UNKNOWN
