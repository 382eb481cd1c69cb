"""The items of a usage block: what bytes say, made fit for the counts that are kept."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from schemas import arrow_stream, usage
from schemas.errors import BadMessageError

_WHATS_MAX: Final = usage.WORDS + len(usage.What) * usage.ITEM_WORDS


def decoded(value: memoryview, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> pa.RecordBatch:
    """Items of the counts rows that are `kept`, with their numbers among these; what nobody here knows is left out."""
    table = arrow_stream.validated(arrow_stream.read(value, usage.ITEMS))
    for name in usage.ITEMS.names:
        if name not in table.column_names:
            raise BadMessageError("missing_field", name, "the column is missing", "items have row, what and item")
    batch = arrow_stream.conform(table, usage.ITEMS, {})
    if any(column.null_count for column in batch.columns):
        raise BadMessageError("bad_value", "items", "null", "every row needs a value")
    row, what = (batch.column(name).to_numpy() for name in ("row", "what"))
    if len(row) and int(row.max()) >= len(kept):
        raise BadMessageError("bad_value", "row", f"{row.max()} of {len(kept)} counts", "a row of the block's counts")
    known = (what < len(usage.What)) | ((what >= usage.WORDS) & (what < _WHATS_MAX))
    if known.all() and kept.all():
        return batch
    some = np.flatnonzero(known & kept[row])
    place = (np.cumsum(kept) - 1).astype(np.uint32)
    left = batch.take(pa.array(some))
    return pa.RecordBatch.from_arrays([pa.array(place[row[some]]), *left.columns[1:]], schema=usage.ITEMS)
