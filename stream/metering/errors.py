"""Typed errors of the meter."""

from __future__ import annotations


class TakenOverError(RuntimeError):
    """Another meter stores this usage partition now; what this one holds of it must not be stored."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"usage partition {partition} is stored by another meter")
        self.partition = partition


class StoreError(RuntimeError):
    """The database of usage cannot be used; the message says which and why, without its password."""
