"""The site's health out of what usage tells: sums by the second they were heard in, and what is usual. Pure.

By the second they were heard in and not by that of the request: a request is told of when it is done, so the newest
seconds of event time know the quick ones alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from enforcer.brownout import Health, Load, Rules

USUAL_WEIGHT: Final = 1 / 300  # of one more calm second, once what is usual is known


@dataclass(frozen=True, slots=True)
class Sums:
    """What some usage says: requests let in, those that failed (5xx), and of those timed how long they took."""

    allowed: int = 0
    failed: int = 0
    latency_ms_sum: float = 0.0
    timed: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.allowed + other.allowed,
            self.failed + other.failed,
            self.latency_ms_sum + other.latency_ms_sum,
            self.timed + other.timed,
        )


class Gauge:
    """The last seconds of a site, and what is usual for it."""

    def __init__(self, rules: Rules, usual_ms: float | None = None) -> None:
        self._rules = rules
        self._seconds: deque[tuple[int, Sums]] = deque()
        self._usual_ms = usual_ms
        self._learned = rules.usual_s if usual_ms is not None else 0

    def add(self, sums: Sums, now_ms: int) -> None:
        """Take in what was heard now."""
        second = now_ms // 1000
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = second, self._seconds[-1][1] + sums
        else:
            self._seconds.append((second, sums))
        while self._seconds and self._seconds[0][0] < second - self._rules.window_s:
            self._seconds.popleft()

    def health(self, now_ms: int) -> Health:
        """The last `window_s` whole seconds."""
        until, window_s = now_ms // 1000, self._rules.window_s
        total = sum((sums for at, sums in self._seconds if until - window_s <= at < until), Sums())
        known = self._learned >= self._rules.usual_s
        return Health(
            requests=total.allowed,
            seconds=float(window_s),
            errors=min(1.0, total.failed / total.allowed) if total.allowed else 0.0,
            latency_ms=total.latency_ms_sum / total.timed if total.timed else None,
            usual_ms=self._usual_ms if known else None,
            concurrent=total.latency_ms_sum / 1000 / window_s,
            timed=total.timed,
        )

    def learn(self, health: Health, load: Load) -> None:
        """A second that is as usual, if it is: call it while there is no brownout."""
        if load is not Load.CALM or not health.latency_ms:
            return
        if self._usual_ms is None:
            self._usual_ms, self._learned = health.latency_ms, 1
            return
        self._learned += 1
        weight = max(1 / self._learned, USUAL_WEIGHT)
        self._usual_ms += (health.latency_ms - self._usual_ms) * weight
