"""Requests of files in the order of their time: each file's, and several files' as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from floodwarden.formats_trace import Labelled

DISORDER_MS: Final = 120_000  # servers log when a request ends: how far back a line may belong


def ordered(parts: Iterator[Labelled], disorder_ms: int = DISORDER_MS) -> Iterator[Labelled]:
    """`parts` sorted by time, given that no row stands more than `disorder_ms` behind one before it.

    One that does comes out late, never lost.
    """
    held: Labelled | None = None
    newest_ms = 0
    for part in parts:
        held = _joined([held, part]) if held else _sorted(part)
        newest_ms = max(newest_ms, _last_ms(held))
        ready, held = _cut(held, newest_ms - disorder_ms)
        if ready.batch.num_rows:
            yield ready
    if held and held.batch.num_rows:
        yield held


def merged(sources: Sequence[Iterator[Labelled]]) -> Iterator[Labelled]:
    """Several sorted sources as one."""
    heads = {number: part for number, source in enumerate(sources) if (part := next(source, None)) is not None}
    while heads:
        until_ms = min(_last_ms(part) for part in heads.values())
        ready: list[Labelled] = []
        for number, part in list(heads.items()):
            before, after = _cut(part, until_ms)
            ready.append(before)
            following = after if after.batch.num_rows else next(sources[number], None)
            if following is None:
                del heads[number]
            else:
                heads[number] = following
        joined = _joined([part for part in ready if part.batch.num_rows])
        yield joined


def _cut(part: Labelled, until_ms: int) -> tuple[Labelled, Labelled]:
    """Rows up to and including `until_ms`, and those after."""
    at = int(np.searchsorted(part.batch.column("ts_ms").to_numpy(), until_ms, side="right"))
    return (
        Labelled(part.batch.slice(0, at), part.labels[:at]),
        Labelled(part.batch.slice(at), part.labels[at:]),
    )


def _joined(parts: Sequence[Labelled]) -> Labelled:
    if len(parts) == 1:
        return parts[0]
    table = pa.Table.from_batches([part.batch for part in parts]).unify_dictionaries().combine_chunks()
    return _sorted(Labelled(table.to_batches()[0], np.concatenate([part.labels for part in parts])))


def _sorted(part: Labelled) -> Labelled:
    at_ms = part.batch.column("ts_ms").to_numpy()
    if not len(at_ms) or (np.diff(at_ms) >= 0).all():
        return part
    order = np.argsort(at_ms, kind="stable")
    return Labelled(part.batch.take(pa.array(order)), part.labels[order])


def _last_ms(part: Labelled) -> int:
    return int(part.batch.column("ts_ms")[-1].as_py()) if part.batch.num_rows else 0
