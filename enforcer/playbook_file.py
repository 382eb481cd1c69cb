"""Playbook files -> `Playbook`. Every error names file, line, field and the fix; nothing unknown is passed over.

A playbook is one file or a directory of them, read by name as one. docs/playbooks.md has every word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from enforcer import play_file
from enforcer.brownout import Rules
from enforcer.brownout_file import SETTING as BROWNOUT_SETTING
from enforcer.ladder import Ladder
from enforcer.playbook import Play, Playbook
from schemas.documents import Document, documents, files_of, read
from schemas.errors import FileError
from schemas.reading import At

PLAYS_MAX: Final = 500
SETTING: Final = "FLOODWARDEN_PLAYBOOKS"
WORDS: Final = ("version", "plays", "builtin")
NO_LADDER: Final = Ladder(1, 1, 1)  # the built-in plays have none of their own
_BEGIN: Final = "write `version: 1` and `plays:`; docs/playbooks.md has examples"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Where something stands that can be taken and hardly means what it says."""

    file: str
    line: int
    field: str
    reason: str
    fix: str


@dataclass(slots=True)
class Reading:
    """What was read, what was wrong with it, and what is doubtful. Nothing is taken of one that has errors."""

    errors: list[FileError] = field(default_factory=list)
    plays: list[tuple[Play, At]] = field(default_factory=list)
    names: dict[str, At] = field(default_factory=dict)
    builtin: bool = True
    files: list[Path] = field(default_factory=list)  # that it names, beside its own

    @property
    def playbook(self) -> Playbook:
        """The plays read, then the built-in ones unless the file does without them."""
        return Playbook((*(play for play, _ in self.plays), *(built_in().plays if self.builtin else ())))

    def doubts(self) -> list[Doubt]:
        """Plays that are never asked, because one before them is for all they are for."""
        told = []
        for number, (play, at) in enumerate(self.plays):
            before = next((other for other, _ in self.plays[:number] if other.when.covers(play.when)), None)
            if before is not None:
                reason = f"{play.name!r} never decides: {before.name!r} before it is for the same alerts"
                told.append(Doubt(at.file, at.line, at.field, reason, "put the narrower play first, or remove it"))
        return told

    def unmet(self, rules: Rules | None) -> list[Doubt]:
        """Plays that ask for more of a brownout than `rules` give; None: none ever begins by itself."""
        told = []
        for play, at in self.plays:
            if play.level is not None and (found := _unmet(play.level, play.seconds or 0, rules)):
                told.append(Doubt(at.file, at.line, at.field, f"{play.name!r} {found[0]}", found[1]))
        return told


def _unmet(level: int, seconds: int, rules: Rules | None) -> tuple[str, str] | None:
    if rules is None or not rules.acts:
        mode = "off" if rules is None else "observe"
        why = f"asks for a brownout, and {BROWNOUT_SETTING} is `{mode}`: it is written down, and nothing more"
        return why, f"{BROWNOUT_SETTING}=auto, or a file of yours"
    if level > rules.level_max:
        return f"asks for level {level}, and gets {rules.level_max}", "a lower level, or a higher `level_max`"
    if seconds > rules.seconds_max:
        return f"asks for {seconds} s, and gets {rules.seconds_max}", "a shorter time, or a longer `seconds_max`"
    return None


@cache
def built_in() -> Playbook:
    """The plays that come with the enforcer: what each family asks for."""
    data = resources.files("enforcer").joinpath("playbook.yaml").read_bytes()
    return Playbook(tuple(play for play, _ in _taken(reading(documents(data, "playbook.yaml"), NO_LADDER)).plays))


def load(path: Path | None, ladder: Ladder) -> Playbook:
    """The playbook in `path`, a file or a directory; the built-in one when None.

    `ladder` has what the ladder of a play does not say.

    Raises:
        FileError: the first thing that is wrong.
    """
    return built_in() if path is None else _taken(examine(path, ladder)).playbook


def examine(path: Path, ladder: Ladder) -> Reading:
    """Everything in `path`, and all that is wrong with it."""
    return reading(_documents(path), ladder)


def _documents(path: Path) -> Iterator[Document]:
    for file in files_of(path):
        yield from documents(read(file, SETTING), str(file), lines=True, begin=_BEGIN)


def reading(found: Iterable[Document], ladder: Ladder) -> Reading:
    """What is in documents, and what is wrong in `errors`."""
    into = Reading()
    try:
        for document in found:
            _each(into, [document], lambda one: _document(into, one, ladder))
    except FileError as error:  # of a file as a whole
        into.errors.append(error)
    return into


def _taken(found: Reading) -> Reading:
    if found.errors:
        raise found.errors[0]
    return found


def _each(into: Reading, items: Iterable[At] | Iterable[Document], read_one: Callable[..., None]) -> None:
    for item in items:
        try:
            read_one(item)
        except FileError as error:
            into.errors.append(error)


def _document(into: Reading, document: Document, ladder: Ladder) -> None:
    at = At(document.file, "playbook", document.tree, document.line)
    fields = at.fields(*WORDS, required={"version": "1", "plays": "[]"})
    if fields["version"].text() != "1":
        raise fields["version"].wrong(f"{fields['version'].text()[:40]!r} is not known", "write `version: 1`")
    if "builtin" in fields:
        into.builtin = into.builtin and fields["builtin"].yes()
    _each(into, fields["plays"].items(), lambda one: _add(into, one, ladder))


def _add(into: Reading, at: At, ladder: Ladder) -> None:
    play, files = play_file.play(at, ladder)
    if play.name in into.names:
        raise at.wrong(f"the name {play.name!r} is taken by the play at line {into.names[play.name].line}", "another")
    if len(into.plays) >= PLAYS_MAX:
        raise at.wrong("is one play too many", f"at most {PLAYS_MAX}")
    into.names[play.name] = at
    into.plays.append((play, at))
    into.files += files
