"""How long a check takes while Redis is stopped (SIGSTOP), is killed, or answers half a second late.

`floodwarden bench redis_away` calls `run()`; it starts a Redis of its own for each. A thousand checks a second come
evenly, each of another client; Redis fails after a second. Every check needs Redis: its limit is exact (`lease: off`).
A check is timed from its call; `_from_due` is the same from when it should have come, with whatever held our own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limiter_world import Server
from redis_world import Wire, wire

from limiter.algorithms.token_bucket import Bucket
from limiter.matcher import Identity
from limiter.metrics import Metrics
from limiter.node import Node
from limiter.overrides import Overrides
from limiter.policy import Limit, Per, Policy, Tier
from limiter.verdict import Mode, Request
from schemas.redis_client import connect_async
from schemas.settings import Settings

DEADLINE_MS = 5
BEFORE_S, FAILING_S = 1.0, 3.0
EVERY_S = 0.001
Fail = Callable[[Server, Wire], None]
FAULTS: dict[str, Fail] = {
    "stopped": lambda server, _: server.pause(),
    "killed": lambda server, _: server.kill(),
    "late": lambda _, between: setattr(between, "delay_s", 0.5),
}


@dataclass(slots=True)
class _Seen:
    ms: list[float] = field(default_factory=list)
    from_due_ms: list[float] = field(default_factory=list)
    modes: list[Mode] = field(default_factory=list)


def run() -> dict[str, Any]:
    """p99 and the most in milliseconds for each failure, and of the same checks before it."""
    figures: dict[str, float] = {}
    healthy: list[float] = []
    for name, fail in FAULTS.items():
        with tempfile.TemporaryDirectory() as directory, _between(Path(directory)) as (server, between):
            before, during = asyncio.run(_measure(f"redis://127.0.0.1:{between.port}/0", server, between, fail))
        healthy += before.ms
        for label, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
            figures[f"{name}_{label}"] = _at(during.ms, share)
        figures[f"{name}_p99_from_due"] = _at(during.from_due_ms, 0.99)
        figures[f"{name}_local_share"] = round(during.modes.count(Mode.LOCAL) / len(during.modes), 4)
    figures |= {"healthy_p50": _at(healthy, 0.5), "healthy_p99": _at(healthy, 0.99)}
    worst = max(figures[f"{name}_p99"] for name in FAULTS)
    return {
        "name": "redis_away",
        "unit": "ms",
        "ours": worst,
        "peers": figures,
        "limit": f"p99 at most {5 + DEADLINE_MS} ms: 5 ms + the deadline of {DEADLINE_MS} ms",
        "ratios": {f"{name}_p99_to_limit": round(figures[f"{name}_p99"] / (5 + DEADLINE_MS), 2) for name in FAULTS},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


async def _measure(url: str, server: Server, between: Wire, fail: Fail) -> tuple[_Seen, _Seen]:
    node = _node(url)
    if not await node.warm():
        raise RuntimeError("Redis was away before it was stopped")
    checked = iter(range(10**9))

    def one() -> Awaitable[Any]:
        n = next(checked)
        return node.check(Request("GET", "/items/1", Identity(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}")))

    before = await _paced(one, BEFORE_S)
    fail(server, between)
    during = await _paced(one, FAILING_S)
    await node.aclose()
    return before, during


async def _paced(check: Callable[[], Awaitable[Any]], for_s: float) -> _Seen:
    seen = _Seen()

    async def timed(due_s: float) -> None:
        began_s = time.perf_counter()
        answer = await check()
        ended_s = time.perf_counter()
        seen.ms.append((ended_s - began_s) * 1000)
        seen.from_due_ms.append((ended_s - due_s) * 1000)
        seen.modes.append(answer.mode)

    running = set()
    due_s = time.perf_counter()
    end_s = due_s + for_s
    while due_s < end_s:
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        task = asyncio.create_task(timed(due_s))
        running.add(task)
        task.add_done_callback(running.discard)
        due_s += EVERY_S
    await asyncio.gather(*running)
    return seen


def _node(url: str) -> Node:
    limit = Limit("ip", Per.IP, Bucket.of(1000, 1_000_000, 1000), lease=False)
    policy = Policy("bench", (limit,), {"default": Tier("default")}, "default", "default")
    settings = Settings(redis=url, node="bench", redis_deadline_ms=DEADLINE_MS)
    return Node(settings, policy, connect_async(url, timeout_s=5), Overrides(), Metrics())


@contextmanager
def _between(directory: Path) -> Iterator[tuple[Server, Wire]]:
    """A server behind a wire that lives in a thread of its own."""
    server = Server(directory)
    ready: list[Wire] = []
    made, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with wire(server.port) as between:
            ready.append(between)
            made.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    made.wait()
    try:
        yield server, ready[0]
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(ProcessLookupError):
            server.resume()
        server.kill()


def _at(taken: list[float], share: float) -> float:
    return round(sorted(taken)[int(len(taken) * share)], 2)
