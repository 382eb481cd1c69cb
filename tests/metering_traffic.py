"""Usage blocks as the meter reads them, and what they come to, counted by hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from stream_traffic import NOW_MS, blocks, row

from schemas.decision import Decision
from schemas.usage import Kind
from stream.metering.minutes import MEASURES, MINUTE_S, Message

Cell = tuple[int, int, str]  # kind, minute, entity
Cells = dict[Cell, tuple[int, ...]]
COLUMNS = {
    Kind.IP: "ip", Kind.KEY: "key_id", Kind.USER: "user", Kind.ROUTE: "route", Kind.TENANT: "tenant",
    Kind.COUNTRY: "country",
}  # fmt: skip
_VERDICTS = ("allow", "limit", "deny", "challenge")


def traffic(chance: random.Random, count: int, span_ms: int, at_ms: int = 0) -> list[Decision]:
    """All verdicts, costs and weights, of a few clients of each kind."""
    return [
        row(
            at_ms + chance.randrange(span_ms),
            verdict=chance.choice(_VERDICTS),
            ip=f"192.0.2.{chance.randrange(9)}",
            key_id=f"k{chance.randrange(5)}" if chance.random() < 0.5 else None,
            user=f"u{chance.randrange(5)}" if chance.random() < 0.3 else None,
            route=f"/r{chance.randrange(3)}",
            tenant=chance.choice(("acme", "globex", None)),
            country=chance.choice(("DE", "FR", None)),
            cost=chance.randrange(5),
            weight=chance.choice((None, None, 10)),
        )
        for _ in range(count)
    ]


def messages(batches: Sequence[tuple[int, Sequence[Decision]]], at_ms: int = NOW_MS) -> list[Message]:
    """Batches of (source partition, rows) as the one usage partition there is would have them."""
    ends: Counter[int] = Counter()
    made = []
    for offset, (source, rows) in enumerate(batches):
        [block] = blocks(rows, partition=source, start=ends[source])
        ends[source] += 1
        made.append(Message(offset, max([at_ms, *(r.ts_ms for r in rows)]), block))
    return made


def counted(rows: Sequence[Decision]) -> Cells:
    """Each minute's sums in the order of `MEASURES`, by a plain loop."""
    cells: dict[Cell, list[int]] = {}
    for one in rows:
        start_s, weight = one.ts_ms // 1000 // MINUTE_S * MINUTE_S, one.weight or 1
        adds = [weight, *(weight * (one.verdict == verdict) for verdict in _VERDICTS), weight * one.cost]
        named = {kind: getattr(one, column) for kind, column in COLUMNS.items()} | {Kind.GLOBAL: "*"}
        for kind, entity in named.items():
            if entity is not None:
                sums = cells.setdefault((int(kind), start_s, entity), [0] * len(MEASURES))
                sums[:] = [a + b for a, b in zip(sums, adds, strict=True)]
    return {cell: tuple(sums) for cell, sums in cells.items()}
