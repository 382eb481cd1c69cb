"""Loops as machine code, by numba: compiled at first use, kept beside the source or in `NUMBA_CACHE_DIR` after that.

Groups and order of 64-bit words without comparing sorts: an open-addressing table, and a radix sort.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Call = TypeVar("Call", bound=Callable[..., Any])
Array = TypeVar("Array", bound=NDArray[Any])
_DIGIT_BITS: Final = 11
_U1: Final = np.uint64(1)
_M1: Final = np.uint64(0xBF58476D1CE4E5B9)
_M2: Final = np.uint64(0x94D049BB133111EB)
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_S29, _S32, _S64 = (np.uint64(s) for s in (29, 32, 64))


def compiled(function: Call) -> Call:
    """`function` as machine code, which holds no lock of the interpreter.

    Where nothing may be written it is compiled anew in each process. A hot loop hands arrays to nobody (ADR 0076).
    """
    try:
        return cast("Call", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no place for the cache
        return cast("Call", numba.njit(nogil=True)(function))


def unwritten(array: Array) -> Array:
    """A view that cannot be written to, whatever `array` is: loops are compiled for one of both."""
    view = array.view()
    view.flags.writeable = False
    return view


@compiled
def mixed_in(out: U64, column: U64) -> None:
    """One round of `pairs.mix` (mutates `out`)."""
    for i in range(len(out)):
        x = (out[i] ^ column[i]) * _M1
        x = (x ^ (x >> _S29)) * _M2
        out[i] = x ^ (x >> _S32)


@compiled
def numbered(keys: U64) -> tuple[I32, U64]:
    """The group of each row, in the order in which they come, and each group's key. Key 0 is nobody's: group -1.

    Keys are well spread already: their low bits place them.
    """
    bits = 10
    while 1 << bits < 2 * len(keys):
        bits += 1
    table, mask = np.full(1 << bits, -1, np.int32), np.uint64((1 << bits) - 1)
    groups, uniques, count = np.empty(len(keys), np.int32), np.empty(len(keys), np.uint64), 0
    for i in range(len(keys)):
        key = keys[i]
        if key == 0:
            groups[i] = -1
            continue
        at = key & mask
        g = table[at]
        while g >= 0 and uniques[g] != key:
            at = (at + _U1) & mask
            g = table[at]
        if g < 0:
            g = np.int32(count)
            table[at], uniques[count] = g, key
            count += 1
        groups[i] = g
    return groups, uniques[:count]


@compiled
def firsts(keys: U64) -> Flag:
    """Where each distinct key stands for the first time; any keys."""
    bits = 10
    while 1 << bits < 2 * len(keys):
        bits += 1
    table, shift = np.full(1 << bits, -1, np.int32), _S64 - np.uint64(bits)
    mask = np.uint64((1 << bits) - 1)
    out = np.zeros(len(keys), np.bool_)
    for i in range(len(keys)):
        at = (keys[i] * _GOLDEN) >> shift
        while table[at] >= 0 and keys[table[at]] != keys[i]:
            at = (at + _U1) & mask
        if table[at] < 0:
            table[at] = i
            out[i] = True
    return out


@compiled
def within(keys: U64, among: U64) -> Flag:
    """Which of `keys` stand in `among` too; any keys."""
    bits = 10
    while 1 << bits < 2 * len(among):
        bits += 1
    table, shift = np.full(1 << bits, -1, np.int32), _S64 - np.uint64(bits)
    mask = np.uint64((1 << bits) - 1)
    for i in range(len(among)):
        at = (among[i] * _GOLDEN) >> shift
        while table[at] >= 0 and among[table[at]] != among[i]:
            at = (at + _U1) & mask
        table[at] = i
    out = np.zeros(len(keys), np.bool_)
    for i in range(len(keys)):
        at = (keys[i] * _GOLDEN) >> shift
        while table[at] >= 0 and among[table[at]] != keys[i]:
            at = (at + _U1) & mask
        out[i] = table[at] >= 0
    return out


@compiled
def searched(among: U64, keys: U64) -> I64:
    """`np.searchsorted` in ascending hashes: spread evenly, so that a key tells about where it stands."""
    size = np.int64(len(among))
    out = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        key = keys[i]
        low = high = np.int64((key >> _S32) * np.uint64(size) >> _S32)
        step = np.int64(16)
        while low > 0 and among[low - 1] >= key:
            low, high, step = max(low - step, np.int64(0)), low - 1, step * 2
        step = np.int64(16)
        while high < size and among[high] < key:
            low, high, step = high + 1, min(high + step, size), step * 2
        while low < high:
            middle = (low + high) // 2
            if among[middle] < key:
                low = middle + 1
            else:
                high = middle
        out[i] = low
    return out


@compiled
def ordered(keys: U64) -> I64:
    """The stable order of `keys`: digits from the lowest, those in which all keys agree left out."""
    size = len(keys)
    order, other = np.arange(size), np.empty(size, np.int64)
    differ = np.uint64(0)
    for i in range(size):
        differ |= keys[i] ^ keys[0]
    top = np.uint64((1 << _DIGIT_BITS) - 1)
    for digit in range(0, 64, _DIGIT_BITS):
        shift = np.uint64(digit)
        if (differ >> shift) & top == 0:
            continue
        ends = np.zeros((1 << _DIGIT_BITS) + 1, np.int64)
        for i in range(size):
            ends[np.int64((keys[i] >> shift) & top) + 1] += 1
        for e in range(1 << _DIGIT_BITS):
            ends[e + 1] += ends[e]
        for i in range(size):
            d = np.int64((keys[order[i]] >> shift) & top)
            other[ends[d]] = order[i]
            ends[d] += 1
        order, other = other, order
    return order


@compiled
def merged(groups: I32, count: int, first_ms: I64, last_ms: I64, n: I64) -> tuple[I64, I64, I64, I64]:
    """By group: a row of it, its first and last time, and its sum."""
    row, total = np.empty(count, np.int64), np.zeros(count, np.int64)
    low, high = np.empty(count, np.int64), np.empty(count, np.int64)
    for i in range(len(groups)):
        g = groups[i]
        if total[g] == 0 or first_ms[i] < low[g]:
            low[g] = first_ms[i]
        if total[g] == 0 or last_ms[i] > high[g]:
            high[g] = last_ms[i]
        row[g] = i
        total[g] += n[i]
    return row, low, high, total


@compiled
def held(table: U64, keys: U64) -> Flag:
    """Which of `keys` (none is 0) are in `table`, placed by their low bits, then the next free place."""
    mask = np.uint64(len(table) - 1)
    out = np.zeros(len(keys), np.bool_)
    for i in range(len(keys)):
        at = keys[i] & mask
        while table[at] != 0 and table[at] != keys[i]:
            at = (at + _U1) & mask
        out[i] = table[at] != 0
    return out


@compiled
def put(table: U64, keys: U64) -> None:
    """Put `keys` (distinct, absent, none 0) into `table` (mutated), which has room."""
    mask = np.uint64(len(table) - 1)
    for i in range(len(keys)):
        at = keys[i] & mask
        while table[at] != 0:
            at = (at + _U1) & mask
        table[at] = keys[i]


@compiled
def joined(rows: I64, order: I64, heads: I64, sums: int) -> I64:
    """Rows made one in groups: `order` puts those of a group together, `heads` is where in it each begins.

    The first `sums` columns are added up; behind them stand the least and the greatest value of each group.
    """
    out, g = np.empty((len(heads), rows.shape[1]), np.int64), -1
    for i in range(len(order)):
        row = order[i]
        if g + 1 < len(heads) and heads[g + 1] == i:
            g += 1
            for column in range(rows.shape[1]):
                out[g, column] = rows[row, column]
            continue
        for column in range(sums):
            out[g, column] += rows[row, column]
        out[g, sums] = min(out[g, sums], rows[row, sums])
        out[g, sums + 1] = max(out[g, sums + 1], rows[row, sums + 1])
    return out


@compiled
def summed(place: I64, slots: I64, rows: I64, out: I64) -> None:
    """Rows as `joined` makes them, added to those of their slots' places in `out` (mutated); place -1 is left out."""
    sums = rows.shape[1] - 2
    for i in range(len(slots)):
        p = place[slots[i]]
        if p < 0:
            continue
        for column in range(sums):
            out[p, column] += rows[i, column]
        out[p, sums], out[p, sums + 1] = min(out[p, sums], rows[i, sums]), max(out[p, sums + 1], rows[i, sums + 1])


@compiled
def looked_up(asked: I64, slots: I64, rows: I64, out: I64) -> None:
    """As `summed`, of rows with ascending slots, one each: `out` stands by `asked` slots, of which -1 is nobody."""
    sums = rows.shape[1] - 2
    for p in range(len(asked)):
        i = np.searchsorted(slots, asked[p])
        if i == len(slots) or slots[i] != asked[p]:
            continue
        for column in range(sums):
            out[p, column] += rows[i, column]
        out[p, sums], out[p, sums + 1] = min(out[p, sums], rows[i, sums]), max(out[p, sums + 1], rows[i, sums + 1])


@compiled
def paced(place: I64, slots: I64, rows: I64, last_ms: I64, out: F64) -> None:
    """Gaps between requests, from rows pane by pane: number, sum, sum of squares (mutates `out` and `last_ms`).

    Inside a row, of which only the first and the last time are known, gaps count as equal.
    """
    first, last = rows.shape[1] - 2, rows.shape[1] - 1
    for i in range(len(slots)):
        p = place[slots[i]]
        if p < 0:
            continue
        if last_ms[p] > 0:
            gap = float(rows[i, first] - last_ms[p])
            out[p, 0] += 1
            out[p, 1] += gap
            out[p, 2] += gap * gap
        if rows[i, 0] > 1:
            span, gaps = float(rows[i, last] - rows[i, first]), float(rows[i, 0] - 1)
            out[p, 0] += gaps
            out[p, 1] += span
            out[p, 2] += span * span / gaps
        last_ms[p] = rows[i, last]


def unique(keys: U64) -> tuple[U64, I64]:
    """`np.unique` with its inverse, of well spread keys of which none is 0."""
    uniques, _, inverse = unique_rows(keys)
    return uniques, inverse


def unique_rows(keys: U64) -> tuple[U64, I64, I64]:
    """`np.unique` with the first row of each and its inverse, of well spread keys of which none is 0."""
    groups, uniques = numbered(keys)
    order = ordered(uniques)
    rank, row = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    row[groups[::-1]] = np.arange(len(keys) - 1, -1, -1)
    return uniques[order], row[order], rank[groups]
