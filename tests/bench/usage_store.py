"""What it costs to keep a minute of 100,000 active clients: ours on SQLite and PostgreSQL, beside Redis sorted sets.

`floodwarden bench usage_store` calls `run()`. Each stores the same minutes, each client with its requests, refusals and
cost; CPU time counts the server's too. PostgreSQL where there is one (`servers.why_no_postgres`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import redis
import sqlalchemy as sa
from processor import cpu_s
from servers import postgres, why_no_postgres

from floodwarden import embedded
from schemas.usage import Kind
from stream.metering import store
from stream.metering.minutes import ORDERS, Batch, Progress
from stream.metering.questions import Questions
from stream.metering.store import HOUR_S, Store

CLIENTS, MINUTES = 100_000, 2
FIRST_S = 1_700_000_400
_PIPELINE = 2000


def run() -> dict[str, Any]:
    """Client minutes stored a CPU second, ours on SQLite and the others."""
    frames = [_minute(i) for i in range(MINUTES)]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = store.connect(f"sqlite:///{directory / 'usage.db'}")
        sqlite = _ours(engine, frames, _none)
        sqlite["bytes_a_row"] = sum(f.stat().st_size for f in directory.glob("usage.db*")) / (CLIENTS * MINUTES)
        sqlite |= _asked(engine)
        found = {"redis_sorted_sets": _redis(frames, stack.enter_context(embedded.redis()))}
        if not why_no_postgres():
            made = store.connect(stack.enter_context(postgres()))
            found["postgresql"] = _ours(made, frames, lambda: _postgres_cpu_s(made)) | _asked(made)
            made.dispose()
        engine.dispose()
    return {
        "name": "usage_store",
        "unit": "client minutes/CPU s",
        "ours": round(sqlite["rows_per_cpu_s"]),
        "peers": {name: round(one["rows_per_cpu_s"]) for name, one in found.items()},
        "ratios": {name: round(sqlite["rows_per_cpu_s"] / one["rows_per_cpu_s"], 2) for name, one in found.items()},
        "limit": f"{CLIENTS:,} clients active in each of {MINUTES} minutes",
        "sqlite": _rounded(sqlite),
        **{name: _rounded(one) for name, one in found.items()},
    }


def _minute(number: int) -> pl.DataFrame:
    """What the clients did: many a little, few a lot, some refused."""
    chance = np.random.default_rng(number)
    n = chance.zipf(1.5, CLIENTS).clip(1, 10_000).astype(np.int64)
    limited = np.where(chance.random(CLIENTS) < 0.05, n // 2, 0)
    columns = {"n": n, "allowed": n - limited, "limited": limited, "denied": n * 0, "challenged": n * 0, "cost": n * 2}
    return pl.DataFrame(
        {
            "start_s": np.full(CLIENTS, FIRST_S + 60 * number),
            "kind": np.full(CLIENTS, Kind.KEY, np.uint8),
            "hash": np.arange(1, CLIENTS + 1, dtype=np.uint64),
            "entity": [f"{i * 2654435761 % (1 << 64):016x}" for i in range(CLIENTS)],
            **columns,
        }
    )


def _ours(engine: sa.Engine, frames: list[pl.DataFrame], server_cpu_s: Callable[[], float]) -> dict[str, float]:
    kept = Store(engine, heaviest=CLIENTS, usage_partitions=1)
    nothing = frames[0].clear()
    spent_s, began_s, began_server_s = time.process_time(), time.perf_counter(), server_cpu_s()
    for turn, frame in enumerate(frames):
        kept.write(0, turn, Batch(frame, nothing, (), Progress(turn, {}, turn, 0)))
    wall_s, spent_s = time.perf_counter() - began_s, time.process_time() - spent_s + server_cpu_s() - began_server_s
    return {"rows_per_spent_s": CLIENTS * MINUTES / cpu_s, "wall_s_a_minute": wall_s / MINUTES}


def _asked(engine: sa.Engine) -> dict[str, float]:
    ask = Questions(engine)
    began_s = time.perf_counter()
    found = ask.top(Kind.KEY, "cost", FIRST_S, FIRST_S + HOUR_S, 20)
    top_s = time.perf_counter() - began_s
    ask.timeline(Kind.KEY, found["top"][0]["entity"], FIRST_S, FIRST_S + HOUR_S)
    return {"top_ms": top_s * 1000, "timeline_ms": (time.perf_counter() - began_s - top_s) * 1000}


def _redis(frames: list[pl.DataFrame], url: str) -> dict[str, float]:
    """A sorted set for each minute and order; only what is not zero."""
    with redis.Redis.from_url(url) as client:
        before = client.info()
        spent_s, began_s = time.process_time(), time.perf_counter()
        for frame in frames:
            start_s = frame["start_s"][0]
            with client.pipeline(transaction=False) as pipe:
                for order in ORDERS:
                    some = frame.filter(pl.col(order) > 0).select("entity", order)
                    for part in some.iter_slices(_PIPELINE):
                        pipe.zadd(f"usage:key:{start_s}:{order}", dict(part.iter_rows()), incr=False)
                    pipe.execute()
        wall_s, spent_s = time.perf_counter() - began_s, time.process_time() - spent_s
        after = client.info()
        spent_s += sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
        began_s = time.perf_counter()
        client.zunion([f"usage:key:{frame['start_s'][0]}:cost" for frame in frames], withscores=True)
        union_s = time.perf_counter() - began_s
    rows = CLIENTS * MINUTES
    memory = (after["used_memory"] - before["used_memory"]) / rows
    return {
        "rows_per_cpu_s": rows / spent_s,
        "wall_s_a_minute": wall_s / MINUTES,
        "bytes_a_row": memory,
        "top_ms": union_s * 1000,
    }


def _none() -> float:
    return 0.0


def _postgres_cpu_s(engine: sa.Engine) -> float:
    """CPU time of the process that serves our connection."""
    with engine.connect() as at:
        pid = at.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    return cpu_s(int(pid))


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, 1 if figure < 1000 else 0) for name, figure in figures.items()}
