"""What a limit answered, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Taken(msgspec.Struct, frozen=True):
    """What a client may know of one limit, after its request.

    `tat_us` is when `shape.local()`, the bucket that stands in for this limit, would be full again. `retry_after_us` is
    0 when allowed, None when no wait would help (the cost exceeds the limit). `delay_us` of an allowed request is how
    long it has to wait before it passes. `slot` names what a concurrency limit gave, to be released.
    """

    allowed: bool
    tat_us: int
    remaining: int
    retry_after_us: int | None
    reset_us: int
    delay_us: int = 0
    slot: str = ""


def all_allowed(taken: Sequence[Taken]) -> bool:
    """Whether none of them refused."""
    for one in taken:  # noqa: SIM110 - a generator costs more than the few there are
        if not one.allowed:
            return False
    return True
