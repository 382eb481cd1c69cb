"""Which rows may meet which rule, by one column after the other: bits of distinct values, ANDed (`stream.plan`)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.compiled import compiled
from detectors.filters import Decisions
from stream.compiled import I32, I64, U64
from stream.decisions import coded
from stream.plan import NUMBERS, Borne, Plan
from stream.requests import Requests

_DECODED: Final = frozenset({"path", "query"})  # made of each text of a batch, and so only where it comes to that
_FIRST: Final = 3  # columns asked of all rows at once: those that leave the fewest
_NONE: Final = np.uint64(0)


def left(rows: Requests, asked: Decisions, batch: pa.RecordBatch, plan: Plan) -> tuple[I64, U64, dict[str, Borne]]:
    """Rows that columns leave of each way to meet a rule, as bits of words; and what signs values bear, by column."""
    signs: dict[str, Borne] = {}
    ways = np.full(max(1, -(-len(plan.ways) // 64)), np.uint64(2**64 - 1))
    of = {name: _column(name, rows, asked, batch) for name in plan.columns() if name not in _DECODED}
    for name, (_, values) in of.items():
        if values is not None and not len(values):  # a column nobody fills says the same of every row
            ways &= plan.said(name, values)[0][-1]
    columns = [name for name in plan.columns() if name in _DECODED or (values := of[name][1]) is None or len(values)]
    columns.sort(key=_DECODED.__contains__)  # last
    first = [of[name] for name in columns[:_FIRST] if name in of]
    words = []
    for name, (_, values) in zip(columns, first, strict=False):
        said, signs[name] = plan.said(name, values)
        words.append(said)
    codes = [each for each, _ in first]
    while len(codes) < _FIRST:
        codes.append(np.full(len(rows.ts_ms), -1, np.int32))
        words.append(np.full((1, len(ways)), np.uint64(2**64 - 1)))
    rows_left, met = _met((codes[0], codes[1], codes[2]), (words[0], words[1], words[2]), ways)
    for name in columns[len(first) :]:
        if not len(rows_left):
            break
        column = of[name] if name in of else _column(name, rows, asked, batch)
        rows_left, met, signs[name] = _less(rows_left, met, name, column, plan)
    return rows_left, met, signs


def _less(
    left: I64, met: U64, column: str, of: tuple[NDArray[np.int32], pa.StringArray | None], plan: Plan
) -> tuple[I64, U64, Borne]:
    """What one more column leaves."""
    codes, values = of
    places = None
    if values is not None and len(left) < len(values):  # few rows are left: only their values are asked about
        places = np.unique(codes[left])
        places = places[places >= 0]
        values = values.take(pa.array(places))
    words, borne_ = plan.said(column, values)
    if places is not None:
        number = np.full(int(codes.max(initial=0)) + 2, -1, np.int32)
        number[places] = np.arange(len(places), dtype=np.int32)
        codes, borne_ = number[codes], {int(places[at]): names for at, names in borne_.items()}
    return *_narrowed(left, met, codes, words), borne_


def _column(
    column: str, rows: Requests, asked: Decisions, batch: pa.RecordBatch
) -> tuple[NDArray[np.int32], pa.StringArray | None]:
    """Codes of rows, and the values they are codes of; None of `status` and `login`, which are their own."""
    if column in NUMBERS:
        return (rows.status if column == "status" else rows.classes % 2).astype(np.int32), None
    held = {"url": rows.path, "agent": rows.agent, "user": rows.user, "key": rows.key, "ip": rows.address}.get(column)
    if held is not None:
        return held.codes, held.values
    if column in _DECODED and column in asked.texts:
        return asked.texts[column].codes, asked.texts[column].values.to_arrow().cast(pa.utf8())
    if column in asked.texts:
        return coded(column, batch)
    return np.full(len(rows.ts_ms), -1, np.int32), pa.array([], pa.utf8())  # the batch has no such column


@compiled
def _met(codes: tuple[I32, I32, I32], words: tuple[U64, U64, U64], ways: U64) -> tuple[I64, U64]:
    """`_narrowed` of all rows, each of which may meet in `ways`, by three columns at once."""
    (a, b, c), (of_a, of_b, of_c) = codes, words
    last_a, last_b, last_c = len(of_a) - 1, len(of_b) - 1, len(of_c) - 1
    rows, many = np.empty(len(a), np.int64), 0
    for i in range(len(a)):
        x, y, z = a[i] if a[i] >= 0 else last_a, b[i] if b[i] >= 0 else last_b, c[i] if c[i] >= 0 else last_c
        any_ = _NONE
        for w in range(len(ways)):
            any_ |= ways[w] & of_a[x, w] & of_b[y, w] & of_c[z, w]
        rows[many] = i
        many += any_ != _NONE
    rows = rows[:many].copy()
    out = np.empty((many, len(ways)), np.uint64)
    for at in range(many):
        i = rows[at]
        x, y, z = a[i] if a[i] >= 0 else last_a, b[i] if b[i] >= 0 else last_b, c[i] if c[i] >= 0 else last_c
        for w in range(len(ways)):
            out[at, w] = ways[w] & of_a[x, w] & of_b[y, w] & of_c[z, w]
    return rows, out


@compiled
def _narrowed(left: I64, met: U64, codes: I32, words: U64) -> tuple[I64, U64]:
    """Of the rows `left` and the ways they meet (row, word), what the values of one more column leave of both.

    `words` (value + 1, word) by code, the last for rows without a value.
    """
    rows, ways = np.empty(len(left), np.int64), np.empty((len(left), met.shape[1]), np.uint64)
    many = 0
    for i in range(len(left)):
        code = codes[left[i]]
        at = code if code >= 0 else len(words) - 1
        any_ = _NONE
        for w in range(met.shape[1]):
            ways[many, w] = met[i, w] & words[at, w]
            any_ |= ways[many, w]
        if any_ != _NONE:
            rows[many] = left[i]
            many += 1
    return rows[:many].copy(), ways[:many].copy()
