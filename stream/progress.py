"""How far a pipeline has come, beside what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from schemas.usage import Block
from stream.errors import LostBlockError

VERSION: Final = 17  # of snapshots


class Source(msgspec.Struct):
    """What is known of one decisions partition: applied up to offset `end`, newest event time, when it last spoke.

    `seen_ms` is when it was last known not to be idle.
    """

    end: int
    ts_ms_max: int
    seen_ms: int
    spoke_ms: int = 0


class Progress(msgspec.Struct):
    """Where a pipeline stands; what a snapshot keeps beside arrays."""

    version: int = VERSION
    model: str = ""
    closed_s: int = 0
    sources: dict[int, Source] = msgspec.field(default_factory=dict)
    since_ms: int | None = None
    late_rows: int = 0
    repeated_blocks: int = 0
    unheld_rows: int = 0  # requests in flows of open panes that nobody had room for

    @property
    def newest_ms(self) -> int:
        """The newest event time of the partition that is furthest behind; 0 before there is one."""
        return min((source.ts_ms_max for source in self.sources.values()), default=0)

    def silent(self, now_ms: int, idle_ms: int, stalled_ms: int) -> list[int]:
        """Partitions that have not spoken for a third of what counts as idle, and are still waited for."""
        third_ms, sources = idle_ms / 3, self.sources.items()
        return [p for p, s in sources if now_ms - s.seen_ms > third_ms and now_ms - s.spoke_ms < stalled_ms]

    def heard(self, silent: set[int], ends: Mapping[int, int | None], now_ms: int) -> None:
        """Of silent partitions those are not idle whose log ends later than what was applied, or nobody knows where."""
        for partition in silent & ends.keys():
            source, end = self.sources[partition], ends[partition]
            if end is None or end > source.end:
                source.seen_ms = now_ms


def chained(blocks: Sequence[Block], at: Progress) -> list[Block]:
    """Blocks not applied before, when none is missing; the others are counted.

    Raises:
        LostBlockError: one is.
    """
    ends = {p: s.end for p, s in at.sources.items()}
    fresh = []
    for block in blocks:
        end = ends.get(block.partition, block.start)
        if block.end <= end and block.partition in ends:
            at.repeated_blocks += 1
            continue
        if block.start != end:
            raise LostBlockError(block.partition, end, block.start, block.end)
        ends[block.partition] = block.end
        fresh.append(block)
    return fresh


def watermark_ms(at: Progress, now_ms: int, partitions: int, idle_ms: int, lateness_ms: int) -> int:
    """Event time before which panes close (`at` is mutated at first).

    The least of the newest event times of partitions that speak; when all are silent, it goes on with the clock.
    """
    if at.since_ms is None:
        at.since_ms = now_ms
        for source in at.sources.values():
            source.seen_ms = source.spoke_ms = now_ms
    silent = Source(0, 0, at.since_ms)
    all_of = [at.sources.get(p, silent) for p in range(max(partitions, len(at.sources)))]
    speaking = [s for s in all_of if now_ms - s.seen_ms < idle_ms]
    if speaking:
        return min(s.ts_ms_max for s in speaking) - lateness_ms
    heard_ms = max(s.seen_ms for s in all_of)
    newest_ms = max(s.ts_ms_max for s in all_of)
    return newest_ms + now_ms - heard_ms - idle_ms - lateness_ms if newest_ms else 0
