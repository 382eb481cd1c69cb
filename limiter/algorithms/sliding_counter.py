"""Sliding window counter: two counts, the one before weighted by how much of it the window still covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.window import fewer, stand_in


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
