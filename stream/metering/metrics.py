"""What the meter tells Prometheus.

| name, after `floodwarden_meter_` | kind | labels | meaning |
|---|---|---|---|
| decisions_total | counter | | requests counted (those read again after a crash count again) |
| blocks_total | counter | | usage blocks read |
| repeated_blocks_total | counter | | blocks that had been counted before and were left out |
| bad_blocks_total | counter | code | blocks nobody could read; the stream has them in `dead-letter` |
| lost_messages_total | counter | | decision messages that no block told of |
| writes_total | counter | result | transactions: ok, or taken_over by another meter |
| write_seconds | histogram | | one of them |
| rows_written_total | counter | | rows in them |
| rows_held | gauge | partition | rows of minutes that are not over |
| closed_ms | gauge | partition | event time before which minutes are closed |
| cpu_seconds_total | counter | | CPU time of reading, counting and storing |
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """One registry, so that two meters in one process (tests) do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.decisions = self._counter("decisions", "requests counted")
        self.blocks = self._counter("blocks", "usage blocks read")
        self.repeated = self._counter("repeated_blocks", "blocks that had been counted before")
        self.bad_blocks = self._counter("bad_blocks", "blocks nobody could read", "code")
        self.lost_messages = self._counter("lost_messages", "decision messages that no block told of")
        self.writes = self._counter("writes", "transactions", "result")
        self.write_seconds = Histogram(
            "floodwarden_meter_write_seconds", "one transaction", registry=self.registry, buckets=_SECONDS
        )
        self.rows_written = self._counter("rows_written", "rows stored")
        self.rows_held = self._gauge("rows_held", "rows of minutes that are not over")
        self.closed_ms = self._gauge("closed_ms", "event time before which minutes are closed")
        self.cpu_seconds = self._counter("cpu_seconds", "CPU time of reading, counting and storing")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"floodwarden_meter_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"floodwarden_meter_{name}", text, ("partition",), registry=self.registry)
