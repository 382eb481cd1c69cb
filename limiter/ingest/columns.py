"""Records -> a batch of decisions, a column at a time; rows that cannot be taken are told with their field. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limiter.addresses import address
from limiter.identity import VALUE_BYTES_MAX
from limiter.ingest import numbers, texts
from limiter.ingest.fields import Column
from limiter.ingest.mapping import Mapping as Means
from limiter.ingest.mapping import Path, Term
from limiter.ingest.numbers import Marks
from limiter.ingest.texts import BAD, Change, Remembered
from schemas import decision as d
from schemas.access_log import AccessLog
from schemas.errors import BadMessageError
from schemas.privacy import cut, masked, shortened
from schemas.templates import Templates

_RANGES: Final = {
    "ts_ms": (d.TS_MS_MIN, d.TS_MS_MAX),
    "status": (0, 599),
    "cost": (0, d.COST_MAX),
    "weight": (1, d.WEIGHT_MAX),
    "latency_ms": (0, d.LATENCY_MS_MAX),
    "asn": (0, (1 << 32) - 1),
}
_BYTE: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4: Final = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}", re.ASCII)  # most are, and need no parser
_ABSENT: Final = {"cost": 1, "status": 0}
_FIXES: Final = {
    "ts_ms": "say how the source writes time: `time: iso|clf|s|ms|us|ns`, between 1980 and 2100",
    "verdict": "say what each value means: `values: {429: limit}`, and `otherwise: allow`; ours are "
    + ", ".join(d.VERDICTS),
    "ip": "map the field that holds the client's address, of a list with `hop: 1`",
    "latency_ms": "say the unit: `unit: s|ms|us|ns|duration`; at most a day",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """`batch` holds the rows that can be taken, `kept` which they are; `bad` the others, with why."""

    batch: pa.RecordBatch
    kept: np.ndarray[Any, np.dtype[np.bool_]]
    bad: list[tuple[int, BadMessageError]]


class Columns:
    """Applies a mapping. `key_id` hashes an API key. Remembers distinct texts, within bounds."""

    def __init__(self, means: Means, key_id: Callable[[str], str]) -> None:
        self._means = means
        self._clf_ms = AccessLog().time_ms
        self._route = Remembered(Templates()).__getitem__
        changes: dict[str, Change] = {
            "ip": _address,
            "path": masked,
            "referer": masked,
            "method": lambda text: cut(text.upper(), 16),
            "key_id": key_id,
            "country": lambda text: cut(text.upper(), d.TEXT_BYTES_MAX),
            "verdict": _verdict,
            "shadow": _verdict,
            "user": lambda text: shortened(text, VALUE_BYTES_MAX),
            "tenant": lambda text: shortened(text, VALUE_BYTES_MAX),
        }
        self._changes = {name: Remembered(changes.get(name, _cut)).__getitem__ for name in d.TEXT_COLUMNS}
        self._derives_route = "route" not in means.columns and "path" in means.columns

    def take(self, values: Mapping[Path, Column], count: int) -> Taken:
        """`count` records whose mapped fields are `values`."""
        made: dict[str, pa.Array] = {}
        bad: dict[str, Marks] = {}
        for name, terms in self._means.columns.items():
            made[name], bad[name] = self._column(name, terms, values, count)
        if self._derives_route:
            made["route"] = self._routes(self._means.columns["path"], values, count)
        for name in ("ts_ms", "verdict"):
            bad[name] = bad[name] | made[name].is_null().to_numpy(zero_copy_only=False)
        wrong = np.logical_or.reduce(list(bad.values()))
        arrays = [self._finished(field, made.get(field.name), count) for field in d.SCHEMA]
        kept = ~wrong
        if not wrong.any():
            return Taken(pa.RecordBatch.from_arrays(arrays, schema=d.SCHEMA), kept, [])
        mask = pa.array(kept)
        batch = pa.RecordBatch.from_arrays([array.filter(mask) for array in arrays], schema=d.SCHEMA)
        return Taken(batch, kept, [(int(at), self._why(int(at), bad, values)) for at in np.flatnonzero(wrong)])

    def _column(
        self, name: str, terms: Sequence[Term], values: Mapping[Path, Column], count: int
    ) -> tuple[pa.Array, Marks]:
        parts = [self._term(name, term, values, count) for term in terms]
        is_text = name in d.TEXT_COLUMNS
        column = parts[0][0]
        if len(parts) > 1:
            columns = [part for part, _ in parts]
            column = texts.first_of(columns) if is_text else pc.coalesce(*columns)
        absent = column.is_null().to_numpy(zero_copy_only=False)
        bad = np.logical_or.reduce([part for _, part in parts]) & absent
        if is_text:
            return column, bad
        low, high = _RANGES[name]
        inside = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high)).fill_null(fill_value=True)
        return column, bad | ~inside.to_numpy(zero_copy_only=False)

    def _term(self, name: str, term: Term, values: Mapping[Path, Column], count: int) -> tuple[pa.Array, Marks]:
        if name in d.TEXT_COLUMNS:
            return self._text(name, term, values, count)
        if term.constant is not None:
            given: Column = [term.constant] * count
        else:
            given = _first(term.paths, values)
            if term.values is not None:
                column, _ = texts.changed(texts.texts(given), term.values.get)
                given = column.to_pylist()
            if term.otherwise is not None:
                given = [term.otherwise if value is None else value for value in given]
        if name == "ts_ms":
            return numbers.times_ms(given, term.time, term.zone, self._clf_ms)
        if name == "latency_ms":
            return numbers.lengths_ms(given, term.unit)
        return numbers.numbers(given, pa.int64())

    def _text(self, name: str, term: Term, values: Mapping[Path, Column], count: int) -> tuple[pa.Array, Marks]:
        if term.constant is not None:
            return texts.constant(str(term.constant), count), np.zeros(count, bool)
        column = texts.texts(_first(term.paths, values))
        if term.values is not None:
            column, _ = texts.changed(column, term.values.get)
        if term.otherwise is not None:
            column = texts.first_of([column, texts.constant(term.otherwise, count)])
        if term.hop:
            column, _ = texts.changed(column, lambda text: _hop(text, term.hop))
        if term.template:
            return texts.changed(column, self._route)
        if name == "key_id" and not term.hashed:
            return texts.changed(column, _cut)
        return texts.changed(column, self._changes[name])

    def _routes(self, terms: Sequence[Term], values: Mapping[Path, Column], count: int) -> pa.Array:
        """Routes of paths as they came: what is masked or cut in them would make others."""
        columns = [texts.texts(_first(term.paths, values)) for term in terms if term.paths]
        if not columns:
            return pa.nulls(count, d.SCHEMA.field("route").type)
        return texts.changed(texts.first_of(columns), self._route)[0]

    @staticmethod
    def _finished(field: pa.Field, column: pa.Array | None, count: int) -> pa.Array:
        if column is None:
            if field.nullable:
                return pa.nulls(count, field.type)
            return pa.array(np.full(count, _ABSENT[field.name]), field.type)
        if field.name in _ABSENT:
            column = column.fill_null(_ABSENT[field.name])
        return column if column.type == field.type else column.cast(field.type, safe=False)

    def _why(self, at: int, bad: Mapping[str, Marks], values: Mapping[Path, Column]) -> BadMessageError:
        name = next(name for name, rows in bad.items() if rows[at])
        paths = [path for term in self._means.columns[name] for path in term.paths]
        said = {".".join(path): values[path][at] for path in paths if values[path][at] is not None}
        fix = _FIXES.get(name, "see the source's mapping")
        if not said:
            where = ", ".join(".".join(path) for path in paths) or "the mapping"
            return BadMessageError("missing_field", name, f"nothing in {where}", fix)
        shown = ", ".join(f"{path} is {str(value)[:80]!r}" for path, value in said.items())
        return BadMessageError("bad_value", name, shown, fix)


def _first(paths: Sequence[Path], values: Mapping[Path, Column]) -> Column:
    column = values[paths[0]]
    for path in paths[1:]:
        column = [a if a not in (None, *numbers.ABSENT) else b for a, b in zip(column, values[path], strict=True)]
    return column


def _hop(text: str, hop: int) -> str | None:
    """The hop-th address from the right: what stands further left a client may have invented."""
    parts = text.split(",")
    return parts[-hop].strip() if hop <= len(parts) else None


def _address(text: str) -> str:
    if _IPV4.fullmatch(text):
        return text
    found = address(text)
    return BAD if found is None else str(found)


def _verdict(text: str) -> str:
    return text if text in d.VERDICTS else BAD


def _cut(text: str) -> str | None:
    return cut(text, d.TEXT_BYTES_MAX)
