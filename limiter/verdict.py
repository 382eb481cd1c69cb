"""What is asked of a node and what it answers; how several limits make one answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from limiter.algorithms.shape import Shape
from limiter.algorithms.taken import Taken
from limiter.attributes import Attributes
from limiter.conditions import FOREVER_MS
from limiter.matcher import Applied, Identity
from limiter.ruling import Entry, Ruling
from schemas.action import ActionKind
from schemas.decision import Verdict

if TYPE_CHECKING:
    from limiter.trial import Beside

ANYBODY: Final = Identity()
TURN_MS: Final = 60_000  # a brownout lets the same clients in for so long, then others


class Request(msgspec.Struct, frozen=True, cache_hash=True):
    """One request of a client. `path` is as asked for, with its query; `route`, `tier` and `cost` override our own.

    `attributes` are what policies may look at beside: `country`, `header:x-plan` and so on, in their one spelling. With
    `peek` the answer is what it would be, and nothing is taken.
    """

    method: str
    path: str
    identity: Identity = ANYBODY
    route: str | None = None
    tier: str | None = None
    cost: int | None = None
    ua: str | None = None
    attributes: Attributes | None = None
    peek: bool = False


class Reason(StrEnum):
    """Why a request was refused; the last part of its problem type."""

    QUOTA = "quota-exceeded"
    BROWNOUT = "temporary-reduced-capacity"
    ABUSE = "abnormal-usage-detected"


class Mode(StrEnum):
    """What an answer rests on: this node's memory alone, shared buckets, or local ones because Redis is away."""

    MEMORY = "memory"
    SHARED = "shared"
    LOCAL = "local"


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a concurrency limit gave to one request: held until it is released, or its lease is over."""

    limit: str
    identity: str
    id: str
    cost: int = 1


class Answer(msgspec.Struct, frozen=True):
    """What a node says to a request.

    `limit` (tokens), `window_ms` (empty to full), `remaining` and `reset_ms` are of the limit named by `policy`, the
    strictest; None where no limit applies. `rule` is what decided: a limit's name, or an action's rule. A
    `retry_after_ms` of None on a refusal says that no wait is known to help. `delay_ms`: let it pass, but only after so
    long. `shadow` is what limits in shadow would have said beside, and `shadow_rule` which of them refused; None where
    none applies. `given` is what an allowed request took, limit by limit: what a refund gives back.
    """

    verdict: Verdict
    route: str
    tier: str
    cost: int
    mode: Mode
    rule: str | None = None
    reason: Reason | None = None
    policy: str | None = None
    limit: int | None = None
    window_ms: int | None = None
    remaining: int | None = None
    reset_ms: int | None = None
    retry_after_ms: int | None = None
    action: str | None = None
    shadow: Verdict | None = None
    shadow_rule: str | None = None
    delay_ms: int | None = None
    given: Sequence[tuple[Applied, Taken]] = ()

    @property
    def slots(self) -> list[Slot]:
        """What is to be released when the request is done."""
        return [Slot(one.limit.name, one.identity, its.slot, one.cost) for one, its in self.given if its.slot]

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.verdict == "allow"


class Placed(msgspec.Struct, frozen=True):
    """A request with everything memory knows of it: its route, tier, what is in force, the limits that apply."""

    route: str
    tier: str
    ruling: Ruling
    applied: list[Applied]
    reduced: Reason | None  # why all limits are lower than the policy's, if they are; throttles tell for themselves
    shadowed: Sequence[Applied] = ()  # limits that are only asked to be told of
    listed: tuple[bool, str] | None = None  # on the policy's allow (True) or deny list, by this rule
    shed: str | None = None  # turned away by a brownout, as one of this class
    until_ms: int = FOREVER_MS  # before then, only another policy, or what is put in force or removed, changes it
    beside: Beside | None = None  # what another version of the policy makes of it, while one is on trial

    @property
    def cost(self) -> int:
        """What it costs, at its dearest."""
        return max([one.cost for one in self.applied], default=1)


def by_list(placed: Placed, rule: str, *, allowed: bool) -> Answer:
    """The answer of the policy's own lists."""
    reason = None if allowed else Reason.ABUSE
    verdict: Verdict = "allow" if allowed else "deny"
    return Answer(verdict, placed.route, placed.tier, placed.cost, Mode.MEMORY, rule, reason)


def refused(placed: Placed, entry: Entry, now_ms: int) -> Answer:
    """The answer of an action in force: a denial or a challenge."""
    return Answer(
        verdict="deny" if entry.kind is ActionKind.DENY else "challenge",
        route=placed.route,
        tier=placed.tier,
        cost=placed.cost,
        mode=Mode.MEMORY,
        rule=entry.rule or entry.uid,
        reason=Reason.ABUSE,
        retry_after_ms=entry.expires_ms - now_ms if entry.kind is ActionKind.DENY else None,
        action=entry.uid,
    )


def turned_away(placed: Placed, name: str, now_ms: int) -> Answer:
    """The answer of a brownout to a request of the class `name`: it may be let in when the next turn begins.

    A denial and no limit: who is turned away did nothing, and it is no evidence of anything.
    """
    return Answer(
        "deny", placed.route, placed.tier, placed.cost, Mode.MEMORY, f"brownout:{name}", Reason.BROWNOUT,
        retry_after_ms=TURN_MS - now_ms % TURN_MS,
    )  # fmt: skip


def combined(placed: Placed, shapes: Sequence[Shape], taken: Sequence[Taken], mode: Mode) -> Answer:
    """One answer of several limits: refused when one refuses, and shown by the strictest."""
    if not taken:
        return Answer("allow", placed.route, placed.tier, placed.cost, mode)
    single = len(taken) == 1
    at = 0 if single else min(range(len(taken)), key=lambda n: _strictness(taken[n]))
    applied, one, shape = placed.applied[at], taken[at], shapes[at]
    limit, cost = applied.limit, applied.cost if single else placed.cost
    limit_of, window_ms, reset_ms = shape.limit, -(-shape.window_us // 1000), -(-one.reset_us // 1000)
    if one.allowed:  # more than 15 named arguments would go by way of a dictionary
        given = ((applied, one),) if single else tuple(zip(placed.applied, taken, strict=True))
        return Answer(
            "allow", placed.route, placed.tier, cost, mode, None, None, limit.name, limit_of, window_ms,
            one.remaining, reset_ms, delay_ms=_delay_ms(taken), given=given,
        )  # fmt: skip
    throttle = placed.ruling.throttling(limit.name)
    reason = (Reason.ABUSE if throttle else placed.reduced) or Reason.QUOTA
    retry_after_ms = None if one.retry_after_us is None else -(-one.retry_after_us // 1000)
    return Answer(
        "limit", placed.route, placed.tier, cost, mode, limit.name, reason, limit.name, limit_of, window_ms,
        one.remaining, reset_ms, retry_after_ms, throttle.uid if throttle else None,
    )  # fmt: skip


def _delay_ms(taken: Sequence[Taken]) -> int | None:
    return -(-max([one.delay_us for one in taken]) // 1000) or None


def _strictness(taken: Taken) -> tuple[bool, float, int]:
    # Refusals first, the longest wait foremost (never = longest); then what has least left.
    if taken.allowed:
        return True, 0.0, taken.remaining
    return False, -float("inf") if taken.retry_after_us is None else -taken.retry_after_us, 0
