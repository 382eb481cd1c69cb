"""How commands say things: for people in tables and sentences, with --json one object or one object a line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from textwrap import shorten, wrap
from typing import Annotated, Final

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Machine-readable: one JSON object (lists: one a line).")]

PIPE_COLUMNS: Final = 160  # of a line that is cut and that no terminal shows
SENTENCE: Final = 40  # a last column wider than this is text to read, not a value to compare
_GAP: Final = "  "
_UNDER: Final = "    "
_CONTROL = {c: f"\\x{c:02x}" for c in (*range(32), *range(127, 160))}


def console() -> Console:
    """Standard output for people; nothing in it is taken as markup."""
    return Console(markup=False, highlight=False, soft_wrap=not sys.stdout.isatty())


def write_json(value: object) -> None:
    """One JSON value on a line of its own."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def safe(text: str) -> str:
    """`text` with control characters spelled out: clients choose much of what we show, and terminals obey them."""
    return text.translate(_CONTROL)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str, *, whole: str = "") -> None:
    """A table for people, or the sentence that there is nothing to show.

    With `whole` a row's last cell is cut to what a line has room for, and `whole` says where all of it stands.
    """
    if not rows:
        console().print(empty)
        return
    out = console()
    cells = uncut = [[safe(cell) for cell in row] for row in rows]
    if whole:
        cells = cut(columns, cells, shutil.get_terminal_size((PIPE_COLUMNS, 0)).columns)
    found = lines(columns, cells, out.width if sys.stdout.isatty() else None)
    out.print(Text(found[0], style="bold"))
    for line in found[1:]:
        out.print(Text(line))
    if cells != uncut:
        sys.stderr.write(f"{whole}\n")


def lines(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """A table's lines, its heading first.

    Without a `width` (a pipe) a row is a line. Where rows do not fit, sentences in the last column go below them,
    over the whole width; only where even that does not help is a cell folded.
    """
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    if width is None or sum(widths) + len(_GAP) * (len(widths) - 1) <= width:
        return [_row(cells, widths) for cells in (columns, *rows)]
    if widths[-1] > SENTENCE and sum(widths[:-1]) + len(_GAP) * (len(widths) - 2) <= width:
        found = [_row(columns, widths[:-1])]
        for row in rows:
            found += [_row(row, widths[:-1]), *wrap(row[-1], width, initial_indent=_UNDER, subsequent_indent=_UNDER)]
        return found
    made = Table(box=None, pad_edge=False)
    for column in columns:
        made.add_column(Text(column), overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    folded = Console(width=width, file=StringIO(), force_terminal=False)
    with folded.capture() as captured:
        folded.print(made)
    return [line.rstrip() for line in captured.get().splitlines()]


def cut(columns: Sequence[str], rows: Sequence[list[str]], width: int) -> list[list[str]]:
    """The rows, each with a last cell that takes one line at most: of its row, or below it where little is left."""
    others = [max(map(cell_len, column)) for column in zip(columns[:-1], *(row[:-1] for row in rows), strict=True)]
    beside = width - sum(others) - len(_GAP) * len(others)
    room = beside if beside >= SENTENCE else width - len(_UNDER)
    return [[*row[:-1], _cut(row[-1], room)] for row in rows]


def _cut(text: str, room: int) -> str:
    """`text`, or its first words that fit."""
    return text if cell_len(text) <= room else shorten(text, max(room, SENTENCE), placeholder=" ...")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=False))
    return _GAP.join(padded).rstrip()


def listing(
    as_json: bool,  # noqa: FBT001 - the --json flag itself
    objects: Sequence[Mapping[str, object]],
    columns: Mapping[str, Sequence[str]],
    empty: str,
    whole: str = "",
) -> None:
    """Objects one a line with --json, else a table; `columns` maps a heading to the row's cells, `whole` as `table`."""
    if as_json:
        for one in objects:
            write_json(one)
        return
    table(list(columns), list(zip(*columns.values(), strict=True)), empty, whole=whole)
