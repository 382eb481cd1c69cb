"""Reading a topic to its end: all of what one batch brought, by partition its newest, and clear words without it."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer
from stream_traffic import crowd
from stream_worker import send

from floodwarden import topic_reading
from floodwarden.errors import UnreachableError
from floodwarden.formats import Rejects
from floodwarden.topics import ensure_topics
from floodwarden.traffic import Recorded, names
from schemas import codec, topic_ends, topics
from schemas.settings import Settings
from schemas.topics import Topic
from stream import train

pytestmark = pytest.mark.integration


def test_the_last_batch_is_read_whole_though_a_broker_counts_only_its_first(broker: str, topic_prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix, decisions_partitions=2)
    ensure_topics(settings)
    assert list(topic_reading.read(settings, topics.DECISIONS)) == []
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 50})
    for partition, count in ((0, 15), (1, 3)):
        for number in range(count):
            producer.produce(settings.topic(topics.DECISIONS), f"{partition}/{number}", partition=partition)
    assert producer.flush(30) == 0
    messages = topic_reading.read(settings, topics.DECISIONS)
    found = sorted((m.partition() or 0, m.offset() or 0, m.value()) for m in messages)
    assert found == [(p, n, f"{p}/{n}".encode()) for p, count in ((0, 15), (1, 3)) for n in range(count)]


def test_a_mark_behind_the_end_a_broker_names_is_told_from_one_of_another_topic(broker: str, topic_prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix, decisions_partitions=1)
    ensure_topics(settings)
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 50})
    for number in range(15):
        producer.produce(settings.topic(topics.DECISIONS), str(number), partition=0)
    assert producer.flush(30) == 0
    client, topic = {"bootstrap.servers": broker, "group.id": topic_prefix + "look"}, settings.topic(topics.DECISIONS)
    assert [topic_ends.reaches(client, topic, 0, mark, 60.0) for mark in (1, 15, 16, 5000)] == [
        True,
        True,
        False,
        False,
    ]


def test_only_the_newest_of_each_partition(broker: str, topic_prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix, decisions_partitions=1)
    ensure_topics(settings)
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 0})
    for number in range(9):  # a batch each: Tansu then knows the true end
        producer.produce(settings.topic(topics.DECISIONS), str(number))
        assert producer.flush(30) == 0
    assert [m.value() for m in topic_reading.read(settings, topics.DECISIONS, newest=2)] == [b"7", b"8"]


def test_what_the_topic_holds_is_learned_from_like_a_file_and_what_is_no_decision_is_counted(
    broker: str, topic_prefix: str
) -> None:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix, decisions_partitions=2)
    ensure_topics(settings)
    rows = crowd(3, 600)
    parts = [codec.from_rows(rows[i::3]) for i in range(3)]
    send(settings, [codec.encode(part) for part in parts])
    send(settings, [b"{"], topics.JSON)
    recorded, rejects = Recorded.last(settings, 3_600), Rejects()
    found, wanted = (
        train.train(batches, login_globs=settings.login_globs)
        for batches in (recorded.batches(rejects), iter([codec.from_rows(rows)]))
    )
    assert found.version == wanted.version
    assert rejects.total == 1
    assert names({codec.text_hash("203.0.113.7")}, recorded) == {codec.text_hash("203.0.113.7"): "203.0.113.7"}
    assert list(Recorded.last(settings, -3_600).batches(Rejects())) == [], "by the broker's stamps, not the rows'"


def test_no_topic_and_no_broker_are_named(broker: str, topic_prefix: str) -> None:
    missing = topic_reading.read(Settings(kafka=broker, topic_prefix=topic_prefix), Topic("missing", 1))
    with pytest.raises(UnreachableError, match="missing"):
        next(missing)
    away = topic_reading.read(Settings(kafka="127.0.0.1:9"), topics.DECISIONS)
    with pytest.raises(UnreachableError, match="FLOODWARDEN_KAFKA"):
        next(away)
