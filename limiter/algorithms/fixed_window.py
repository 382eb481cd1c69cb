"""Fixed window: so many tokens from each full window of the clock to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.window import empties_us, fewer, stand_in, text

SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
State = tuple[int, int]  # when the window last taken from began, and how much was taken


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """`tokens` in each window; windows begin at multiples of `window_us` since the epoch."""

    algorithm: ClassVar[str] = "fixed_window"
    tokens: int
    window_us: int

    @property
    def limit(self) -> int:
        """What a client is shown."""
        return self.tokens

    def scaled(self, numerator: int, denominator: int, cost: int) -> FixedWindow:
        """The same with `numerator / denominator` of its tokens, but never too few for one `cost`."""
        return FixedWindow(fewer(self.tokens, numerator, denominator, cost), self.window_us)

    def local(self) -> Bucket:
        """A bucket that never lets more pass in a window."""
        return stand_in(self.tokens, self.window_us)

    def arguments(self, cost: int, slot: str = "", *, look: bool = False) -> tuple[str, ...]:  # noqa: ARG002 - a Shape's
        """What the script is called with to take `cost`, give it back (negative), or look."""
        return text(0 if look else cost, self.tokens, self.window_us)

    def taken(self, cost: int, reply: Sequence[int], *, look: bool = False) -> Taken:
        """What the script's `reply` to that means."""
        allowed, used, now_us = reply
        left_us = self.window_us - now_us % self.window_us
        if look:
            allowed = cost <= 0 or used + cost <= self.tokens
        retry_after_us = 0 if allowed else left_us if cost <= self.tokens else None
        remaining = max(0, self.tokens - used)
        return Taken(
            bool(allowed), empties_us(self.local(), used, now_us), remaining, retry_after_us, left_us if used else 0
        )


def step(
    window: FixedWindow, state: State | None, cost: int, now_us: int, *, look: bool = False
) -> tuple[Taken, State | None]:
    """Takes `cost` from `window`, last taken from as `state` says: the answer, and the state that is kept.

    A refused request takes nothing; a negative `cost` gives back to the window that now is.
    """
    start_us = now_us - now_us % window.window_us
    held_us, used = state or (0, 0)
    if held_us < start_us:
        used = 0
    spent = 0 if look else cost
    taken = spent <= 0 or used + spent <= window.tokens
    if taken:
        used = max(used + spent, 0)
    kept = state
    if held_us > start_us or (taken and spent):  # the first: the clock stepped back
        kept = (start_us, used) if used else None
    return window.taken(cost, (int(taken), used, now_us), look=look), kept
