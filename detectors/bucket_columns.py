"""What is kept about each bucket: plain arrays, a slot a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from detectors import pour

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


@dataclass(slots=True)
class Columns:
    """One row a bucket; `state` as `pour` has it, `full_ms` the level above which it overflows."""

    key: U64
    entity: U64
    kind: NDArray[np.uint8]
    full_ms: I64
    state: I64
    seen: NDArray[np.uint32]
    signs: U64
    examples: U64

    @staticmethod
    def blank(size: int) -> Columns:
        """`size` slots of nothing."""
        return Columns(
            key=np.zeros(size, np.uint64),
            entity=np.zeros(size, np.uint64),
            kind=np.zeros(size, np.uint8),
            full_ms=np.zeros(size, np.int64),
            state=np.zeros((size, pour.COLUMNS), np.int64),
            seen=np.zeros((size, pour.SEEN), np.uint32),
            signs=np.zeros((size, pour.SHOWN), np.uint64),
            examples=np.zeros((size, pour.SHOWN), np.uint64),
        )

    def take(self, rows: I64) -> Columns:
        """The given slots, copied."""
        return Columns(*(getattr(self, f.name)[rows] for f in fields(self)))

    def grown(self, size: int) -> Columns:
        """The same slots and empty ones behind them."""
        out = Columns.blank(size)
        for f in fields(self):
            getattr(out, f.name)[: len(self.key)] = getattr(self, f.name)
        return out

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """By name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[np.generic]]) -> Columns:
        """The inverse of `arrays`."""
        blank = Columns.blank(0)
        return Columns(*(arrays[f.name].astype(getattr(blank, f.name).dtype) for f in fields(Columns)))
