"""Columns of texts, worked on by their distinct values. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limiter.ingest.numbers import ABSENT, Marks

REMEMBERED_MAX: Final = 50_000


class Bad(str):
    """What a text that its column cannot take is changed to."""

    __slots__ = ()


BAD: Final = Bad("bad")
Change = Callable[[str], str | None]


class Remembered(dict[str, str | None]):
    """A function of a text with its last answers, within a bound; None where it is absent."""

    def __init__(self, function: Change) -> None:
        super().__init__(dict.fromkeys(ABSENT))
        self._function = function

    def __missing__(self, text: str) -> str | None:
        if len(self) >= REMEMBERED_MAX:
            self.clear()
            self.update(dict.fromkeys(ABSENT))
        found = self[text] = self._function(text)
        return found


def texts(values: Sequence[Any]) -> pa.DictionaryArray:
    """Values as text: numbers as JSON writes them, absent, empty and `-` as null."""
    try:
        column = pa.array(values, pa.utf8()).dictionary_encode()
    except (pa.ArrowException, UnicodeEncodeError):
        column = _of_numbers(values)
    if pc.any(pc.is_in(column.dictionary, pa.array(ABSENT))).as_py():
        return _with(column, [None if text in ABSENT else text for text in column.dictionary.to_pylist()])
    return column


def constant(text: str, count: int) -> pa.DictionaryArray:
    """The same text in every row."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text], pa.utf8()))


def changed(column: pa.DictionaryArray, change: Change) -> tuple[pa.DictionaryArray, Marks]:
    """`column` with each distinct value changed, null where that gives None or `BAD`, and which rows are bad."""
    rows = len(column)
    old = column.dictionary.to_pylist()
    new = list(map(change, old))
    bad = np.zeros(rows, bool)
    if BAD in new:  # perhaps it is only a text like it
        codes = [code for code, text in enumerate(new) if text is BAD]
        bad = np.isin(column.indices.fill_null(-1).to_numpy(zero_copy_only=False), codes)
        new = [None if text is BAD else text for text in new]
    return (column if new == old else _with(column, new)), bad


def _with(column: pa.DictionaryArray, distinct: list[str | None]) -> pa.DictionaryArray:
    """`column` with other distinct values, which may be null or the same now."""
    made = pa.array(distinct, pa.utf8())
    if not made.null_count and len(set(distinct)) == len(distinct):
        return pa.DictionaryArray.from_arrays(column.indices, made)
    return made.take(column.indices).dictionary_encode()


def _of_numbers(values: Sequence[Any]) -> pa.DictionaryArray:
    try:
        found = pa.array(values)
        if pa.types.is_integer(found.type):
            coded = found.dictionary_encode()
            return pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary.cast(pa.utf8()))
    except (pa.ArrowException, OverflowError):
        pass
    return pa.array([None if value is None else _text(value) for value in values], pa.utf8()).dictionary_encode()


def first_of(columns: Sequence[pa.DictionaryArray]) -> pa.DictionaryArray:
    """Row by row the first that is not null."""
    if len(columns) == 1:
        return columns[0]
    return pc.coalesce(*(column.cast(pa.utf8()) for column in columns)).dictionary_encode()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
