"""Rows of slots by pane: what windows add up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from detectors.compiled import compiled, joined, ordered
from schemas.usage import MEASURES
from stream.grouping import I64

SUMS: Final = len(MEASURES)  # columns of a row that add up; behind them the first and the last time, in ms
FIRST, LAST, COLUMNS = SUMS, SUMS + 1, SUMS + 2
NEVER: Final = np.iinfo(np.int64)
NOTHING: Final = np.array([*(0 for _ in MEASURES), NEVER.max, NEVER.min])
MERGE_ROWS_MIN: Final = 4096
MERGE_PARTS_MAX: Final = 256
REST: Final = 0  # the slot of all who had to go
Part = tuple[I64, I64]  # slots, rows


@dataclass(slots=True)
class Panes:
    """Rows of one kind by pane of `pane_s` seconds: a row a slot, but for those that came last."""

    pane_s: int
    parts: dict[int, list[Part]] = field(default_factory=dict)  # pane -> its rows
    whole: set[int] = field(default_factory=set)  # panes with one row a slot

    def __len__(self) -> int:
        """Number of rows."""
        return sum(len(slots) for parts in self.parts.values() for slots, _ in parts)

    def add(self, slots: I64, at_s: I64, rows: I64) -> None:
        """Rows in their own panes."""
        if not len(slots):
            return
        panes = at_s // self.pane_s
        low, high = int(panes.min()), int(panes.max())
        if low == high:
            # Rows of its own: a view would hold all rows of a block for as long as the few of a small kind are held.
            self._put(low, slots, rows if rows.base is None else rows.copy())
            return
        order = np.argsort(panes, kind="stable")
        starts = np.searchsorted(panes[order], np.arange(low, high + 2))
        for pane, a, b in zip(range(low, high + 1), starts, starts[1:], strict=False):
            if a < b:
                some = order[a:b]
                self._put(pane, slots[some], rows[some])

    def leaves(self, until_s: int) -> dict[int, list[Part]]:
        """Take out the panes that begin before `until_s`."""
        gone = {pane: self.parts.pop(pane) for pane in [p for p in self.parts if p * self.pane_s < until_s]}
        self.whole.difference_update(gone)
        return gone

    def take(self, pane: int, parts: list[Part]) -> None:
        """Add up what becomes one pane."""
        self.parts[pane] = [merged(self.parts.get(pane, []) + parts)]
        self.whole.add(pane)

    def since(self, from_s: int) -> Iterator[Part]:
        """The panes that begin at `from_s` or later, the oldest first: slots ascending, a row each."""
        for pane in sorted(p for p in self.parts if p * self.pane_s >= from_s):
            self._whole(pane)
            yield self.parts[pane][0]

    def parts_since(self, from_s: int) -> Iterator[tuple[bool, Part]]:
        """As `since`, as they came: whether slots are ascending with a row each, and the rows."""
        for pane, parts in self.parts.items():
            if pane * self.pane_s >= from_s:
                yield from ((pane in self.whole, part) for part in parts)

    def each(self, count: int) -> I64:
        """Rows of each of `count` slots, merged to one a slot and pane."""
        out = np.zeros(count, np.int64)
        for pane in self.parts:
            self._whole(pane)
            out += np.bincount(self.parts[pane][0][0], minlength=count)
        return out

    def keep(self, slot_of: I64) -> None:
        """Give the slots new numbers, in the same order; the rows of those who become the rest are added up."""
        for pane, parts in self.parts.items():
            self._whole(pane)
            self.parts[pane] = [_kept(*parts[0], slot_of)]

    def flat(self) -> tuple[I64, I64, I64]:
        """Slot, begin of the pane, row: everything."""
        held = [(pane * self.pane_s, s, r) for pane, parts in sorted(self.parts.items()) for s, r in parts]
        none = np.empty(0, np.int64)
        return (
            np.concatenate([s for _, s, _ in held] or [none]),
            np.concatenate([np.full(len(s), at_s) for at_s, s, _ in held] or [none]),
            np.concatenate([r for *_, r in held] or [np.empty((0, COLUMNS), np.int64)]),
        )

    def _whole(self, pane: int) -> None:
        if pane not in self.whole:
            self.parts[pane] = [merged(self.parts[pane])]
            self.whole.add(pane)

    def _put(self, pane: int, slots: I64, rows: I64) -> None:
        """Rows of one slot are added up once as many came as there are: seldom, and memory stays bounded."""
        parts = self.parts.setdefault(pane, [])
        parts.append((slots, rows))
        self.whole.discard(pane)
        late = sum(len(s) for s, _ in parts[1:])
        if late > max(len(parts[0][0]), MERGE_ROWS_MIN) or len(parts) > MERGE_PARTS_MAX:
            self.parts[pane] = [merged(parts)]


def merged(parts: list[Part]) -> Part:
    """The rows of each slot added up, slots ascending."""
    slots = np.concatenate([s for s, _ in parts])
    order = ordered(slots.astype(np.uint64))
    slots = slots[order]
    heads = np.flatnonzero(np.diff(slots, prepend=-1))
    return slots[heads], joined(np.concatenate([r for _, r in parts]), order, heads, SUMS)


@compiled
def _kept(slots: I64, rows: I64, slot_of: I64) -> Part:
    """A part with a row a slot, slots ascending, and new ones given in the same order: those that go first, as one."""
    gone = 0
    for slot in slots:
        gone += slot_of[slot] == REST
    rest = min(gone, 1)
    of, out = np.empty(len(slots) - gone + rest, np.int64), np.empty((len(slots) - gone + rest, COLUMNS), np.int64)
    if gone:
        of[0], out[0] = REST, NOTHING
    count = rest
    for i in range(len(slots)):
        of_i, row = slot_of[slots[i]], rows[i]
        if of_i != REST:
            of[count], out[count] = of_i, row
            count += 1
            continue
        for column in range(SUMS):
            out[0, column] += row[column]
        out[0, FIRST], out[0, LAST] = min(out[0, FIRST], row[FIRST]), max(out[0, LAST], row[LAST])
    return of, out
