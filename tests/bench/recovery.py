"""Seconds from the start of a stream worker that was killed with -9 until every decision counts again, by state held.

`floodwarden bench recovery` calls `run()`: a worker with 10,000, 100,000 and a million addresses in its windows, on an
Apache Kafka of its own (else the embedded broker). It is killed, 5,000 more decisions come, it is started again: with
its snapshots, and without, when it reads the usage topic anew. Counts are checked. The start of a process is in it.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from servers import kafka, why_no_kafka
from stream_worker import Worker, make_settings

from floodwarden import embedded
from schemas import codec, topics
from schemas import decision as d
from schemas.settings import Settings

ENTITIES = (10_000, 100_000, 1_000_000)
ROWS, MORE = 2_000, 5_000
USAGE_PARTITIONS = 8
_IN_S = 300


def run() -> dict[str, Any]:
    """Seconds by how many addresses are held, with snapshots and without; bytes of a snapshot and of memory."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        reason = why_no_kafka()
        broker = stack.enter_context(embedded.broker()) if reason else stack.enter_context(kafka(directory)).address
        figures: dict[str, float] = {}
        for count in ENTITIES:
            figures |= {f"{name}_{count}": figure for name, figure in _one(broker, directory, count).items()}
    most = ENTITIES[-1]
    return {
        "name": "recovery",
        "unit": "s",
        "ours": figures[f"with_snapshot_s_{most}"],
        "peers": figures,
        "limit": f"one worker, {USAGE_PARTITIONS} usage partitions, {most:,} addresses; the goal is 30 s",
        "ratios": {
            "of_goal": round(figures[f"with_snapshot_s_{most}"] / 30, 3),
            "without_snapshot_of_goal": round(figures[f"without_snapshot_s_{most}"] / 30, 3),
            "million_to_10_thousand": round(
                figures[f"with_snapshot_s_{most}"] / figures[f"with_snapshot_s_{ENTITIES[0]}"], 2
            ),
        },
        "broker": "embedded" if reason else "Apache Kafka",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _one(broker: str, directory: Path, count: int) -> dict[str, float]:
    home = directory / f"of-{count}"
    home.mkdir()
    settings = make_settings(broker, f"recovery.{count}.", home, usage_partitions=USAGE_PARTITIONS, node="worker")
    worker = Worker(settings, home)
    worker.start()
    try:
        _send(settings, 0, count)
        _counted(worker, count)
        assert worker.stop() == 0  # writes snapshots of all there is
        snapshots = list((home / "stream").glob("*.snapshot"))
        assert len(snapshots) == USAGE_PARTITIONS
        worker.start()
        _counted(worker, count)
        resident = _resident(worker)
        with_s = _killed(worker, settings, count)
        _known(worker, count)
        size = sum(path.stat().st_size for path in snapshots)
        without_s = _killed(worker, settings, count + MORE, forget=snapshots)
    finally:
        worker.kill()
    return {
        "with_snapshot_s": round(with_s, 2),
        "without_snapshot_s": round(without_s, 2),
        "snapshot_bytes_each": round(size / count),
        "resident_bytes": resident,
    }


def _killed(worker: Worker, settings: Settings, before: int, forget: list[Path] | None = None) -> float:
    worker.kill()
    for path in forget or ():
        path.unlink()
    _send(settings, before, MORE)
    began = time.perf_counter()
    worker.start()
    _counted(worker, before + MORE)
    return time.perf_counter() - began


def _counted(worker: Worker, wanted: int) -> None:
    worker.answers(
        "/v1/totals",
        lambda t: len(t["partitions"]) == USAGE_PARTITIONS and t["kinds"]["global"]["n"] >= wanted,
        _IN_S,
    )
    if worker.global_n() != wanted:
        raise RuntimeError(f"{worker.global_n()} decisions counted, {wanted} sent")


def _resident(worker: Worker) -> int:
    assert worker.process
    pages = int(Path(f"/proc/{worker.process.pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _known(worker: Worker, count: int) -> None:
    """Addresses from all over are in the windows, once each."""
    for address in _addresses(0, count)[:: count // 20]:
        usage = worker.get(f"/v1/usage?kind=ip&value={address}&window_s=600")
        if usage["measures"]["n"] != 1:
            raise RuntimeError(f"{address}: {usage['measures']}")


def _send(settings: Settings, first: int, count: int) -> None:
    """`count` decisions, each of an address of its own, in batches."""
    now_ms = time.time_ns() // 1_000_000
    producer = Producer({"bootstrap.servers": settings.kafka, "queue.buffering.max.kbytes": 1 << 20})
    headers = [(topics.CONTENT_TYPE, topics.ARROW.encode())]
    for at, begin in enumerate(range(first, first + count, ROWS)):
        rows = min(ROWS, first + count - begin)
        one = np.zeros(rows, np.int32)
        given = {
            "ts_ms": pa.array(np.full(rows, now_ms)),
            "verdict": pa.DictionaryArray.from_arrays(pa.array(one), ["allow"]),
            "ip": pa.DictionaryArray.from_arrays(pa.array(np.arange(rows, dtype=np.int32)), _addresses(begin, rows)),
            "method": pa.DictionaryArray.from_arrays(pa.array(one), ["GET"]),
            "route": pa.DictionaryArray.from_arrays(pa.array(one), ["/items/{id}"]),
            "path": pa.DictionaryArray.from_arrays(pa.array(one), ["/items/1"]),
            "cost": pa.array(np.ones(rows, np.int32)),
            "status": pa.array(np.full(rows, 200, np.int16)),
        }
        columns = [given[f.name] if f.name in given else pa.nulls(rows, f.type) for f in d.SCHEMA]
        batch = pa.RecordBatch.from_arrays(columns, schema=d.SCHEMA)
        producer.produce(
            settings.topic(topics.DECISIONS),
            codec.encode(batch),
            partition=at % settings.decisions_partitions,
            headers=headers,
        )
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the broker did not take the decisions")


def _addresses(begin: int, count: int) -> list[str]:
    return [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(begin, begin + count)]
