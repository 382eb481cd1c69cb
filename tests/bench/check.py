"""How long a check takes beside one Redis PING in the same run: with one limit, with two, and refused from memory.

`floodwarden bench check` calls `run()`; it starts a Redis of its own. Samples are taken in turn, so that whatever else
the machine does meets all of them alike.
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from floodwarden import embedded
from limiter.algorithms.token_bucket import Bucket
from limiter.matcher import Identity
from limiter.metrics import Metrics
from limiter.node import Node, wall_clock_ms
from limiter.overrides import Overrides
from limiter.policy import Limit, Per, Policy, Tier
from limiter.verdict import Request
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.settings import Settings

SAMPLES = 6_000
AT_ONCE = 64
Probe = Callable[[], Awaitable[object]]


def run() -> dict[str, Any]:
    """p50 and p99 in microseconds of a check with one limit, and of its peers; throughput with many at once."""
    with embedded.redis() as url:
        return asyncio.run(_measure(url))


async def _measure(url: str) -> dict[str, Any]:
    client = Redis.from_url(url)
    node, denied = _node(url, Redis.from_url(url))
    one, two = Request("GET", "/items/1", Identity("192.0.2.1")), Request("GET", "/items/1", Identity("192.0.2.1", "k"))
    await node.warm()
    probes: dict[str, Probe] = {
        "redis_ping": client.ping,
        "check_one_limit": lambda: node.check(one),
        "check_two_limits": lambda: node.check(two),
        "check_denied": lambda: node.check(denied),
    }
    samples: dict[str, list[float]] = {name: [] for name in probes}
    for _ in range(SAMPLES):
        for name, probe in probes.items():
            began = time.perf_counter()
            await probe()
            samples[name].append((time.perf_counter() - began) * 1e6)
    figures = {
        f"{name}_{label}": round(sorted(taken)[int(len(taken) * share)], 1)
        for name, taken in samples.items()
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }
    figures["checks_a_second_at_64"] = round(await _throughput(node, one))
    figures["pings_a_second_at_64"] = round(await _throughput_of(client.ping))
    await client.aclose()
    return {
        "name": "check",
        "unit": "us",
        "ours": figures.pop("check_one_limit_p50"),
        "peers": figures,
        "limit": "one client, one Redis on the same machine, one process",
        "ratios": _ratios(figures, samples),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _ratios(figures: dict[str, float], samples: dict[str, list[float]]) -> dict[str, float]:
    def at(name: str, share: float) -> float:
        return sorted(samples[name])[int(len(samples[name]) * share)]

    ratios = {
        f"{name}_{label}_to_ping": round(at(name, share) / at("redis_ping", share), 2)
        for name in ("check_one_limit", "check_two_limits", "check_denied")
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }
    ratios["throughput_to_ping"] = round(figures["checks_a_second_at_64"] / figures["pings_a_second_at_64"], 2)
    return ratios


async def _throughput(node: Node, request: Request) -> float:
    return await _throughput_of(lambda: node.check(request))


async def _throughput_of(probe: Probe, each: int = 150) -> float:
    async def client() -> None:
        for _ in range(each):
            await probe()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return AT_ONCE * each / (time.perf_counter() - began)


def _node(url: str, client: Redis) -> tuple[Node, Request]:
    """A node whose limits nobody reaches, and a request that is denied."""
    bucket = Bucket.of(1_000_000, 1_000_000, 10**9)
    limits = (Limit("ip", Per.IP, bucket), Limit("key", Per.KEY, bucket))
    policy = Policy("bench", limits, {"default": Tier("default")}, "default", "default")
    overrides = Overrides()
    now_ms = wall_clock_ms()
    for n in range(10_000):
        target = Target(kind=TargetKind.IP, value=f"10.0.{n // 250}.{n % 250}")
        overrides.put(
            Action(
                uid=f"u{n}",
                kind=ActionKind.DENY,
                status=ActionStatus.ACTIVE,
                target=target,
                reason="bench",
                owner="auto",
                created_ms=now_ms,
                expires_ms=now_ms + 3_600_000,
            ),
            now_ms,
        )
    settings = Settings(redis=url, node="bench", redis_deadline_ms=1000)
    return Node(settings, policy, client, overrides, Metrics()), Request("GET", "/", Identity("10.0.3.7"))
