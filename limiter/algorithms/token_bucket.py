"""Token bucket in its GCRA form (ITU-T I.371), in whole microseconds: the oracle of token_bucket.lua.

A bucket is one number: `tat_us`, the time at which it will be full again. Integers, because nanoseconds overflow the
2^53 of Lua's doubles and floating GCRA loses tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from limiter.algorithms.taken import Taken

SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
CAPACITY_US_MAX: Final = 1 << 51  # 71 years; with an epoch now (2^51) the sum stays below 2^53


@dataclass(frozen=True, slots=True)
class Bucket:
    """The shape of a bucket: `burst` tokens at most, one more every `emission_us`."""

    algorithm: ClassVar[str] = "token_bucket"
    emission_us: int
    burst: int

    @classmethod
    def of(cls, tokens: int, period_us: int, burst: int) -> Bucket:
        """A bucket of `tokens` per `period_us`; the time of one token is rounded up, never to more than asked."""
        return cls(-(-period_us // tokens), burst)

    @property
    def capacity_us(self) -> int:
        """Time from empty to full."""
        return self.emission_us * self.burst

    @property
    def limit(self) -> int:
        """What a client is shown."""
        return self.burst

    @property
    def window_us(self) -> int:
        """Time from empty to full."""
        return self.capacity_us

    def local(self) -> Bucket:
        """Itself: it may be taken from without Redis as it is."""
        return self

    def scaled(self, numerator: int, denominator: int, cost: int) -> Bucket:
        """The bucket at `numerator / denominator` of its rate and burst, but never too small for one `cost`."""
        if numerator == denominator:
            return self
        burst = max(self.burst * numerator // denominator, min(cost, self.burst), 1)
        emission_us = -(-self.emission_us * denominator // numerator)
        return Bucket(max(1, min(emission_us, CAPACITY_US_MAX // burst)), burst)

    def arguments(self, cost: int, slot: str = "", *, look: bool = False) -> tuple[str, ...]:  # noqa: ARG002 - a Shape's
        """What the script is called with to take `cost`, give it back (negative), or look."""
        increment_us = min(max(cost * self.emission_us, -self.capacity_us), self.capacity_us + 1)  # more is "too much"
        return str(0 if look else increment_us), str(self.capacity_us)

    def taken(self, cost: int, reply: Sequence[int], *, look: bool = False) -> Taken:
        """What the script's `reply` to that means."""
        allowed, tat_us, now_us = reply
        fits = tat_us - now_us + cost * self.emission_us <= self.capacity_us
        return answer(self, cost, tat_us, now_us, allowed=fits if look else allowed == 1)


def take(bucket: Bucket, tat_us: int | None, cost: int, now_us: int) -> Taken:
    """Takes `cost` tokens from `bucket`, whose state is `tat_us` (None: full). A refused request takes nothing.

    A negative `cost` gives back what an earlier request took; a bucket never holds more than its burst.
    """
    tat = _held(bucket, tat_us, now_us)
    after = max(tat + cost * bucket.emission_us, now_us)
    allowed = cost < 0 or after - now_us <= bucket.capacity_us
    return answer(bucket, cost, after if allowed else tat, now_us, allowed=allowed)


def answer(bucket: Bucket, cost: int, tat_us: int, now_us: int, *, allowed: bool) -> Taken:
    """What a client may know, from the state after; the script returns only the state, so both say it alike."""
    ahead_us = tat_us - now_us
    remaining = (bucket.capacity_us - ahead_us) // bucket.emission_us
    if allowed:
        return Taken(True, tat_us, remaining, 0, ahead_us)
    if cost > bucket.burst:
        return Taken(False, tat_us, remaining, None, ahead_us)
    return Taken(False, tat_us, remaining, ahead_us + cost * bucket.emission_us - bucket.capacity_us, ahead_us)


def step(bucket: Bucket, tat_us: int | None, cost: int, now_us: int, *, look: bool = False) -> tuple[Taken, int | None]:
    """`take`, or only `look`, with the state that is kept: the oracle of the script."""
    after = take(bucket, tat_us, 0 if look else cost, now_us)
    stepped = tat_us is not None and tat_us > now_us + bucket.capacity_us
    kept = tat_us
    if stepped or (after.allowed and cost and not look):
        kept = after.tat_us if after.tat_us > now_us else None
    return (bucket.taken(cost, (1, after.tat_us, now_us), look=True) if look else after), kept


def _held(bucket: Bucket, tat_us: int | None, now_us: int) -> int:
    # A bucket is never fuller than full nor emptier than empty, whatever clock or policy wrote the state.
    return min(max(now_us if tat_us is None else tat_us, now_us), now_us + bucket.capacity_us)
