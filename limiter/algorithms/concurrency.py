"""Concurrency: so many at once; each holds a slot until it releases it or its lease is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.window import fewer, stand_in

TOKENS_MAX: Final = 10_000  # each slot is remembered on its own
LEASE_US_MAX: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Slots:
    """`tokens` slots; one that is not released is free again after `lease_us`."""

    algorithm: ClassVar[str] = "concurrency"
    tokens: int
    lease_us: int

    @property
    def limit(self) -> int:
        """What a client is shown."""
        return self.tokens

    @property
    def window_us(self) -> int:
        """How long a slot is held at most."""
        return self.lease_us

    def scaled(self, numerator: int, denominator: int, cost: int) -> Slots:
        """The same with `numerator / denominator` of its tokens, but never too few for one `cost`."""
        return Slots(min(fewer(self.tokens, numerator, denominator, cost), TOKENS_MAX), self.lease_us)

    def local(self) -> Bucket:
        """A bucket that never lets more pass in a lease."""
        return stand_in(self.tokens, self.lease_us)
