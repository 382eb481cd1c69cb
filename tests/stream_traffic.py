"""Decisions made by hand or by chance, and blocks of them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from schemas import codec
from schemas.decision import Decision
from schemas.usage import Block
from stream.combine import combine

GLOBS = ("*login*",)
NOW_MS = 1_700_000_000_000


def row(at_ms: int = 0, **columns: object) -> Decision:
    given: dict[str, object] = {
        "verdict": "allow", "ip": "192.0.2.1", "status": 200,
        "method": "GET", "route": "/items/{id}", "path": "/items/1",
    }  # fmt: skip
    return Decision(ts_ms=NOW_MS + at_ms, **(given | columns))  # type: ignore[arg-type]


def blocks(rows: Sequence[Decision], *, partition: int = 0, start: int = 0, usage_partitions: int = 1) -> list[Block]:
    """The rows as one block of one message, one for each usage partition."""
    return combine(
        codec.from_rows(rows),
        partition=partition,
        start=start,
        end=start + 1,
        ts_ms_max=0,
        usage_partitions=usage_partitions,
        login_globs=GLOBS,
    )


def crowd(seed: int, count: int, span_ms: int = 4000) -> list[Decision]:
    """Mixed traffic in event-time order, a guesser and a prober among it."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        at_ms, kind = chance.randrange(span_ms), chance.random()
        if kind < 0.2:
            user = f"user{chance.randrange(1000)}"
            rows.append(
                row(at_ms, ip="203.0.113.7", method="POST", route="/login", path="/login", status=401, user=user)
            )
        elif kind < 0.3:
            rows.append(row(at_ms, ip="203.0.113.8", path=f"/x{chance.randrange(500)}", status=404))
        else:
            key = f"k{chance.randrange(5)}" if chance.random() < 0.3 else None
            latency = chance.choice([None, 1.1, 2.7])
            rows.append(
                row(at_ms, ip=f"198.51.100.{chance.randrange(40)}", key_id=key, path=f"/items/{chance.randrange(30)}",
                    verdict=chance.choice(["allow", "allow", "limit", "deny"]), latency_ms=latency)
            )  # fmt: skip
    return sorted(rows, key=lambda r: r.ts_ms)
