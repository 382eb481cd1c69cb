"""Errors of the limiter that an operator reads; data that arrives has `schemas.errors.BadMessageError`."""

from __future__ import annotations


class PolicyError(ValueError):
    """A policy file that cannot be taken: names file, line, field, what is wrong and the fix."""

    def __init__(self, file: str, line: int, field: str, reason: str, fix: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {reason} ({fix})")
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
