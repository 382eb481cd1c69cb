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
    ts_ms, skewed = _righted(ts_ms, lengths, messages, rule.skew_ms)
    if not len(ts_ms):
        return Timed(ts_ms, None, 0, newest_ms, skewed)
    last_ms = max(newest_ms, int(ts_ms.max()))
    if int(ts_ms.min()) // 1000 >= (last_ms - rule.lateness_ms) // 1000:
        return Timed(ts_ms, None, 0, last_ms, skewed)
    floor_s = np.repeat((_before(ts_ms, lengths, newest_ms) - rule.lateness_ms) // 1000, lengths)
    own_s = ts_ms // 1000
    late = int((own_s < floor_s).sum())
    return Timed(ts_ms, np.maximum(own_s, floor_s) if late else None, late, last_ms, skewed)


def _before(ts_ms: I64, lengths: Sequence[int], newest_ms: int) -> I64:
    """The partition's time before each message."""
    count = np.asarray(lengths, np.int64)
    some = np.flatnonzero(count)
    newest = np.full(len(count) + 1, newest_ms, np.int64)
    newest[1 + some] = np.maximum.reduceat(ts_ms, (np.cumsum(count) - count)[some])
    before: I64 = np.maximum.accumulate(newest)[:-1]
    return before


def _righted(
    ts_ms: I64, lengths: Sequence[int], messages: Sequence[Message], skew_ms: int
) -> tuple[I64, tuple[Skewed, ...]]:
    """Rows of a node whose clock is known to be wrong by the broker's clock instead; none later than its message."""
    skews = [_skew_ms(message) for message in messages]
    latest = np.array([_NEVER if m.stamp_ms is None else m.stamp_ms for m in messages], np.int64)
    wrong = [i for i, skew in enumerate(skews) if abs(skew) > skew_ms and lengths[i]]
    if not wrong and (not len(ts_ms) or int(ts_ms.max()) <= int(latest.min()) + skew_ms):
        return ts_ms, ()
    shift = np.zeros(len(messages), np.int64)
    shift[wrong] = [skews[i] for i in wrong]
    moved = ts_ms - np.repeat(shift, lengths)
    bound = np.repeat(latest, lengths)
    beyond = moved > bound + skew_ms
    found = {i: skews[i] for i in wrong}
    if beyond.any():
        of_row = np.repeat(np.arange(len(messages)), lengths)
        for i in np.unique(of_row[beyond]).tolist():
            found.setdefault(i, int((moved - bound)[of_row == i].max()))
        moved = np.where(beyond, bound, moved)
    return np.maximum(moved, 0), tuple(Skewed(i, found[i]) for i in sorted(found))


_NEVER = np.iinfo(np.int64).max // 2


def _skew_ms(message: Message) -> int:
    """How far its producer's clock is ahead of the broker's, as far as that can be told."""
    if message.sent_ms is None or message.stamp_ms is None or not message.by_broker:
        return 0
    return message.sent_ms - message.stamp_ms
