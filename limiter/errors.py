"""Errors of the limiter that an operator reads; data that arrives has `schemas.errors.BadMessageError`."""

from __future__ import annotations

from schemas.errors import FileError as PolicyError
from schemas.errors import meant, one_of, place

__all__ = ["PolicyError", "ShapeError", "meant", "one_of", "place"]


class ShapeError(ValueError):
    """A limit no algorithm can take: `field` is the word of the policy that is wrong."""

    def __init__(self, field: str, reason: str, fix: str) -> None:
        super().__init__(f"{field}: {reason} ({fix})")
        self.field = field
        self.reason = reason
        self.fix = fix
