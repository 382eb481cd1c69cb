"""Traffic of as many active addresses as asked for, with all that clients have: benchmarks are measured with it.

Half of the requests go round all addresses, half are of few; a key is used at seven addresses, with one program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import decision as d

ROWS: Final = 2_000
ROWS_PER_EVENT_S: Final = 200_000


def batches(chance: np.random.Generator, size: int, messages: Iterable[int], start_ms: int) -> Iterator[pa.RecordBatch]:
    """A batch of `ROWS` decisions for each message, of `size` addresses; event time begins at `start_ms`."""
    for message in messages:
        at = np.arange(message * ROWS, (message + 1) * ROWS)
        around = at * 7919 % size if size % 7919 else at % size
        ip = np.where(chance.random(ROWS) < 0.5, chance.zipf(1.3, ROWS) % size, around)
        key, keyless = ip // 7, chance.random(ROWS) < 0.5
        route, page = chance.integers(0, 40, ROWS), chance.zipf(1.3, ROWS) % 500
        none = np.zeros(ROWS, np.int64)
        given = {
            "ts_ms": pa.array(start_ms + at * 1000 // ROWS_PER_EVENT_S),
            "verdict": text(none, lambda _: "allow"),
            "tenant": text(key % 50, lambda v: f"tenant-{v}"),
            "ip": text(ip, lambda v: f"{11 + (v >> 24)}.{v >> 16 & 255}.{v >> 8 & 255}.{v & 255}"),
            "key_id": text(key, lambda v: f"key-{v}", keyless),
            "user": text(key, lambda v: f"user-{v}", keyless),
            "method": text(none, lambda _: "GET"),
            "route": text(route, lambda v: f"/v1/things-{v}/{{id}}"),
            "path": text(route * 1000 + page, lambda v: f"/v1/things/{v}"),
            "cost": pa.array(np.ones(ROWS, np.int32)),
            "status": pa.array(np.where(chance.random(ROWS) < 0.01, 404, 200).astype(np.int16)),
            "latency_ms": pa.array(chance.gamma(2, 20, ROWS).astype(np.float32)),
            "ua": text(key % 300, lambda v: f"Mozilla/5.0 (agent {v})"),
            "asn": pa.array((ip % 500 + 64_500).astype(np.uint32)),
        }
        columns = [given.get(f.name, pa.nulls(ROWS, f.type)) for f in d.SCHEMA]
        yield pa.RecordBatch.from_arrays(columns, schema=d.SCHEMA)


def text(codes: NDArray[np.int64], name: Callable[[int], str], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """A column of the texts of `codes`, null where `absent`."""
    distinct, at = np.unique(codes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(
        pa.array(at.astype(np.int32), mask=absent), pa.array([name(v) for v in distinct.tolist()])
    )
