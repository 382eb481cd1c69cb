"""Limits in shadow: asked beside those in force, each for itself, reported in the answer and never refusing. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from limiter.algorithms.taken import Taken
from limiter.matcher import Applied
from limiter.verdict import Answer
from schemas.decision import Verdict


def reported(answer: Answer, shadowed: Sequence[Applied], taken: Sequence[Taken]) -> Answer:
    """`answer` with what the limits in shadow said: `limit` and the first that would have refused, else `allow`."""
    told = list(zip(shadowed, taken, strict=True))
    given = answer.given
    if answer.allowed:  # it holds, and a refund gives back, theirs too
        given = [*given, *((one, its) for one, its in told if its.allowed)]
    refusing = next((one.limit.name for one, its in told if not its.allowed), None)
    shadow: Verdict = "allow" if refusing is None else "limit"
    return msgspec.structs.replace(answer, shadow=shadow, shadow_rule=refusing, given=given)


def to_give_back(answer: Answer, shadowed: Sequence[Applied], taken: Sequence[Taken]) -> list[tuple[Applied, Taken]]:
    """What limits in shadow took for a request that does not pass: a refused request consumes nothing."""
    if answer.allowed:
        return []
    return [(one, its) for one, its in zip(shadowed, taken, strict=True) if its.allowed]
