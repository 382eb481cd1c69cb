"""What changes between two versions of a policy, in its own words: limits, tiers, lists, field by field. Pure.

Order, layout, comments, and which file a limit stands in, are no change.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.documents import Map, Seq, documents
from schemas.policies import Files

_Unit = dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that comes (`+`), changes (`~`) or goes (`-`), with each field's value before and after."""

    sign: str
    what: str
    fields: tuple[tuple[str, str | None, str | None], ...]


def diff(before: Files, after: Files) -> list[Change]:
    """Everything that changes, in the order of its names. Raises `FileError` for what cannot be read.

    Files that stay as they are need not be read.
    """
    old = _units({name: data for name, data in before.items() if after.get(name) != data})
    new = _units({name: data for name, data in after.items() if before.get(name) != data})
    return [
        Change(_sign(old.get(what), new.get(what)), what, _fields(old.get(what, {}), new.get(what, {})))
        for what in sorted(old.keys() | new.keys())
        if old.get(what) != new.get(what)
    ]


def counts(changes: list[Change]) -> dict[str, int]:
    """How many there are to add, to change and to remove."""
    told = Counter(change.sign for change in changes)
    return {"add": told["+"], "change": told["~"], "remove": told["-"]}


def _sign(old: _Unit | None, new: _Unit | None) -> str:
    return "+" if old is None else "-" if new is None else "~"


def _fields(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[tuple[str, str | None, str | None], ...]:
    names = sorted(old.keys() | new.keys())
    return tuple((name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))


def _units(files: Files) -> dict[str, _Unit]:
    """`limits.login-ip` -> its fields, of all files."""
    found: dict[str, _Unit] = {}
    for name, data in sorted(files.items()):
        for at, document in enumerate(documents(data, name)):
            for section, value in _parts(document.tree):
                if section == "version":
                    continue
                of_file = f"{section} of {name}" + (f" #{at + 1}" if at else "")  # a document's `when` is its own
                for what, inner in _section(of_file if section == "when" else section, value):
                    found.setdefault(what, {}).update(_leaves("", inner))
    return found


def _section(section: str, value: Any) -> Iterator[tuple[str, Any]]:
    items = _items(value)
    if isinstance(value, Map) and section.partition(" ")[0] != "when":
        for name, inner in _parts(value):
            yield f"{section}.{name}", inner
    elif items is not None:
        for inner in items:
            yield f"{section}.{_called(inner)}", inner
    else:
        yield section, value


def _called(item: Any) -> str:
    """An item of a list by its name; by all it says where it has none."""
    for name, value in _parts(item):
        if name == "name" and isinstance(value, str):
            return value
    return " ".join(f"{field}={text}" if field else text for field, text in _leaves("", item).items())


def _leaves(path: str, value: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    if isinstance(value, Map):
        for name, inner in _parts(value):
            found |= _leaves(f"{path}.{name}" if path else name, inner)
        return found
    items = _items(value)
    if items is None:
        return {path: value if isinstance(value, str) else json.dumps(value)}
    plain = [item for item in items if isinstance(item, str)]
    if plain:
        found[path] = ", ".join(sorted(plain))
    for item in items:
        if not isinstance(item, str):
            found |= _leaves(f"{path}.{_called(item)}", item)
    return found


def _items(value: Any) -> list[Any] | None:
    """What is in a list, of which JSON that does not know its lines has plain ones; None for what is none."""
    if isinstance(value, Seq):
        return [item for item, _ in value.items]
    return value if isinstance(value, list) else None


def _parts(tree: Any) -> Iterator[tuple[str, Any]]:
    """The names and values of a mapping; nothing of what is none."""
    if isinstance(tree, Map):
        for name, _, value, _ in tree.pairs:
            yield name, value
