"""Which slot an entity has: a table of hashes, so that it costs the same of a thousand as of a million.

A slot is a number from 1 on, given in the order in which entities come; 0 is nobody's (`panes.REST`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.compiled import compiled
from stream.compiled import I64, U64, mixed_word

I32 = np.ndarray[tuple[int], np.dtype[np.int32]]
_ROOM: Final = 256
_FREE: Final = np.int32(0)
_U1: Final = np.uint64(1)


class Slots:
    """Slots of the entities of one kind."""

    def __init__(self, hashes: U64 | None = None) -> None:
        """`hashes` by slot, those of slots 1 and on; they are distinct."""
        given = np.empty(0, np.uint64) if hashes is None else hashes
        self._hashes = np.zeros(_ROOM + len(given), np.uint64)
        self._hashes[1 : len(given) + 1] = given
        self._n = 1 + len(given)
        self._index()

    def __len__(self) -> int:
        """Number of slots, nobody's included."""
        return self._n

    @property
    def hashes(self) -> U64:
        """Of the slots 1 and on."""
        return self._hashes[1 : self._n]

    def find(self, hashes: U64) -> I64:
        """The slot of each, -1 where there is none."""
        return _found(hashes, self._hashes, self._table)

    def place(self, hashes: U64) -> I64:
        """The slot of each, made where there is none."""
        if self._n + len(hashes) > len(self._hashes):
            held = self._hashes[: self._n]
            self._hashes = np.zeros(max(2 * len(held), len(held) + len(hashes)), np.uint64)
            self._hashes[: self._n] = held
            self._index()
        slots, self._n = _placed(hashes, self._hashes, self._table, self._n)
        return slots

    def _index(self) -> None:
        self._table: I32 = np.zeros(1 << (2 * len(self._hashes)).bit_length(), np.int32)
        _placed(self.hashes.copy(), self._hashes, self._table, 1)


@compiled
def _found(keys: U64, hashes: U64, table: I32) -> I64:
    mask, out = np.uint64(len(table) - 1), np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        at = mixed_word(keys[i]) & mask
        while table[at] != _FREE and hashes[table[at]] != keys[i]:
            at = (at + _U1) & mask
        out[i] = table[at] if table[at] != _FREE else -1
    return out


@compiled
def _placed(keys: U64, hashes: U64, table: I32, count: int) -> tuple[I64, int]:
    """Slots of `keys`, those made put into `hashes` and `table` (mutated), which have room; and how many there are."""
    mask, out = np.uint64(len(table) - 1), np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        at = mixed_word(keys[i]) & mask
        while table[at] != _FREE and hashes[table[at]] != keys[i]:
            at = (at + _U1) & mask
        if table[at] == _FREE:
            table[at], hashes[count] = count, keys[i]
            count += 1
        out[i] = table[at]
    return out, count
