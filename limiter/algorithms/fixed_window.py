"""Fixed window: so many tokens from each full window of the clock to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.window import fewer, stand_in


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
