"""Values of decisions: text is judged on distinct values, numbers by their range."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas import decision as d
from schemas.errors import BadMessageError

_RANGES: Final = (
    ("ts_ms", d.TS_MS_MIN, d.TS_MS_MAX, "epoch milliseconds between 1980 and 2100"),
    ("cost", 0, d.COST_MAX, f"a whole number from 0 to {d.COST_MAX}"),
    ("status", 0, 599, "an HTTP status, 0 while unknown"),
    ("weight", 1, d.WEIGHT_MAX, f"a whole number from 1 to {d.WEIGHT_MAX}"),
    ("latency_ms", 0, d.LATENCY_MS_MAX, f"milliseconds from 0 to {d.LATENCY_MS_MAX}"),
)


def check(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch`, when every value is one we can take; text is judged on distinct values, numbers by their range."""
    if batch.num_rows == 0:
        return batch
    has = set(batch.schema.names)  # of a batch of some columns, those are judged
    for name in ("ts_ms", "verdict", "cost", "status"):
        if name in has and batch.column(name).null_count:
            raise BadMessageError("bad_value", name, "null", "every row needs a value")
    for name, low, high, fix in _RANGES:
        if name in has:
            in_range(batch, name, low, high, fix)
    for name in d.TEXT_COLUMNS:
        if name in has:
            _check_text(batch, name)
    return batch


def _check_text(batch: pa.RecordBatch, name: str) -> None:
    if name in ("verdict", "shadow"):
        for value in _distinct(batch, name):
            if value not in d.VERDICTS:
                raise BadMessageError("bad_value", name, f"{value!r} is no verdict", "one of " + ", ".join(d.VERDICTS))
    lengths = pc.max(pc.binary_length(batch.column(name).dictionary)).as_py() or 0
    if lengths > d.TEXT_BYTES_MAX:
        raise BadMessageError("too_large", name, f"{lengths} bytes", f"at most {d.TEXT_BYTES_MAX}")


def in_range(batch: pa.RecordBatch, name: str, low: int, high: int, fix: str) -> None:
    """Raises `BadMessageError` naming the column where a number lies beyond these, with what would do."""
    bounds = pc.min_max(batch.column(name))
    for value in (bounds["min"].as_py(), bounds["max"].as_py()):
        if value is not None and not low <= value <= high:  # what is no number compares to nothing
            raise BadMessageError("bad_value", name, f"{value} is out of range", fix)
    if pa.types.is_floating(batch.column(name).type) and pc.any(pc.is_nan(batch.column(name))).as_py():
        raise BadMessageError("bad_value", name, "is no number", fix)


def _distinct(batch: pa.RecordBatch, name: str) -> list[str]:
    # A dictionary may hold values no row uses; only those of rows are judged.
    used = pc.unique(batch.column(name).indices).drop_null()
    return list(batch.column(name).dictionary.take(used).to_pylist())
