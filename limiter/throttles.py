"""What throttles in force make of the limits that apply: multiplied, or replaced by another rate. Pure.

For each limit, of the throttles that mean it (by its name, or all limits): the lowest rate takes the limit's place,
then the lowest factor multiplies it. Lowest, so that what one action gives does not undo what another took.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from msgspec.structs import replace

from limiter.algorithms import concurrency, sliding_log
from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.shape import SECOND_US, WINDOW_US_MAX, Shape
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.token_bucket import CAPACITY_US_MAX, Bucket
from limiter.matcher import Applied
from limiter.orders import NewRate
from limiter.policy import PPM
from limiter.ruling import Entry


def throttled(applied: Sequence[Applied], throttles: Sequence[Entry], factor_ppm: int) -> list[Applied]:
    """The limits as `throttles` leave them, at `factor_ppm` (a brownout's) of themselves."""
    return [
        _one(one, [each for each in throttles if each.limit in (None, one.limit.name)], factor_ppm) for one in applied
    ]


def _one(one: Applied, throttles: list[Entry], factor_ppm: int) -> Applied:
    rates = [each.rate for each in throttles if each.rate is not None]
    factors = [each.factor_ppm for each in throttles if each.rate is None]
    shape, identity = one.shape, one.identity
    if rates:
        rate = min(rates, key=lambda each: (each.tokens / each.period_ms, each.burst or 0))
        shape = replaced(shape, rate, one.cost)
        if shape.window_us != one.shape.window_us and isinstance(shape, FixedWindow | SlidingCounter | SlidingLog):
            identity = f"{identity}\0{rate.tokens}/{rate.period_ms}"  # counts of another window say nothing here
    if factors:
        factor_ppm = max(1, factor_ppm * min(factors) // PPM)
    if factor_ppm != PPM:
        shape = shape.scaled(factor_ppm, PPM, one.cost)
    return replace(one, identity=identity, shape=shape)


def replaced(shape: Shape, rate: NewRate, cost: int) -> Shape:
    """A limit of the same algorithm at `rate`, whatever it is, and never too small for one `cost`.

    `rate.burst` is a token bucket's burst, or how many may wait in a queue; a second's worth when absent. Of a limit on
    concurrency only the slots are replaced.
    """
    tokens, period_us = max(rate.tokens, cost, 1), rate.period_ms * 1000
    match shape:
        case Bucket():
            return _bucket(rate, period_us, cost)
        case Queue():
            bucket = _bucket(rate, period_us, cost)
            return Queue(bucket.emission_us, bucket.burst - 1)
        case FixedWindow():
            return FixedWindow(tokens, min(period_us, WINDOW_US_MAX))
        case SlidingCounter():
            return SlidingCounter(tokens, min(period_us, WINDOW_US_MAX))
        case SlidingLog():
            return SlidingLog(min(tokens, sliding_log.TOKENS_MAX), min(period_us, WINDOW_US_MAX))
        case Slots():
            return Slots(min(tokens, concurrency.TOKENS_MAX), shape.lease_us)
        case _:
            assert_never(shape)


def _bucket(rate: NewRate, period_us: int, cost: int) -> Bucket:
    emission_us = -(-period_us // rate.tokens)
    burst = max(rate.burst or min(rate.tokens, SECOND_US // emission_us), cost, 1)
    return Bucket(max(1, min(emission_us, CAPACITY_US_MAX // burst)), burst)
