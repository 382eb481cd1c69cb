"""Panes that coarsen with age, so that an hour costs what minutes did: each row stands in one ring.

    older than                 600 s               60 s              end: the second after the newest row
    |60|60|60|60|60|60|60|60|60|10|10|10|10|10|10|10|1|1|1|1|1|1|1|1|

A second moves to its ten, and a ten to its minute, when the whole ten or minute is that old: so the windows of 10 and
60 s are exact to the second, that of 600 s begins with a ten (and covers 590 to 600 s), that of an hour with a minute
(3,540 to 3,600 s).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import looked_up, paced, summed
from stream.grouping import I64
from stream.panes import NOTHING, Panes, Part

WINDOWS_S: Final = (10, 60, 600, 3600)
PANE_S: Final = (1, 1, 10, 60)  # with which each window begins
_HELD: Final = ((60, 1), (600, 10), (3600, 60))  # (until so old, pane)
SEARCH_STEPS: Final = 32  # what to look one slot up in a pane costs, in rows gone over
HELD_S: Final = WINDOWS_S[-1] + PANE_S[-1]  # nothing older is in any window
F64 = NDArray[np.float64]


class Rings:
    """Rows of one kind inside the longest window."""

    def __init__(self) -> None:
        self._rings = [Panes(pane_s) for _, pane_s in _HELD]

    def __len__(self) -> int:
        """Number of rows."""
        return sum(map(len, self._rings))

    def advance(self, end_s: int) -> None:
        """Let rows grow older, and go."""
        for (ring, coarser), begin_s in zip(pairwise(self._rings), _begins_s(end_s), strict=True):
            parts: dict[int, list[Part]] = {}
            for pane, held in sorted(ring.leaves(begin_s).items()):
                parts.setdefault(pane * ring.pane_s // coarser.pane_s, []).extend(held)
            for pane, held in parts.items():
                coarser.take(pane, held)
        self._rings[-1].leaves(begins_s(WINDOWS_S[-1], end_s))

    def add(self, slots: I64, at_s: I64, rows: I64, end_s: int) -> None:
        """Rows in their own panes; those before the longest window are left out."""
        bounds = [NEWEST_S, *_begins_s(end_s), begins_s(WINDOWS_S[-1], end_s)]
        for ring, (until_s, begin_s) in zip(self._rings, pairwise(bounds), strict=True):
            inside = (at_s >= begin_s) & (at_s < until_s)
            if inside.all():
                ring.add(slots, at_s, rows)
                return
            ring.add(slots[inside], at_s[inside], rows[inside])

    def sums(self, slots: I64, count: int, window_s: int, end_s: int) -> I64:
        """Rows of a window added up for each of some slots (-1: nobody) of `count`."""
        place, out = _places(slots, count), np.tile(NOTHING, (len(slots), 1))
        for ring in self._rings:
            for whole, (some, rows) in ring.parts_since(begins_s(window_s, end_s)):
                if whole and len(slots) * SEARCH_STEPS < len(some):
                    looked_up(slots, some, rows, out)
                else:
                    summed(place, some, rows, out)
        return out

    def paces(self, slots: I64, count: int, window_s: int, end_s: int) -> F64:
        """Gaps between the requests of each of some slots in a window: number, sum in ms, sum of squares."""
        place, out = _places(slots, count), np.zeros((len(slots), 3))
        last_ms = np.zeros(len(slots), np.int64)
        for some, rows in self._since(begins_s(window_s, end_s)):
            paced(place, some, rows, last_ms, out)
        return out

    def each(self, count: int) -> I64:
        """Rows of each of `count` slots, merged to one a slot and pane."""
        out = np.zeros(count, np.int64)
        for ring in self._rings:
            out += ring.each(count)
        return out

    def keep(self, slot_of: I64) -> None:
        """Give the slots new numbers; the rows of those who become the rest are added up."""
        for ring in self._rings:
            ring.keep(slot_of)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot."""
        out: dict[str, NDArray[np.generic]] = {}
        for ring in self._rings:
            for name, array in zip(_ARRAYS, ring.flat(), strict=True):
                out[f"{name}{ring.pane_s}"] = array
        return out

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """The inverse of `arrays`."""
        for ring in self._rings:
            ring.add(*(arrays[f"{name}{ring.pane_s}"].astype(np.int64) for name in _ARRAYS))

    def _since(self, from_s: int) -> Iterator[Part]:
        for ring in reversed(self._rings):
            yield from ring.since(from_s)


_ARRAYS: Final = ("slot", "at_s", "rows")
NEWEST_S: Final = np.iinfo(np.int64).max


def begins_s(window_s: int, end_s: int) -> int:
    """The first second of a window, when the newest row's second ends at `end_s`."""
    pane_s = PANE_S[WINDOWS_S.index(window_s)]
    return -(-end_s // pane_s) * pane_s - window_s


def _begins_s(end_s: int) -> tuple[int, ...]:
    """The first second of each ring but the last: of a whole pane of the next one."""
    return tuple((end_s - until_s) // pane_s * pane_s for (until_s, _), (_, pane_s) in pairwise(_HELD))


def _places(slots: I64, count: int) -> I64:
    """Where each slot stands among those asked for; -1: nowhere."""
    place = np.full(count + 1, -1)  # that of nobody, -1, is the last
    place[slots] = np.arange(len(slots))
    place[-1] = -1
    return place
