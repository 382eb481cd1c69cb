"""Leaky bucket as a queue: requests pass one by one, `emission_us` apart; who comes early is told how long to wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from limiter.algorithms.token_bucket import Bucket


@dataclass(frozen=True, slots=True)
class Queue:
    """One token passes every `emission_us`; besides the one that passes now, at most `size` wait."""

    algorithm: ClassVar[str] = "leaky_bucket"
    emission_us: int
    size: int

    @property
    def limit(self) -> int:
        """What may come at once: one passes, the others wait."""
        return self.size + 1

    @property
    def window_us(self) -> int:
        """Time in which a full queue is worked off."""
        return self.emission_us * self.limit

    def scaled(self, numerator: int, denominator: int, cost: int) -> Queue:
        """The queue at `numerator / denominator` of its rate and size, but never too small for one `cost`."""
        bucket = self.local().scaled(numerator, denominator, cost)
        return Queue(bucket.emission_us, bucket.burst - 1)

    def local(self) -> Bucket:
        """A bucket that lets in what the queue would."""
        return Bucket(self.emission_us, self.limit)
