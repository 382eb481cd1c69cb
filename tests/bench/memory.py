"""What an active entity takes in memory: a pipeline that holds 10,000, 100,000 and a million addresses.

Each asks once in twenty seconds. `floodwarden bench memory` calls `run()`; a process for each number, so that none
inherits another's heap.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from stream_traffic import GLOBS, NOW_MS

from detectors.artifact import load
from schemas import decision as d
from stream.combine import combine
from stream.pipeline import Config, Pipeline

ENTITIES = (10_000, 100_000, 1_000_000)
ROUNDS, ROUND_S, CHUNK = 3, 20, 50_000


def run() -> dict[str, Any]:
    """Bytes an entity and microseconds a decision, by number of entities."""
    measured = {n: _alone(n) for n in ENTITIES}
    return {
        "name": "memory",
        "unit": "bytes an entity",
        "ours": measured[ENTITIES[-1]]["rss_bytes_each"],
        "peers": {},
        "limit": f"each entity asks {ROUNDS} times, once in {ROUND_S} s; resident memory beside an idle pipeline's",
        "ratios": {},
        "entities": {str(n): result for n, result in measured.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _alone(entities: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-P", __file__, str(entities)], capture_output=True, text=True, check=True, timeout=900
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _batch(begin_ms: int, span_ms: int, first: int, rows: int) -> pa.RecordBatch:
    def same(text: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))

    who = range(first, first + rows)
    texts = pa.array([f"10.{x >> 16 & 255}.{x >> 8 & 255}.{x & 255}" for x in who])
    given = {
        "ts_ms": pa.array(NOW_MS + begin_ms + np.arange(rows) * span_ms // rows),
        "verdict": same("allow"),
        "method": same("GET"),
        "ip": pa.DictionaryArray.from_arrays(pa.array(np.arange(rows, dtype=np.int32)), texts),
        "route": same("/items/{id}"),
        "path": same("/items/1"),
        "cost": pa.array(np.ones(rows, np.int32)),
        "status": pa.array(np.full(rows, 200, np.int16)),
    }
    return pa.RecordBatch.from_arrays([given.get(f.name, pa.nulls(rows, f.type)) for f in d.SCHEMA], schema=d.SCHEMA)


def measure(entities: int) -> dict[str, float]:
    """Feed `entities` addresses, with bounds that let all of them stay."""
    pipeline = Pipeline(load(), Config(entities_max=2 * entities, state_bytes_max=max(1 << 28, entities * 8192)))
    chunk, number, took_s = min(CHUNK, entities), 0, 0.0
    before = 0
    for turn in range(-1, ROUNDS):  # a first, small one compiles and warms what there is
        steps = range(0, entities, chunk) if turn >= 0 else range(0, 1000, 1000)
        for first in steps:
            rows = chunk if turn >= 0 else 1000
            begin_ms = (turn + 1) * ROUND_S * 1000 + first * ROUND_S * 1000 // entities
            batch = _batch(begin_ms, max(1, rows * ROUND_S * 1000 // entities), first, rows)
            [block] = combine(
                batch, partition=0, start=number, end=number + 1, ts_ms_max=0, usage_partitions=1, login_globs=GLOBS
            )
            number += 1
            began = time.perf_counter()
            pipeline.step([block], NOW_MS + number)
            took_s += time.perf_counter() - began
        if turn < 0:
            before, took_s = _resident(), 0.0
    sizes = pipeline.sizes()
    if sizes["ip"] != entities or sizes["owners_evicted"]:
        raise RuntimeError(f"not all are held: {sizes}")
    resident = _resident() - before
    return {
        "rss_bytes_each": round(resident / entities),
        "snapshot_bytes_each": round(len(pipeline.snapshot()) / entities),
        "step_us_a_decision": round(took_s * 1e6 / (ROUNDS * entities), 2),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(int(sys.argv[1]))))
