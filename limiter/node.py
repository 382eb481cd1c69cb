"""The check: memory first, then Redis in one round trip, and never an exception or a wait beyond the deadline.

Memory has what the enforcer put in force, tokens held on lease, and limits just heard to be used up (`local`).

A check that Redis does not answer in time is answered from this node's share of each limit (`limit / nodes`), which
begins where the shared bucket was last heard of; the next one asks Redis again. While Redis is gone every check is, and
what the enforcer put in force stays in force. What was given out locally is charged when Redis answers, best effort.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from time import time_ns
from typing import Final

import structlog
from redis.asyncio import Redis

from limiter.algorithms.shape import Shape
from limiter.algorithms.taken import Taken, all_allowed
from limiter.giving_back import GivingBack
from limiter.guarded import AWAY, PATIENCE_S, reason_of
from limiter.known import Known
from limiter.leases import Lease, Leases
from limiter.lender import Lender
from limiter.link import link_to
from limiter.local import Local, rest, together
from limiter.matcher import Applied, Matcher
from limiter.metrics import Metrics
from limiter.modes import Modes
from limiter.overrides import Overrides
from limiter.placing import Placing
from limiter.policy import PPM, Policy
from limiter.shadow import reported, to_give_back
from limiter.shared import SCRIPTS, SharedLimits
from limiter.taking import Taking
from limiter.trial import Trial
from limiter.verdict import Answer, Mode, Placed, Request, Slot, combined
from schemas.decision import VERDICTS
from schemas.settings import Settings

_SETTLE_EVERY_S: Final = 0.05
log = structlog.get_logger("limiter.node")


def wall_clock_ms() -> int:
    """Epoch milliseconds."""
    return time_ns() // 1_000_000


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
        self._placing = Placing(Matcher(policy), overrides)
        self._known = Known(factor_ppm=round(settings.local_factor * PPM))
        self.modes = Modes(metrics, clock_ms)
        self._link = link_to(redis, SCRIPTS, settings.redis_deadline_ms / 1000, clock_ms, self.modes)
        self._leases = Leases()
        self._local = Local(self._placing, overrides, self._known, self._leases, clock_ms)
        self._served = self._local.served
        self._shared = SharedLimits(
            self._link, settings.keys, settings.redis_deadline_ms, self._known, self._leases, clock_ms, self._sharers
        )
        self._lender = Lender(self._leases, self._shared, clock_ms, self._failed)
        self._taking = Taking(self._shared, settings.redis_deadline_ms / 1000, self._failed)
        self._giving_back = GivingBack(self._shared, self._known, self._sharers, self._failed)
        self._known_nodes = settings.known_nodes
        self._nodes = nodes
        self._clock_ms = clock_ms
        self._metrics = metrics
        self._counts = {(verdict, mode): 0 for verdict in VERDICTS for mode in Mode}
        metrics.before_read(self._count)
        self._settling: asyncio.Task[None] | None = None

    @property
    def headers(self) -> frozenset[str]:
        """Headers, in lower case, that the policy looks at; who asks puts them into `Request.attributes`."""
        return self._placing.headers

    def gives_slots(self, limit: str) -> bool:
        """Whether the policy has a limit of that name that gives slots."""
        return self._placing.gives_slots(limit)

    def use(self, matcher: Matcher) -> Matcher:
        """From the next check on another policy holds, and the one before is returned; states of limits go on."""
        before, self._placing.matcher = self._placing.matcher, matcher
        self._local.forget()
        return before

    def try_out(self, trial: Trial | None) -> None:
        """From the next check on another version of the policy judges beside the one that holds; None: none does."""
        self._placing.trial = trial
        self._local.forget()

    @property
    def mode(self) -> Mode:
        """What limits rest on now; `modes` tells each change."""
        return self.modes.mode

    def check_local(self, request: Request) -> Answer | None:
        """What to do with `request` where this node's memory knows; None, and nothing happened, where Redis must tell.

        For the thread of the event loop. Never raises; what it answers is counted as a check.
        """
        served = self._served(request)
        if served is not None:
            return served
        answer = self._from_memory(request)
        return None if isinstance(answer, Placed) else answer

    async def check(self, request: Request) -> Answer:
        """What to do with `request`. Never raises (but for cancellation); a fault of our own allows and is counted."""
        served = self._served(request)
        if served is not None:
            return served
        answer = self._from_memory(request)
        return (await self._from_redis((answer,)))[0] if isinstance(answer, Placed) else answer

    async def check_many(self, requests: Sequence[Request]) -> list[Answer]:
        """`check` for each, in their order, with one round trip for all; each is judged for itself."""
        return await self.finish(self.begin(requests))

    def begin(self, requests: Sequence[Request]) -> list[Answer | Placed]:
        """What memory alone answers, at once; what Redis must be asked for is left to `finish`, which must follow."""
        served = self._served
        return [served(request) or self._from_memory(request) for request in requests]

    def finish(self, begun: Sequence[Answer | Placed]) -> Awaitable[list[Answer]]:
        """The answers to all that was begun. To be awaited."""
        asking = [each for each in begun if isinstance(each, Placed)]
        return self._from_redis(asking) if asking and len(asking) == len(begun) else self._rest(begun, asking)

    async def _rest(self, begun: Sequence[Answer | Placed], asking: Sequence[Placed]) -> list[Answer]:
        told = iter(await self._from_redis(asking) if asking else ())
        return [next(told) if isinstance(each, Placed) else each for each in begun]

    async def release(self, held: Answer | Sequence[Slot]) -> bool:
        """Frees the slots that an answer holds, when its request is done; again does no harm. Never raises.

        False: Redis could not be told; it is when it answers, and their leases free them if this node ends before.
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
        """Gives back what is held, and stops asking for Redis."""
        await self._lender.aclose()
        await self._taking.aclose()
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        await self._link.aclose()

    def _from_memory(self, request: Request) -> Answer | Placed:
        try:
            now_ms = self._clock_ms()
            answer = self._local.answer(request, now_ms)
            if isinstance(answer, Placed):
                if self.modes.mode is Mode.SHARED:
                    return answer
                answer = self._locally(answer, now_ms)
        except Exception:  # the outermost line of the hot path: a fault of ours must not become the client's
            answer = self._fault()
            log.exception("check_fault")
        self._counts[answer.verdict, answer.mode] += 1
        return answer

    async def _from_redis(self, asking: Sequence[Placed]) -> list[Answer]:
        began = time.perf_counter()
        try:
            answers = await self._ask(asking, began)
        except Exception:  # the outermost line of the hot path, too
            answers = [self._fault() for _ in asking]
            log.exception("check_fault")
        self._metrics.check_seconds.observe(time.perf_counter() - began)
        for answer in answers:
            self._counts[answer.verdict, answer.mode] += 1
        return answers

    def _fault(self) -> Answer:
        self._metrics.faults.inc()
        if self._placing.trial is not None:
            self._placing.trial.faults += 1
        return Answer("allow", "/*", self._placing.matcher.policy.default_tier, 1, Mode.MEMORY)

    async def _ask(self, asking: Sequence[Placed], began_s: float) -> list[Answer]:
        """The answers of Redis; a limit of which tokens are held is served from those, the others are asked."""
        now_ms = self._clock_ms()
        held = self._reserved(asking, now_ms)
        groups = [rest(one, leases) for one, leases in zip(asking, held, strict=True)]
        groups += [[each] for one in asking for each in one.shadowed]
        beside = len(groups)
        groups += [one.beside.asked for one in asking if one.beside is not None]
        taken = await self._taking.groups(groups, began_s)
        self._lender.wake()
        answers: list[Answer] = []
        back: list[tuple[Applied, Taken]] = []
        shadows, others = iter(taken[len(asking) : beside]), iter(taken[beside:])
        for one, leases, its in zip(asking, held, taken, strict=False):
            told = [(next(shadows) or self._share([each], now_ms))[0] for each in one.shadowed] if one.shadowed else []
            if its is None:
                answer = self._without_redis(one, leases, told, now_ms)
            else:
                answer = self._combined(one, leases, its, [each.shape for each in one.applied], Mode.SHARED)
                if one.shadowed:
                    back += to_give_back(answer, one.shadowed, told)
                    answer = self._reported(answer, one, told)
            answers.append(answer if one.beside is None else one.beside.judged(answer, next(others), back))
        if back:
            await self._taking.give_back(back, began_s)
        return answers

    def _locally(self, one: Placed, now_ms: int) -> Answer:
        """The answer while Redis is known to be away."""
        (leases,) = self._reserved((one,), now_ms)
        told = [its for each in one.shadowed for its in self._share([each], now_ms)]
        return self._without_redis(one, leases, told, now_ms)

    def _without_redis(self, one: Placed, held: Sequence[Lease | None], told: Sequence[Taken], now_ms: int) -> Answer:
        """The answer of this node's share of each limit, and of what it holds; `told` is what those in shadow said."""
        taken = self._share(rest(one, held), now_ms)
        shares = self._known.shares(one.applied, self._sharers())
        return self._reported(self._combined(one, held, taken, shares, Mode.LOCAL), one, told)

    def _reserved(self, asking: Sequence[Placed], now_ms: int) -> list[list[Lease | None]]:
        return [self._leases.reserve(one.applied, now_ms * 1000) for one in asking]

    def _combined(
        self, one: Placed, held: Sequence[Lease | None], taken: Sequence[Taken], shapes: Sequence[Shape], mode: Mode
    ) -> Answer:
        if not all_allowed(taken):
            self._leases.restore(one.applied, held)
        return combined(one, shapes, together(held, taken, self._clock_ms() * 1000), mode if taken else Mode.MEMORY)

    def _reported(self, answer: Answer, one: Placed, told: Sequence[Taken]) -> Answer:
        """`answer` with what limits in shadow said, where there are any."""
        if not one.shadowed:
            return answer
        answer = reported(answer, one.shadowed, told)
        self._metrics.shadow.labels(answer.shadow).inc()
        return answer

    def _share(self, applied: list[Applied], now_ms: int) -> list[Taken]:
        taken = self._known.take(applied, self._sharers(), now_ms * 1000)
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle(), name="limiter-settle")
        return taken

    def _sharers(self) -> int:
        return max(self._known_nodes, self._nodes(), 1)

    def _failed(self, error: Exception) -> None:
        self._metrics.redis_errors.labels(reason_of(error)).inc()

    def _count(self) -> None:
        self._counts["allow", Mode.MEMORY] += self._local.count
        self._local.count = 0
        for of, count in self._counts.items():
            if count:
                self._counts[of] = 0
                self._metrics.checks.labels(*of).inc(count)

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
                await asyncio.sleep(PATIENCE_S)  # a cluster of which a node is away need not be asked so often
