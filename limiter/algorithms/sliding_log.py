"""Sliding window log: exact, by remembering each request; so its size is bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.window import fewer, stand_in

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
