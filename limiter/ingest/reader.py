"""Values of one source -> batches of decisions: decoded, mapped, judged, and without events that came before.

Not of several threads at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from limiter.ingest import texts
from limiter.ingest.columns import Columns
from limiter.ingest.fields import Column, Decoded, Fields
from limiter.ingest.mapping import Format, Path, Source
from limiter.ingest.seen import Seen, marks
from schemas import codec
from schemas import decision as d
from schemas.access_log import LINE_BYTES_MAX, AccessLog, LineError, Table
from schemas.decision import Decision
from schemas.errors import BadMessageError

ROWS_MAX: Final = 4_000  # of one batch
Known = tuple[Sequence[int], Sequence[int]]
"""Marks of events that were taken before: older ones, younger ones."""


@dataclass(slots=True)
class Read:
    """What values came to: batches, marks of their events, and of which value what could not be taken and why."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    bad: list[tuple[int, bytes, BadMessageError]] = field(default_factory=list)
    duplicates: int = 0

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(batch.num_rows for batch in self.batches)


class Reader(Protocol):
    """Reads values of a source."""

    def read(self, values: Sequence[bytes]) -> Read:
        """Decisions of `values` in their order. Never raises on what they hold."""
        ...


def reader(source: Source, key_id: Callable[[str], str], known: Known = ((), ())) -> Reader:
    """The reader of a source of which the events `known` were taken before."""
    if source.format is Format.JSON:
        return JsonReader(source, key_id, known)
    return LogReader(source)


class JsonReader:
    """Records in JSON: an object a value, an array of them, or one a line."""

    def __init__(self, source: Source, key_id: Callable[[str], str], known: Known = ((), ())) -> None:
        means = source.mapping
        self._fields = Fields(means.paths, exact=means.exact)
        self._columns = Columns(means, key_id)
        self._event_id = means.event_id
        self._seen = Seen(source.ids_kept, known)

    def read(self, values: Sequence[bytes]) -> Read:
        """Decisions of `values` in their order."""
        decoded = self._fields.records(values)
        found = Read(bad=decoded.bad)
        for at in range(0, len(decoded.records), ROWS_MAX):
            self._take(decoded, slice(at, at + ROWS_MAX), found)
        return found

    def _take(self, decoded: Decoded, rows: slice, found: Read) -> None:
        columns = self._fields.columns(decoded.records[rows])
        taken = self._columns.take(columns, len(decoded.records[rows]))
        for row, error in taken.bad:
            found.bad.append((decoded.places[rows][row], decoded.parts[rows][row], error))
        batch = taken.batch
        if self._event_id and batch.num_rows:
            batch = self._without_repeats(batch, columns, taken.kept, found)
        if batch.num_rows:
            found.batches.append(batch)

    def _without_repeats(
        self, batch: pa.RecordBatch, columns: dict[Path, Column], kept: np.ndarray[Any, np.dtype[np.bool_]], found: Read
    ) -> pa.RecordBatch:
        ids = columns[self._event_id[0]]
        for path in self._event_id[1:]:
            ids = [other if one is None else one for one, other in zip(ids, columns[path], strict=True)]
        given = marks(ids if kept.all() else [one for one, good in zip(ids, kept.tolist(), strict=True) if good])
        fresh = self._seen.fresh(given)
        repeated = len(fresh) - sum(fresh)
        if not repeated:
            found.marks += given
            return batch
        found.marks += [mark for mark, new in zip(given, fresh, strict=True) if new]
        found.duplicates += repeated
        return batch.filter(pa.array(fresh))


class LogReader:
    """Lines of a web server; the columns a mapping sets are constants."""

    def __init__(self, source: Source) -> None:
        log = Table(source.header) if source.format is Format.TSV else AccessLog()
        self._decision = log.decision
        self._constants = {name: str(terms[0].constant) for name, terms in source.mapping.columns.items()}

    def read(self, values: Sequence[bytes]) -> Read:
        """Decisions of lines in their order; empty ones are passed over."""
        found = Read()
        rows: list[tuple[int, Decision]] = []
        for at, line in enumerate(values):
            try:
                if line.strip():
                    rows.append((at, self._line(line)))
            except (LineError, BadMessageError) as error:
                found.bad.append((at, line, _of_line(error)))
        for begin in range(0, len(rows), ROWS_MAX):
            self._take(rows[begin : begin + ROWS_MAX], values, found)
        return found

    def _line(self, line: bytes) -> Decision:
        if len(line) >= LINE_BYTES_MAX:
            fix = f"at most {LINE_BYTES_MAX} bytes"
            raise BadMessageError("too_large", "line", f"{len(line)} bytes", fix)
        return self._decision(line.decode("utf-8", "replace").rstrip("\r\n"))

    def _take(self, rows: Sequence[tuple[int, Decision]], values: Sequence[bytes], found: Read) -> None:
        try:
            batch = codec.from_rows([row for _, row in rows])
        except BadMessageError as error:
            if len(rows) == 1:
                found.bad.append((rows[0][0], values[rows[0][0]], error))
                return
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                self._take(half, values, found)
            return
        for name, text in self._constants.items():
            batch = batch.set_column(d.SCHEMA.get_field_index(name), name, texts.constant(text, batch.num_rows))
        found.batches.append(batch.cast(d.SCHEMA) if self._constants else batch)


def _of_line(error: LineError | BadMessageError) -> BadMessageError:
    if isinstance(error, BadMessageError):
        return error
    return BadMessageError("bad_line", "line", str(error), "see the source's `format`")
