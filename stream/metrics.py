"""What the stream tells Prometheus.

| name, after `floodwarden_stream_` | kind | labels | meaning |
|---|---|---|---|
| decisions_total | counter | | decisions combined into usage (a redone block counts again) |
| messages_total | counter | | decision messages combined |
| blocks_total | counter | stage | blocks written by combine, applied by detect |
| repeated_blocks_total | counter | | blocks detect had applied before and dropped |
| dead_letters_total | counter | code | messages nobody could take |
| lost_offsets_total | counter | | decision offsets retention removed before they were read |
| skipped_offsets_total | counter | | decision offsets without one: markers, aborted, or removed meanwhile |
| late_rows_total | counter | | requests whose second was closed when they came: evidence in the oldest open one |
| clock_skew_ms | gauge | node | how far a node's clock was ahead of the broker's when last found wrong (behind: < 0) |
| clock_rows_total | counter | node | decisions set right by the broker's clock |
| lag_messages | gauge | stage, partition | messages of the topic that combine or detect has not taken |
| behind_ms | gauge | | age, by its Kafka timestamp, of the oldest decision message that waits in this worker |
| watermark_lag_ms | gauge | partition | how far event time is behind the clock |
| sampling_one_in | gauge | rows | under overload one of so many is taken: `ordinary`, `marked`, `messages` |
| sampled_out_total | counter | | decisions left out under overload, where a kept one stands for them |
| alerts_total | counter | status | alerts acknowledged |
| step_seconds | histogram | stage | one combine or detect step, sending included |
| step_messages | histogram | stage | messages of one step: the batch size, which grows with the load |
| stage_seconds | histogram | stage | parts of a step: decode, combine, record, write; judge, tell |
| cpu_seconds_total | counter | stage | CPU time of combine, detect, snapshot; the rest of the process is delivery |
| bytes_total | counter | topic | bytes of `decisions` combined and of `usage` written |
| snapshot_seconds | histogram | | one snapshot, writing included |
| snapshot_bytes | gauge | partition | size of the last snapshot |
| watermark_ms | gauge | partition | event time before which panes are closed |
| model_refused | gauge | | 1 while the model that is ordered cannot be used, and another one judges |
| drift | gauge | partition, family | how many times as high as it should evidence against good clients rises; 0: none |
| drift_hours | gauge | partition | hours of this day that the watch for drift rests on |
| drift_frozen | gauge | partition | 1 while an incident keeps the watch for drift from learning |
| held | gauge | partition, what | what is held in memory (`owners`, `evidence`, `window_rows`...), and what had to go |
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from detectors.evidence import Engine
from stream.intake import Taken
from stream.sampling import weights

NODES_MAX: Final = 256
OTHER_NODE: Final = "other"
_MESSAGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """One registry, so that two workers in one process (tests) do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.decisions = self._counter("decisions", "decisions combined into usage")
        self.messages = self._counter("messages", "decision messages combined")
        self.blocks = self._counter("blocks", "blocks written by combine, applied by detect", "stage")
        self.repeated = self._counter("repeated_blocks", "blocks detect had applied before")
        self.dead_letters = self._counter("dead_letters", "messages nobody could take", "code")
        self.lost_offsets = self._counter("lost_offsets", "decision offsets gone before they were read")
        self.skipped_offsets = self._counter("skipped_offsets", "decision offsets that hold no decisions")
        self.late_rows = self._counter("late_rows", "requests whose second was closed when they came")
        self.model_refused = self._gauge("model_refused", "whether the model ordered cannot be used")
        self.clock_skew_ms = self._gauge("clock_skew_ms", "how far a node's clock was ahead of the broker's", "node")
        self.clock_rows = self._counter("clock_rows", "decisions set right by the broker's clock", "node")
        self.lag = self._gauge("lag_messages", "messages not taken yet", "stage", "partition")
        self.behind_ms = self._gauge("behind_ms", "age of the oldest decision message that waits")
        self.watermark_lag_ms = self._gauge("watermark_lag_ms", "event time behind the clock", "partition")
        self.sampling_one_in = self._gauge("sampling_one_in", "one of so many is taken", "rows")
        self.sampled_out = self._counter("sampled_out", "decisions another one stands for")
        self.alerts = self._counter("alerts", "alerts acknowledged", "status")
        self.step_seconds = self._histogram("step_seconds", "one combine or detect step", "stage")
        self.step_messages = self._histogram("step_messages", "messages of one step", "stage", buckets=_MESSAGES)
        self.stage_seconds = self._histogram("stage_seconds", "parts of a step", "stage")
        self.cpu_seconds = self._counter("cpu_seconds", "CPU time of parts of the work", "stage")
        self.bytes = self._counter("bytes", "bytes of decisions combined and of usage written", "topic")
        self.snapshot_seconds = self._histogram("snapshot_seconds", "one snapshot")
        self.snapshot_bytes = self._gauge("snapshot_bytes", "size of the last snapshot", "partition")
        self.watermark_ms = self._gauge("watermark_ms", "event time before which panes are closed", "partition")
        self.drift = self._gauge("drift", "how many times as high good evidence rises", "partition", "family")
        self.drift_hours = self._gauge("drift_hours", "hours the watch for drift rests on", "partition")
        self.drift_frozen = self._gauge("drift_frozen", "whether the watch for drift is frozen", "partition")
        self.held = self._gauge("held", "what is held in memory", "partition", "what")
        self._nodes: set[str] = set()
        self.sampling(0)

    def took(self, taken: Taken, messages: int) -> None:
        """A block was written."""
        self.decisions.inc(taken.rows)
        self.sampled_out.inc(taken.rows - taken.batch.num_rows)
        self.messages.inc(messages)
        self.late_rows.inc(taken.late)
        for clock in taken.clocks:
            if len(self._nodes) < NODES_MAX:
                self._nodes.add(clock.node)
            node = clock.node if clock.node in self._nodes else OTHER_NODE
            self.clock_skew_ms.labels(node).set(clock.ahead_ms)
            self.clock_rows.labels(node).inc(clock.rows)

    def lags(self, stage: str, lags: Mapping[int, int]) -> None:
        """Messages that wait, by partition held."""
        for partition, messages in lags.items():
            self.lag.labels(stage, str(partition)).set(messages)

    def drifts(self, partition: int, engine: Engine) -> None:
        """What the watch for drift of a usage partition says."""
        label, drift = str(partition), engine.drift
        for family, times in drift.times(engine.model).items():
            self.drift.labels(label, family).set(times)
        self.drift_hours.labels(label).set(drift.day.hours)
        self.drift_frozen.labels(label).set(engine.closed_s < drift.frozen_s)

    def sampling(self, level: int) -> None:
        """Blocks are taken at this level from now on."""
        by = weights(level)
        for rows, one_in in (("ordinary", by.ordinary), ("marked", by.marked), ("messages", by.message)):
            self.sampling_one_in.labels(rows).set(one_in)

    def stage(self, name: str, seconds: float) -> None:
        """A part of a step took so long."""
        self.stage_seconds.labels(name).observe(seconds)

    @contextmanager
    def cpu(self, stage: str) -> Iterator[None]:
        """What this thread spends inside is this part's."""
        began_s = time.thread_time()
        try:
            yield
        finally:
            self.cpu_seconds.labels(stage).inc(time.thread_time() - began_s)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"floodwarden_stream_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"floodwarden_stream_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
        return Histogram(f"floodwarden_stream_{name}", text, labels, registry=self.registry, buckets=buckets)
