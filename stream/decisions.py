"""A batch of decisions as conditions of families and rules read it: columns are made when one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from detectors.filters import FLAGS, NUMBERS, TEXTS, Decisions, Texts

V = TypeVar("V")
_NAMES: Final = {"agent": "ua", "key": "key_id", "url": "path"}


def decisions(batch: pa.RecordBatch, login: NDArray[np.bool_]) -> Decisions:
    """`batch` has columns of `schemas.decision.SCHEMA`, or some; `login`: which rows present a credential."""
    names = set(batch.schema.names)
    texts = tuple(name for name in TEXTS if _column(name) in names)
    return Decisions(
        batch.num_rows,
        OnDemand(texts, lambda name: _texts(name, batch.column(_column(name)))),
        OnDemand(tuple(name for name in NUMBERS if name in names), lambda name: _numbers(batch.column(name))),
        OnDemand(FLAGS, lambda _: login),
    )


@dataclass(frozen=True, slots=True)
class OnDemand(Mapping[str, V], Generic[V]):
    """A mapping whose values are made at first use."""

    names: tuple[str, ...]
    make: Callable[[str], V]
    made: dict[str, V] = field(default_factory=dict)

    def __getitem__(self, name: str) -> V:
        if name not in self.made:
            if name not in self.names:
                raise KeyError(name)
            self.made[name] = self.make(name)
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _column(name: str) -> str:
    return "path" if name == "query" else _NAMES.get(name, name)


def coded(name: str, batch: pa.RecordBatch) -> tuple[NDArray[np.int32], pa.StringArray]:
    """A text column that conditions know by `name`: a code per row, -1 where absent, and the distinct values."""
    return _coded(batch.column(_column(name)))


def _coded(column: pa.Array) -> tuple[NDArray[np.int32], pa.StringArray]:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    indices = column.indices.fill_null(-1) if column.indices.null_count else column.indices
    return np.array(indices, np.int32), column.dictionary.cast(pa.utf8())


def _texts(name: str, column: pa.Array) -> Texts:
    codes, texts = _coded(column)
    values = pl.Series(texts)
    if name == "path":
        return Texts(codes, _decoded([_parts(value)[0] for value in values]))
    if name == "query":
        parts = [_parts(value)[1] for value in values]
        lacks = np.array([part is None for part in parts] + [True])
        return Texts(np.where(lacks[codes], np.int32(-1), codes), _decoded([part or "" for part in parts]))
    return Texts(codes, values)


def _parts(url: str | None) -> tuple[str, str | None]:
    path, mark, query = (url or "").partition("?")
    return path, query if mark else None


def _decoded(texts: list[str]) -> pl.Series:
    return pl.Series([unquote(text, errors="replace") if "%" in text else text for text in texts], dtype=pl.String)


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return numbers
