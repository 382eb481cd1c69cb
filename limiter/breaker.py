"""When to stop asking a Redis that does not answer, and when to ask again. Pure: told of each outcome and its time.

closed ── failures_max in a row over failing_ms ──► open ── wait_ms ──► half open (probes only)
▲                                                  ▲                      │ │
└──────────── probes_min answered in a row ────────┼──────────────────────┘ │
└──── one was not ───────┘
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FAILURES_MAX: Final = 3
FAILING_MS: Final = 100
PROBES_MIN: Final = 2
PROBE_GAP_MS: Final = 10
WAIT_MS: Final = 200
WAIT_MS_MAX: Final = 2_000
STEADY_MS: Final = 10_000  # closed for so long, it is as good as new


class State(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class Breaker:
    """Opens after `failures_max` failures in a row that span `failing_ms`; closes when probes were answered.

    Both, for one stall of some milliseconds fails every check that is under way: it is answered, and that is all.
    One that opens again soon after it closed waits twice as long as the last time.
    """

    failures_max: int = FAILURES_MAX
    failing_ms: int = FAILING_MS
    failures: int = 0
    since_ms: int = 0
    state: State = State.CLOSED
    wait_ms: int = WAIT_MS
    closed_ms: int | None = None  # when it closed last; None: it never was open
    answered: int = 0  # probes in a row

    @property
    def is_open(self) -> bool:
        """Whether checks must not ask; half open, probes only."""
        return self.state is not State.CLOSED

    def failed(self, now_ms: int) -> bool:
        """A call was not answered in time; whether this opened it."""
        if self.failures == 0:
            self.since_ms = now_ms
        self.failures += 1
        if self.is_open or self.failures < self.failures_max or now_ms - self.since_ms < self.failing_ms:
            return False
        self.open(now_ms)
        return True

    def open(self, now_ms: int) -> None:
        """It is known to be away."""
        steady = self.closed_ms is None or now_ms - self.closed_ms >= STEADY_MS
        self.wait_ms = WAIT_MS if steady else min(self.wait_ms * 2, WAIT_MS_MAX)
        self.state = State.OPEN
        self.answered = 0

    def succeeded(self) -> None:
        """A call was answered. One that was under way when it opened closes nothing."""
        self.failures = 0

    def until_probe_ms(self) -> int:
        """How long to wait before the next probe."""
        return PROBE_GAP_MS if self.state is State.HALF_OPEN else self.wait_ms

    def probed(self, now_ms: int, *, answered: bool) -> bool:
        """The outcome of a probe; whether it closed."""
        if not answered:
            self.state = State.OPEN
            self.answered = 0
            return False
        self.answered += 1
        self.state = State.HALF_OPEN
        if self.answered < PROBES_MIN:
            return False
        self.state = State.CLOSED
        self.failures = 0
        self.closed_ms = now_ms
        return True
