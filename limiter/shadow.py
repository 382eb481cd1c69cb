"""Limits in shadow: asked beside those in force, each for itself, reported in the answer and never refusing. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from limiter.algorithms.taken import Taken
from limiter.matcher import Applied
from limiter.verdict import Answer


def reported(answer: Answer, shadowed: Sequence[Applied], taken: Sequence[Taken]) -> Answer:
    """`answer` with what the limits in shadow said: `limit` and the first that would have refused, else `allow`."""
    for one, its in zip(shadowed, taken, strict=True):
        if not its.allowed:
            return msgspec.structs.replace(answer, shadow="limit", shadow_rule=one.limit.name)
    return msgspec.structs.replace(answer, shadow="allow")


def to_give_back(answer: Answer, shadowed: Sequence[Applied], taken: Sequence[Taken]) -> list[tuple[Applied, Taken]]:
    """What limits in shadow took for a request that does not pass: a refused request consumes nothing."""
    if answer.allowed:
        return []
    return [(one, its) for one, its in zip(shadowed, taken, strict=True) if its.allowed]
