"""One source at work: values in, tickets out; what it could not take goes aside with its origin."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from limiter.ingest.mapping import Format, Source
from limiter.ingest.metrics import Metrics
from limiter.ingest.outlet import Outlet, Ticket
from limiter.ingest.reader import Read, Reader
from limiter.ingest.taken import TakenIds
from schemas import topics
from schemas.dead_letter import Origin

TEXT: Final = "text/plain"
log = structlog.get_logger("ingest.source")


@dataclass(slots=True)
class Intake:
    """A source's reader and the way to the broker."""

    source: Source
    reader: Reader
    outlet: Outlet
    metrics: Metrics
    taken: TakenIds | None = None
    """Where marks of events are kept once the broker has them; None where the source names no event."""

    def take(self, values: Sequence[bytes], origin: Callable[[int], Origin]) -> tuple[Read, Ticket]:
        """Publishes the decisions of `values`, waiting for room; `origin` says where each of them stood."""
        name, began_s = self.source.name, time.perf_counter()
        read = self.reader.read(values)
        parcels = [parcel for batch in read.batches for parcel in self.outlet.parcels(batch)]
        content_type = topics.JSON if self.source.format is Format.JSON else TEXT
        for at, value, error in read.bad:
            where = origin(at)
            parcels.append(self.outlet.letter(value, error, where, content_type))
            self.metrics.dead_letters.labels(name, error.code).inc()
            log.debug("dead_letter", source=name, origin=where.topic, offset=where.offset, reason=str(error))
        rows = read.rows
        self.metrics.records.labels(name).inc(rows + len(read.bad) + read.duplicates)
        self.metrics.size_bytes.labels(name).inc(sum(map(len, values)))
        self.metrics.duplicates.labels(name).inc(read.duplicates)
        self.metrics.read_seconds.labels(name).observe(time.perf_counter() - began_s)

        def arrived() -> None:
            if self.taken is not None and read.marks:
                self.taken.keep(read.marks)
            self.metrics.decisions.labels(name).inc(rows)

        return read, self.outlet.send(parcels, arrived)
