"""Columns of values as a gateway wrote them -> numbers and times; what is none is marked, never raised. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from limiter.ingest.mapping import Time, Unit
from schemas.access_log import LineError

Marks = NDArray[np.bool_]
ABSENT: Final = ("", "-")
_PER_MS: Final = {Time.MS: 1, Time.US: 1_000, Time.NS: 1_000_000}
_MS: Final = {Unit.S: 1e3, Unit.MS: 1.0, Unit.US: 1e-3, Unit.NS: 1e-6, Unit.DURATION: 1e3}
_NS: Final = pa.timestamp("ns")
_NS_UTC: Final = pa.timestamp("ns", "UTC")


def times_ms(
    values: Sequence[Any], form: Time, zone: str | None, clf_ms: Callable[[str], int]
) -> tuple[pa.Array, Marks]:
    """Epoch milliseconds (int64, null where absent or bad), and which are bad."""
    match form:
        case Time.ISO:
            return _iso(values, zone)
        case Time.CLF:
            return _each(values, lambda value: clf_ms(value) if isinstance(value, str) else None, pa.int64())
        case Time.S:
            found, bad = numbers(values, pa.float64())
            return pc.round(pc.multiply(found, 1000.0)).cast(pa.int64(), safe=False), bad
        case Time.MS | Time.US | Time.NS:
            found, bad = numbers(values, pa.int64())
            return pc.divide(found, _PER_MS[form]) if form is not Time.MS else found, bad


def lengths_ms(values: Sequence[Any], unit: Unit) -> tuple[pa.Array, Marks]:
    """Milliseconds (float64), and which are bad."""
    if unit is Unit.DURATION:
        values = [value[:-1] if isinstance(value, str) and value.endswith("s") else value for value in values]
    found, bad = numbers(values, pa.float64())
    return pc.multiply(found, _MS[unit]), bad


def numbers(values: Sequence[Any], kind: pa.DataType) -> tuple[pa.Array, Marks]:
    """Numbers, also written as text, as int64 or float64; null where absent or bad, and which are bad."""
    try:
        found = pa.array(values)
        if pa.types.is_string(found.type):
            found = pc.if_else(pc.is_in(found, pa.array(ABSENT)), None, found)
        if not pa.types.is_boolean(found.type):
            cast = found.cast(kind)
            if kind != pa.float64() or pc.all(pc.is_finite(cast)).as_py() is not False:
                return cast, np.zeros(len(values), bool)
    except (pa.ArrowException, OverflowError, ValueError):
        pass
    whole = pa.types.is_integer(kind)
    return _each(values, lambda value: _number(value, whole=whole), kind)


def _iso(values: Sequence[Any], zone: str | None) -> tuple[pa.Array, Marks]:
    try:
        texts = pa.array(values, pa.utf8())
        if zone is None:
            found = texts.cast(_NS_UTC)
        else:
            found = pc.assume_timezone(texts.cast(_NS), zone, ambiguous="earliest", nonexistent="earliest")
        return pc.divide(found.cast(pa.int64()), 1_000_000), np.zeros(len(values), bool)
    except (pa.ArrowException, UnicodeEncodeError):
        return _each(values, lambda value: _instant_ms(value, zone), pa.int64())


def _instant_ms(value: Any, zone: str | None) -> int | None:
    if not isinstance(value, str):
        return None
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        if zone is None:
            return None
        found = found.replace(tzinfo=ZoneInfo(zone))
    return round(found.timestamp() * 1000)


def _number(value: Any, *, whole: bool) -> float | int | None:
    """None for what is no number that fits."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and whole:
        return value if abs(value) < 1 << 63 else None
    number = float(value)
    if not math.isfinite(number) or (whole and number != int(number)) or abs(number) >= 1 << 63:
        return None
    return int(number) if whole else number


def _each(values: Sequence[Any], read: Callable[[Any], Any], kind: pa.DataType) -> tuple[pa.Array, Marks]:
    """One by one, because a few are bad."""
    found: list[Any] = []
    bad = np.zeros(len(values), bool)
    for at, value in enumerate(values):
        made = None
        if value is not None and value not in ABSENT:
            try:
                made = read(value)
            except (ValueError, OverflowError, LineError):
                made = None
            bad[at] = made is None
        found.append(made)
    return pa.array(found, kind), bad
