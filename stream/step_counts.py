"""Requests, their gaps and how they are spread over values, by entity, in windows that slide by a twelfth.

What rules with a window count beside different values (`stream.distinct`). Bounded in bytes: who was silent for an
hour goes every ten minutes of event time, and when it is still too much, entities go as `detectors.eviction` says and
begin at nought when they come back. All of it follows from the panes alone, in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import eviction
from stream import dated_entries, step_loops
from stream.compiled import I32, I64, U64
from stream.distinct import SWEEP_S
from stream.rings import HELD_S
from stream.spread import REGISTERS, U32
from stream.step_loops import F64, LIVE, NUMBERS, PAGES_LIVE, PAGES_USED, SKETCH, USED

STEPS: Final = 12
ENTRY_BYTES: Final = 72  # with its part of the index
ROW_BYTES: Final = 24
PAGE_BYTES: Final = 8 * REGISTERS
_FACTS: Final = 4  # `dated_entries`: kind, entity, last second, panes it was seen in
_ROOM: Final = 256


def step_s(over_s: int) -> int:
    """By how many seconds a window slides: it covers `over_s` at the most, and a step less at the least."""
    return max(1, -(-over_s // STEPS))


@dataclass(frozen=True, slots=True)
class Pane:
    """What entities (their hashes, each once) did in one pane, and what is asked of each.

    `begins` says where the values of each begin among `marks` and `counts`, and behind the last where they end.
    """

    pane_s: int
    entity: U64
    over_s: I64
    gaps: NDArray[np.bool_]
    spread: NDArray[np.bool_]
    first_ms: I64
    last_ms: I64
    n: I64
    begins: I64
    marks: U32
    counts: I64


class StepCounts:
    """Counts of all entities, in `bytes_max` together; a little more until a pane is over."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._swept_s = 0
        self.evicted = 0
        self._empty(_ROOM, _ROOM, 1)

    def __len__(self) -> int:
        """Number of entities held."""
        return int(self._entries[dated_entries.ENTRIES])

    def bytes(self) -> int:
        """What they take."""
        return len(self) * ENTRY_BYTES + int(self._n[LIVE]) * ROW_BYTES + int(self._n[PAGES_LIVE]) * PAGE_BYTES

    def add(self, pane: Pane) -> F64:
        """Count a pane; panes come in their order.

        Gives by entity, of its window that ends with the pane: requests, the variation of gaps between them (NaN of
        fewer than two) and the entropy of values in bits; 0 of what is not asked.
        """
        self._sweep(pane.pane_s)
        self._reserve(len(self) + len(pane.entity))
        kind, at_s = np.zeros(len(pane.entity), np.uint8), np.full(len(pane.entity), pane.pane_s)
        entry = dated_entries.placed(kind, pane.entity, at_s, 0, self._index, self._keys, self._facts, self._entries)
        length = np.maximum(1, -(-pane.over_s // STEPS))
        step = pane.pane_s // length
        since = step - -(-pane.over_s // length) + 1
        when, asked = (step, since, since * length * 1000), (pane.gaps, pane.spread)
        times, values = (pane.first_ms, pane.last_ms, pane.n), (pane.begins, pane.marks, pane.counts)
        out, done = np.zeros((len(entry), 3)), 0
        while True:
            done = step_loops.counted(done, entry, when, asked, times, values, self._pool, out)
            if done == len(entry):
                break
            self._grow(int(pane.begins[done + 1] - pane.begins[done]))
        if self.bytes() > self._bytes_max:
            self._evict()
        return out

    @property
    def _pool(self) -> step_loops.Pool:
        return (
            self._heads, self._last_ms, self._marks, self._steps, self._counts, self._nexts, self._pages, self._n
        )  # fmt: skip

    def _empty(self, entries: int, rows: int, pages: int) -> None:
        self._entries = np.zeros(1, np.int64)
        self._n = np.zeros(NUMBERS, np.int64)
        self._columns(entries)
        self._marks, self._steps = np.zeros(rows, np.uint32), np.zeros(rows, np.int64)
        self._counts, self._nexts = np.zeros(rows, np.int64), np.full(rows, -1, np.int32)
        self._pages = np.zeros(pages * REGISTERS, np.int64)

    def _columns(self, entries: int) -> None:
        self._keys, self._facts = np.zeros(entries, np.uint64), np.zeros((entries, _FACTS), np.int64)
        self._heads, self._last_ms = np.full(entries, -1, np.int32), np.full(entries, -1)
        self._index: I32 = np.full(1 << (2 * entries).bit_length(), -1, np.int32)

    def _reserve(self, entries: int) -> None:
        size = len(self)
        if entries <= len(self._keys):
            return
        held = self._keys[:size], self._facts[:size], self._heads[:size], self._last_ms[:size]
        self._columns(max(entries, 2 * size))
        self._keys[:size], self._facts[:size], self._heads[:size], self._last_ms[:size] = held
        dated_entries.indexed(self._keys, size, self._index)

    def _grow(self, rows: int) -> None:
        """Room for so many rows of values more, and for a page."""
        more = max(rows + step_loops.OWN_ROWS, len(self._marks))
        if int(self._n[USED]) + rows + step_loops.OWN_ROWS > len(self._marks):
            self._marks = np.append(self._marks, np.zeros(more, np.uint32))
            self._steps = np.append(self._steps, np.zeros(more, np.int64))
            self._counts = np.append(self._counts, np.zeros(more, np.int64))
            self._nexts = np.append(self._nexts, np.full(more, -1, np.int32))
        if (int(self._n[PAGES_USED]) + 1) * REGISTERS > len(self._pages):
            self._pages = np.append(self._pages, np.zeros(max(len(self._pages), REGISTERS), np.int64))

    def _sweep(self, now_s: int) -> None:
        if now_s // SWEEP_S > self._swept_s // SWEEP_S:
            self._swept_s = now_s
            self._keep(np.flatnonzero(self._facts[: len(self), 2] >= now_s - HELD_S))

    def _evict(self) -> None:
        size = len(self)
        _, _, last_s, weight = self._facts[:size].T
        of, places = step_loops.flat(np.arange(size), self._pool)
        paged = np.bincount(of[self._marks[places] == SKETCH], minlength=size)
        taken = ENTRY_BYTES + ROW_BYTES * np.bincount(of, minlength=size) + PAGE_BYTES * paged
        room = max(1, size * self._bytes_max // int(taken.sum()))
        left, none = weight.copy(), np.zeros(size, np.bool_)
        left_to = eviction.Room(size, taken, int(self._bytes_max * eviction.LEAVE))
        stay = eviction.staying(self._keys[:size], left, last_s, none.astype(np.float64), none, room, left_to)
        self._facts[:size, 3] = left
        self.evicted += size - len(stay)
        self._keep(stay)

    def _keep(self, entries: I64) -> None:
        self._load(self._taken(entries))

    def _taken(self, entries: I64) -> dict[str, NDArray[np.generic]]:
        of, places = step_loops.flat(entries, self._pool)
        paged = self._marks[places] == SKETCH
        counts, pages = self._counts[places], self._pages.reshape(-1, REGISTERS)[self._counts[places[paged]]]
        counts[paged] = np.arange(len(pages))
        return {
            "keys": self._keys[entries], "facts": self._facts[entries], "last_ms": self._last_ms[entries], "of": of,
            "marks": self._marks[places], "steps": self._steps[places], "counts": counts, "pages": pages,
        }  # fmt: skip

    def _load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        size, rows, pages = len(arrays["keys"]), len(arrays["of"]), len(arrays["pages"])
        self._empty(size + _ROOM, rows + _ROOM, pages + 1)
        self._entries[dated_entries.ENTRIES] = size
        self._keys[:size], self._facts[:size], self._last_ms[:size] = (
            arrays[name] for name in ("keys", "facts", "last_ms")
        )
        self._marks[:rows], self._steps[:rows], self._counts[:rows] = (
            arrays[name] for name in ("marks", "steps", "counts")
        )
        self._pages[: pages * REGISTERS] = arrays["pages"].ravel()
        self._n[[USED, LIVE]], self._n[[PAGES_USED, PAGES_LIVE]] = rows, pages
        step_loops.chained(arrays["of"].astype(np.int32), self._pool)
        dated_entries.indexed(self._keys, size, self._index)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for `restore`."""
        return self._taken(np.arange(len(self))) | {"clock": np.array([self._swept_s, self.evicted])}

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """The inverse of `arrays`; nothing at all is a snapshot of before there were windows in rules."""
        if arrays:
            self._load(arrays)
            self._swept_s, self.evicted = (int(v) for v in arrays["clock"])
