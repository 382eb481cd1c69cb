"""What a node answers from its memory alone: actions in force, tokens it holds, limits known to refuse.

What a request comes to (its route, its limits, whose tokens) is worked out once and kept as a plan for as long as it
holds, so that a client that keeps asking costs one look-up and a subtraction for each limit. Time is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from limiter.algorithms.taken import Taken
from limiter.conditions import FOREVER_MS
from limiter.known import Known
from limiter.leases import Lease, Leases
from limiter.matcher import Applied
from limiter.memo import Memo
from limiter.overrides import Overrides
from limiter.placing import Placing
from limiter.trial import Beside, without_limits
from limiter.verdict import Answer, Mode, Placed, Request, by_list, combined, refused, turned_away

PLANS_MAX: Final = 20_000
CHARS_MAX: Final = 512  # of a request that gets a plan: what is remembered of clients has a bound
_MEMORY: Final = Mode.MEMORY
_HELD: Final = Taken(True, 0, 0, 0, 0)  # what a lease says to a refund: only that it gave


class _Plan:
    """A request as placed while the actions in force are those of `changes` and time is before `until_ms`."""

    __slots__ = ("changes", "cost", "given", "placed", "route", "takes", "tier", "until_ms")

    def __init__(self, placed: Placed, takes: tuple[tuple[Lease, int], ...], changes: int) -> None:
        self.placed, self.takes, self.changes, self.until_ms = placed, takes, changes, placed.until_ms
        self.route, self.tier, self.cost = placed.route, placed.tier, placed.cost
        self.given = tuple((one, _HELD) for one in placed.applied) if takes else ()


class Local:
    """Answers from memory what memory can."""

    def __init__(
        self, placing: Placing, overrides: Overrides, known: Known, leases: Leases, clock_ms: Callable[[], int]
    ) -> None:
        self._placing = placing
        self._overrides = overrides
        self._known = known
        self._leases = leases
        self._clock_ms = clock_ms
        self._plans: Memo[Request, _Plan] = Memo(PLANS_MAX)
        self.count = 0  # of answers by `served`

    def forget(self) -> None:
        """Plans are made anew: the policy is another one."""
        self._plans.forget()

    def served(self, request: Request) -> Answer | None:
        """The answer of leases, where a plan says that they suffice: the way of nearly every check, kept short."""
        try:
            plan = self._plans.get(request)
        except TypeError:  # attributes have no hash: such a request has no plan
            return None
        if plan is None or not plan.takes or plan.changes != self._overrides.changes:
            return None
        now_ms = self._clock_ms()
        if now_ms >= plan.until_ms:
            return None
        answer = self._take(plan, now_ms * 1000)
        if answer is not None:
            self.count += 1
        return answer

    def answer(self, request: Request, now_ms: int) -> Answer | Placed:
        """The answer, or, where Redis has to be asked, what about."""
        try:
            plan = self._plans.get(request)
        except TypeError:  # attributes have no hash: such a request has no plan
            return self._judged(None, self._placing.place(request, now_ms), now_ms)
        if plan is None or plan.changes != self._overrides.changes or now_ms >= plan.until_ms:
            placed = self._placing.place(request, now_ms)
            self._keep(request, placed, ())
            return self._judged(request, placed, now_ms)
        return self._judged(request, plan.placed, now_ms)

    def _judged(self, request: Request | None, placed: Placed, now_ms: int) -> Answer | Placed:
        """The whole way; where leases suffice the plan of `request` says so, unless it is None."""
        if placed.beside is not None:
            return self._compared(placed, placed.beside, now_ms)
        if (settled := _settled(placed, now_ms)) is not None:
            return settled
        if not placed.applied and not placed.shadowed:
            return combined(placed, (), (), _MEMORY)
        now_us = now_ms * 1000
        held = [self._leases.holding(one, now_us) for one in placed.applied]
        asking = rest(placed, held)
        if not asking and not placed.shadowed:
            plan = self._keep(request, placed, _takes(placed.applied, held))
            return self._take(plan, now_us) or placed
        taken = self._known.refuses(asking, now_us)
        if taken is None:
            return placed
        return combined(placed, [one.shape for one in placed.applied], together(held, taken, now_us), _MEMORY)

    def _compared(self, placed: Placed, beside: Beside, now_ms: int) -> Answer | Placed:
        """A request that two versions judge: answered where memory knows the words of both, and counted."""
        other = without_limits(beside.other)
        if (settled := _settled(placed, now_ms)) is not None:  # no limit is asked then, of the other one neither
            beside.count(enforced=settled.allowed, other=other is not False)
            return settled
        now_us = now_ms * 1000
        taken = self._known.refuses(placed.applied, now_us)
        if taken is None or (other is None and self._known.refuses(beside.asked, now_us) is None):
            return placed
        beside.count(enforced=False, other=other or False)
        return combined(placed, [one.shape for one in placed.applied], taken, _MEMORY)

    def _keep(self, request: Request | None, placed: Placed, takes: tuple[tuple[Lease, int], ...]) -> _Plan:
        plan = _Plan(placed, takes, self._overrides.changes)
        if request is not None and _chars(request) <= CHARS_MAX:
            self._plans.put(request, plan)
        return plan

    def _take(self, plan: _Plan, now_us: int) -> Answer | None:
        """Takes from every lease of `plan`, or from none; shown by the one with least left."""
        least = FOREVER_MS
        shown = None
        for lease, cost in plan.takes:
            left = lease.left - cost
            if left <= lease.low or now_us >= lease.until_us:  # `low` is -1 at the least
                if left < 0 or now_us >= lease.until_us:
                    _undo(plan.takes, lease)
                    return None
                self._leases.run_low(lease)
            lease.left = left
            remaining = left + lease.spare
            if remaining < least:
                least, shown = remaining, lease
        if shown is None:
            return None
        reset_us = shown.tat_us - now_us - shown.left * shown.emission_us
        return Answer(
            "allow", plan.route, plan.tier, plan.cost, _MEMORY, None, None, shown.name, shown.burst, shown.window_ms,
            least, -(-reset_us // 1000) if reset_us > 0 else 0, given=plan.given,
        )  # fmt: skip


def _settled(placed: Placed, now_ms: int) -> Answer | None:
    """The answer where no limit is asked: by the policy's lists, an action in force, a brownout."""
    if placed.listed is not None:
        allowed, rule = placed.listed
        return by_list(placed, rule, allowed=allowed)
    if placed.ruling.refusal is not None:
        return refused(placed, placed.ruling.refusal, now_ms)
    return turned_away(placed, placed.shed, now_ms) if placed.shed is not None else None


def _chars(request: Request) -> int:
    """What a client may have chosen at will, and so without end, of what a plan is kept under."""
    told = request.attributes or {}
    return len(request.path) + sum([len(name) + len(value) for name, value in told.items()])


def _undo(takes: tuple[tuple[Lease, int], ...], until: Lease) -> None:
    for lease, cost in takes:
        if lease is until:
            return
        lease.left += cost


def together(held: Sequence[Lease | None], taken: Sequence[Taken], now_us: int) -> list[Taken]:
    """What each limit of a request says: by its lease, or, of `taken`, the others in their order."""
    if len(taken) == len(held):
        return list(taken)
    others = iter(taken)
    return [next(others) if lease is None else lease.seen(now_us) for lease in held]


def rest(placed: Placed, held: Sequence[Lease | None]) -> list[Applied]:
    """The limits of `placed` that no lease of `held` serves."""
    if not any(held):
        return placed.applied
    return [one for one, lease in zip(placed.applied, held, strict=True) if lease is None]


def _takes(applied: Sequence[Applied], held: Sequence[Lease | None]) -> tuple[tuple[Lease, int], ...]:
    return tuple((lease, one.cost) for one, lease in zip(applied, held, strict=True) if lease is not None)
