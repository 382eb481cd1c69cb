"""Files -> trees that know their lines: YAML (one or more documents), JSON, JSONL with a limit a line.

YAML is read as events and every scalar as text, so that 100,000 limits take seconds. JSON is read by the C decoder;
where it holds an error it is read again as the YAML it also is, for the line.
"""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import yaml

from schemas.errors import FileError

BYTES_MAX: Final = 128 << 20
FILES_MAX: Final = 10_000
DEPTH_MAX: Final = 12
_PIECE_BYTES: Final = 1 << 18  # decoded at once, while nothing else runs
SUFFIXES: Final = (".yaml", ".yml", ".json", ".jsonl")
_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # without libyaml it takes about ten times as long


@dataclass(slots=True)
class Map:
    """A mapping: name, its line, value, its line. Line 0 is not known."""

    pairs: list[tuple[str, int, Any, int]] = field(default_factory=list)


@dataclass(slots=True)
class Seq:
    """A list: value and line."""

    items: list[tuple[Any, int]] = field(default_factory=list)


Tree = Map | Seq | str
# What both readers of YAML say of the usual mistakes, in part, and what it means.
_YAML_FIXES: Final = {
    "',' or ']'": 'within [ ] quote what has { } [ ] or a comma in it: "/items/{id}"',
    "',' or '}'": 'within { } quote what has { } [ ] or a comma in it: "/items/{id}"',
    "alphabetic or numeric": 'quote what begins with * or &: "*login*"',
    "cannot start any token": "indent with spaces, not tabs; quote what begins with %, @ or `",
    "mapping values are not allowed": "mind indentation; quote what has a colon and a space in it",
    "block mapping": "mind indentation: the names of one mapping stand in one column",
    "'-' indicator": "mind indentation: the items of one list stand in one column",
    "block collection": "mind indentation: the items of one list stand in one column",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file."""

    file: str
    line: int
    tree: Tree


def files_of(path: Path) -> list[Path]:
    """The files that `path` names: itself, or what a directory holds at any depth, in order, hidden ones left out.

    Raises:
        FileError: there is none, or too many.
    """
    if not path.is_dir():
        return [path]
    found = sorted(
        each
        for each in path.rglob("*")
        if each.suffix in SUFFIXES
        and each.is_file()
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
    )
    if not 1 <= len(found) <= FILES_MAX:
        raise FileError(str(path), 0, "directory", f"holds {len(found)} files to read", f"1 to {FILES_MAX} *.yaml")
    return found


def read(path: Path, setting: str = "the setting that names it") -> bytes:
    """The bytes of a file that `setting` names. Raises `FileError` when it cannot be read or is too large."""
    try:
        data = path.read_bytes()
    except OSError as error:
        fix = f"check {setting} and the file's permissions"
        raise FileError(str(path), 0, "file", error.strerror or str(error), fix) from error
    if len(data) > BYTES_MAX:
        raise FileError(str(path), 0, "file", f"{len(data)} bytes", f"at most {BYTES_MAX}")
    return data


def documents(
    data: bytes,
    file: str,
    breathe: Callable[[], None] = lambda: None,
    *,
    lines: bool = False,
    begin: str = "write `version: 1` and what docs say of such a file",
) -> list[Document]:
    """The documents in `data`, by the suffix of `file`; with `lines` JSON, too, knows its lines.

    `begin` is what to do about an empty file; `breathe` is called in between, for a caller with other work.

    Raises:
        FileError: it is no YAML or JSON, or empty.
    """
    text = _decoded(data, file, breathe)
    if file.endswith(".jsonl"):
        found = [_json_lines("".join(text), file, breathe)]
    elif file.endswith(".json") and not lines:
        found = [Document(file, 0, _json("".join(text), file, 0, breathe))]
    else:
        deque(text, maxlen=0)  # it is UTF-8, and read as it is: a stream is not copied
        found = list(_yaml(BytesIO(data), file, breathe))
    if not found:
        raise FileError(file, 1, "file", "is empty", begin)
    return found


def let_go(tree: Tree, breathe: Callable[[], None]) -> None:
    """Frees what stands in the lists of `tree`, bit by bit, for its only holder."""
    for _, _, value, _ in tree.pairs if isinstance(tree, Map) else ():
        while isinstance(value, Seq) and value.items:
            value.items.pop()
            breathe()


def _decoded(data: bytes, file: str, breathe: Callable[[], None]) -> Iterator[str]:
    decoder = getincrementaldecoder("utf-8-sig")()
    try:
        for at in range(0, len(data), _PIECE_BYTES):
            yield decoder.decode(data[at : at + _PIECE_BYTES])
            breathe()
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise FileError(file, 0, "file", "is not UTF-8", "save it as UTF-8") from error


def _json_lines(text: str, file: str, breathe: Callable[[], None]) -> Document:
    limits = Seq([(_json(line, file, at, breathe), at) for at, line in _lines(text) if line.strip()])
    return Document(file, 1, Map([("version", 1, "1", 1), ("limits", 1, limits, 1)]))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number, one by one: all of a large file's would be made in one go."""
    number = begins = 0
    while begins < len(text):
        end = text.find("\n", begins)
        end = len(text) if end < 0 else end
        number += 1
        yield number, text[begins:end]
        begins = end + 1


def _json(text: str, file: str, line: int, breathe: Callable[[], None]) -> Tree:
    def made(pairs: list[tuple[str, Any]]) -> Map:
        breathe()
        return Map([(name, 0, value, 0) for name, value in pairs])

    try:
        found: Tree = json.loads(text, object_pairs_hook=made, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        raise FileError(file, line or error.lineno, "json", error.msg, "mind commas and quotes") from error
    except RecursionError as error:
        raise FileError(file, line, "json", "nested too deep", f"at most {DEPTH_MAX} levels") from error
    return found


def _yaml(stream: BytesIO, file: str, breathe: Callable[[], None]) -> Iterator[Document]:
    try:
        yield from _built(yaml.parse(stream, _LOADER), file, breathe)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        problem = error.problem or "cannot be read"
        fix = next((each for said, each in _YAML_FIXES.items() if said in problem), "mind indentation and quotes")
        raise FileError(file, line, "yaml", problem, fix) from error
    except yaml.YAMLError as error:
        raise FileError(file, 0, "yaml", str(error), "remove control characters") from error


def _built(events: Iterable[Any], file: str, breathe: Callable[[], None]) -> Iterator[Document]:
    builder = _Builder(file)
    for event in events:
        match event:
            case yaml.StreamStartEvent() | yaml.StreamEndEvent():
                pass
            case yaml.DocumentStartEvent():
                builder = _Builder(file)
            case yaml.DocumentEndEvent():
                ((tree, line),) = builder.whole.items
                if tree != "":
                    yield Document(file, line, tree)
            case _:
                builder.take(event, event.start_mark.line + 1)
                breathe()


class _Builder:
    """Events of one document -> its tree, the only item of `whole`."""

    def __init__(self, file: str) -> None:
        self.whole = Seq()
        self._file = file
        self._open = [_Open(self.whole, 0)]
        self._anchors: dict[str, Tree] = {}

    def take(self, event: Any, line: int) -> None:
        match event:
            case yaml.ScalarEvent():
                self._open[-1].add(event.value, line, self._file)
                self._anchor(event, event.value)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                made = Map() if isinstance(event, yaml.MappingStartEvent) else Seq()
                if len(self._open) > DEPTH_MAX:
                    raise FileError(self._file, line, "yaml", "nested too deep", f"at most {DEPTH_MAX} levels")
                self._open.append(_Open(made, line))
                self._anchor(event, made)
            case yaml.AliasEvent():
                if event.anchor not in self._anchors:
                    fix = f"write &{event.anchor} before"
                    raise FileError(self._file, line, "yaml", f"*{event.anchor} is not defined", fix)
                self._open[-1].add(self._anchors[event.anchor], line, self._file)
            case _:  # the end of a mapping or list
                done = self._open.pop()
                self._open[-1].add(done.tree, done.line, self._file)

    def _anchor(self, event: Any, made: Tree) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = made


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read; of a mapping maybe the name that waits for its value."""

    tree: Map | Seq
    line: int
    name: tuple[str, int] | None = None

    def add(self, made: Tree, line: int, file: str) -> None:
        if isinstance(self.tree, Seq):
            self.tree.items.append((made, line))
        elif self.name is not None:
            self.tree.pairs.append((*self.name, made, line))
            self.name = None
        elif isinstance(made, str):
            self.name = made, line
        else:
            raise FileError(file, line, "yaml", "a name is a list or mapping", "write `name: value`")
