"""Usage blocks -> what everybody used in each minute of event time, exact to the request, whatever the batching.

    usage partition   ....|block|block|block|....     read in its order; the blocks of each source are a chain
                          ^ mark             ^ written
    minutes           closed: in the store | open: in memory
                                           ^ closed_s

A minute goes to the store once, when it is over; rows that come later are added to what stands there. A crash loses
the open minutes, so reading begins again at `mark`, where the oldest of them began; of the rows before `written` those
of closed minutes are in the store already and are left out. Every row so counts once, however often one is killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from schemas.usage import Block, Kind

MINUTE_S: Final = 60
AHEAD_S: Final = 300  # a row stamped later than this after its block was written counts in the last minute it may
HELD_MS: Final = 600_000
ENTITIES_MAX: Final = 1_000_000  # of a usage partition, over all kinds and open minutes
MEASURES: Final = ("n", "allowed", "limited", "denied", "challenged", "cost")
ORDERS: Final = ("n", "allowed", "limited", "denied", "cost")
"""By what one may be among the heaviest."""
_PLACE: Final = ("start_s", "kind", "hash")
_READ: Final = ("kind", "hash", "entity", "pane_s", *MEASURES)
_NAMELESS: Final = 0  # the hash of what stands for many; no text has it
_COMPACT_ROWS_MIN: Final = 50_000
METERED: Final = (Kind.KEY, Kind.IP, Kind.USER, Kind.ROUTE, Kind.TENANT, Kind.COUNTRY, Kind.GLOBAL)


class Source(msgspec.Struct, frozen=True):
    """What is known of one decisions partition: applied up to offset `end`, the newest event time it has shown."""

    end: int
    newest_ms: int


class Progress(msgspec.Struct, frozen=True):
    """Where a usage partition stands: read again from offset `mark`, when the chains stood at `sources`."""

    mark: int
    sources: dict[int, Source]
    written: int  # offset up to which rows of closed minutes are in the store
    closed_s: int  # minutes that begin before it are closed


@dataclass(frozen=True, slots=True)
class Message:
    """A block as it lies in the topic: its offset and when it was written."""

    offset: int
    at_ms: int
    block: Block


@dataclass(frozen=True, slots=True)
class Hole:
    """Decision messages [start, end) of a source that no block told of, and the event time they may belong to."""

    source: int
    start: int
    end: int
    from_s: int
    until_s: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be stored in one transaction: frames of `start_s kind hash entity` and `MEASURES`, one row a place.

    `closed` rows are the whole of a minute, `late` ones come on top. A row without a hash stands for all that were too
    light to be kept.
    """

    closed: pl.DataFrame
    late: pl.DataFrame
    holes: tuple[Hole, ...]
    progress: Progress


@dataclass(slots=True)
class Minutes:
    """The minutes of one usage partition. `heaviest` of each kind are kept a minute, by each of `ORDERS`."""

    heaviest: int
    progress: Progress | None = None
    entities_max: int = ENTITIES_MAX
    next: int = 0  # usage offset
    repeated: int = 0
    _sources: dict[int, Source] = field(default_factory=dict)
    _heard_ms: dict[int, int] = field(default_factory=dict)  # when each source's last block was written
    _at_ms: int = 0  # when the last block was
    _closed_s: int = 0
    _written: int = 0
    _marks: dict[int, tuple[int, dict[int, Source]]] = field(default_factory=dict)  # where each open minute began
    _open: list[pl.DataFrame] = field(default_factory=list)
    _done: list[pl.DataFrame] = field(default_factory=list)
    _late: list[pl.DataFrame] = field(default_factory=list)
    _holes: list[Hole] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.progress is not None:
            self.next, self._sources = self.progress.mark, dict(self.progress.sources)
            self._written, self._closed_s = self.progress.written, self.progress.closed_s

    def __len__(self) -> int:
        """Rows held in memory."""
        return sum(frame.height for frames in (self._open, self._done, self._late) for frame in frames)

    @property
    def closed_s(self) -> int:
        """Minutes that begin before it are closed."""
        return self._closed_s

    def add(self, messages: Sequence[Message]) -> int:
        """Count blocks, in their order; how many requests. Offsets below `next` were taken before and are left out."""
        before = self.next, dict(self._sources)
        fresh = [m for m in messages if m.offset >= self.next and self._chained(m)]
        if messages:
            self.next = max(self.next, messages[-1].offset + 1)
        again = [m for m in fresh if m.offset < self._written]
        counted = 0
        for part, replayed in ((again, True), (fresh[len(again) :], False)):
            if part:
                frame = _frame(part)
                counted += int(frame.filter(pl.col("kind") == int(Kind.GLOBAL))["n"].sum())
                self._sort(frame, before, replayed=replayed)
        heights = [frame.height for frame in self._open]
        if sum(heights[1:]) > max([_COMPACT_ROWS_MIN, *heights[:1]]):
            self._compact()
        return counted

    def close(self, now_ms: int | None, idle_ms: int, lateness_ms: int) -> None:
        """Close the minutes that are over; `now_ms` is None while there is more to read.

        The newest event time is that of the source furthest behind, of those that have spoken lately; where none has,
        the clock's. No minute is held open for longer than `HELD_MS` after its rows were written.
        """
        clock_ms = max(self._at_ms, now_ms or 0)
        heard = [(s.newest_ms, self._heard_ms.get(p, 0)) for p, s in self._sources.items()]
        newest = [newest_ms for newest_ms, at_ms in heard if newest_ms and clock_ms - at_ms < idle_ms]
        newest_ms = max(min(newest, default=clock_ms), self._at_ms - HELD_MS)
        self._close_to((newest_ms - lateness_ms) // (MINUTE_S * 1000) * MINUTE_S)

    def finish(self) -> None:
        """Close everything that can be: an orderly stop."""
        self._close_to(max(self._marks, default=self._closed_s) + MINUTE_S)

    def batch(self) -> Batch | None:
        """What is to be stored now; None while there is nothing. Only after `stored` is it forgotten."""
        if not (self._done or self._late or self._holes):
            return None
        closed, late = (folded(frames) for frames in (self._done, self._late))
        mark, sources = min(self._marks.values(), key=lambda at: at[0], default=(self.next, self._sources))
        progress = Progress(mark, dict(sources), max(self._written, self.next), self._closed_s)
        return Batch(kept(closed, self.heaviest), late, tuple(self._holes), progress)

    def stored(self, batch: Batch) -> None:
        """The batch, the last one made, is in the store."""
        self.progress, self._written = batch.progress, batch.progress.written
        self._done, self._late, self._holes = [], [], []

    def _chained(self, message: Message) -> bool:
        """Whether the block is new; one that begins beyond the end of its source's chain leaves a hole."""
        block = message.block
        self._at_ms = max(self._at_ms, message.at_ms)
        self._heard_ms[block.partition] = message.at_ms
        known = self._sources.get(block.partition)
        if known is not None and block.end <= known.end:
            self.repeated += 1
            return False
        newest_ms = min(block.ts_ms_max, message.at_ms)
        if known is not None and block.start > known.end:
            between = (min(known.newest_ms, newest_ms) // 1000, newest_ms // 1000 + 1)
            self._holes.append(Hole(block.partition, known.end, block.start, *between))
        self._sources[block.partition] = Source(block.end, max(newest_ms, known.newest_ms if known else 0))
        return True

    def _sort(self, frame: pl.DataFrame, before: tuple[int, dict[int, Source]], *, replayed: bool) -> None:
        over = pl.col("start_s") < self._closed_s
        late, opened = frame.filter(over), frame.filter(~over)
        if late.height and not replayed:
            self._late.append(late)
        if opened.height:
            self._open.append(opened)
            for start_s in opened["start_s"].unique().to_list():
                self._marks.setdefault(start_s, before)

    def _close_to(self, until_s: int) -> None:
        if until_s <= self._closed_s or self.next < self._written:  # what is read again would be taken for stored
            return
        self._closed_s = until_s
        self._marks = {start_s: mark for start_s, mark in self._marks.items() if start_s >= until_s}
        over = pl.col("start_s") < until_s
        self._done += [done for frame in self._open if (done := frame.filter(over)).height]
        self._open = [rest for frame in self._open if (rest := frame.filter(~over)).height]

    def _compact(self) -> None:
        """One row a place; of more places than memory has room for, only the heaviest."""
        whole = folded(self._open)
        self._open = [kept(whole, self.heaviest) if whole.height > self.entities_max else whole]


def folded(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One row a place, its measures summed."""
    if not frames:
        return _EMPTY
    return pl.concat(frames).group_by(_PLACE).agg(pl.first("entity"), *(pl.sum(name) for name in MEASURES))


def kept(frame: pl.DataFrame, heaviest: int) -> pl.DataFrame:
    """Of each minute and kind the `heaviest` by each order, ties by name; the rest as one nameless row."""
    if not frame.height or frame.group_by("start_s", "kind").len()["len"].max() <= heaviest:  # type: ignore[operator]
        return frame
    named = frame.filter(pl.col("hash") != _NAMELESS).sort("entity")
    ranked = [
        (pl.col(order).rank("ordinal", descending=True).over("start_s", "kind") <= heaviest) & (pl.col(order) > 0)
        for order in ORDERS
    ]
    chosen = named.select(pl.any_horizontal(ranked).alias("chosen"))["chosen"]
    light = named.filter(~chosen).with_columns(hash=pl.lit(_NAMELESS, pl.UInt64), entity=pl.lit(""))
    return pl.concat([named.filter(chosen), folded([light, frame.filter(pl.col("hash") == _NAMELESS)])])


def _frame(messages: Sequence[Message]) -> pl.DataFrame:
    """Rows of several blocks, one a place. The written time of a block bounds how late its rows may claim to be."""
    rows = pa.Table.from_batches([m.block.counts.select(_READ) for m in messages])
    at_ms = np.repeat([m.at_ms for m in messages], [m.block.counts.num_rows for m in messages])
    pane_s = np.minimum(rows["pane_s"].to_numpy(), at_ms // 1000 + AHEAD_S)
    columns = {name: pl.from_arrow(rows[name]) for name in ("kind", "hash", *MEASURES)}
    texts = pl.from_arrow(pc.cast(rows["entity"], pa.large_utf8()))
    frame = pl.DataFrame({"start_s": pane_s // MINUTE_S * MINUTE_S, **columns, "entity": texts}, schema=_SCHEMA)
    return folded([frame.filter(pl.col("kind").is_in([int(kind) for kind in METERED]))])


_SCHEMA: Final = {
    "start_s": pl.Int64, "kind": pl.UInt8, "hash": pl.UInt64, "entity": pl.String, **dict.fromkeys(MEASURES, pl.Int64),
}  # fmt: skip
_EMPTY: Final = pl.DataFrame(schema=_SCHEMA)
