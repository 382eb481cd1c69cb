"""Files that people name on the command line: whether they are there is said before anything else is done."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import typer

STANDARD_INPUT: Final = "-"
NAMES_MAX: Final = 10_000  # of a directory, looked through for what may have been meant
_Given = TypeVar("_Given", str, Path, Sequence[str], Sequence[Path], None)


def there(given: _Given) -> _Given:
    """A callback of an argument: what was given, where all of it can be read; files and directories.

    Raises:
        typer.BadParameter: which cannot, why, and what to write; it names the argument.
    """
    for each in _each(given):
        _look(Path(each))
    return given


def files_there(given: _Given) -> _Given:
    """As `there`, for what takes no directory."""
    for each in _each(given):
        path = Path(each)
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a directory; name a file in it")
        _look(path)
    return given


def _each(given: str | Path | Sequence[str] | Sequence[Path] | None) -> Iterable[str | Path]:
    named = [given] if isinstance(given, str | Path) else given or ()
    return (each for each in named if str(each) != STANDARD_INPUT)


def _look(path: Path) -> None:
    if not path.exists():
        raise typer.BadParameter(f"{path}: no such file; {_meant(path)}")
    if not os.access(path, os.R_OK):
        raise typer.BadParameter(f"{path} may not be read by who runs this; change its owner or mode")


def _meant(path: Path) -> str:
    """What to write in its place."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no directory {folder.absolute()} either: write the whole path"
    try:
        names = [entry.name for entry, _ in zip(folder.iterdir(), range(NAMES_MAX), strict=False)]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, 1)
    return f"did you mean {folder / near[0]}?" if near else f"looked for in {folder.absolute()}: write its whole path"
