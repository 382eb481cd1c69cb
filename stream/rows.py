"""Numeric rows with text beside them, made into the record batches of `schemas.usage`, one for each usage partition."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream import compiled
from stream.grouping import I64, U64


@dataclass(frozen=True, slots=True)
class Named:
    """Columns of a schema; those in `texts` hold indices into its values, -1 where absent."""

    columns: dict[str, NDArray[np.generic]]
    texts: dict[str, pa.Array]


def by_partition(home: NDArray[np.integer], partitions: int) -> tuple[I64, I64]:
    """Rows in the order of their partitions, those of one as they come; and where each ends, the first at 0 before."""
    order = np.argsort(home.astype(np.int16), kind="stable")  # of 16 bits it counts and compares nothing
    return order, np.append(0, np.cumsum(np.bincount(home, minlength=partitions)))


def cut(whole: pa.RecordBatch, ends: I64) -> list[pa.RecordBatch]:
    """The spans of a batch between `ends`, nothing copied."""
    return [whole.slice(first, end - first) for first, end in pairwise(ends.tolist())]


def split(rows: Named, schema: pa.Schema, home: U64, partitions: int) -> list[pa.RecordBatch]:
    """Rows by the partition they live in, `home % partitions`: a batch for each, all of them slices of one."""
    order, ends = by_partition((home % np.uint64(partitions)).astype(np.int64), partitions)
    columns = {name: rows.columns[name].take(order, mode="clip") for name in schema.names}  # unbuffered: all are places
    numbers = [f for f in schema if f.name not in rows.texts]
    whole = pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in numbers], schema=pa.schema(numbers))
    made = cut(whole, ends)
    for at, f in enumerate(schema):
        if f.name in rows.texts:
            texts = _texts(columns[f.name], ends, rows.texts[f.name])
            made = [batch.add_column(at, f, text) for batch, text in zip(made, texts, strict=True)]
    return made


def _texts(codes: NDArray[np.generic], ends: I64, values: pa.Array) -> list[pa.DictionaryArray]:
    """Of each span between `ends` a column with only the values that its rows use."""
    indices, places, of = compiled.used(np.ascontiguousarray(codes, np.int32), ends, len(values))
    absent = indices == -1
    numbers = pa.array(indices, mask=absent if absent.any() else None)
    texts = values.take(pa.array(places))
    spans = zip(pairwise(ends.tolist()), pairwise(of.tolist()), strict=True)
    return [pa.DictionaryArray.from_arrays(numbers[a:b], texts[c:d]) for (a, b), (c, d) in spans]
