"""How commands say things: for people in tables and sentences, with --json one object or one object a line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Machine-readable: one JSON object (lists: one a line).")]

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


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """A table for people, or the sentence that there is nothing to show."""
    if not rows:
        console().print(empty)
        return
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(safe(cell)) for cell in row))
    console().print(made)


def listing(
    as_json: bool,  # noqa: FBT001 - the --json flag itself
    objects: Sequence[Mapping[str, object]],
    columns: Mapping[str, Sequence[str]],
    empty: str,
) -> None:
    """Objects one a line with --json, else a table; `columns` maps a heading to the row's cells."""
    if as_json:
        for one in objects:
            write_json(one)
        return
    table(list(columns), list(zip(*columns.values(), strict=True)), empty)
