"""Errors of the limiter that an operator reads; data that arrives has `schemas.errors.BadMessageError`."""

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


class PolicyError(ValueError):
    """A policy file that cannot be taken: names file, line, field, what is wrong and the fix."""

    def __init__(self, file: str, line: int, field: str, reason: str, fix: str) -> None:
        super().__init__(f"{place(file, line)}: {field}: {reason} ({fix})")
        self.file = file
        self.line = line
        self.field = field
        self.reason = reason
        self.fix = fix


class ShapeError(ValueError):
    """A limit no algorithm can take: `field` is the word of the policy that is wrong."""

    def __init__(self, field: str, reason: str, fix: str) -> None:
        super().__init__(f"{field}: {reason} ({fix})")
        self.field = field
        self.reason = reason
        self.fix = fix
