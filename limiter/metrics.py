"""What the limiter measures, as one table.

name (floodwarden_limiter_...)   labels           what it tells
checks_total                     verdict, mode    answers given; mode: memory (no Redis needed), shared, local
check_seconds                                     time of one check, Redis included
shadow_total                     verdict          what limits in shadow would have said, where any was asked
policy_reloads_total             result           policies read again while running: ok, or failed and the old one kept
policy_version                                    version of the store's policy in force here; 0 while none is
mode                                              1 while limits are local because Redis is slow or gone, else 0
mode_changes_total               mode, of         changes to local and to shared; of: whole, or part (a cluster's node)
redis_parts_away                                  nodes of a Redis Cluster whose limits are local
redis_errors_total               reason           checks Redis did not answer in time, or with an error
check_faults_total                                checks that met a fault of ours and were allowed
feed_version                                      version of enforcement this node runs
feed_state                       state            1 for the one it is in: absent, loading, synced, away
feed_resyncs_total               reason           start, gap, epoch, behind, stalled, absent, away
feed_delay_seconds                                from the enforcer's write to in force here
feed_bad_entries_total                            entries nobody could read, skipped
overrides                                         actions in force in this node's memory
overrides_given_way_total                         actions not held, or no longer, because there is no room for more
decisions_published_total                         rows the broker acknowledged
published_bytes_total                             their batches on the wire
decisions_lost_total             reason           rows not kept: queue_full, producer_full, bad_row, fault, shutdown,
                                                  spool_full, spool_damaged, or the broker's error
decisions_waiting                                 rows in memory, queued or in flight
decisions_spooled_total                           rows put on disk because the broker was away or slow
decisions_replayed_total                          rows of the spool the broker acknowledged
decisions_in_doubt_total                          rows sent again that the broker may have had: handed over and not
                                                  answered when a run, or its producer, ended
decisions_sampled_out_total                       allowed rows another row stands for (`sample_allowed`)
delivery_errors_total            reason           batches the broker refused; most are tried again
kafka_away                                        1 while the broker leaves batches waiting
spool_rows, spool_bytes                           what is on disk: rows not handed over yet; size of the files
spool_age_seconds                                 age of the oldest row not handed over yet
spool_skips_total                reason           spool_full (a segment dropped), spool_torn (an end that a kill cut
                                                  off), spool_damaged
spool_errors_total               reason           writes and reads the disk refused; the rows stay in memory
publisher_faults_total                            faults of ours in the publisher, which went on
dead_letters_total               code             messages nobody could take, by why
rls_calls_total                  code             calls of Envoy: OK, OVER_LIMIT, INVALID_ARGUMENT
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_PREFIX: Final = "floodwarden_limiter_"
_CHECK_SECONDS: Final = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25)
_DELAY_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)
FEED_STATES: Final = ("absent", "loading", "synced", "away")


class _Reading(Collector):
    """Not a metric: registered first, it hears that the metrics are about to be read."""

    def __init__(self) -> None:
        self.told: list[Callable[[], None]] = []

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        for tell in self.told:
            tell()
        return ()


class Tally(Collector):
    """A histogram for what happens on every check: a count in a list, where the client's own takes a lock each time."""

    def __init__(self, name: str, text: str, buckets: tuple[float, ...]) -> None:
        self._name, self._text, self._bounds = name, text, buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Counts `value`."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of it for that."""
        return (HistogramMetricFamily(self._name, self._text),)

    def collect(self) -> Iterable[Metric]:
        """What was counted."""
        family = HistogramMetricFamily(self._name, self._text)
        names = (*map(floatToGoString, self._bounds), "+Inf")
        family.add_metric((), list(zip(names, accumulate(self._counts), strict=True)), self._sum)
        return (family,)


class Metrics:
    """One node's metrics in a registry of its own, so that several nodes fit into one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # CPU seconds of the process, over checks: what one costs
        self._reading = _Reading()
        self.registry.register(self._reading)
        self.checks = self._counter("checks_total", "answers given", "verdict", "mode")
        self.check_seconds = Tally(_PREFIX + "check_seconds", "time of one check", _CHECK_SECONDS)
        self.registry.register(self.check_seconds)
        self.policy_reloads = self._counter("policy_reloads_total", "policies read again", "result")
        self.policy_version = self._gauge("policy_version", "version of the store's policy in force here")
        self.shadow = self._counter("shadow_total", "what limits in shadow would have said", "verdict")
        self.mode = self._gauge("mode", "1 while limits are local because Redis is slow or gone")
        self.mode_changes = self._counter("mode_changes_total", "changes of what limits rest on", "mode", "of")
        self.parts_away = self._gauge("redis_parts_away", "nodes of a Redis Cluster whose limits are local")
        self.redis_errors = self._counter("redis_errors_total", "checks Redis did not answer", "reason")
        self.faults = self._counter("check_faults_total", "checks that met a fault of ours and were allowed")
        self.feed_version = self._gauge("feed_version", "version of enforcement in force here")
        self.feed_state = self._gauge("feed_state", "1 for the state the feed is in", "state")
        self.feed_resyncs = self._counter("feed_resyncs_total", "times the snapshot was read anew", "reason")
        self.feed_delay_seconds = self._histogram("feed_delay_seconds", "from write to in force", _DELAY_SECONDS)
        self.feed_bad_entries = self._counter("feed_bad_entries_total", "entries nobody could read")
        self.overrides = self._gauge("overrides", "actions in force")
        self.overrides_given_way = self._counter("overrides_given_way_total", "actions there was no room for")
        self.published = self._counter("decisions_published_total", "rows acknowledged by the broker")
        self.published_bytes = self._counter("published_bytes_total", "batches acknowledged by the broker")
        self.lost = self._counter("decisions_lost_total", "rows that could not be kept", "reason")
        self.waiting = self._gauge("decisions_waiting", "rows queued or in flight")
        self.spooled = self._counter("decisions_spooled_total", "rows put on disk")
        self.replayed = self._counter("decisions_replayed_total", "rows of the spool acknowledged by the broker")
        self.in_doubt = self._counter("decisions_in_doubt_total", "rows sent again that the broker may have had")
        self.sampled_out = self._counter("decisions_sampled_out_total", "allowed rows another row stands for")
        self.delivery_errors = self._counter("delivery_errors_total", "batches the broker refused", "reason")
        self.kafka_away = self._gauge("kafka_away", "1 while the broker leaves batches waiting")
        self.spool_rows = self._gauge("spool_rows", "rows on disk, not handed over yet")
        self.spool_bytes = self._gauge("spool_bytes", "size of the spool's files")
        self.spool_age_seconds = self._gauge("spool_age_seconds", "age of the oldest row not handed over yet")
        self.spool_skips = self._counter("spool_skips_total", "parts of the spool nobody will read", "reason")
        self.spool_errors = self._counter("spool_errors_total", "writes and reads the disk refused", "reason")
        self.publisher_faults = self._counter("publisher_faults_total", "faults of ours in the publisher")
        self.dead_letters = self._counter("dead_letters_total", "messages nobody could take", "code")
        self.rls_calls = self._counter("rls_calls_total", "calls of Envoy's rate limit service", "code")

    def before_read(self, tell: Callable[[], None]) -> None:
        """`tell` is called before each reading: what is counted too often for a counter is handed over then."""
        self._reading.told.append(tell)

    def feed_is(self, state: str) -> None:
        """The feed is in `state`, one of `FEED_STATES`, and in no other."""
        for each in FEED_STATES:
            self.feed_state.labels(each).set(each == state)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(_PREFIX + name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(_PREFIX + name, text, buckets=buckets, registry=self.registry)
