"""Sliding window log: exact, by remembering each request; so its size is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.window import empties_us, fewer, stand_in, text

SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
State = tuple[tuple[int, int], ...]  # when, and how much; oldest first
TOKENS_MAX: Final = 10_000  # each is remembered on its own


@dataclass(frozen=True, slots=True)
class SlidingLog:
    """`tokens` in any window of `window_us`, exactly."""

    algorithm: ClassVar[str] = "sliding_log"
    tokens: int
    window_us: int

    @property
    def limit(self) -> int:
        """What a client is shown."""
        return self.tokens

    def scaled(self, numerator: int, denominator: int, cost: int) -> SlidingLog:
        """The same with `numerator / denominator` of its tokens, but never too few for one `cost`."""
        return SlidingLog(min(fewer(self.tokens, numerator, denominator, cost), TOKENS_MAX), self.window_us)

    def local(self) -> Bucket:
        """A bucket that never lets more pass in a window."""
        return stand_in(self.tokens, self.window_us)

    def arguments(self, cost: int, slot: str = "", *, look: bool = False) -> tuple[str, ...]:  # noqa: ARG002 - a Shape's
        """What the script is called with to take `cost`, give it back (negative), or look."""
        return text(cost, self.tokens, self.window_us, int(look))

    def taken(self, cost: int, reply: Sequence[int], *, look: bool = False) -> Taken:  # noqa: ARG002 - the script looked
        """What the script's `reply` to that means."""
        allowed, used, frees_us, newest_us, now_us = reply
        tat_us, remaining = empties_us(self.local(), used, now_us), max(0, self.tokens - used)
        reset_us = newest_us + self.window_us - now_us if used else 0
        if allowed:
            return Taken(True, tat_us, remaining, 0, reset_us)
        retry_after_us = frees_us + self.window_us - now_us if cost <= self.tokens else None
        return Taken(False, tat_us, remaining, retry_after_us, reset_us)


def step(window: SlidingLog, state: State, cost: int, now_us: int, *, look: bool = False) -> tuple[Taken, State]:
    """Takes `cost` from `window`, of which `state` was taken: the answer, and what is remembered after.

    A refused request takes nothing; a negative `cost` gives back the newest.
    """
    log = [(at_us, spent) for at_us, spent in state if at_us > now_us - window.window_us]
    used = sum(spent for _, spent in log)
    if log and log[-1][0] > now_us:  # the clock stepped back: all of it counts as taken now
        log = [(now_us, used)]
    fits = cost <= 0 or used + cost <= window.tokens
    frees_us = _frees_us(log, used + cost - window.tokens) if not fits and cost <= window.tokens else 0
    if fits and not look and cost > 0:
        log.append((now_us, cost))
    back = 0 if look else max(0, -cost)
    while back and log:
        at_us, spent = log.pop()
        if spent > back:
            log.append((at_us, spent - back))
        back = max(0, back - spent)
    used, newest_us = sum(spent for _, spent in log), log[-1][0] if log else 0
    return window.taken(cost, (int(fits), used, frees_us, newest_us, now_us)), tuple(log)


def _frees_us(log: list[tuple[int, int]], tokens: int) -> int:
    for at_us, spent in log:
        tokens -= spent
        if tokens <= 0:
            return at_us
    return 0
