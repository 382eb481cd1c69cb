"""Admitted against the ideal: 8 processes on one key and on 10,000, leases on and off, and while Redis is stopped.

The ideal is one token bucket for each key that sees every check of every process at the moment it was made. The demand
on one key is twice its limit; that on 10,000 is Zipf's, so that the hottest are far over theirs. In the outage Redis is
stopped (SIGSTOP) for the middle half of the run, and the processes know how many they are.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from redis.asyncio import Redis

from floodwarden import embedded
from limiter.algorithms.token_bucket import Bucket, take
from limiter.matcher import Identity
from limiter.metrics import Metrics
from limiter.node import Node
from limiter.overrides import Overrides
from limiter.policy import Limit, Policy, Tier
from limiter.verdict import Request
from schemas.settings import Settings

PROCESSES = 8
SECOND_US = 1_000_000
TICK_S = 0.01
OUTAGE_S = 10.0
Events = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Case:
    """One run. Rates are of all processes together."""

    keys: int
    lease: bool
    rate: int
    burst: int
    demand: int
    seconds: float
    deadline_ms: float = 1_000.0  # an accuracy of the machine's scheduler is not what is measured

    @property
    def bucket(self) -> Bucket:
        """The limit of each key."""
        return Bucket.of(self.rate, SECOND_US, self.burst)


CASES = {
    "one_key_leased": Case(1, True, 1_000, 1_000, 2_000, 5),
    "one_key_exact": Case(1, False, 1_000, 1_000, 2_000, 5),
    "10000_keys_leased": Case(10_000, True, 50, 200, 3_000, 5),
    "10000_keys_exact": Case(10_000, False, 50, 200, 3_000, 5),
}
OUTAGE = Case(1, True, 1_000, 1_000, 2_000, 2 * OUTAGE_S, 50.0)


def run() -> dict[str, Any]:
    """Admitted / ideal of each case; the worst error of the four without an outage is `ours`, in per cent."""
    ratios: dict[str, float] = {}
    peers: dict[str, float] = {}
    for name, case in CASES.items():
        with embedded.redis() as url:
            events = _run(case, url)
        ratios[name] = round(float(events[:, 2].sum()) / _ideal(case, events), 4)
        peers[f"{name}_checks"] = len(events)
        peers[f"{name}_from_memory"] = round(float(events[:, 3].mean()), 3)
    ratios["outage_of_10_s"], ratios["in_the_outage"] = _outage()
    return {
        "name": "leases",
        "unit": "% off the ideal at worst",
        "ours": round(100 * max(abs(1 - ratios[name]) for name in CASES), 2),
        "peers": peers,
        "limit": f"{PROCESSES} processes; admitted / ideal in ratios",
        "ratios": ratios,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _run(case: Case, url: str, during: Any = None) -> Events:
    """Every check of every process, in the order of time: microseconds, key, admitted, answered from memory."""
    with tempfile.TemporaryDirectory() as directory:
        told = json.dumps({"url": url, "case": asdict(case)})
        files = [Path(directory, f"{n}.npy") for n in range(PROCESSES)]
        workers = [_worker(told, str(n), str(file)) for n, file in enumerate(files)]
        for worker in workers:
            _pipe(worker.stdout).readline()  # it is ready
        begin_s = time.time() + 0.5
        for worker in workers:
            _pipe(worker.stdin).write(f"{begin_s}\n")
            _pipe(worker.stdin).flush()
        if during is not None:
            during(begin_s)
        if any(worker.wait(case.seconds + 60) for worker in workers):
            raise RuntimeError("a process failed")
        events = np.concatenate([np.load(file) for file in files])
    return events[np.argsort(events[:, 0], kind="stable")]


def _worker(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _ideal(case: Case, events: Events) -> int:
    tats: dict[int, int] = {}
    admitted = 0
    for now_us, key in events[:, :2].tolist():
        taken = take(case.bucket, tats.get(key), 1, now_us)
        tats[key] = taken.tat_us
        admitted += taken.allowed
    return admitted


def _outage() -> tuple[float, float]:
    """Admitted / ideal of the whole run, and of the outage alone."""
    from limiter_world import Server  # noqa: PLC0415 - on the path only when the benchmark runs

    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory))
        window_us: list[int] = []

        def during(begin_s: float) -> None:
            time.sleep(max(0.0, begin_s + OUTAGE_S / 2 - time.time()))
            server.pause()
            window_us.append(time.time_ns() // 1000)
            time.sleep(OUTAGE_S)
            window_us.append(time.time_ns() // 1000)
            server.resume()

        try:
            events = _run(OUTAGE, server.url, during)
        finally:
            server.resume()
            server.kill()
    inside = (events[:, 0] >= window_us[0]) & (events[:, 0] < window_us[1])
    refills = OUTAGE.rate * (window_us[1] - window_us[0]) / SECOND_US
    whole = float(events[:, 2].sum()) / _ideal(OUTAGE, events)
    return round(whole, 4), round(float(events[inside, 2].sum()) / refills, 4)


async def _work(url: str, case: Case, number: int) -> list[tuple[int, int, bool, bool]]:
    """One process: its part of the demand, tick by tick."""
    limit = Limit("key", "key", case.bucket, lease=case.lease)
    policy = Policy("bench", (limit,), {"default": Tier("default")}, "default", "default")
    settings = Settings(redis=url, node=f"n{number}", redis_deadline_ms=case.deadline_ms, known_nodes=PROCESSES)
    client = Redis.from_url(url)
    node = Node(settings, policy, client, Overrides(), Metrics(), nodes=lambda: PROCESSES)
    await node.warm()
    chance = random.Random(number)
    weights = list(np.cumsum(1 / np.arange(1, case.keys + 1)))
    requests = [Request("GET", "/items", Identity(key_id=str(key))) for key in range(case.keys)]
    events: list[tuple[int, int, bool, bool]] = []

    async def check(key: int) -> None:
        at_us = time.time_ns() // 1000
        answer = await node.check(requests[key])
        events.append((at_us, key, answer.allowed, answer.mode == "memory"))

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begin_s = float(sys.stdin.readline())
    await asyncio.sleep(max(0.0, begin_s - time.time()))
    made = 0
    while (passed_s := time.time() - begin_s) < case.seconds:
        due = int(passed_s * case.demand / PROCESSES) - made
        made += due
        await asyncio.gather(*map(check, chance.choices(range(case.keys), cum_weights=weights, k=min(due, 200))))
        await asyncio.sleep(TICK_S)
    await node.aclose()
    await client.aclose()
    return events


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = json.loads(sys.argv[1])
    found = asyncio.run(_work(told["url"], Case(**told["case"]), int(sys.argv[2])))
    np.save(sys.argv[3], np.array(found, np.int64).reshape(-1, 4))
