"""Nanoseconds of processor a decision costs the stream from 1,000 to 1,000,000 active addresses, and memory of each.

Decode, combine, detect in one process without Kafka, a process for each size; half of the requests go round all
addresses, half are of few; a key is used at seven addresses, with one program. All kinds of entity, all families of
evidence and the forest. The peer is the cost at the smallest size: cost should not grow with how many there are.
`floodwarden bench entities` calls `run()`.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from entity_traffic import ROWS, batches

from detectors.artifact import load
from schemas import codec, topics
from stream.combine import COLUMNS, combine
from stream.pipeline import Config, Pipeline
from stream.warm import warm

SIZES = (1_000, 10_000, 100_000, 1_000_000)
MESSAGES, PER_BLOCK = 1_000, 100
START_MS = 1_760_000_000_000
PEEK_EVERY = 5  # as a worker that is behind looks at open panes
STAGES = ("decode", "combine", "detect")


def run() -> dict[str, Any]:
    """Cost by size, and what an active address takes."""
    sizes = {size: _measured(size) for size in SIZES}
    cost = {size: sum(told[stage] for stage in STAGES) for size, told in sizes.items()}
    least = cost[SIZES[0]]
    return {
        "name": "entities",
        "unit": "ns of processor a decision, 1,000,000 active addresses",
        "ours": round(cost[SIZES[-1]]),
        "peers": {f"at_{size}": round(ns) for size, ns in cost.items()},
        "limit": "at most 1.3 times the cost at 1,000",
        "ratios": {f"at_{size}": round(ns / least, 2) for size, ns in cost.items()},
        "stages": {size: {stage: round(told[stage]) for stage in STAGES} for size, told in sizes.items()},
        "detect_ns_per_entity_row": {size: round(told["row_ns"]) for size, told in sizes.items()},
        "bytes_per_active_address": {size: round(told["bytes_each"]) for size, told in sizes.items() if size > 10_000},
        "decisions": ROWS * MESSAGES,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _measured(size: int) -> dict[str, float]:
    tests = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-P", __file__, str(size)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(tests.parent), str(tests)))},
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _one(size: int) -> dict[str, float]:
    model = load()
    warm(model)
    pipeline = Pipeline(model, Config(entities_max=2 * size + 1000))
    chance = np.random.default_rng(1)
    spent_s = dict.fromkeys(STAGES, 0.0)
    rests_bytes, flow_rows = 0, 0
    for start in range(0, MESSAGES, PER_BLOCK):
        values = [
            (codec.encode(batch), topics.ARROW)
            for batch in batches(chance, size, range(start, start + PER_BLOCK), START_MS)
        ]
        rests_bytes = rests_bytes or _resident_bytes()
        with _timed(spent_s, "decode"):
            batch = codec.decode_many(values, COLUMNS)
        with _timed(spent_s, "combine"):
            made = combine(
                batch, partition=0, start=start, end=start + PER_BLOCK, ts_ms_max=0, usage_partitions=1, login_globs=()
            )
            sent = [codec.encode_block(block) for block in made]
        flow_rows += sum(block.flows.num_rows for block in made)
        with _timed(spent_s, "detect"):
            peek = start // PER_BLOCK % PEEK_EVERY == PEEK_EVERY - 1
            pipeline.step([codec.decode_block(value) for value in sent], START_MS, peek=peek)
    each = (_resident_bytes() - rests_bytes) / pipeline.sizes()["ip"]
    told = {stage: s * 1e9 / (ROWS * MESSAGES) for stage, s in spent_s.items()}
    return told | {"bytes_each": each, "row_ns": spent_s["detect"] * 1e9 / flow_rows}


@contextmanager
def _timed(spent_s: dict[str, float], stage: str) -> Iterator[None]:
    """Of all threads of this process: arrow and numpy have their own."""
    began_s = time.process_time()
    yield
    spent_s[stage] += time.process_time() - began_s


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_one(int(sys.argv[1]))) + "\n")
