"""The check: memory first, then Redis in one round trip, and never an exception or a wait beyond the deadline.

A check that Redis does not answer in time is answered from this node's share of each limit (`limit / nodes`), which
begins where the shared bucket was last heard of; the next one asks Redis again. While Redis is gone every check is, and
what the enforcer put in force stays in force. What was given out locally is charged when Redis answers, best effort.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import structlog
from redis.asyncio import Redis

from limiter.algorithms.shape import SCRIPTS
from limiter.algorithms.taken import Taken
from limiter.giving_back import GivingBack
from limiter.guarded import AWAY, reason_of
from limiter.known import Known
from limiter.link import link_to
from limiter.matcher import Applied, Matcher
from limiter.metrics import Metrics
from limiter.modes import Modes
from limiter.overrides import NOTHING, Overrides
from limiter.policy import PPM, Policy
from limiter.shadow import reported, to_give_back
from limiter.shared import SharedLimits
from limiter.throttles import throttled
from limiter.verdict import Answer, Mode, Placed, Reason, Request, Slot, by_list, combined, refused
from schemas.settings import Settings

_SETTLE_EVERY_S: Final = 0.05
log = structlog.get_logger("limiter.node")


def wall_clock_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Node:
    """One limiter node. `overrides` is shared with the feed that fills it; `nodes` says how many share the limits."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        redis: Redis,
        overrides: Overrides,
        metrics: Metrics,
        *,
        nodes: Callable[[], int] = lambda: 1,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.name = settings.node
        self._matcher = Matcher(policy)
        self._overrides = overrides
        self._known = Known(factor_ppm=round(settings.local_factor * PPM))
        self.modes = Modes(metrics, clock_ms)
        self._link = link_to(redis, tuple(SCRIPTS.values()), settings.redis_deadline_ms / 1000, clock_ms, self.modes)
        self._shared = SharedLimits(self._link, settings.keys, settings.redis_deadline_ms, self._known, clock_ms)
        self._giving_back = GivingBack(self._shared, self._known, self._sharers, self._failed)
        self._known_nodes = settings.known_nodes
        self._nodes = nodes
        self._clock_ms = clock_ms
        self._metrics = metrics
        self._counters = {
            (v, m): metrics.checks.labels(v, m) for v in ("allow", "limit", "deny", "challenge") for m in Mode
        }
        self._settling: asyncio.Task[None] | None = None

    @property
    def headers(self) -> frozenset[str]:
        """Headers, in lower case, that the policy looks at; who asks puts them into `Request.attributes`."""
        return self._matcher.headers

    def use(self, matcher: Matcher) -> None:
        """From the next check on another policy holds; states of limits go on under their names."""
        self._matcher = matcher

    @property
    def mode(self) -> Mode:
        """What limits rest on now; `modes` tells each change."""
        return self.modes.mode

    async def check(self, request: Request) -> Answer:
        """What to do with `request`. Never raises (but for cancellation); a fault of our own allows and is counted."""
        return (await self.check_many((request,)))[0]

    async def check_many(self, requests: Sequence[Request]) -> list[Answer]:
        """`check` for each, in their order, with one round trip for all; each is judged for itself."""
        began = time.perf_counter()
        try:
            answers = await self._check(requests)
        except Exception:  # the outermost line of the hot path: a fault of ours must not become the client's
            self._metrics.faults.inc(len(requests))
            log.exception("check_fault")
            answers = [Answer("allow", "/*", self._matcher.policy.default_tier, 1, Mode.MEMORY) for _ in requests]
        self._metrics.check_seconds.observe(time.perf_counter() - began)
        for answer in answers:
            self._counters[answer.verdict, answer.mode].inc()
        return answers

    async def release(self, held: Answer | Sequence[Slot]) -> bool:
        """Frees the slots that an answer holds, when its request is done; again does no harm. Never raises.

        False: Redis could not be told, and their leases will free them.
        """
        return await self._giving_back.release(held.slots if isinstance(held, Answer) else held)

    async def refund(self, answer: Answer) -> bool:
        """Gives back all that `answer` took, for a request that shall not count: once. Never raises.

        False: Redis could not be told.
        """
        return await self._giving_back.refund(answer)

    async def warm(self) -> bool:
        """Connects and loads the scripts, so that the first check finds both; False when Redis is away."""
        return await self._link.warm()

    async def aclose(self) -> None:
        """Stops asking for Redis."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        await self._link.aclose()

    async def _check(self, requests: Sequence[Request]) -> list[Answer]:
        now_ms = self._clock_ms()
        placed = [self.place(request, now_ms) for request in requests]
        refusing = [self._refusing(one, now_ms) for one in placed]
        unanswered = [one for one, told in zip(placed, refusing, strict=True) if told is None]
        asking = [one.applied for one in unanswered if one.applied]
        asking += [[each] for one in unanswered for each in one.shadowed]
        taken = await self._take_shared(asking) if asking and self.mode is Mode.SHARED else None
        shared = iter(taken) if taken is not None else None
        answers: list[Answer] = []
        for one, told in zip(placed, refusing, strict=True):
            if told is not None:
                answers.append(told)
            elif not one.applied:
                answers.append(combined(one, (), (), Mode.MEMORY))
            elif shared is not None:
                answers.append(combined(one, [each.shape for each in one.applied], next(shared), Mode.SHARED))
            else:
                answers.append(self._locally(one, now_ms))
        if any(one.shadowed for one in unanswered):
            await self._shadow(answers, placed, refusing, shared, now_ms)
        return answers

    async def _shadow(
        self,
        answers: list[Answer],
        placed: list[Placed],
        refusing: list[Answer | None],
        shared: Iterator[list[Taken]] | None,
        now_ms: int,
    ) -> None:
        """Puts what limits in shadow said into `answers`, and gives back what they took for nothing."""
        back: list[tuple[Applied, Taken]] = []
        for at, one in enumerate(placed):
            if refusing[at] is not None or not one.shadowed:
                continue
            if shared is not None:
                taken = [taken for _ in one.shadowed for taken in next(shared)]
                back += to_give_back(answers[at], one.shadowed, taken)
            else:
                taken = [taken for each in one.shadowed for taken in self._share([each], now_ms)]
            answers[at] = reported(answers[at], one.shadowed, taken)
            self._metrics.shadow.labels(answers[at].shadow).inc()
        if back:
            await self._give_back(back)

    def _refusing(self, placed: Placed, now_ms: int) -> Answer | None:
        """The refusal that memory alone suffices for: an action in force, or a bucket just heard to be empty."""
        if placed.listed is not None:
            allowed, rule = placed.listed
            return by_list(placed, rule, allowed=allowed)
        if placed.ruling.refusal is not None:
            return refused(placed, placed.ruling.refusal, now_ms)
        taken = self._known.refuses(placed.applied, now_ms * 1000)
        if taken is None:
            return None
        return combined(placed, [one.shape for one in placed.applied], taken, Mode.MEMORY)

    def _locally(self, placed: Placed, now_ms: int) -> Answer:
        taken = self._share(placed.applied, now_ms)
        return combined(placed, self._known.shares(placed.applied, self._sharers()), taken, Mode.LOCAL)

    def _share(self, applied: list[Applied], now_ms: int) -> list[Taken]:
        taken = self._known.take(applied, self._sharers(), now_ms * 1000)
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle(), name="limiter-settle")
        return taken

    def _sharers(self) -> int:
        return max(self._known_nodes, self._nodes(), 1)

    def place(self, request: Request, now_ms: int) -> Placed:
        """Everything memory knows of `request`."""
        identity = request.identity
        matcher, policy = self._matcher, self._matcher.policy
        method = request.method.upper()
        route = request.route or matcher.route(method, request.path)
        tier = policy.tier_of(request.tier, identity.key_id, identity.user, identity.tenant).name
        listed = matcher.lists.judge(identity, tier, request.attributes)
        if listed is not None:
            return Placed(route, tier, NOTHING, [], None, (), listed)
        ruling = self._overrides.judge(identity, route, now_ms, tier, request.attributes)
        factor_ppm, reduced = PPM, None
        if ruling.level:
            factor_ppm = policy.brownout.factor_ppm(ruling.level, tier, method, route)
            reduced = Reason.BROWNOUT if factor_ppm != PPM else None
        whole_ppm = PPM if ruling.throttles else factor_ppm
        matched = matcher.limits(method, route, tier, identity, whole_ppm, request.cost, request.attributes, now_ms)
        applied, shadowed = matched.applied, matched.shadowed
        if ruling.throttles:
            applied = throttled(applied, ruling.throttles, factor_ppm)
            shadowed = throttled(shadowed, ruling.throttles, factor_ppm)
        if request.peek:
            return Placed(route, tier, ruling, [replace(one, look=True) for one in applied], reduced)
        return Placed(route, tier, ruling, applied, reduced, shadowed)

    async def _take_shared(self, asking: list[list[Applied]]) -> list[list[Taken]] | None:
        """What Redis says to each group, None when it says nothing in time.

        A group that one of its limits refuses gets back what the others took.
        """
        try:
            flat = await self._shared.take([one for applied in asking for one in applied])
        except AWAY as error:
            self._failed(error)
            return None
        replies = iter(flat)
        groups = [[next(replies) for _ in applied] for applied in asking]
        back = [
            (one, its)
            for applied, taken in zip(asking, groups, strict=True)
            if not all(its.allowed for its in taken)
            for one, its in zip(applied, taken, strict=True)
            if its.allowed
        ]
        if back:
            await self._give_back(back)
        return groups

    async def _give_back(self, back: list[tuple[Applied, Taken]]) -> None:
        try:
            await self._shared.give_back(back)
        except AWAY as error:  # refused all the same, and a little poorer
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._metrics.redis_errors.labels(reason_of(error)).inc()

    async def _settle(self) -> None:
        """Charges what was given out here, as soon as Redis answers again."""
        while self._known.owes:
            await asyncio.sleep(_SETTLE_EVERY_S)
            if self.mode is Mode.LOCAL:
                continue
            try:
                await self._shared.settle()
            except AWAY as error:
                log.info("not_charged_yet", reason=reason_of(error))
