"""The loops of `stream.step_counts`: what was counted of an entry in a step of time, as a chain of rows.

    entry 7 ─► (step 41, REQUESTS, 12) ─► (step 41, mark of /a, 9) ─► (step 40, SKETCH, page 3) ─► ...

Values are counted one by one up to `VALUES_MAX` a step; from there on the step has a page of `stream.spread`. Sums are
whole numbers, so the order in which they come changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from stream import spread
from stream.compiled import I32, I64
from stream.spread import REGISTERS, U32

F64 = NDArray[np.float64]
# What a row counts; any other mark is a value's. Gaps are between requests: number, milliseconds, squares of these.
REQUESTS, GAPS, GAPS_MS, SQUARES, VALUE = (np.uint32(m) for m in range(5))
SKETCH: Final = np.uint32(2**32 - 1)
VALUES_MAX: Final = 64
USED, FREE, LIVE, PAGES_USED, PAGE_FREE, PAGES_LIVE, NUMBERS = range(7)  # of rows, and of pages; FREE is a place + 1
_LAST: Final = np.uint32(2**32 - 2)
_SUMS: Final = 4
OWN_ROWS: Final = 5  # of a step, beside its values
Pool = tuple[I32, I64, U32, I64, I64, I32, I64, I64]
"""Heads and last request in ms by entry; mark, step, number and next by row; pages; `NUMBERS`."""
Asked = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""By group: whether gaps, and whether values are counted."""


@compiled
def _freed(row: int, pool: Pool) -> None:
    marks, _, counts, nexts, pages, n = pool[2], pool[3], pool[4], pool[5], pool[6], pool[7]
    if marks[row] == SKETCH:
        page = counts[row]
        pages[page * REGISTERS] = n[PAGE_FREE]
        n[PAGE_FREE] = page + 1
        n[PAGES_LIVE] -= 1
    nexts[row] = n[FREE]
    n[FREE] = row + 1
    n[LIVE] -= 1


@compiled
def _made(e: int, step: np.int64, mark: np.uint32, count: np.int64, pool: Pool) -> None:
    """A row more at the head of a chain; there is room."""
    heads, _, marks, steps, counts, nexts, _, n = pool
    row = n[FREE] - 1
    if row >= 0:
        n[FREE] = nexts[row]
    else:
        row = n[USED]
        n[USED] += 1
    n[LIVE] += 1
    marks[row], steps[row], counts[row], nexts[row] = mark, step, count, heads[e]
    heads[e] = row


@compiled
def _page(pool: Pool) -> np.int64:
    pages, n = pool[6], pool[7]
    page = n[PAGE_FREE] - 1
    if page >= 0:
        n[PAGE_FREE] = pages[page * REGISTERS]
    else:
        page = n[PAGES_USED]
        n[PAGES_USED] += 1
    n[PAGES_LIVE] += 1
    pages[page * REGISTERS : (page + 1) * REGISTERS] = 0
    return np.int64(page)


@compiled
def _dropped(e: int, since: np.int64, sketched: np.int64, pool: Pool) -> None:
    """Take out of a chain rows of steps before `since`, and values of the step `sketched` (-1: of none)."""
    heads, _, marks, steps, _, nexts, _, _ = pool
    row, before = np.int64(heads[e]), np.int64(-1)
    while row >= 0:
        after = np.int64(nexts[row])
        if steps[row] < since or (steps[row] == sketched and VALUE <= marks[row] < SKETCH):
            if before < 0:
                heads[e] = after
            else:
                nexts[before] = after
            _freed(int(row), pool)
        else:
            before = row
        row = after


@compiled
def _counted(e: int, step: np.int64, mark: np.uint32, count: np.int64, pool: Pool) -> None:
    """Count something of a step that is counted one by one."""
    heads, _, marks, steps, counts, nexts, _, _ = pool
    row = np.int64(heads[e])
    while row >= 0:
        if marks[row] == mark and steps[row] == step:
            counts[row] += count
            return
        row = np.int64(nexts[row])
    _made(e, step, mark, count, pool)


@compiled
def _values(e: int, step: np.int64, marks: U32, n: I64, pool: Pool) -> None:
    """Count requests by value: one by one, or by the sketch where they come to be too many."""
    heads, _, held, steps, counts, nexts, pages, _ = pool
    page, many, row = np.int64(-1), 0, np.int64(heads[e])
    while row >= 0:
        if steps[row] == step:
            many += VALUE <= held[row] < SKETCH
            page = counts[row] if held[row] == SKETCH else page
        row = np.int64(nexts[row])
    if page < 0 and many + len(marks) > VALUES_MAX:
        page = _page(pool)
        row = np.int64(heads[e])
        while row >= 0:
            if steps[row] == step and VALUE <= held[row] < SKETCH:
                spread.added(held[row], counts[row], pages[page * REGISTERS : (page + 1) * REGISTERS])
            row = np.int64(nexts[row])
        _dropped(e, np.int64(-1), step, pool)
        _made(e, step, SKETCH, page, pool)
    for i in range(len(marks)):
        mark = min(max(marks[i], VALUE), _LAST)
        if page >= 0:
            spread.added(mark, n[i], pages[page * REGISTERS : (page + 1) * REGISTERS])
        else:
            _counted(e, step, mark, n[i], pool)


@compiled
def _gaps(e: int, step: np.int64, since_ms: np.int64, times: tuple[np.int64, np.int64, np.int64], pool: Pool) -> None:
    """Count the gaps before and between requests: `times` are first, last and how many there were."""
    last_ms = pool[1]
    first, last, n = times
    gaps, total = n - 1, last - first
    squares = total * total // gaps if gaps > 0 else np.int64(0)
    if since_ms <= last_ms[e] <= first:
        gap = first - last_ms[e]
        gaps, total, squares = gaps + 1, total + gap, squares + gap * gap
    if gaps:
        _counted(e, step, GAPS, np.int64(gaps), pool)
        _counted(e, step, GAPS_MS, np.int64(total), pool)
        _counted(e, step, SQUARES, np.int64(squares), pool)
    last_ms[e] = max(last_ms[e], last)


@compiled
def _bits(e: int, requests: np.int64, pool: Pool) -> float:
    """Entropy of the values in a chain: exact where all are counted one by one."""
    heads, _, marks, _, counts, nexts, pages, _ = pool
    many, sketched, row = 0, False, np.int64(heads[e])
    while row >= 0:
        many += VALUE <= marks[row] < SKETCH
        sketched = sketched or marks[row] == SKETCH
        row = np.int64(nexts[row])
    values, n, registers = np.empty(many, np.uint32), np.empty(many, np.int64), np.zeros(REGISTERS, np.int64)
    at, row = 0, np.int64(heads[e])
    while row >= 0:
        if marks[row] == SKETCH:
            page = counts[row]
            registers += pages[page * REGISTERS : (page + 1) * REGISTERS]
        elif marks[row] >= VALUE and sketched:
            spread.added(marks[row], counts[row], registers)
        elif marks[row] >= VALUE:
            values[at], n[at] = marks[row], counts[row]
            at += 1
        row = np.int64(nexts[row])
    return spread.estimated(registers, requests) if sketched else spread.exact(values, n)


@compiled
def counted(
    start: int,
    entry: I32,
    when: tuple[I64, I64, I64],
    asked: Asked,
    times: tuple[I64, I64, I64],
    values: tuple[I64, U32, I64],
    pool: Pool,
    out: F64,
) -> int:
    """Count what entries did in one pane, from group `start` on, and what their windows come to then.

    By group, a different entry each: the step it falls into, the first step and millisecond of its window (`when`),
    what is `asked`, first, last and number of its requests (`times`), where its `values` (behind that: mark, requests)
    begin. `out` (mutated) has requests, variation of gaps (NaN of fewer than two) and bits. Gives the group for which
    there was no room.
    """
    (step, since, since_ms), (begins, marks, counts) = when, values
    for g in range(start, len(entry)):
        e, n = entry[g], pool[7]
        many = begins[g + 1] - begins[g] if asked[1][g] else np.int64(0)
        if n[USED] + many + OWN_ROWS > len(pool[2]) or (n[PAGES_USED] + 1) * REGISTERS > len(pool[6]):
            return g
        _dropped(e, since[g], np.int64(-1), pool)
        _counted(e, step[g], REQUESTS, times[2][g], pool)
        if asked[0][g]:
            _gaps(e, step[g], since_ms[g], (times[0][g], times[1][g], times[2][g]), pool)
        if many:
            some = slice(begins[g], begins[g + 1])
            _values(e, step[g], marks[some], counts[some], pool)
        sums, row = np.zeros(_SUMS, np.int64), np.int64(pool[0][e])
        while row >= 0:
            if pool[2][row] < VALUE:
                sums[pool[2][row]] += pool[4][row]
            row = np.int64(pool[5][row])
        out[g, 0] = sums[REQUESTS]
        out[g, 1] = np.nan
        if sums[GAPS] > 1:
            mean = sums[GAPS_MS] / sums[GAPS]
            out[g, 1] = np.sqrt(max(sums[SQUARES] / sums[GAPS] - mean * mean, 0.0)) / max(mean, 1e-9)
        out[g, 2] = _bits(e, sums[REQUESTS], pool) if asked[1][g] else 0.0
    return len(entry)


@compiled
def chained(entry: I32, pool: Pool) -> None:
    """Hang all rows of a pool (mutated) into the chains of their entries, which are empty."""
    heads, nexts = pool[0], pool[5]
    for row in range(len(entry)):
        nexts[row] = heads[entry[row]]
        heads[entry[row]] = row


@compiled
def flat(entries: I64, pool: Pool) -> tuple[I32, I64]:
    """The rows of some entries: which of `entries` each is of, and its place."""
    size = pool[7][LIVE]
    of, places, many = np.empty(size, np.int32), np.empty(size, np.int64), 0
    for k in range(len(entries)):
        row = np.int64(pool[0][entries[k]])
        while row >= 0:
            of[many], places[many] = k, row
            many += 1
            row = np.int64(pool[5][row])
    return of[:many], places[:many]
