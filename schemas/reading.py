"""A value in a file people write and where it stands: ways of reading one, each of which names what is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Self

from schemas.documents import Map, Seq
from schemas.errors import FileError, one_of

ENTRIES_MAX: Final = 1_000_000
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
NAME_FIX: Final = "lower-case letters, digits, . _ - (at most 64)"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_WHOLE: Final = re.compile(r"-?\d{1,15}")
_DECIMAL: Final = re.compile(r"-?\d{1,9}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True)
class At:
    """A value and where it stands."""

    file: str
    field: str
    node: Any
    line: int

    def wrong(self, reason: str, fix: str) -> FileError:
        """The error that names this value."""
        return FileError(self.file, self.line, self.field, reason, fix)

    def under(self, name: str, node: Any, line: int) -> Self:
        """A value inside this one."""
        return type(self)(self.file, f"{self.field}.{name}", node, line or self.line)

    def fields(self, *known: str, required: Mapping[str, str] = NOTHING) -> dict[str, Self]:
        """A mapping's entries by name; with `known`, any other name is an error.

        `required` are names that must be there, each with a value it may have.
        """
        if not isinstance(self.node, Map):
            raise self.wrong("is not a mapping", "write `name: value` lines below it")
        if len(self.node.pairs) > ENTRIES_MAX:
            raise self.wrong(f"has {len(self.node.pairs)} entries", f"at most {ENTRIES_MAX}")
        found: dict[str, Self] = {}
        for name, name_line, value, line in self.node.pairs:
            if known and name not in known:
                raise self.under(name[:80], value, name_line).wrong("is not known", one_of(name[:80], known))
            if name in found:
                raise self.under(name[:80], value, name_line).wrong("stands twice", "keep one of them")
            found[name] = self.under(name, value, line)
        for name, value in required.items():
            if name not in found:
                raise self.wrong(f"has no `{name}`", f"add `{name}: {value}`")
        return found

    def items(self, breathe: Callable[[], None] = lambda: None) -> list[Self]:
        """A list's items; `breathe` is called after each, for a caller with other work."""
        items = self.node.items if isinstance(self.node, Seq) else None
        if isinstance(self.node, list):
            items = [(value, 0) for value in self.node]
        if items is None:
            raise self.wrong("is not a list", "write `- item` lines below it")
        if len(items) > ENTRIES_MAX:
            raise self.wrong(f"has {len(items)} entries", f"at most {ENTRIES_MAX}")
        found: list[Self] = []
        for at, (value, line) in enumerate(items):
            found.append(type(self)(self.file, f"{self.field}[{at}]", value, line or self.line))
            breathe()
        return found

    def one_or_more(self) -> list[Self]:
        """A list's items, or the one value that stands without a list."""
        found = self.items() if isinstance(self.node, Seq | list) else [self]
        if not found:
            raise self.wrong("is empty", "name at least one, or leave it out")
        return found

    def text(self) -> str:
        """A single value as text."""
        if isinstance(self.node, str):
            return self.node
        if isinstance(self.node, bool):
            return str(self.node).lower()
        raise self.wrong("is not a single value", "write it on the same line")

    def name(self) -> str:
        """A name."""
        if not _NAME.fullmatch(self.text()):
            raise self.wrong(f"{self.text()[:80]!r} is no name", NAME_FIX)
        return self.text()

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        text = self.text()
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise self.wrong(f"{text[:40]!r} is no number we can take", f"a whole number from {low} to {high}")
        return int(text)

    def number(self, low: float, high: float) -> float:
        """A number from `low` to `high`, with decimals or without."""
        text = self.text()
        if not _DECIMAL.fullmatch(text) or not low <= float(text) <= high:
            raise self.wrong(f"{text[:40]!r} is no number we can take", f"a number from {low:g} to {high:g}")
        return float(text)

    def yes(self) -> bool:
        """Yes or no."""
        text = self.text().lower()
        if text not in ("yes", "no", "true", "false"):
            raise self.wrong(f"{text[:40]!r} is neither yes nor no", "write yes or no")
        return text in ("yes", "true")

    def moment_ms(self) -> int:
        """A date and time with its offset, in epoch milliseconds."""
        fix = "write 2026-12-01T00:00:00Z or 2026-12-01T00:00:00+01:00"
        try:
            found = datetime.fromisoformat(self.text().strip())
        except ValueError as error:
            raise self.wrong(f"{self.text()[:40]!r} is no date and time", fix) from error
        if found.tzinfo is None:
            raise self.wrong(f"{self.text()[:40]!r} does not say in which time zone", fix)
        return int(found.timestamp()) * 1000

    def texts(self) -> frozenset[str]:
        """A list of texts."""
        return frozenset(item.text() for item in self.items())
