"""What placing a request costs under 100, 1,000, 10,000 and 100,000 limits, and what those take to load and to hold.

`floodwarden bench policies` calls `run()`. Every set has the same 20 limits for all and for routes; the rest is one
limit for each tenant, half of them on one route each, and every tenth of them with hours and a country. Requests come
from 80 clients of tenants that are in every set, and, apart from that, from 20,000 clients of all tenants there are.
Beside: the same clients' tenants looked up in two bare dicts, to whose objects they lead, and one attribute read: what
no way of finding a limit by its tenant does without. Matches are told in processor time, stalls by the clock.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limiter.matcher import Identity, Matcher
from limiter.metrics import Metrics
from limiter.policy import DEFAULT
from limiter.policy_file import load, no_collections
from limiter.policy_watch import PolicyWatch

SIZES = (100, 1_000, 10_000, 100_000)
COMMON = 20
CLIENTS = 20_000
ROUNDS = 40
PAUSE_S = 0.0005
FREED_S = 5.0  # the policy before is gone by then
Ask = tuple[str, str, Identity]
RESIDENT = """
import gc, os, sys
from pathlib import Path
from limiter.matcher import Matcher
from limiter.policy_file import load

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

before = resident()
matcher = Matcher(load(Path(sys.argv[1])))
gc.collect()
print(resident() - before)
"""


def run() -> dict[str, Any]:
    """Microseconds to find the limits of a request, by the size of the set; seconds to load 100,000."""
    with tempfile.TemporaryDirectory() as directory:
        files = {size: _written(Path(directory), size) for size in SIZES}
        loaded, seconds = {}, {}
        for size, path in files.items():
            began = time.perf_counter()
            loaded[size] = Matcher(load(path))
            seconds[size] = time.perf_counter() - began
        jsonl = files[SIZES[-1]].with_suffix(".jsonl")
        began = time.perf_counter()
        Matcher(load(jsonl))
        jsonl_s = time.perf_counter() - began
        resident = {size: _resident_bytes(path.with_suffix(".jsonl")) for size, path in files.items()}
        hold_ms = _longest_hold_ms(files[SIZES[-1]])
        stall_ms, beside_ms, again_s = asyncio.run(_reloading(files[SIZES[-1]]))
        gc.collect()
        gc.freeze()
        few = _measured(loaded, {size: _asks(SIZES[0] - COMMON, SIZES[0]) for size in SIZES})
        all_over = _measured(loaded, {size: _asks(CLIENTS, size) for size in SIZES})
        bare = _bare()
    least, most = SIZES[0], SIZES[-1]
    return {
        "name": "policies",
        "unit": "us",
        "ours": round(few[most], 2),
        "peers": {
            **{f"match_{size}": round(each, 2) for size, each in few.items()},
            **{f"match_{size}_clients_all_over": round(each, 2) for size, each in all_over.items()},
            **{f"bare_lookup_{size}_clients_all_over": round(each, 2) for size, each in bare.items()},
            **{f"load_yaml_{size}_s": round(each, 2) for size, each in seconds.items()},
            "load_jsonl_100000_s": round(jsonl_s, 2),
            "bytes_a_limit": round((resident[most] - resident[least]) / (most - least)),
            **{f"resident_{size}_mib": round(each / 2**20, 1) for size, each in resident.items()},
            "reload_yaml_100000_s": round(again_s, 2),
            "reload_longest_stall_ms": round(stall_ms, 1),
            "reload_longest_hold_ms": round(hold_ms, 1),
            "idle_longest_stall_ms": round(beside_ms, 1),
        },
        "limit": "one process; every request is under 4 to 6 limits",
        "ratios": {
            **{f"match_{size}": round(few[size] / few[least], 2) for size in SIZES[1:]},
            **{f"match_{size}_clients_all_over": round(all_over[size] / all_over[least], 2) for size in SIZES[1:]},
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _resident_bytes(path: Path) -> int:
    """What a process of its own grows by when it reads a policy and makes it ready."""
    told = subprocess.run([sys.executable, "-c", RESIDENT, str(path)], capture_output=True, check=True, timeout=300)
    return int(told.stdout)


def _limits(size: int) -> list[dict[str, Any]]:
    common: list[dict[str, Any]] = [
        {"name": "ip", "per": "ip", "rate": "50/s", "burst": 200},
        {"name": "key", "per": "key", "rate": "100/s", "burst": 400},
        {"name": "login", "per": "ip", "route": "POST *login*", "rate": "60/min"},
    ]
    common += [
        {"name": f"route-{n}", "per": "tenant", "route": f"/r{n}/{{id}}", "rate": "500/s"} for n in range(COMMON - 3)
    ]
    own: list[dict[str, Any]] = []
    for n in range(size - COMMON):
        when: dict[str, Any] = {"tenant": f"t{n}"}
        if n % 10 == 0:
            when |= {"hours": "mon-sun 0:00-24:00 Europe/Berlin", "not": {"country": ["KP", "IR"]}}
        where = {"route": f"/r{n % 17}/{{id}}"} if n % 2 else {}
        own.append({"name": f"tenant-{n}", "per": "tenant", "rate": "1000/s", "when": when, **where})
    return common + own


def _written(directory: Path, size: int) -> Path:
    path = directory / f"{size}.yaml"
    limits = [json.dumps(each) for each in _limits(size)]
    path.with_suffix(".jsonl").write_text("\n".join(limits))
    path.write_text("version: 1\nlimits:\n" + "".join(_yaml(json.loads(each)) for each in limits))
    return path


def _yaml(limit: dict[str, Any]) -> str:
    lines = [
        f"{name}: {json.dumps(value) if isinstance(value, dict | str) else value}" for name, value in limit.items()
    ]
    return "  - " + "\n    ".join(lines) + "\n"


def _asks(clients: int, size: int) -> list[Ask]:
    found = []
    for n in range(clients):
        tenant = n * 7919 % (size - COMMON)
        who = Identity(f"10.{n // 40_000}.{n // 200 % 200}.{n % 200}", f"k{n}", f"u{n}", f"t{tenant}")
        found.append(("GET", f"/r{tenant % 17}/{{id}}", who))
    return found


def _measured(loaded: dict[int, Matcher], asks: dict[int, list[Ask]]) -> dict[int, float]:
    """The median over `ROUNDS` of the mean of about 2,000 matches, the sizes in turn."""
    found: dict[int, list[float]] = {size: [] for size in loaded}
    probes: dict[int, Callable[[int], float]] = {size: _probe(loaded[size], asks[size]) for size in loaded}
    for turn in range(ROUNDS):
        for size, probe in probes.items():
            found[size].append(probe(turn))
    return {size: statistics.median(each) for size, each in found.items()}


class _Thing:
    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


def _bare() -> dict[int, float]:
    """Microseconds of two look-ups among so many tenants, and of reading what is found."""
    probes: dict[int, Callable[[int], float]] = {}
    for size in (SIZES[0], SIZES[-1]):
        here: dict[str, _Thing] = {}
        there: dict[str, _Thing] = {}
        for n in range(size - COMMON):
            (there if n % 2 else here)[f"t{n}"] = _Thing(n)
        probes[size] = _bare_probe(here, there, [str(who.tenant) for _, _, who in _asks(CLIENTS, size)])
    gc.collect()
    gc.freeze()
    found: dict[int, list[float]] = {size: [] for size in probes}
    for turn in range(ROUNDS):
        for size, probe in probes.items():
            found[size].append(probe(turn))
    return {size: statistics.median(each) for size, each in found.items()}


def _bare_probe(here: dict[str, _Thing], there: dict[str, _Thing], asks: list[str]) -> Callable[[int], float]:
    def probe(turn: int) -> float:
        some = asks[turn * 2_000 % len(asks) :][:2_000]
        began = time.thread_time()
        for tenant in some:
            one, other = here.get(tenant), there.get(tenant)
            _ = (one or other).at  # type: ignore[union-attr]
        return (time.thread_time() - began) / len(some) * 1e6

    return probe


def _probe(matcher: Matcher, asks: list[Ask]) -> Callable[[int], float]:
    now_ms = 1_764_000_000_000
    attributes = {"country": "DE"}

    def probe(turn: int) -> float:
        first = turn * 2_000 % len(asks)
        some = (asks * (2_000 // len(asks) + 2))[first : first + 2_000] if len(asks) < 4_000 else asks[first:][:2_000]
        began = time.thread_time()
        for method, route, who in some:
            matcher.limits(method, route, "default", who, attributes=attributes, now_ms=now_ms)
        return (time.thread_time() - began) / len(some) * 1e6

    return probe


def _longest_hold_ms(path: Path) -> float:
    """The longest stretch of processor time, while a policy is read, made ready and let go of, without giving way."""
    longest, last = 0.0, time.thread_time()

    def breathe() -> None:
        nonlocal longest, last
        now = time.thread_time()
        longest, last = max(longest, now - last), now

    with no_collections():
        matcher = Matcher(load(path, breathe), breathe)
    matcher.let_go(breathe)
    breathe()
    return longest * 1000


async def _reloading(path: Path) -> tuple[float, float, float]:
    """The longest wait, in ms, of an event loop for its turn while a policy was taken, and while none was; seconds."""
    done = asyncio.Event()
    held = [Matcher(DEFAULT)]

    def use(matcher: Matcher) -> Matcher:
        held.append(matcher)
        done.set()
        return held.pop(0)

    watch = PolicyWatch(path, use, Metrics(), 3600)
    watch.start()
    watch.now()
    await done.wait()  # the second takes the place of a large one, and frees it
    done.clear()
    began, longest, last = time.perf_counter(), 0.0, time.perf_counter()
    watch.now()
    while not done.is_set():
        await asyncio.sleep(PAUSE_S)
        now = time.perf_counter()
        longest, last = max(longest, now - last - PAUSE_S), now
    took_s = time.perf_counter() - began
    longest = max(longest, await _longest_within(FREED_S))
    await watch.aclose()
    return longest * 1000, await _longest_within(took_s) * 1000, took_s


async def _longest_within(within_s: float) -> float:
    longest, last, until = 0.0, time.perf_counter(), time.perf_counter() + within_s
    while last < until:
        await asyncio.sleep(PAUSE_S)
        now = time.perf_counter()
        longest, last = max(longest, now - last - PAUSE_S), now
    return longest
