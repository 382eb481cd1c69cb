"""A limiter node whole: node, feed and publisher, started and stopped together.

async with Service(settings) as limiter:
    app = RateLimitMiddleware(app, limiter.node, limiter.publisher, limiter.settings)
"""

from __future__ import annotations

import asyncio
import os
import socket
from types import TracebackType
from typing import Self

import structlog

from limiter.feed import Feed
from limiter.matcher import Matcher
from limiter.metrics import Metrics
from limiter.node import Node, wall_clock_ms
from limiter.overrides import Overrides
from limiter.passage import Rows, Silence
from limiter.policy_file import load
from limiter.policy_follower import PolicyFollower
from limiter.policy_watch import PolicyWatch
from limiter.publisher import Publisher
from schemas.redis_client import connect_async
from schemas.settings import PREFIX, Settings
from schemas.targets import parse_targets

log = structlog.get_logger("limiter")


class Service:
    """Owns one node's parts. Kafka or Redis away at the start stops nothing; without `publish` Kafka is not asked for.

    Raises:
        PolicyError: the policy file cannot be taken.
        SettingsError: a malformed setting.
    """

    def __init__(self, settings: Settings, *, publish: bool = True) -> None:
        name = settings.node or f"{socket.gethostname()}:{settings.port or os.getpid()}"
        self.settings = settings.model_copy(update={"node": name})
        self.metrics = Metrics()
        path = settings.policies
        self._watch = PolicyWatch(path, self._use, self.metrics, idle=self._follows) if path else None
        self.policy = load(path)
        self.overrides = Overrides(parse_targets(settings.allowlist, PREFIX + "ALLOWLIST"))
        self._clients = [connect_async(settings.redis, timeout_s=5) for _ in range(3)]
        self.node = Node(
            self.settings,
            self.policy,
            self._clients[0],
            self.overrides,
            self.metrics,
            nodes=lambda: self.feed.nodes_live,
        )
        self.follower = PolicyFollower(
            self._clients[2], self.settings, self._use, self.node.try_out, self.metrics, wall_clock_ms
        )
        self.feed = Feed(
            self._clients[1], settings.keys, name, self.overrides, self.metrics, wall_clock_ms, self.follower.told
        )
        # The same after a restart, when the process id is another: what one run left on disk the next one sends.
        spool = settings.node or socket.gethostname() + (f":{settings.port}" if settings.port else "")
        self._publisher = Publisher(self.settings, self.metrics, spool=spool) if publish else None

    async def __aenter__(self) -> Self:
        if self.settings.secret.get_secret_value() == "change-me":
            log.warning("secret_is_default", fix="set FLOODWARDEN_SECRET to the same random text on every node")
        if self._publisher is not None:
            self._publisher.start()
        await self.node.warm()
        self.feed.start()
        self.follower.start()
        if self._watch is not None:
            self._watch.start()
        log.info("limiter_started", node=self.settings.node, policy=self.policy.name, limits=len(self.policy.limits))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            await self._watch.aclose()
        await self.follower.aclose()
        await self.feed.aclose()
        await self.node.aclose()
        if self._publisher is not None and not self._publisher.stopped:
            await asyncio.to_thread(self._publisher.stop)
        for client in self._clients:
            await client.aclose()
        log.info("limiter_stopped", node=self.settings.node)

    def reload_policy(self) -> None:
        """Has the policy read again, changed or not; from any thread or signal handler."""
        if self._watch is not None:
            self._watch.now()

    def _follows(self) -> bool:
        return self.follower.runs is not None

    def _use(self, matcher: Matcher) -> Matcher:
        self.policy = matcher.policy
        return self.node.use(matcher)

    @property
    def publisher(self) -> Publisher:
        """Where rows go to Kafka. Raises RuntimeError for a service that publishes nothing."""
        if self._publisher is None:
            raise RuntimeError("this limiter publishes nothing: it was opened with publish=False")
        return self._publisher

    @property
    def rows(self) -> Rows:
        """Where rows go: the publisher, or nowhere."""
        return self._publisher or Silence()

    @property
    def ready(self) -> bool:
        """Whether this node knows what is in force, or knows that Redis, which would tell, is away."""
        told = self.feed.contacted.is_set() and self.follower.contacted.is_set()
        return told or self.node.mode == "local"
