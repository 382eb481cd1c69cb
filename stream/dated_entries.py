"""Which entry of `stream.dated` an entity has: by an open index of hashes."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.compiled import compiled
from stream.compiled import I32, I64, U8, U64, mixed_word

ENTRIES: Final = 0  # where in `n` (`stream.dated`) their number stands
_U1: Final = np.uint64(1)


@compiled
def key_of(kind: int, entity: np.uint64) -> np.uint64:
    """An entity of a kind as one well mixed word, never 0."""
    return max(mixed_word(entity ^ mixed_word(np.uint64(kind + 1))), _U1)


@compiled
def indexed(keys: U64, count: int, index: I32) -> None:
    """Put the first `count` keys into an empty index (mutated), which has room."""
    mask = np.uint64(len(index) - 1)
    for e in range(count):
        at = keys[e] & mask
        while index[at] >= 0:
            at = (at + _U1) & mask
        index[at] = e


@compiled
def found(kind: U8, entity: U64, index: I32, keys: U64) -> I32:
    """The entry of each entity, -1 where there is none."""
    mask, out = np.uint64(len(index) - 1), np.full(len(entity), -1, np.int32)
    for i in range(len(entity)):
        key = key_of(kind[i], entity[i])
        at = key & mask
        while index[at] >= 0 and keys[index[at]] != key:
            at = (at + _U1) & mask
        out[i] = index[at]
    return out


@compiled
def placed(kind: U8, entity: U64, at_s: I64, since_s: int, index: I32, keys: U64, facts: I64, n: I64) -> I32:
    """The entry of each entity, made where there is none; -1 for what is too old. There is room.

    `facts`: kind, entity, last second, rows, by entry.
    """
    mask, out = np.uint64(len(index) - 1), np.full(len(entity), -1, np.int32)
    for i in range(len(entity)):
        if at_s[i] < since_s:
            continue
        key = key_of(kind[i], entity[i])
        at = key & mask
        while index[at] >= 0 and keys[index[at]] != key:
            at = (at + _U1) & mask
        e = index[at]
        if e < 0:
            e = np.int32(n[ENTRIES])
            n[ENTRIES] += 1
            index[at], keys[e] = e, key
            facts[e, 0], facts[e, 1] = kind[i], np.int64(entity[i])
        facts[e, 2] = max(facts[e, 2], at_s[i])
        facts[e, 3] += 1
        out[i] = e
    return out
