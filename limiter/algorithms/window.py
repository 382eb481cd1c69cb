"""What windows have in common: how they shrink, and the bucket that stands in for one."""

from __future__ import annotations

from limiter.algorithms.token_bucket import Bucket


def fewer(tokens: int, numerator: int, denominator: int, cost: int) -> int:
    """`tokens` at `numerator / denominator`, but never too few for one `cost`."""
    return max(tokens * numerator // denominator, min(cost, tokens), 1)


def stand_in(tokens: int, window_us: int) -> Bucket:
    """A bucket that lets at most `tokens` pass in any `window_us`, wherever it begins.

    Half of them at once; the others, and no more than those, flow in during one window.
    """
    burst = -(-tokens // 2)
    return Bucket(-(-window_us // (tokens - burst + 1)), burst)


def empties_us(stand_in: Bucket, used: int, now_us: int) -> int:
    """When the bucket that stands in for a limit would be full again, that of which `used` tokens are gone."""
    return now_us + min(used, stand_in.burst) * stand_in.emission_us


def text(*numbers: int) -> tuple[str, ...]:
    """Numbers as a script takes them."""
    return tuple(map(str, numbers))
