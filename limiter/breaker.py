"""When to stop asking a Redis that does not answer. Pure: told of each outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FAILURES_MAX: Final = 3


@dataclass(slots=True)
class Breaker:
    """Opens after `failures_max` failures in a row; closes when a probe (not a client's request) was answered."""

    failures_max: int = FAILURES_MAX
    failures: int = 0
    is_open: bool = False

    def failed(self) -> bool:
        """A call was not answered in time; whether this opened it."""
        self.failures += 1
        opened = not self.is_open and self.failures >= self.failures_max
        self.is_open = self.is_open or opened
        return opened

    def succeeded(self) -> None:
        """A call was answered."""
        self.failures = 0
        self.is_open = False
