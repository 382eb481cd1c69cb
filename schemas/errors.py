"""Typed errors of data that came from outside. Each names the field, what is wrong and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def meant(said: str, known: Iterable[str]) -> str:
    """A question after the known word that looks like the one `said`; empty where none does."""
    near = difflib.get_close_matches(said, list(known), 1)
    return f"did you mean `{near[0]}`? " if near else ""


def one_of(said: str, known: Iterable[str]) -> str:
    """The fix for a word that is not known: the one that looks like it, and all there are."""
    words = list(known)
    return f"{meant(said, words)}one of {', '.join(words)}"


def place(file: str, line: int) -> str:
    """Where something stands; line 0: of the file as a whole."""
    return f"{file}:{line}" if line else file


class FileError(ValueError):
    """A file people write that cannot be taken: names file, line, field, what is wrong and the fix."""

    def __init__(self, file: str, line: int, field: str, reason: str, fix: str) -> None:
        super().__init__(f"{place(file, line)}: {field}: {reason} ({fix})")
        self.file = file
        self.line = line
        self.field = field
        self.reason = reason
        self.fix = fix


class BadMessageError(ValueError):
    """A message that cannot be taken: `field` names the culprit, `reason` what is wrong, `fix` what would do.

    `code` is a short stable word for counters and for the dead-letter topic (`bad_value`, `bad_json`,
    `bad_arrow`, `missing_field`, `unknown_field`, `future_version`, `content_type`, `too_large`).
    """

    def __init__(self, code: str, field: str, reason: str, fix: str = "") -> None:
        super().__init__(f"{field}: {reason}" + (f" ({fix})" if fix else ""))
        self.code = code
        self.field = field
        self.reason = reason
        self.fix = fix


class SettingsError(ValueError):
    """A setting that is unknown or malformed; the message names the environment variable and the fix."""
