"""What ingest measures, as one table.

name (floodwarden_ingest_...)    labels           what it tells
records_total                    source           records read: messages, lines, objects posted
decisions_total                  source           decisions the broker acknowledged
duplicates_total                 source           records left out because their event id was seen before
dead_letters_total               source, code     records nobody could take
bytes_total                      source           bytes of records read
read_seconds                     source           time to decode and map one chunk
waiting                                           decisions handed over and not acknowledged
kafka_away                                        1 while the broker leaves batches waiting
delivery_errors_total            reason           batches the broker refused; they are tried again
decisions_in_doubt_total                          decisions sent again that the broker may have had
lag                              source           messages of a topic, bytes of files, not read yet
position_errors_total            source           positions that could not be kept: after a restart more is repeated
files                            source           files followed
files_lost_total                 source           files gone before they were read to their end
posts_refused_total              source           requests answered 503: too much was waiting, or the broker was away
faults_total                     source           faults of ours, after which a source began anew
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX: Final = "floodwarden_ingest_"
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)


class Metrics:
    """One process's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.records = self._counter("records_total", "records read", "source")
        self.decisions = self._counter("decisions_total", "decisions acknowledged", "source")
        self.duplicates = self._counter("duplicates_total", "records seen before", "source")
        self.dead_letters = self._counter("dead_letters_total", "records nobody could take", "source", "code")
        self.size_bytes = self._counter("bytes_total", "bytes of records read", "source")
        self.read_seconds = Histogram(
            _PREFIX + "read_seconds", "one chunk", ("source",), buckets=_SECONDS, registry=self.registry
        )
        self.waiting = self._gauge("waiting", "decisions not acknowledged")
        self.kafka_away = self._gauge("kafka_away", "1 while the broker leaves batches waiting")
        self.delivery_errors = self._counter("delivery_errors_total", "batches the broker refused", "reason")
        self.in_doubt = self._counter("decisions_in_doubt_total", "decisions sent again that the broker may have had")
        self.lag = self._gauge("lag", "not read yet: messages, bytes", "source")
        self.position_errors = self._counter("position_errors_total", "positions that could not be kept", "source")
        self.files = self._gauge("files", "files followed", "source")
        self.files_lost = self._counter("files_lost_total", "files gone before they were read", "source")
        self.posts_refused = self._counter("posts_refused_total", "requests answered 503", "source")
        self.faults = self._counter("faults_total", "faults of ours", "source")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(_PREFIX + name, text, labels, registry=self.registry)
