"""What is counted and named of blocks, put off until somebody asks or enough has come: small blocks cost little then.

Windows that have room for all of it hold the same whenever it is added; where they have not, nothing is put off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Flows
from schemas.usage import MEASURES, Block, Kind, What
from stream import distinct
from stream.grouping import U64
from stream.names import Names
from stream.rings import WINDOWS_S
from stream.windows import Alive, Windows

ROWS_MAX: Final = 16_384
BLOCKS_MAX: Final = 128  # who has an alert to tell asks, and waits no longer than for so many


class Tallies:
    """Windows and names of one usage partition. `alive` and `watched` say who must stay in them."""

    def __init__(self, windows: Windows, names: Names, alive: Alive, watched: Callable[[], U64]) -> None:
        self._windows, self._names = windows, names
        self._alive, self._watched = alive, watched
        self._seen: list[tuple[Flows, Block]] = []  # not yet counted
        self._unnamed: list[Block] = []
        self._rows = self._marks = self._flows = self._texts = 0  # rows of counts, marks, flows; rows not yet named

    @property
    def windows(self) -> Windows:
        """Windows that hold all."""
        self._settle()
        return self._windows

    @property
    def names(self) -> Names:
        """Names of all."""
        self._name()
        return self._names

    def fits(self, blocks: Sequence[Block]) -> bool:
        """`Windows.fits`."""
        rows, marks = _sizes(blocks)
        return self._windows.fits(self._rows + rows, self._marks + marks) or self.windows.fits(rows, marks)

    def add(self, seen: Sequence[tuple[Flows, Block]]) -> None:
        """More blocks, in their order, each beside its flows as read."""
        blocks = [block for _, block in seen]
        rows, marks = _sizes(blocks)
        self._seen += seen
        self._unnamed += blocks
        flows = sum(block.flows.num_rows for block in blocks)
        self._rows, self._marks, self._flows = self._rows + rows, self._marks + marks, self._flows + flows
        self._texts += rows + flows + sum(block.hits.num_rows for block in blocks)
        many = len(self._seen) >= BLOCKS_MAX or self._rows + self._flows > ROWS_MAX
        if many or not self._windows.fits(self._rows, self._marks):
            self._settle()
        if len(self._unnamed) >= BLOCKS_MAX or self._texts > ROWS_MAX:
            self._name()

    def crowds(self, kind: Kind, entities: U64) -> NDArray[np.int64]:
        """Of the last hour: accounts that were let in at each and did not fail, at least; addresses each came from."""
        hour_s = WINDOWS_S[-1]
        failed = self.windows.counts(kind, entities, hour_s)[:, MEASURES.index("auth_failed")]
        accounts, addresses = (
            np.rint(self.windows.distinct(kind, entities, what, hour_s)).astype(np.int64)
            for what in (What.USER, What.ADDRESS)
        )
        return np.stack([np.maximum(0, accounts - failed), addresses])

    def _settle(self) -> None:
        if not self._seen:
            return
        seen, self._seen = self._seen, []
        self._rows = self._marks = self._flows = 0
        self._windows.add([b.counts for _, b in seen], max(b.ts_ms_max for _, b in seen), self._alive)
        self._windows.see(seen, self._alive)

    def _name(self) -> None:
        blocks, self._unnamed, self._texts = self._unnamed, [], 0
        if blocks:
            self._names.add(blocks, self._watched)


def _sizes(blocks: Sequence[Block]) -> tuple[int, int]:
    """Rows of counts, and marks of distinct values at the most."""
    marks = len(What) * sum(block.flows.num_rows for block in blocks) + sum(distinct.marks_of(b.items) for b in blocks)
    return sum(block.counts.num_rows for block in blocks), marks
