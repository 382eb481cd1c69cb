"""Rows on their way to a broker: all of them once, in time, over all partitions; and what happens without one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from floodwarden.embedded import free_port
from limiter.delivery import Parcel
from limiter.metrics import Metrics
from limiter.publisher import Publisher
from schemas import codec, topics
from schemas.dead_letter import Origin
from schemas.decision import Decision
from schemas.errors import BadMessageError
from schemas.settings import Settings

pytestmark = pytest.mark.integration


def rows(n: int) -> list[Decision]:
    now_ms = time.time_ns() // 1_000_000
    return [Decision(ts_ms=now_ms, verdict="allow", ip=f"192.0.2.{i % 250}", path=f"/items/{i}") for i in range(n)]


def lost(metrics: Metrics, reason: str) -> float:
    return metrics.registry.get_sample_value("floodwarden_limiter_decisions_lost_total", {"reason": reason}) or 0.0


def make(broker: str, *names: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker})
    for future in admin.create_topics([NewTopic(name, 4, 1) for name in names]).values():
        future.result(20)


class Reader:
    def __init__(self, broker: str, topic: str) -> None:
        options = {"group.id": "none", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
        self._consumer = Consumer({"bootstrap.servers": broker, **options})
        self._consumer.assign([TopicPartition(topic, p, 0) for p in range(4)])

    def read(self, rows_wanted: int, within_s: float = 20.0) -> list[Message]:
        found: list[Message] = []
        deadline, count = time.monotonic() + within_s, 0
        while count < rows_wanted and time.monotonic() < deadline:
            message = self._consumer.poll(0.05)
            if message is None or message.error():
                continue
            found.append(message)
            count += count_rows(message)
        return found

    def close(self) -> None:
        self._consumer.close()


def count_rows(message: Message) -> int:
    return int(codec.decode(message.value(), dict(message.headers())["content-type"].decode()).num_rows)


@pytest.fixture
def installed(broker: str, topic_prefix: str) -> Settings:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix, publish_batch_rows=500)
    make(broker, settings.topic(topics.DECISIONS), settings.topic(topics.DEAD_LETTER))
    return settings


@pytest.fixture
def reader(installed: Settings) -> Iterator[Reader]:
    made = Reader(installed.kafka, installed.topic(topics.DECISIONS))
    yield made
    made.close()


def test_every_row_arrives_once_in_batches_over_all_partitions(installed: Settings, reader: Reader) -> None:
    metrics = Metrics()
    publisher = Publisher(installed, metrics)
    publisher.start()
    sent = rows(20_000)
    assert all(publisher.offer(one) for one in sent)
    found = reader.read(20_000)
    publisher.stop()
    got = Counter(row.path for message in found for row in codec.to_rows(codec.decode(message.value(), None)))
    assert got == Counter(row.path for row in sent)
    assert {message.partition() for message in found} == {0, 1, 2, 3}
    assert max(count_rows(message) for message in found) <= 500
    assert publisher.waiting == 0
    assert metrics.registry.get_sample_value("floodwarden_limiter_decisions_published_total") == 20_000


def test_a_lone_row_waits_for_the_linger_and_no_longer(installed: Settings, reader: Reader) -> None:
    publisher = Publisher(installed, Metrics())
    publisher.start()
    publisher.offer(rows(1)[0])
    assert len(reader.read(1)) == 1  # connections are made
    delays_ms = []
    for _ in range(10):
        began = time.monotonic()
        publisher.offer(rows(1)[0])
        assert reader.read(1)
        delays_ms.append((time.monotonic() - began) * 1000)
    publisher.stop()
    delays_ms.sort()
    print("offer to consumer, ms:", [round(delay) for delay in delays_ms])  # noqa: T201 - a measurement
    assert delays_ms[0] >= 45
    assert delays_ms[5] < 120


def test_what_nobody_could_take_is_put_aside_with_its_reason_and_origin(installed: Settings) -> None:
    publisher = Publisher(installed, Metrics())
    publisher.start()
    error = BadMessageError("bad_value", "verdict", "no verdict", "one of allow")
    publisher.dead_letter(b'{"verdict": 1}', error, Origin("/v1/decisions", 0, 3), topics.JSON)
    publisher.stop()
    consumer = Consumer({"bootstrap.servers": installed.kafka, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(installed.topic(topics.DEAD_LETTER), p, 0) for p in range(4)])
    deadline, message = time.monotonic() + 20, None
    while message is None and time.monotonic() < deadline:
        message = consumer.poll(0.1)
    consumer.close()
    assert message is not None
    headers = {name: value.decode() for name, value in message.headers()}
    assert message.value() == b'{"verdict": 1}'
    assert (headers["field"], headers["code"], headers["origin-offset"]) == ("verdict", "bad_value", "3")


def test_without_a_disk_a_broker_that_is_away_costs_no_time_and_what_does_not_fit_is_counted() -> None:
    metrics = Metrics()
    settings = Settings(kafka=f"127.0.0.1:{free_port()}", publish_queue_rows=1000, spool_bytes_max=0)
    publisher = Publisher(settings, metrics)
    publisher.start()
    began = time.monotonic()
    kept = sum(publisher.offer(row) for row in rows(5000))
    assert time.monotonic() - began < 1.0
    assert kept == 1000
    assert lost(metrics, "queue_full") == 4000
    publisher.stop(timeout_s=0.5)
    assert lost(metrics, "shutdown") == 1000
    assert publisher.waiting == 0
    assert not publisher.offer(rows(1)[0])


def test_rows_offered_before_the_broker_is_there_arrive_when_it_is(broker: str, topic_prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix)
    publisher = Publisher(settings, Metrics())
    publisher.start()
    for row in rows(10):
        publisher.offer(row)
    make(broker, settings.topic(topics.DECISIONS))
    reader = Reader(broker, settings.topic(topics.DECISIONS))
    found = reader.read(10)
    reader.close()
    publisher.stop()
    assert sum(map(count_rows, found)) == 10


def test_one_bad_row_is_counted_and_takes_no_other_with_it(installed: Settings, reader: Reader) -> None:
    metrics = Metrics()
    publisher = Publisher(installed, metrics)
    publisher.start()
    good = rows(9)
    for row in [*good[:4], Decision(ts_ms=1, verdict="allow"), *good[4:]]:
        publisher.offer(row)
    found = reader.read(9)
    publisher.stop()
    assert sum(map(count_rows, found)) == 9
    assert lost(metrics, "bad_row") == 1


def test_a_fault_of_ours_is_counted_by_its_rows_and_takes_no_other_with_it(installed: Settings, reader: Reader) -> None:
    metrics = Metrics()
    publisher = Publisher(installed.model_copy(update={"publish_batch_rows": 3}), metrics)
    send, faults = publisher._outlet.send, [RuntimeError("a fault of ours")]

    def sending(parcel: Parcel) -> None:
        if faults:
            raise faults.pop()
        send(parcel)

    publisher._outlet.send = sending  # type: ignore[method-assign]
    for row in rows(10):
        publisher.offer(row)
    publisher.start()
    found = reader.read(7)
    publisher.stop()
    assert sum(map(count_rows, found)) == 7
    assert lost(metrics, "fault") == 3
    assert publisher.waiting == 0
