"""Files of requests as batches of decisions in the order of their time: whatever the format, bad lines counted."""

from __future__ import annotations

import gzip
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, cast

import numpy as np

from floodwarden.errors import CommandError
from floodwarden.format_names import FORMATS
from floodwarden.formats_order import merged, ordered
from floodwarden.formats_trace import ARROW_MAGIC, Labelled, labelled, read_arrow, rows_of_line
from schemas.access_log import (
    LINE_BYTES_MAX,
    AccessLog,
    LineError,
    Table,
    looks_like_access_log,
    looks_like_table,
)
from schemas.decision import Decision
from schemas.errors import BadMessageError
from schemas.templates import Templates

ROWS_PER_BATCH: Final = 20_000
_SAMPLES_MAX: Final = 20
_GZIP: Final = b"\x1f\x8b"
_PEEKED_BYTES: Final = 65_536
OnBytes = Callable[[int], None]
Numbered = tuple[Labelled, Sequence[int]]
"""Rows, and the line of each."""


class FormatError(CommandError):
    """A file whose format cannot be told or read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that was no request: where and why, and its beginning (attacker's text: escape it)."""

    file: str
    line: int
    reason: str
    text: str


@dataclass(slots=True)
class Rejects:
    """How many lines were no requests, by reason, and the first few of them."""

    by_reason: Counter[str] = field(default_factory=Counter)
    samples: list[Reject] = field(default_factory=list)

    def add(self, file: str, line: int, reason: str, text: str) -> None:
        """Count a line and keep it while there are few."""
        self.by_reason[reason] += 1
        if len(self.samples) < _SAMPLES_MAX:
            self.samples.append(Reject(file, line, reason, text[:160]))

    @property
    def total(self) -> int:
        """How many lines were no requests."""
        return self.by_reason.total()


def read(
    files: Sequence[str | Path],
    *,
    form: str | None = None,
    rejects: Rejects,
    on_bytes: OnBytes | None = None,
    places: bool = False,
) -> Iterator[Labelled]:
    """Decisions of all `files` (`-`: standard input), merged by time, each file put in order within two minutes.

    `form` is one of `FORMATS`, None to tell from each file's content. `on_bytes` hears how far reading has come. With
    `places` the labels are where each row stands: `FILE:LINE`, of an Arrow file the number of its row.

    Raises:
        FormatError: a file is not there or in no known format.
    """
    templates = Templates()
    sources = [
        ordered(_placed(str(file), rows) if places else (part for part, _ in rows))
        for file in files
        for rows in [_read_one(file, form, rejects, on_bytes, templates)]
    ]
    return sources[0] if len(sources) == 1 else merged(sources)


def _placed(name: str, parts: Iterator[Numbered]) -> Iterator[Labelled]:
    """Rows labelled with where they stand."""
    for part, numbers in parts:
        yield Labelled(part.batch, np.array([f"{name}:{number}" for number in numbers], object))


def _read_one(
    file: str | Path, form: str | None, rejects: Rejects, on_bytes: OnBytes | None, templates: Templates
) -> Iterator[Numbered]:
    name, told = str(file), 0
    try:
        with ExitStack() as stack:
            raw = _standard_input() if name == "-" else stack.enter_context(Path(file).open("rb"))
            for part in _parts(raw, form, name, rejects, templates):
                yield part
                if on_bytes and name != "-":
                    at = raw.tell()
                    on_bytes(at - told)
                    told = at
    except BadMessageError as error:
        raise FormatError(f"{name}: {error}") from error
    except (OSError, EOFError) as error:
        raise FormatError(f"{name}: cannot be read ({error})") from error


def _standard_input() -> io.BufferedReader:
    return io.BufferedReader(sys.stdin.buffer.raw) if isinstance(sys.stdin.buffer, io.BufferedReader) else _no_input()


def _no_input() -> io.BufferedReader:
    raise FormatError("-: standard input is not a stream of bytes")


def _parts(
    raw: io.BufferedReader, form: str | None, name: str, rejects: Rejects, templates: Templates
) -> Iterator[Numbered]:
    stream = raw
    if raw.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
        stream = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw)), _PEEKED_BYTES)
    form = form or detect(stream.peek(_PEEKED_BYTES), name)
    if form == "arrow":
        row = 1
        for part in read_arrow(stream):
            yield part, range(row, row + part.batch.num_rows)
            row += part.batch.num_rows
    else:
        yield from _read_lines(stream, form, name, rejects, templates)


def detect(head: bytes, name: str) -> str:
    """The format of a file that begins with `head`.

    Raises:
        FormatError: it begins like none that is known.
    """
    if head.startswith(ARROW_MAGIC):
        return "arrow"
    text = head.decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "combined"
    if lines[0].lstrip()[0] in "{[" and '"' in lines[0]:
        return "jsonl"
    if looks_like_table(lines[0]):
        return "tsv"
    if looks_like_access_log(islice(lines, 200)):
        return "combined"
    raise FormatError(f"{name}: no known format in its first lines; say --format {'|'.join(FORMATS)}")


def _read_lines(
    stream: io.BufferedReader, form: str, name: str, rejects: Rejects, templates: Templates
) -> Iterator[Numbered]:
    take = _json_rows if form == "jsonl" else _text_rows(stream, form, name, templates)
    taken: list[tuple[int, Decision]] = []
    for number, line in enumerate(_bounded_lines(stream), start=2 if form == "tsv" else 1):
        if not line.strip():
            continue
        try:
            taken += [(number, row) for row in take(line)]
        except (LineError, BadMessageError) as error:
            rejects.add(name, number, _reason(error), line[:200].decode("utf-8", "replace").rstrip())
        if len(taken) >= ROWS_PER_BATCH:
            yield _checked(taken, name, rejects)
            taken = []
    if taken:
        yield _checked(taken, name, rejects)


def _checked(taken: Sequence[tuple[int, Decision]], name: str, rejects: Rejects) -> Numbered:
    """Rows as a batch and their lines, without those that hold a value we do not take."""
    try:
        return labelled([row for _, row in taken]), [number for number, _ in taken]
    except BadMessageError:
        good: list[tuple[int, Decision]] = []
        for number, row in taken:
            try:
                labelled([row])
                good.append((number, row))
            except BadMessageError as error:
                rejects.add(name, number, _reason(error), repr(row)[:200])
        return labelled([row for _, row in good]), [number for number, _ in good]


def _reason(error: LineError | BadMessageError) -> str:
    return str(error) if isinstance(error, LineError) else f"{error.field}: {error.reason}"[:120]


def _json_rows(line: bytes) -> Sequence[Decision]:
    if len(line) >= LINE_BYTES_MAX * 16:
        raise LineError("line too long")
    return rows_of_line(line)


def _text_rows(
    stream: io.BufferedReader, form: str, name: str, templates: Templates
) -> Callable[[bytes], Sequence[Decision]]:
    if form == "tsv":
        try:
            read_line = Table(stream.readline(LINE_BYTES_MAX).decode("utf-8", "replace"), templates).decision
        except LineError as error:
            raise FormatError(f"{name}: {error}") from error
    else:
        read_line = AccessLog(templates).decision

    def take(line: bytes) -> Sequence[Decision]:
        if len(line) >= LINE_BYTES_MAX:
            raise LineError("line too long")
        return (read_line(line.decode("utf-8", "replace").rstrip("\r\n")),)

    return take


def _bounded_lines(stream: io.BufferedReader) -> Iterator[bytes]:
    """Lines; of one that is too long only its beginning, the rest skipped unread into memory."""
    longest = LINE_BYTES_MAX * 16
    while line := stream.readline(longest):
        yield line
        while len(line) == longest and not line.endswith(b"\n"):
            line = stream.readline(longest)
