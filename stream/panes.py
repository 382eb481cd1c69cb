"""Rows of slots by pane: what windows add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from detectors.compiled import added, ordered
from schemas.usage import MEASURES
from stream.grouping import I64

MERGE_ROWS_MIN: Final = 4096
MERGE_PARTS_MAX: Final = 256
REST: Final = 0  # the slot of all who had to go


@dataclass(slots=True)
class Panes:
    """Rows of one kind by pane, as long as they are inside `window_s`: a row a slot, but for those that came last."""

    window_s: int
    pane_s: int
    parts: dict[int, list[tuple[I64, I64]]] = field(default_factory=dict)  # pane -> (slots, measures)
    whole: set[int] = field(default_factory=set)  # panes with one row a slot

    def __len__(self) -> int:
        """Number of rows."""
        return sum(len(slots) for parts in self.parts.values() for slots, _ in parts)

    def first_pane(self, end_s: int, window_s: int) -> int:
        """Number of the oldest pane inside a window, when the newest row's second ends at `end_s`."""
        return -(-end_s // self.pane_s) - window_s // self.pane_s

    def advance(self, end_s: int) -> None:
        """Let panes that have left the window go."""
        first = self.first_pane(end_s, self.window_s)
        for pane in [p for p in self.parts if p < first]:
            del self.parts[pane]
            self.whole.discard(pane)

    def add(self, slots: I64, pane_s: I64, measures: I64, end_s: int) -> None:
        """Rows in their own panes; those before the window are left out."""
        panes = pane_s // self.pane_s
        inside = panes >= self.first_pane(end_s, self.window_s)
        if not inside.all():
            slots, panes, measures = slots[inside], panes[inside], measures[inside]
        if not len(slots):
            return
        low, high = int(panes.min()), int(panes.max())
        if low == high:
            self._put(low, slots, measures)
            return
        order = np.argsort(panes, kind="stable")
        starts = np.searchsorted(panes[order], np.arange(low, high + 2))
        for pane, a, b in zip(range(low, high + 1), starts, starts[1:], strict=False):
            if a < b:
                rows = order[a:b]
                self._put(pane, slots[rows], measures[rows])

    def sums(self, slot: int, window_s: int, end_s: int) -> I64:
        """What one slot did in the panes of a window."""
        total = np.zeros(len(MEASURES), np.int64)
        first = self.first_pane(end_s, window_s)
        for pane, parts in self.parts.items():
            if pane >= first:
                for slots, measures in parts:
                    total += measures[slots == slot].sum(axis=0)
        return total

    def each(self, count: int) -> I64:
        """Rows of each of `count` slots, merged to one a slot and pane."""
        out = np.zeros(count, np.int64)
        for pane, parts in self.parts.items():
            if pane not in self.whole:
                self.parts[pane] = [merged(parts)]
                self.whole.add(pane)
            out += np.bincount(self.parts[pane][0][0], minlength=count)
        return out

    def keep(self, slot_of: I64) -> None:
        """Give the slots new numbers; the rows of those who become the rest are added up."""
        for pane, parts in self.parts.items():
            self.parts[pane] = [merged([(slot_of[slots], measures) for slots, measures in parts])]

    def _put(self, pane: int, slots: I64, measures: I64) -> None:
        """Rows of one slot are added up once as many came as there are: seldom, and memory stays bounded."""
        parts = self.parts.setdefault(pane, [])
        parts.append((slots, measures))
        self.whole.discard(pane)
        late = sum(len(s) for s, _ in parts[1:])
        if late > max(len(parts[0][0]), MERGE_ROWS_MIN) or len(parts) > MERGE_PARTS_MAX:
            self.parts[pane] = [merged(parts)]


def merged(parts: list[tuple[I64, I64]]) -> tuple[I64, I64]:
    """The rows of each slot added up, slots ascending."""
    slots = np.concatenate([s for s, _ in parts])
    order = ordered(slots.astype(np.uint64))
    slots = slots[order]
    heads = np.flatnonzero(np.diff(slots, prepend=-1))
    return slots[heads], added(np.concatenate([m for _, m in parts]), order, heads)
