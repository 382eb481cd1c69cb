"""Sliding window counter: two counts, the one before weighted by how much of it the window still covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.window import empties_us, fewer, stand_in, text

SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
STEPS: Final = 1024  # in which a window's weight falls: whole numbers, so no rounding lets more pass
State = tuple[int, int, int]  # when the window last taken from began; what it and the one before it gave


@dataclass(frozen=True, slots=True)
class SlidingCounter:
    """About `tokens` in any window of `window_us`, from two numbers."""

    algorithm: ClassVar[str] = "sliding_counter"
    tokens: int
    window_us: int

    @property
    def limit(self) -> int:
        """What a client is shown."""
        return self.tokens

    def scaled(self, numerator: int, denominator: int, cost: int) -> SlidingCounter:
        """The same with `numerator / denominator` of its tokens, but never too few for one `cost`."""
        return SlidingCounter(fewer(self.tokens, numerator, denominator, cost), self.window_us)

    def local(self) -> Bucket:
        """A bucket that never lets more pass in a window."""
        return stand_in(self.tokens, self.window_us)

    def used(self, current: int, previous: int, now_us: int) -> int:
        """What counts now: `previous` weighted by how much of its window is still covered, rounded up."""
        weight = -(-(self.window_us - now_us % self.window_us) * STEPS // self.window_us)
        return current - (-previous * weight // STEPS)

    def arguments(self, cost: int, slot: str = "", *, look: bool = False) -> tuple[str, ...]:  # noqa: ARG002 - a Shape's
        """What the script is called with to take `cost`, give it back (negative), or look."""
        return text(0 if look else cost, self.tokens, self.window_us)

    def taken(self, cost: int, reply: Sequence[int], *, look: bool = False) -> Taken:
        """What the script's `reply` to that means."""
        allowed, current, previous, now_us = reply
        used = self.used(current, previous, now_us)
        left_us = self.window_us - now_us % self.window_us
        if look:
            allowed = cost <= 0 or used + cost <= self.tokens
        retry_after_us = 0 if allowed else self._wait_us(current, previous, cost, left_us)
        reset_us = left_us + self.window_us if current else left_us if previous else 0
        tat_us = empties_us(self.local(), used, now_us)
        return Taken(bool(allowed), tat_us, max(0, self.tokens - used), retry_after_us, reset_us)

    def _wait_us(self, current: int, previous: int, cost: int, left_us: int) -> int | None:
        # Until `previous` weighs little enough; else until `current`, by then the window before, does.
        if cost > self.tokens:
            return None
        room = self.tokens - current - cost
        if room >= 0 and (covered_us := self._covered_us(previous, room)) > 0:
            return left_us - covered_us
        return left_us + self.window_us - self._covered_us(current, self.tokens - cost)

    def _covered_us(self, before: int, room: int) -> int:
        # How much of its window may still be covered for `before` to weigh no more than `room`.
        weight = min(STEPS, room * STEPS // before) if before else STEPS
        return weight * self.window_us // STEPS


def step(
    window: SlidingCounter, state: State | None, cost: int, now_us: int, *, look: bool = False
) -> tuple[Taken, State | None]:
    """Takes `cost` from `window`, last taken from as `state` says: the answer, and the state that is kept.

    A refused request takes nothing; a negative `cost` gives back, to the counted window that now is first.
    """
    start_us = now_us - now_us % window.window_us
    held_us, current, previous = state or (0, 0, 0)
    if held_us < start_us:
        current, previous = 0, current if held_us >= start_us - window.window_us else 0
    spent = 0 if look else cost
    taken = spent <= 0 or window.used(current, previous, now_us) + spent <= window.tokens
    if taken:
        previous = max(previous + min(current + spent, 0), 0)
        current = max(current + spent, 0)
    kept = state
    if held_us > start_us or (taken and spent):  # the first: the clock stepped back
        kept = (start_us, current, previous) if current + previous else None
    return window.taken(cost, (int(taken), current, previous, now_us), look=look), kept
