"""Numeric rows with text beside them, made into the record batches of `schemas.usage`, one for each usage partition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream import compiled
from stream.grouping import U64


@dataclass(frozen=True, slots=True)
class Named:
    """Columns of a schema; those in `texts` hold indices into its values, -1 where absent."""

    columns: dict[str, NDArray[np.generic]]
    texts: dict[str, pa.Array]


def split(rows: Named, schema: pa.Schema, home: U64, partitions: int) -> list[pa.RecordBatch]:
    """Rows by the partition they live in, `home % partitions`; every partition gets a batch."""
    if partitions == 1:
        return [_batch(rows, schema, slice(None))]
    at = home % np.uint64(partitions)
    return [_batch(rows, schema, np.flatnonzero(at == np.uint64(p))) for p in range(partitions)]


def _batch(rows: Named, schema: pa.Schema, at: NDArray[np.intp] | slice) -> pa.RecordBatch:
    columns = [
        _text(_some(rows.columns[f.name], at), rows.texts[f.name]) if f.name in rows.texts
        else pa.array(_some(rows.columns[f.name], at), f.type)
        for f in schema
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _some(column: NDArray[np.generic], at: NDArray[np.intp] | slice) -> NDArray[np.generic]:
    return column[at] if isinstance(at, slice) else column.take(at, mode="clip")  # unbuffered: every place is one


def _text(codes: NDArray[np.generic], values: pa.Array) -> pa.DictionaryArray:
    """Only the values that rows use."""
    indices, places, absent = compiled.used(np.ascontiguousarray(codes, np.int32), len(values))
    mask = indices == -1 if absent else None
    return pa.DictionaryArray.from_arrays(pa.array(indices, mask=mask), values.take(pa.array(places)))
