"""Takes the policy that the store published from Redis, and says which version runs here.

    order (a push on the feed, or a look once a second) ─► files ─► read and made ready in a thread ─► in force, at once
                                                             │ absent, damaged, wrong
                                                             ▼
                                             the one before stays in force, and the word to Redis says why

A Redis that is away, emptied, or has no policy takes nothing out of force.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from limiter.errors import PolicyError
from limiter.leaving import leave
from limiter.matcher import Matcher
from limiter.metrics import Metrics
from limiter.policy import Policy
from limiter.policy_file import load_files
from limiter.policy_watch import let_go, ready
from limiter.trial import Trial
from schemas import policies
from schemas.errors import BadMessageError
from schemas.settings import Settings

EVERY_S: Final = 1.0
_PATIENCE_S: Final = 5.0  # for any one answer, files too
log = structlog.get_logger("limiter.policy")


class PolicyFollower:
    """One node's follower of its policy. `use` is called, on the event loop, as `PolicyWatch` does.

    So is `try_out`, with a version on trial beside, and with None when there is none any more.
    """

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        use: Callable[[Matcher], Matcher],
        try_out: Callable[[Trial | None], None],
        metrics: Metrics,
        clock_ms: Callable[[], int],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._redis: Any = redis
        self._keys = settings.keys
        self._name = settings.policy_name
        self._node = settings.node
        self._use = use
        self._try_out = try_out
        self._trial: Trial | None = None
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._every_s = every_s
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._word: policies.Word | None = None
        self.runs: policies.Order | None = None
        self.contacted = asyncio.Event()

    def start(self) -> None:
        """Follow in the background until `aclose`."""
        self._task = asyncio.create_task(self._run(), name="limiter-policy-follower")

    def told(self) -> None:
        """Look at once. For the thread of the event loop."""
        self._told.set()

    async def aclose(self) -> None:
        """Stop following; this node says nothing of the policy any more."""
        await leave(self._task, self._redis, self._keys.policy_acks, self._node)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except (RedisError, OSError, TimeoutError) as error:
                log.debug("policy_not_asked_for", error=type(error).__name__)  # the feed tells that Redis is away
            except BadMessageError as error:
                self._metrics.policy_reloads.labels("failed").inc()
                log.warning("policy_not_taken", error=str(error), kept="the one before")
            self.contacted.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), self._every_s)
            self._told.clear()

    async def _look(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            value = await self._redis.get(self._keys.policy(self._name))
        if value is not None:
            order = policies.order(value)
            if self._word is None or order.serial != self._word.serial:
                self._word = await self._take(order) or self._word
        if self._word is not None:
            async with asyncio.timeout(_PATIENCE_S):
                await self._redis.hset(self._keys.policy_acks, self._node, policies.encode(self._word))
        if self._trial is not None:
            async with asyncio.timeout(_PATIENCE_S):
                seen = policies.encode(self._trial.tried())
                await self._redis.hset(self._keys.policy_trial(self._name), self._node, seen)

    async def _take(self, order: policies.Order) -> policies.Word | None:
        """Obey `order`, and what is to be said of it; None: its files are not there, and it is looked for again."""
        if self.runs is None or order.digest != self.runs.digest:
            began = time.perf_counter()
            try:
                matcher = await self._made(order.version, order.digest)
            except (PolicyError, BadMessageError) as error:
                return self._refused(order, str(error))
            if matcher is None:
                return None
            self._put(matcher, order, round((time.perf_counter() - began) * 1000))
            del matcher
        try:
            if not await self._take_candidate(order):
                return None
            why_not = ""
        except (PolicyError, BadMessageError) as error:
            why_not = str(error)[:500]
            log.error("candidate_not_taken", error=why_not)  # noqa: TRY400 - the message is all
        self.runs = order
        self._metrics.policy_version.set(order.version)
        return policies.Word(self._name, order.serial, order.version, self._clock_ms(), candidate_refused=why_not)

    async def _made(self, version: int, digest: str) -> Matcher | None:
        """A version made ready; None where Redis does not have its files. Raises as reading a policy does."""
        if self._trial is not None and self._trial.candidate.digest == digest:
            return self._trial.matcher
        async with asyncio.timeout(_PATIENCE_S):
            held = await self._redis.hgetall(self._keys.policy(self._name, digest))
        if not held:
            log.warning("policy_files_absent", version=version, kept="the one before")
            return None
        return await asyncio.to_thread(ready, partial(_policy, held, digest))

    async def _take_candidate(self, order: policies.Order) -> bool:
        """Try out what `order` has on trial, or nothing any more; False: its files are not there."""
        candidate, before, trial = order.candidate, self._trial, None
        try:
            if candidate is not None:
                matcher = await self._made(candidate.version, candidate.digest)
                if matcher is None:
                    return False
                trial = Trial(matcher, candidate, order.serial)
                log.info("candidate_taken", version=candidate.version, share_ppm=candidate.share_ppm)
        finally:
            if trial is not before:
                self._trial = trial
                self._try_out(trial)
        kept = (trial.candidate.digest if trial is not None else None, order.digest)
        if before is not None and before.candidate.digest not in kept:
            asyncio.get_running_loop().run_in_executor(None, let_go, [before.matcher])
        return True

    def _put(self, matcher: Matcher, order: policies.Order, took_ms: int) -> None:
        limits = len(matcher.policy.limits)
        last = [self._use(matcher)]
        self._metrics.policy_reloads.labels("ok").inc()
        log.info("policy_taken", policy=self._name, version=order.version, limits=limits, took_ms=took_ms)
        asyncio.get_running_loop().run_in_executor(None, let_go, last)

    def _refused(self, order: policies.Order, why: str) -> policies.Word:
        self._metrics.policy_reloads.labels("failed").inc()
        log.error("policy_not_taken", version=order.version, error=why, kept="the one before")
        runs = self.runs.version if self.runs is not None else None
        return policies.Word(self._name, order.serial, runs, self._clock_ms(), why[:500])


def _policy(held: dict[bytes, bytes], digest: str, breathe: Callable[[], None]) -> Policy:
    files = {}
    for name, value in held.items():
        files[name.decode("utf-8", "replace")] = policies.unpacked(value)
        breathe()
    if policies.digest(files) != digest:
        raise BadMessageError("bad_value", "policy", "is not what was published", "publish it again")
    return load_files(files, breathe)
