"""What was seen before: bounded sets of 64-bit hashes that age by generations, strangers' apart from regulars'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import compiled

U64 = NDArray[np.uint64]
_BITS_MIN: Final = 10
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def mix(*columns: U64) -> U64:
    """One well spread non-zero hash a row of the given columns (splitmix64 rounds, order matters)."""
    out = np.full(columns[0].shape, _GOLDEN)
    for column in columns:
        compiled.mixed_in(out, np.ascontiguousarray(column))
    return np.maximum(out, np.uint64(1))


def firsts(keys: U64) -> NDArray[np.bool_]:
    """Where each distinct key stands for the first time."""
    return compiled.firsts(keys)


class PairSet:
    """A set of non-zero hashes in two generations of at most `size_max` each; the older one is forgotten as a whole.

    `contains` looks in both; `add` writes to the younger. `age` is called on the hour. A memory that overflows within
    the hour turns over at once, so that what is remembered is always the latest, and memory stays bounded.
    """

    def __init__(self, size_max: int, age_s: int) -> None:
        self.size_max = size_max
        self.age_s = age_s
        self.born_s = 0
        self.count = 0
        self.young: U64 = np.zeros(1 << _BITS_MIN, np.uint64)
        self.old: U64 = np.zeros(1 << _BITS_MIN, np.uint64)

    def contains(self, keys: U64) -> NDArray[np.bool_]:
        """Which of `keys` are remembered."""
        found = _find(self.young, keys)
        missing = np.flatnonzero(~found)
        if len(missing):
            found[missing] = _find(self.old, keys[missing])
        return found

    def add(self, keys: U64) -> None:
        """Remember `keys` (repeats allowed)."""
        if not len(keys):
            return
        fresh = keys[firsts(keys)]
        fresh = np.sort(fresh[~_find(self.young, fresh)])
        if self.count + len(fresh) > self.size_max:
            self._turn()
            fresh = fresh[-self.size_max :]
        while (self.count + len(fresh)) * 2 > len(self.young):
            self.young = _insert(np.zeros(len(self.young) * 2, np.uint64), self.young[self.young != 0])
        self.young = _insert(self.young, fresh)
        self.count += len(fresh)

    def places(self) -> int:
        """Places in its tables, which are what takes memory."""
        return len(self.young) + len(self.old)

    def fits(self, keys: int) -> bool:
        """Whether so many more keys let it overflow in no case."""
        return self.count + keys <= self.size_max

    def age(self, now_s: int) -> None:
        """Turn over when the young generation is older than `age_s`."""
        if self.born_s == 0:
            self.born_s = now_s
        if now_s - self.born_s >= self.age_s:
            self._turn()
            self.born_s = now_s

    def take(self, other: PairSet) -> None:
        """Remember what `other` remembers, which forgets it (mutated)."""
        for part in (other.old, other.young):
            self.add(part[part != 0])
        other._turn()
        other._turn()

    def _turn(self) -> None:
        self.old, self.young, self.count = self.young, np.zeros(1 << _BITS_MIN, np.uint64), 0

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        return {
            f"{name}.young": self.young[self.young != 0],
            f"{name}.old": self.old[self.old != 0],
            f"{name}.born_s": np.array(self.born_s),
        }

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.count = 0
        self._turn()
        self.add(arrays[f"{name}.old"].astype(np.uint64))
        self._turn()
        self.add(arrays[f"{name}.young"].astype(np.uint64))
        self.born_s = int(arrays[f"{name}.born_s"])


class Memory:
    """What strangers brought and what all others did, in a set each: a crowd of strangers overflows only its own."""

    def __init__(self, size_max: int, age_s: int) -> None:
        self.regulars = PairSet(size_max // 2, age_s)
        self.strangers = PairSet(size_max // 2, age_s)

    def contains(self, keys: U64) -> NDArray[np.bool_]:
        """Which of `keys` are remembered."""
        found = self.regulars.contains(keys)
        missing = np.flatnonzero(~found)
        found[missing] = self.strangers.contains(keys[missing])
        return found

    def add(self, keys: U64, stranger: NDArray[np.bool_]) -> None:
        """Remember `keys` (repeats allowed), given which of them strangers brought."""
        self.strangers.add(keys[stranger])
        self.regulars.add(keys[~stranger])

    def take(self, other: Memory) -> None:
        """Remember what `other` remembers, which forgets it (mutated)."""
        self.strangers.take(other.strangers)
        self.regulars.take(other.regulars)

    def fits(self, keys: int) -> bool:
        """Whether so many more keys let it overflow in no case."""
        return self.strangers.fits(keys) and self.regulars.fits(keys)

    def age(self, now_s: int) -> None:
        """On the hour."""
        self.strangers.age(now_s)
        self.regulars.age(now_s)

    def places(self) -> int:
        """Places in its tables, which are what takes memory."""
        return self.strangers.places() + self.regulars.places()

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        return self.strangers.arrays(f"{name}.strangers") | self.regulars.arrays(f"{name}.regulars")

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.strangers.restore(f"{name}.strangers", arrays)
        self.regulars.restore(f"{name}.regulars", arrays)


def _find(table: U64, keys: U64) -> NDArray[np.bool_]:
    """Open addressing, linear probing; tables are at most half full, so the way is short.

    By low bits: of a batch that overflows the highest keys stay, which by their high bits would all crowd one end.
    """
    return compiled.held(table, keys)


def _insert(table: U64, keys: U64) -> U64:
    """Put distinct absent `keys` into `table` (mutated)."""
    compiled.put(table, keys)
    return table
