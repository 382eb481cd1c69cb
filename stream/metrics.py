"""What the stream tells Prometheus.

| name, after `floodwarden_stream_` | kind | labels | meaning |
|---|---|---|---|
| decisions_total | counter | | decisions combined into usage (a redone block counts again) |
| messages_total | counter | | decision messages combined |
| blocks_total | counter | stage | blocks written by combine, applied by detect |
| repeated_blocks_total | counter | | blocks detect had applied before and dropped |
| dead_letters_total | counter | code | messages nobody could take |
| lost_offsets_total | counter | | decision offsets retention removed before they were read |
| late_rows_total | counter | | requests whose pane was closed when they came |
| alerts_total | counter | status | alerts acknowledged |
| step_seconds | histogram | stage | one combine or detect step, sending included |
| snapshot_seconds | histogram | | one snapshot, writing included |
| snapshot_bytes | gauge | partition | size of the last snapshot |
| watermark_ms | gauge | partition | event time before which panes are closed |
| held | gauge | partition, what | entities by kind, open flows, episodes, entities evicted |
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """One registry, so that two workers in one process (tests) do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = self._counter("decisions", "decisions combined into usage")
        self.messages = self._counter("messages", "decision messages combined")
        self.blocks = self._counter("blocks", "blocks written by combine, applied by detect", "stage")
        self.repeated = self._counter("repeated_blocks", "blocks detect had applied before")
        self.dead_letters = self._counter("dead_letters", "messages nobody could take", "code")
        self.lost_offsets = self._counter("lost_offsets", "decision offsets gone before they were read")
        self.late_rows = self._counter("late_rows", "requests whose pane was closed when they came")
        self.alerts = self._counter("alerts", "alerts acknowledged", "status")
        self.step_seconds = self._histogram("step_seconds", "one combine or detect step", "stage")
        self.snapshot_seconds = self._histogram("snapshot_seconds", "one snapshot")
        self.snapshot_bytes = self._gauge("snapshot_bytes", "size of the last snapshot", "partition")
        self.watermark_ms = self._gauge("watermark_ms", "event time before which panes are closed", "partition")
        self.held = self._gauge("held", "what is held in memory", "partition", "what")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"floodwarden_stream_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"floodwarden_stream_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"floodwarden_stream_{name}", text, labels, registry=self.registry, buckets=_SECONDS)
