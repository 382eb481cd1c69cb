"""Event time of a decisions partition: what clocks got wrong, how far it has come, and which rows come too late.

    message                 |  m1  |  m2  |  m3  |  m4  |
    sent, by its node       12:00:01 12:05:03 12:00:05 12:00:06
    appended, by the broker 12:00:01 12:00:03 12:00:05 12:00:06     5 min ahead: m2 is set back so far
    newest event time       12:00:01 12:00:03 12:00:05 12:00:06     of all messages so far: the partition's time
    oldest second open      :59      :59      :01      :03          the time before the message, less lateness

A row is late when its second lies before the oldest one that was open when its message came. It is counted in its own
second, and is evidence in the oldest open one. All of this follows from the partition's log alone, in its order: not
from how messages were batched, nor from how far other partitions were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stream.blocks import Message
from stream.grouping import I64


@dataclass(frozen=True, slots=True)
class Rule:
    """`lateness_ms`: how late, by its partition, a row may come. `skew_ms`: how wrong a clock may be, unchanged."""

    lateness_ms: int = 2000
    skew_ms: int = 2000


@dataclass(frozen=True, slots=True)
class Skewed:
    """A message whose rows were moved: its place among them, and how far its clock was ahead (behind: less than 0)."""

    index: int
    ahead_ms: int


@dataclass(frozen=True, slots=True)
class Timed:
    """Rows in time. `judged_s` is the second in which each is evidence; None where that is its own for all."""

    ts_ms: I64
    judged_s: I64 | None
    late: int
    newest_ms: int
    skewed: tuple[Skewed, ...]


def timed(ts_ms: I64, lengths: Sequence[int], messages: Sequence[Message], newest_ms: int, rule: Rule) -> Timed:
    """Times of the rows of `messages`, `lengths` of each, their partition having come to `newest_ms` (0: none)."""
    count = np.asarray(lengths, np.int64)
    some = np.flatnonzero(count)
    if not len(some):
        return Timed(ts_ms, None, 0, newest_ms, ())
    messages, count = [messages[i] for i in some.tolist()], count[some]
    ts_ms, skewed = _righted(ts_ms, count, messages, rule.skew_ms)
    starts = np.cumsum(count) - count
    newest = np.maximum.accumulate(np.append(newest_ms, np.maximum.reduceat(ts_ms, starts)))
    floor_s = (newest[:-1] - rule.lateness_ms) // 1000
    skewed = tuple(Skewed(int(some[s.index]), s.ahead_ms) for s in skewed)
    if (np.minimum.reduceat(ts_ms, starts) // 1000 >= floor_s).all():
        return Timed(ts_ms, None, 0, int(newest[-1]), skewed)
    own_s, floor_s = ts_ms // 1000, np.repeat(floor_s, count)
    return Timed(ts_ms, np.maximum(own_s, floor_s), int((own_s < floor_s).sum()), int(newest[-1]), skewed)


def _righted(ts_ms: I64, count: I64, messages: Sequence[Message], skew_ms: int) -> tuple[I64, tuple[Skewed, ...]]:
    """Rows of a node whose clock is known to be wrong by the broker's clock instead; none later than its message."""
    starts = np.cumsum(count) - count
    skews = np.array([_skew_ms(message) for message in messages], np.int64)
    shift = np.where(np.abs(skews) > skew_ms, skews, 0)
    latest = np.array([_NEVER if m.stamp_ms is None else m.stamp_ms for m in messages], np.int64)
    beyond = np.maximum.reduceat(ts_ms, starts) - shift - latest
    wrong = np.flatnonzero((shift != 0) | (beyond > skew_ms))
    if not len(wrong):
        return ts_ms, ()
    bound = np.repeat(latest, count)
    moved = ts_ms - np.repeat(shift, count)
    moved = np.where(moved > bound + skew_ms, bound, moved)
    return np.maximum(moved, 0), tuple(Skewed(i, int(shift[i] or beyond[i])) for i in wrong.tolist())


_NEVER = np.iinfo(np.int64).max // 2


def _skew_ms(message: Message) -> int:
    """How far its producer's clock is ahead of the broker's, as far as that can be told."""
    if message.sent_ms is None or message.stamp_ms is None or not message.by_broker:
        return 0
    return message.sent_ms - message.stamp_ms
