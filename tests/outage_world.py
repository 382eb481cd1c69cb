"""What the tests and the benchmark of an outage share: a steady stream of rows, and what a topic holds of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from limiter.metrics import Metrics
from limiter.publisher import Publisher
from schemas import codec, topics
from schemas.decision import Decision
from schemas.settings import Settings

PARTITIONS = 4


def make_topics(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    names = [settings.topic(topics.DECISIONS), settings.topic(topics.DEAD_LETTER)]
    for future in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
        future.result(20)


def row(i: int) -> Decision:
    """The `i`-th row: its path says which it is."""
    return Decision(
        ts_ms=time.time_ns() // 1_000_000,
        verdict="allow",
        node="n1",
        ip=f"198.51.{i % 97}.{i % 251}",
        method="GET",
        route="/items/{id}",
        path=f"/items/{i}",
        rule="ip",
        tier="default",
        status=200,
        latency_ms=float(i % 50),
        ua="Mozilla/5.0",
    )


class Traffic:
    """Offers rows at an even rate from a thread of its own, and keeps what it offered of each: number to event time."""

    def __init__(self, publisher: Publisher, rows_per_s: int) -> None:
        self.offered: list[int] = []
        self.refused = 0
        self.offer_us: list[float] = []  # how long each offer took
        self._publisher, self._rate = publisher, rows_per_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        began = time.perf_counter()
        while not self._stopping.wait(0.005):
            due = int((time.perf_counter() - began) * self._rate)
            while len(self.offered) < due:
                one = row(len(self.offered))
                before = time.perf_counter()
                self.refused += not self._publisher.offer(one)
                self.offer_us.append((time.perf_counter() - before) * 1e6)
                self.offered.append(one.ts_ms)


class Topic:
    """The decisions topic as it is read from its beginning: how often each row, its event time, in which order."""

    def __init__(self, settings: Settings) -> None:
        options = {"group.id": "none", "enable.auto.commit": False, "fetch.wait.max.ms": 20, "log_level": 0}
        self._consumer = Consumer({"bootstrap.servers": settings.kafka, **options})
        name = settings.topic(topics.DECISIONS)
        self._consumer.assign([TopicPartition(name, p, 0) for p in range(PARTITIONS)])
        self.messages = self.value_bytes = 0
        self.times: Counter[int] = Counter()
        self.ts_ms: dict[int, int] = {}
        self.by_partition: dict[int, list[int]] = {p: [] for p in range(PARTITIONS)}

    def read_until(self, enough: Callable[[], bool], within_s: float = 30.0) -> None:
        """Reads on; afterwards a moment longer, for what should not be there."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and not enough():
            self._take(0.1)
        while self._take(1.0):
            pass

    def close(self) -> None:
        self._consumer.close()

    def repeated(self) -> int:
        """Rows that are there more than once, each as often as it is too many."""
        return sum(n - 1 for n in self.times.values())

    def _take(self, wait_s: float) -> bool:
        message = self._consumer.poll(wait_s)
        if message is None or message.error():
            return False
        batch = codec.decode(message.value(), topics.ARROW)
        numbers = [int(path.rpartition("/")[2]) for path in batch.column("path").to_pylist()]
        self.messages += 1
        self.value_bytes += len(message.value())
        self.times.update(numbers)
        self.ts_ms.update(zip(numbers, batch.column("ts_ms").to_pylist(), strict=True))
        self.by_partition[message.partition()] += numbers
        return True


def metric(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"floodwarden_limiter_{name}", labels) or 0.0


def lost(metrics: Metrics) -> dict[str, float]:
    """Rows lost, by reason; those there are."""
    found = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "floodwarden_limiter_decisions_lost_total" and sample.value:
                found[sample.labels["reason"]] = sample.value
    return found


def poll_until(true: Callable[[], bool], within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
