"""A check answered from memory beside `limits`, `throttled-py` and a bare dict bucket in the same run.

Ours does what a gateway needs: the limits of a route among 1,000, the actions in force (100,000 denials), tokens of two
leases, and the row for Kafka, queued as for a publisher (its thread, which encodes, is not in it; `with_decision_made`
also builds the row it would encode). Leases have grown before a round and are filled meanwhile from a Redis of its own
in the same event loop, which is part of the figure. Requests and the peers' keys are made beforehand. Figures are per
second of this process' CPU time, so that whatever else the machine does counts little; rounds are taken in turn, and
the median of each counts.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from redis.asyncio import Redis
from throttled import RateLimiterType, Throttled, rate_limiter, store

from floodwarden import embedded
from limiter.algorithms.token_bucket import Bucket
from limiter.matcher import Identity
from limiter.metrics import Metrics
from limiter.node import Node, wall_clock_ms
from limiter.overrides import Overrides
from limiter.policy import Limit, Policy, Scope, Tier
from limiter.rows import row
from limiter.verdict import Request
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.settings import Settings

ROUNDS = 5
CHECKS = 100_000
CLIENTS = 100
LIMITS = 1_000
DENIALS = 100_000
YIELD_EVERY = 500  # a gateway's loop turns; lots arrive then
RATE = 100_000_000
Round = Callable[[], Awaitable[None]]
PEERS = ("limits_fixed_window", "throttled_fixed_window", "bare_dict_bucket")


def run() -> dict[str, Any]:
    """Checks a second."""
    with embedded.redis() as url:
        return asyncio.run(_measure(url))


async def _measure(url: str) -> dict[str, Any]:
    client = Redis.from_url(url)
    leased = _node(url, client)
    await leased.warm()
    ours_of = _Rounds(leased)
    rounds = ours_of.all()
    taken: dict[str, list[float]] = {name: [] for name in rounds}
    for _ in range(ROUNDS):
        for name, (checks, one) in rounds.items():
            await ours_of.warm()
            gc.collect()
            began = time.process_time()
            await one()
            taken[name].append(checks / (time.process_time() - began))
    leased._count()
    from_memory = leased._metrics.registry.get_sample_value(
        "floodwarden_limiter_checks_total", {"verdict": "allow", "mode": "memory"}
    )
    await leased.aclose()
    await client.aclose()
    figures = {name: round(statistics.median(rates)) for name, rates in taken.items()}
    ours = figures.pop("local_check")
    return {
        "name": "local_check",
        "unit": "checks/s",
        "ours": ours,
        "peers": figures | {"answered_from_memory": round(from_memory or 0)},
        "limit": f"{CLIENTS} clients, {LIMITS} limits, {DENIALS} denials, two leases a check, row queued; one thread",
        "ratios": {name: round(ours / figures[name], 2) for name in PEERS}
        | {
            "batch_local_to_single_local": round(figures["batch_of_100_local"] / figures["single_await_local"], 2),
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


class _Rounds:
    """What is measured of ours."""

    def __init__(self, leased: Node) -> None:
        self._leased = leased
        self._rows: deque[object] = deque(maxlen=2_000)
        self._identities = [Identity(f"192.0.2.{n}", f"key-{n}") for n in range(CLIENTS)]
        self._requests = [self._request(n) for n in range(CLIENTS)]

    def all(self) -> dict[str, tuple[int, Round]]:
        """name -> (checks in it, the round)."""
        ours = (
            self.local_check,
            self.with_request_made,
            self.with_decision_made,
            self.single_await_local,
            self.batch_of_100_local,
        )
        rounds: dict[str, tuple[int, Round]] = {one.__name__: (CHECKS, one) for one in ours}
        return rounds | {name: (CHECKS, _peer(hit)) for name, hit in _peers().items()}

    def _request(self, n: int) -> Request:
        return Request("GET", f"/r{n % 50}/items", self._identities[n % CLIENTS])

    async def warm(self) -> None:
        """Clients that have been asking: lots lapse while peers have their turn, and grow again."""
        for _ in range(30):
            await self._leased.check_many(self._requests * 5)
            await asyncio.sleep(0.002)

    async def local_check(self) -> None:
        node, rows, requests = self._leased, self._rows, self._requests
        for n in range(CHECKS):
            asked = requests[n % CLIENTS]
            answer = node.check_local(asked) or await node.check(asked)
            rows.append((asked, answer, n))
            if n % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def with_request_made(self) -> None:
        node, rows = self._leased, self._rows
        for n in range(CHECKS):
            asked = self._request(n)
            answer = node.check_local(asked) or await node.check(asked)
            rows.append((asked, answer, n))
            if n % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def with_decision_made(self) -> None:
        node, rows, requests = self._leased, self._rows, self._requests
        for n in range(CHECKS):
            asked = requests[n % CLIENTS]
            answer = node.check_local(asked) or await node.check(asked)
            rows.append(row(asked, answer, n, "bench"))
            if n % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def single_await_local(self) -> None:
        for n in range(CHECKS):
            await self._leased.check(self._requests[n % CLIENTS])
            if n % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def batch_of_100_local(self) -> None:
        for _ in range(CHECKS // 100):
            await self._leased.check_many(self._requests)
            await asyncio.sleep(0)


def _peer(hit: Callable[[str], object]) -> Round:
    keys = [f"192.0.2.{n}" for n in range(CLIENTS)]

    async def one() -> None:
        for n in range(CHECKS):
            hit(keys[n % CLIENTS])

    return one


def _peers() -> dict[str, Callable[[str], object]]:
    item = RateLimitItemPerSecond(RATE)
    fixed, moving = FixedWindowRateLimiter(MemoryStorage()), MovingWindowRateLimiter(MemoryStorage())
    memory = store.MemoryStore()
    throttled = {
        kind: Throttled(using=kind.value, quota=rate_limiter.per_sec(RATE), store=memory)
        for kind in (RateLimiterType.FIXED_WINDOW, RateLimiterType.GCRA)
    }
    buckets: dict[str, list[float]] = {}

    def bare(key: str) -> bool:
        now = time.monotonic()
        bucket = buckets.get(key)
        if bucket is None:
            bucket = buckets[key] = [float(RATE), now]
        tokens = min(RATE, bucket[0] + (now - bucket[1]) * RATE)
        bucket[1] = now
        if tokens < 1:
            bucket[0] = tokens
            return False
        bucket[0] = tokens - 1
        return True

    return {
        "limits_fixed_window": lambda key: fixed.hit(item, key),
        "limits_moving_window_1000": lambda key: moving.hit(RateLimitItemPerSecond(1_000), key),
        "throttled_fixed_window": throttled[RateLimiterType.FIXED_WINDOW].limit,
        "throttled_gcra": throttled[RateLimiterType.GCRA].limit,
        "bare_dict_bucket": bare,
    }


def _node(url: str, client: Redis) -> Node:
    bucket = Bucket(1, 10**9)  # a million a second: nobody reaches it
    limits = (
        Limit("ip", "ip", bucket),
        *(Limit(f"r{n}", "key", bucket, Scope(f"/r{n}/items")) for n in range(LIMITS - 1)),
    )
    policy = Policy("bench", limits, {"default": Tier("default")}, "default", "default")
    settings = Settings(redis=url, node="bench", redis_deadline_ms=1000)
    return Node(settings, policy, client, _denials(), Metrics())


def _denials() -> Overrides:
    overrides, now_ms = Overrides(), wall_clock_ms()
    for n in range(DENIALS):
        target = Target(kind=TargetKind.IP, value=f"10.{n // 62500}.{n // 250 % 250}.{n % 250}")
        overrides.put(
            Action(
                uid=f"u{n}", kind=ActionKind.DENY, status=ActionStatus.ACTIVE, target=target, reason="bench",
                owner="auto", created_ms=now_ms, expires_ms=now_ms + 3_600_000,
            ),
            now_ms,
        )  # fmt: skip
    return overrides
