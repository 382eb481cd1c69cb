"""From the start of the write of an action to Redis until a node acts on it, beside a PING of the same Redis.

`floodwarden bench feed` calls `run()`: one node that holds nothing, and one that holds 100,000 denials; denials, limits
made smaller and brownout levels in turn, written by another thread. What is timed holds the write's own round trip.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from floodwarden import embedded

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from limiter_world import KEYS, Enforcer, action, now_ms

from limiter.feed import Feed
from limiter.metrics import Metrics
from limiter.overrides import Overrides
from schemas.action import Action

SAMPLES = 300
HELD = (0, 100_000)
GOAL_MS = 50.0
_LOOK_S = 0.0002


def run() -> dict[str, Any]:
    """Milliseconds at the median, p99 and at worst, by how much the node holds."""
    figures: dict[str, float] = {}
    for held in HELD:
        with embedded.redis() as url:
            taken = asyncio.run(_measure(url, held))
        for name, ms in taken.items():
            ms.sort()
            figures |= {f"{name}_{held}_p50": ms[len(ms) // 2], f"{name}_{held}_p99": ms[len(ms) * 99 // 100]}
            figures[f"{name}_{held}_max"] = ms[-1]
    worst = max(figures[f"in_force_{held}_max"] for held in HELD)
    return {
        "name": "feed",
        "unit": "ms",
        "ours": round(worst, 2),
        "peers": {name: round(ms, 2) for name, ms in figures.items()},
        "limit": f"{GOAL_MS:.0f} ms, the worst of {SAMPLES * len(HELD)}",
        "ratios": {"worst_to_goal": round(worst / GOAL_MS, 3)},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


async def _measure(url: str, held: int) -> dict[str, list[float]]:
    enforcer, overrides, client = Enforcer(url), Overrides(), Redis.from_url(url)
    enforcer.create(0)
    for first in range(0, held, 5_000):
        many = [action("deny", f"ip:{_address(n)}", uid=f"{n:032x}") for n in range(first, first + 5_000)]
        enforcer.redis.hset(KEYS.enforcement, mapping={each.uid: each.model_dump_json() for each in many})
    feed = Feed(client, KEYS, "bench", overrides, Metrics(), now_ms)
    feed.start()
    await asyncio.wait_for(feed.contacted.wait(), 60)
    if len(overrides) != held:
        raise RuntimeError(f"{len(overrides)} of {held} denials are held")
    taken: dict[str, list[float]] = {"in_force": [], "ping": []}
    for n in range(SAMPLES):
        began = time.perf_counter()
        await client.ping()
        taken["ping"].append((time.perf_counter() - began) * 1000)
        taken["in_force"].append(await _put(enforcer, overrides, _one(n)))
    await feed.aclose()
    await client.aclose()
    return taken


async def _put(enforcer: Enforcer, overrides: Overrides, one: Action) -> float:
    before, began = overrides.changes, time.perf_counter()
    writing = asyncio.create_task(asyncio.to_thread(enforcer.put, one))
    while overrides.changes == before:  # noqa: ASYNC110 - a node has no event of it: it looks at each check
        await asyncio.sleep(_LOOK_S)
    took_ms = (time.perf_counter() - began) * 1000
    await writing
    return took_ms


def _one(n: int) -> Action:
    kinds = (
        lambda: action("deny", f"ip:203.0.{n >> 8}.{n & 255}", uid=f"d{n}"),
        lambda: action("throttle", f"key:k{n}", uid=f"t{n}", factor=0.5),
        lambda: action("brownout", "global:*", uid=f"b{n}", level=1 + n % 4),
    )
    return kinds[n % 3]()


def _address(n: int) -> str:
    return f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
