"""Simulated traffic in its own time: small parts, each handed out when its rows are due, until told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from floodwarden.formats_trace import Labelled
from schemas.decision import SCHEMA

PART_MS: Final = 100
_TS: Final = SCHEMA.get_field_index("ts_ms")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: `speed` 1 as time goes by, 10 ten times as fast, 0 at once.

    `live` moves the traffic so that its first moment is when the first part is due, whatever making it took. Once
    `stop` is set no more is handed out, also in mid-wait. `clock_ms` is the wall's.
    """

    speed: float = 0.0
    live: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def keep(self, parts: Iterable[Labelled], start_ms: int) -> Iterator[Labelled]:
        """`parts`, in order, each row when it is due; their traffic begins at `start_ms`."""
        begun_ms: int | None = None
        for part in _cut(parts, int(PART_MS * self.speed)) if self.speed else parts:
            if begun_ms is None:
                begun_ms = self.clock_ms()
            if self.speed:
                last_ms = int(part.batch.column("ts_ms")[-1].as_py())
                due_ms = begun_ms + (last_ms - start_ms) / self.speed
                self.stop.wait(max(0.0, due_ms - self.clock_ms()) / 1000)
            if self.stop.is_set():
                return
            yield _moved(part, begun_ms - start_ms) if self.live else part


def announced(parts: Iterable[Labelled], tell: Callable[[str], None]) -> Iterator[Labelled]:
    """`parts` as they are; `tell` hears of each attack when its first row comes by."""
    seen = {""}
    for part in parts:
        for label in set(part.labels.tolist()) - seen:
            seen.add(label)
            if label.startswith("attack/"):
                ip = part.batch.column("ip")[int(np.flatnonzero(part.labels == label)[0])].as_py()
                tell(f"{label} begins, first from {ip}")
        yield part


def _cut(parts: Iterable[Labelled], part_ms: int) -> Iterator[Labelled]:
    """`parts` so that none spans more than `part_ms`."""
    for batch, labels in parts:
        slot = batch.column("ts_ms").to_numpy() // max(1, part_ms)
        edges = [0, *(np.flatnonzero(np.diff(slot)) + 1).tolist(), batch.num_rows]
        for begin, end in pairwise(edges):
            yield Labelled(batch.slice(begin, end - begin), labels[begin:end])


def _moved(part: Labelled, by_ms: int) -> Labelled:
    ts_ms = pa.array(part.batch.column("ts_ms").to_numpy() + by_ms)
    return Labelled(part.batch.set_column(_TS, SCHEMA.field(_TS), ts_ms), part.labels)
