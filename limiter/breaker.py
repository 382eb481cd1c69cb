"""When to stop asking a Redis that does not answer. Pure: told of each outcome and its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FAILURES_MAX: Final = 3
FAILING_MS: Final = 100


@dataclass(slots=True)
class Breaker:
    """Opens after `failures_max` failures in a row that span `failing_ms`; closes when a probe was answered.

    Both, for one stall of some milliseconds fails every check that is under way: it is answered, and that is all.
    """

    failures_max: int = FAILURES_MAX
    failing_ms: int = FAILING_MS
    failures: int = 0
    since_ms: int = 0
    is_open: bool = False

    def failed(self, now_ms: int) -> bool:
        """A call was not answered in time; whether this opened it."""
        if self.failures == 0:
            self.since_ms = now_ms
        self.failures += 1
        opened = not self.is_open and self.failures >= self.failures_max and now_ms - self.since_ms >= self.failing_ms
        self.is_open = self.is_open or opened
        return opened

    def open(self) -> None:
        """It is known to be away."""
        self.is_open = True

    def succeeded(self) -> None:
        """A call was answered."""
        self.failures = 0
        self.is_open = False
