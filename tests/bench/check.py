"""A check that asks Redis beside one PING in the same run: one limit, two, a hundred at once; and denied from memory.

`floodwarden bench check` calls `run()`; it starts a Redis of its own. The limits are exact (`lease: off`), so every
check is one script on that Redis. PING is redis-py's, as a Python service would send it; `bare_ping` is a PING on a
bare socket of the same event loop, which is the least any answer of Redis costs here. Samples are taken in turn, so
that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

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

SAMPLES: Final = 6_000
BATCH: Final = 100
BATCHES: Final = 60
AT_ONCE: Final = 64
DENIALS: Final = 10_000
SHARES: Final = (("p50", 0.5), ("p99", 0.99))
Probe = Callable[[], Awaitable[object]]
Figures = dict[str, float]


def run() -> dict[str, Any]:
    """p50 and p99 in microseconds of each, how many PINGs that is, and how much dearer a hundred single checks are."""
    with embedded.redis() as url:
        return asyncio.run(_measure(url))


async def _measure(url: str) -> dict[str, Any]:
    client, bare = Redis.from_url(url), await _BarePing.to(url)
    node = _node(url, Redis.from_url(url))
    one, two = Request("GET", "/items/1", Identity("192.0.2.1")), Request("GET", "/items/1", Identity("192.0.2.1", "k"))
    denied = Request("GET", "/", Identity("10.0.3.7"))
    await node.warm()
    figures, ratios = await _one_by_one({
        "ping": client.ping,
        "bare_ping": bare.ping,
        "one_limit": lambda: node.check(one),
        "two_limits": lambda: node.check(two),
        "denied": lambda: node.check(denied),
    })  # fmt: skip
    batch_us, single_us = await _batches(node)
    figures |= {"batch_of_100": batch_us, "100_single": single_us}
    figures["checks_a_second_at_64"] = round(await _at_once(lambda: node.check(one)))
    figures["pings_a_second_at_64"] = round(await _at_once(client.ping))
    ratios |= {
        "100_single_to_batch_of_100": round(single_us / batch_us, 2),
        "checks_to_pings_a_second_at_64": round(figures["checks_a_second_at_64"] / figures["pings_a_second_at_64"], 2),
    }
    await node.aclose()
    await client.aclose()
    bare.close()
    return {
        "name": "check",
        "unit": "us",
        "ours": figures.pop("one_limit_p50"),
        "peers": figures,
        "limit": "one client, one Redis on the same machine, one process",
        "ratios": ratios,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


async def _one_by_one(probes: dict[str, Probe]) -> tuple[Figures, Figures]:
    samples: dict[str, list[float]] = {name: [] for name in probes}
    for _ in range(SAMPLES):
        for name, probe in probes.items():
            began = time.perf_counter()
            await probe()
            samples[name].append((time.perf_counter() - began) * 1e6)
    for taken in samples.values():
        taken.sort()
    figures = {
        f"{name}_{label}": round(taken[int(SAMPLES * share)], 1)
        for name, taken in samples.items()
        for label, share in SHARES
    }
    ratios = {
        f"{name}_{label}_to_ping": round(figures[f"{name}_{label}"] / figures[f"ping_{label}"], 2)
        for name in samples
        for label, _ in SHARES
        if name != "ping"
    }
    return figures, ratios


async def _batches(node: Node) -> tuple[float, float]:
    """The median microseconds of a batch of a hundred clients, and of the same hundred one after the other."""
    asked = [Request("GET", "/items/1", Identity(f"198.51.100.{n}")) for n in range(BATCH)]
    together: list[float] = []
    single: list[float] = []
    for _ in range(BATCHES):
        began = time.perf_counter()
        await node.check_many(asked)
        between = time.perf_counter()
        for each in asked:
            await node.check(each)
        together.append((between - began) * 1e6)
        single.append((time.perf_counter() - between) * 1e6)
    return round(sorted(together)[BATCHES // 2], 1), round(sorted(single)[BATCHES // 2], 1)


async def _at_once(probe: Probe, each: int = 150) -> float:
    async def client() -> None:
        for _ in range(each):
            await probe()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return AT_ONCE * each / (time.perf_counter() - began)


class _BarePing(asyncio.Protocol):
    """A socket, a future, and nothing that reads what is answered."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._told: asyncio.Future[None] | None = None

    @classmethod
    async def to(cls, url: str) -> _BarePing:
        where = urlsplit(url)
        _, made = await asyncio.get_running_loop().create_connection(cls, where.hostname, where.port)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._told is not None and data.endswith(b"\r\n"):
            self._told.set_result(None)

    async def ping(self) -> None:
        self._told = asyncio.get_running_loop().create_future()
        self._transport.write(b"*1\r\n$4\r\nPING\r\n")
        await self._told

    def close(self) -> None:
        self._transport.close()


def _node(url: str, client: Redis) -> Node:
    """A node whose limits nobody reaches, and whose denials hit 10.0.*.*."""
    bucket = Bucket.of(1_000_000, 1_000_000, 10**9)
    limits = (Limit("ip", Per.IP, bucket, lease=False), Limit("key", Per.KEY, bucket, lease=False))
    policy = Policy("bench", limits, {"default": Tier("default")}, "default", "default")
    overrides, now_ms = Overrides(), wall_clock_ms()
    for n in range(DENIALS):
        target = Target(kind=TargetKind.IP, value=f"10.0.{n // 250}.{n % 250}")
        overrides.put(
            Action(
                uid=f"u{n}", kind=ActionKind.DENY, status=ActionStatus.ACTIVE, target=target, reason="bench",
                owner="auto", created_ms=now_ms, expires_ms=now_ms + 3_600_000,
            ),
            now_ms,
        )  # fmt: skip
    settings = Settings(redis=url, node="bench", redis_deadline_ms=1000)
    return Node(settings, policy, client, overrides, Metrics())
