"""What the limiter measures, as one table.

name (floodwarden_limiter_...)   labels           what it tells
checks_total                     verdict, mode    answers given; mode: memory (no Redis needed), shared, local
check_seconds                                     time of one check, Redis included
shadow_total                     verdict          what limits in shadow would have said, where any was asked
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
decisions_lost_total             reason           rows not kept: queue_full, producer_full, bad_row, shutdown, or the
                                                  broker's error
decisions_waiting                                 rows queued or in flight
dead_letters_total               code             messages nobody could take, by why
rls_calls_total                  code             calls of Envoy: OK, OVER_LIMIT, INVALID_ARGUMENT
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX: Final = "floodwarden_limiter_"
_CHECK_SECONDS: Final = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25)
_DELAY_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)
FEED_STATES: Final = ("absent", "loading", "synced", "away")


class Metrics:
    """One node's metrics in a registry of its own, so that several nodes fit into one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.checks = self._counter("checks_total", "answers given", "verdict", "mode")
        self.check_seconds = self._histogram("check_seconds", "time of one check", _CHECK_SECONDS)
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
        self.lost = self._counter("decisions_lost_total", "rows that could not be kept", "reason")
        self.waiting = self._gauge("decisions_waiting", "rows queued or in flight")
        self.dead_letters = self._counter("dead_letters_total", "messages nobody could take", "code")
        self.rls_calls = self._counter("rls_calls_total", "calls of Envoy's rate limit service", "code")

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
