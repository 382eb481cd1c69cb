"""What stands against owners: a row for each family that has anything against one, none for the many without.

    Columns.at     | . | . | 3 | . |     a slot's families: number of the row, 0 (.) where nothing stands
                   | . | 1 | . | 2 |
    Tracks         | 0: blank, never written | 1 | 2 | 3 | ...

A row is made when evidence first rises above 0, and let go on the hour where nothing of it is left: no evidence, no
episode, no crossing that is remembered. Rows of an owner that goes, go with him. There are at most `room` rows after a
pane: then those go that least stands in (`Entities.forget`). Within a pane there may be a third more; what finds no
place then, the least evidence first, is as if it had not been.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled

Flag = NDArray[np.bool_]
F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
Slots = NDArray[np.intp]
EACH: Final = 3  # rows an owner, on the mean, after a pane
WITHIN: Final = 4  # the same, while a pane is written
LEAVE: Final = 0.75  # of the rows are left when some must go
# One record, so that what is written together lies together.
ROW: Final = np.dtype(
    [
        ("s", np.float64),
        ("t_ms", np.int64),
        ("first_ms", np.int64),
        ("last_mark_ms", np.int64),
        ("crossed_pane_s", np.int64),
        ("crossed_ms", np.int64),
        ("crossed_after", np.int64),
        ("marks", np.int32),
        ("tries", np.int32),
        ("distinct", np.int32),
        ("most", np.float32),
        ("episode", np.bool_),
        ("alone", np.bool_),
    ],
    align=True,
)
NAMES: Final = tuple(ROW.names or ())


class Tracks:
    """Rows by number, `used` of them (row 0 counts), each of one owner and family. Fields are views of the records.

    `marks`, `tries` and `distinct` count since `first_ms`, when the evidence `s` (nats, as of `t_ms`) left 0.
    """

    s: F64
    t_ms: I64
    first_ms: I64
    last_mark_ms: I64
    crossed_pane_s: I64
    crossed_ms: I64
    crossed_after: I64
    marks: I32
    tries: I32
    distinct: I32
    most: F32  # the highest evidence of the hour
    episode: Flag
    alone: Flag  # the episode began with own evidence, not with a group's

    def __init__(self, owners: int) -> None:
        self.room = EACH * owners
        self.most_rows = WITHIN * owners
        self.used = 1
        self._hold(np.zeros(64, ROW))

    def __len__(self) -> int:
        """How many rows are somebody's."""
        return self.used - 1

    def _hold(self, rows: NDArray[np.void]) -> None:
        self._rows = rows
        for name in NAMES:
            setattr(self, name, rows[name])

    def make(self, n: int) -> I32:
        """Numbers of so many new rows, blank."""
        begin, self.used = self.used, self.used + n
        if self.used > len(self._rows):
            have = len(self._rows)
            grown = np.zeros(max(self.used, min(2 * have, self.most_rows + 1)), ROW)
            grown[:begin] = self._rows[:begin]
            self._hold(grown)
        return np.arange(begin, self.used, dtype=np.int32)

    def left(self) -> int:
        """How many more may be made in this pane."""
        return max(0, self.most_rows - len(self))

    def keep(self, stay: Flag) -> I32:
        """Only the rows that `stay`: the number each has from now on, 0 for those that go."""
        stay[0] = True
        number: I32 = np.where(stay, np.cumsum(stay) - 1, 0).astype(np.int32)
        if not stay.all():
            moved(self._rows.view(np.uint8).reshape(len(self._rows), -1), np.flatnonzero(stay))
            before, self.used = self.used, int(stay.sum())
            self._rows[self.used : before] = 0
        return number

    def anything(self) -> Flag:
        """Which rows say anything that is asked for later."""
        rows = slice(self.used)
        some: Flag = (self.s[rows] > 0) | (self.most[rows] > 0) | (self.crossed_pane_s[rows] != 0) | self.episode[rows]
        return some

    def arrays(self, at: I32) -> dict[str, NDArray[np.generic]]:
        """What is held for `at`, numbers by (slot, family), in their order."""
        slot, family = np.nonzero(at)
        number = at[slot, family]
        out: dict[str, NDArray[np.generic]] = {
            "tracks.slot": slot.astype(np.int32),
            "tracks.family": family.astype(np.uint8),
        }
        return out | {f"tracks.{name}": getattr(self, name)[number] for name in NAMES}

    def restore(self, at: I32, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave, `at` (mutated) as it was; nothing may be held before."""
        slot, family = arrays["tracks.slot"].astype(np.intp), arrays["tracks.family"].astype(np.intp)
        number = self.make(len(slot))
        at[slot, family] = number
        for name in NAMES:
            getattr(self, name)[number] = arrays[f"tracks.{name}"]


@compiled
def moved(column: NDArray[np.uint8], rows: Slots) -> None:
    """Put `rows`, ascending, to the front of `column` (bytes, mutated), without a copy of it."""
    for i in range(len(rows)):
        if rows[i] != i:
            column[i] = column[rows[i]]


@compiled
def of_somebody(at: I32, rows: int) -> Flag:
    """Which of so many rows are in `at`, (slot, family)."""
    out = np.zeros(rows, np.bool_)
    for slot in range(at.shape[0]):
        for family in range(at.shape[1]):
            out[at[slot, family]] = True
    return out


@compiled
def renumber(at: I32, number: I32) -> None:
    """Numbers that changed, in `at` (mutated)."""
    for slot in range(at.shape[0]):
        for family in range(at.shape[1]):
            if at[slot, family] != 0:
                at[slot, family] = number[at[slot, family]]


@compiled
def without(family: int, slot: Slots, s: F64, at: I32) -> tuple[Slots, F64]:
    """Owners (rows of one stand together) that have evidence and no row yet, and the highest it came to."""
    slots, high, n, begin = np.empty(len(slot), np.intp), np.empty(len(slot)), 0, 0
    while begin < len(slot):
        i, most = begin, s[begin]
        while i < len(slot) and slot[i] == slot[begin]:
            most = max(most, s[i])
            i += 1
        if most > 0 and at[slot[begin], family] == 0:
            slots[n], high[n] = slot[begin], most
            n += 1
        begin = i
    return slots[:n], high[:n]
