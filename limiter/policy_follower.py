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
from schemas import policies
from schemas.errors import BadMessageError
from schemas.keys import Keys

EVERY_S: Final = 1.0
_PATIENCE_S: Final = 5.0  # for any one answer, files too
log = structlog.get_logger("limiter.policy")


class PolicyFollower:
    """One node's follower of the policy `name`. `use` is called, on the event loop, as `PolicyWatch` does."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        name: str,
        node: str,
        use: Callable[[Matcher], Matcher],
        metrics: Metrics,
        clock_ms: Callable[[], int],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._redis: Any = redis
        self._keys = keys
        self._name = name
        self._node = node
        self._use = use
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

    async def _take(self, order: policies.Order) -> policies.Word | None:
        """Obey `order`, and what is to be said of it; None: its files are not there, and it is looked for again."""
        if self.runs is None or order.digest != self.runs.digest:
            began = time.perf_counter()
            async with asyncio.timeout(_PATIENCE_S):
                held = await self._redis.hgetall(self._keys.policy(self._name, order.digest))
            if not held:
                log.warning("policy_files_absent", version=order.version, kept="the one before")
                return None
            try:
                matcher = await asyncio.to_thread(ready, partial(_policy, held, order.digest))
            except (PolicyError, BadMessageError) as error:
                return self._refused(order, str(error))
            self._put(matcher, order, round((time.perf_counter() - began) * 1000))
            del matcher
        self.runs = order
        self._metrics.policy_version.set(order.version)
        return policies.Word(self._name, order.serial, order.version, self._clock_ms())

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
