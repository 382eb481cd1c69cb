"""Marks and cells: how distinct values are told apart in 32 bits, and counted when there are many.

A mark is 32 bits of a value's hash, mixed once more, never 0. Its cell is one of 64 columns, by its low bits, and one
of 16 rows: row 0 takes half of all marks, row 1 a quarter, and so on. Which cells are set tells how many marks there
were, roughly (Flajolet and Martin, Probabilistic counting algorithms, 1985); the likeliest number is taken.
"""

from __future__ import annotations

from math import exp, log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from stream.compiled import I32, I64, U64, mixed_word

I16 = NDArray[np.int16]
U32 = NDArray[np.uint32]
COLUMNS: Final = 64
ROWS: Final = 16
CELLS: Final = COLUMNS * ROWS
ERROR: Final = 0.09  # one standard deviation, at the most, of what cells say of more marks than stand for themselves
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_U1, _S32, _S64 = (np.uint64(s) for s in (1, 32, 64))
_STEPS: Final = 40
_PLACE: Final = np.zeros(37, np.int64)  # of a bit, by its value: 2 is a primitive root of 37
_PLACE[[(1 << place) % 37 for place in range(ROWS)]] = range(ROWS)


@compiled
def mark_of(hashed: np.uint64) -> np.uint32:
    """The mark of a hash, 0 of none."""
    return max(np.uint32(mixed_word(hashed) >> _S32), np.uint32(1)) if hashed != 0 else np.uint32(0)


@compiled
def marks(hashes: U64) -> U32:
    """The mark of each hash."""
    out = np.empty(len(hashes), np.uint32)
    for i in range(len(hashes)):
        out[i] = mark_of(hashes[i])
    return out


@compiled
def cell(mark: int) -> int:
    """The cell a mark sets."""
    rest = mark >> 6 | 1 << ROWS - 1
    row = _PLACE[(rest & -rest) % 37]
    return int(row * COLUMNS + (mark & (COLUMNS - 1)))


@compiled
def likeliest(empty: I64) -> float:
    """How many marks there most likely were, given how many cells of each row are not set."""
    count = float(COLUMNS * ROWS - empty.sum())
    if count == 0:
        return 0.0
    x = log(count)
    for _ in range(_STEPS):
        slope, curve = 0.0, 0.0
        for row in range(ROWS):
            share = 2.0 ** -min(row + 1, ROWS - 1) / COLUMNS  # of the marks that fall into one cell
            u = exp(x) * share
            q = exp(-u)
            odds = q / max(1.0 - q, 1e-300)
            slope += (COLUMNS - empty[row]) * u * odds - empty[row] * u
            curve += COLUMNS * u * u * odds
        step = slope / max(curve, 1e-300)
        x += max(-2.0, min(2.0, step))
        if abs(step) < 1e-9:
            break
    return exp(x)


@compiled
def distinct(groups: I32, found: U32, rows: I64) -> tuple[I32, U32]:
    """Group and mark of some rows, each pair once, in the order in which they come; -1 and 0 are none."""
    bits = 10
    while 1 << bits < 2 * len(rows):
        bits += 1
    table, shift, mask = np.full(1 << bits, -1, np.int32), _S64 - np.uint64(bits), np.uint64((1 << bits) - 1)
    group, mark, count = np.empty(len(rows), np.int32), np.empty(len(rows), np.uint32), 0
    for k in range(len(rows)):
        g, m = groups[rows[k]], found[rows[k]]
        if g < 0 or m == 0:
            continue
        at = ((np.uint64(m) ^ np.uint64(g) * _M1) * _GOLDEN) >> shift
        held = table[at]
        while held >= 0 and (group[held] != g or mark[held] != m):
            at = (at + _U1) & mask
            held = table[at]
        if held < 0:
            table[at] = count
            group[count], mark[count] = g, m
            count += 1
    return group[:count], mark[:count]


@compiled
def cells(found: U32) -> I16:
    """The cell of each mark, -1 of 0."""
    out = np.empty(len(found), np.int16)
    for i in range(len(found)):
        out[i] = cell(int(found[i])) if found[i] else -1
    return out


@compiled
def words(groups: I32, set_: I16, rows: I64, count: int) -> U32:
    """Cells of some rows in each of `count` groups, as words; -1 is no group and no cell."""
    out = np.zeros((count + 1) * (CELLS // 32), np.uint32)
    for k in range(len(rows)):
        g, c = np.int64(groups[rows[k]]), np.int64(set_[rows[k]])
        at = g if c >= 0 and g >= 0 else np.int64(count)
        out[at * (CELLS // 32) + (c >> 5 & 31)] |= np.uint32(1) << np.uint32(c & 31)
    return out[: count * (CELLS // 32)].reshape(count, CELLS // 32)


@compiled
def outside(groups: I32, rows: I64, many: NDArray[np.bool_]) -> I64:
    """Those of `rows` that have a group, and not one of `many`."""
    out, count = np.empty(len(rows), np.int64), 0
    for k in range(len(rows)):
        g = groups[rows[k]]
        out[count] = rows[k]
        count += g >= 0 and not many[g]
    return out[:count]


@compiled
def sizes(set_: U32) -> I64:
    """How many cells of each group's words are set."""
    out = np.zeros(len(set_), np.int64)
    for g in range(len(set_)):
        for k in range(set_.shape[1]):
            left = set_[g, k]
            while left:
                left &= left - np.uint32(1)
                out[g] += 1
    return out
