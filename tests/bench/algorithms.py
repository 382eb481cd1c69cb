"""How long each algorithm's script takes beside one Redis PING in the same run, where it takes and where it refuses.

`floodwarden bench algorithms` calls `run()`; it starts a Redis of its own. Samples are taken in turn, so that whatever
else the machine does meets all of them alike. The full log is the dearest there is: 10,000 entries, and a refusal.
"""

from __future__ import annotations

import time
from typing import Any, Final

import redis

from floodwarden import embedded
from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.shape import SCRIPTS, Shape
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.token_bucket import Bucket

SAMPLES: Final = 3_000
KEYS: Final = 300  # in turn, so that no state grows beyond what its limit is meant for
HOUR_US: Final = 3_600_000_000
ROOMY: Final[tuple[Shape, ...]] = (
    Bucket(1, 10**9),
    Queue(1, 10**9),
    FixedWindow(10**9, HOUR_US),
    SlidingLog(100, HOUR_US),
    SlidingCounter(10**9, HOUR_US),
    Slots(100, HOUR_US),
)


def run() -> dict[str, Any]:
    """p50 and p99 in microseconds of each script and of PING, and how many times a PING it takes."""
    with embedded.redis() as url, redis.Redis.from_url(url) as client:
        samples = _measure(client)
    figures = {
        f"{name}_{label}": round(sorted(taken)[int(len(taken) * share)] * 1e6, 1)
        for name, taken in samples.items()
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }
    ratios = {
        f"{name}_{label}_to_ping": round(figures[f"{name}_{label}"] / figures[f"ping_{label}"], 2)
        for name in samples
        for label in ("p50", "p99")
        if name != "ping"
    }
    ours = figures.pop("token_bucket_p50")
    limit = "one client, one Redis on the same machine, synchronous"
    return {"name": "algorithms", "unit": "us", "ours": ours, "peers": figures, "limit": limit, "ratios": ratios}


def _measure(client: redis.Redis) -> dict[str, list[float]]:
    shas = {name: client.script_load(text) for name, text in SCRIPTS.items()}
    full = SlidingLog(10_000, HOUR_US)
    for _ in range(full.tokens):
        client.evalsha(shas[full.algorithm], 1, "full", *full.arguments(1))
    samples: dict[str, list[float]] = {"ping": [], "sliding_log_full": []}
    for n in range(SAMPLES):
        _time(samples, "ping", client.ping)
        for shape in ROOMY:
            name = shape.algorithm
            arguments = (shas[name], 1, f"{name}{n % KEYS}", *shape.arguments(1, f"s{n}"))
            _time(samples, name, lambda arguments=arguments: client.evalsha(*arguments))
        arguments = (shas[full.algorithm], 1, "full", *full.arguments(1))
        _time(samples, "sliding_log_full", lambda arguments=arguments: client.evalsha(*arguments))
    return samples


def _time(samples: dict[str, list[float]], name: str, call: Any) -> None:
    began = time.perf_counter()
    call()
    samples.setdefault(name, []).append(time.perf_counter() - began)
