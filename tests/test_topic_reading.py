"""Reading a topic to its end: all of what one batch brought, by partition its newest, and clear words without it."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Producer
from stream_traffic import crowd
from stream_worker import send
from typer.testing import CliRunner

from floodwarden import rules_trial, topic_reading
from floodwarden.cli import app
from floodwarden.errors import CommandError, UnreachableError
from floodwarden.formats import Rejects
from floodwarden.topics import ensure_topics
from floodwarden.traffic import Recorded, names
from schemas import codec, topic_ends, topics
from schemas.decision import Decision
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


def test_only_what_is_no_older_than_a_time_is_fetched(broker: str, topic_prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix, decisions_partitions=3)
    ensure_topics(settings)
    producer, topic = Producer({"bootstrap.servers": broker, "linger.ms": 0}), settings.topic(topics.DECISIONS)
    since_ms = 0
    for number in range(9):  # the third partition holds only what is older
        producer.produce(topic, str(number), partition=2 if number < 3 else number % 2)
        assert producer.flush(30) == 0
        time.sleep(0.005)  # a stamp of its own each
        if number == 5:
            since_ms = 1 + max(m.timestamp()[1] for m in topic_reading.read(settings, topics.DECISIONS))
    in_order = topic_reading.in_order(settings, topics.DECISIONS, since_ms=since_ms)
    assert [m.value() for m in in_order] == [b"6", b"7", b"8"]
    mixed = topic_reading.read(settings, topics.DECISIONS, since_ms=since_ms)
    assert sorted(m.value() or b"" for m in mixed) == [b"6", b"7", b"8"]
    assert list(topic_reading.read(settings, topics.DECISIONS, since_ms=since_ms + 3_600_000)) == []
    with topic_reading._consumer(settings) as consumer:  # what is fetched is seen nowhere else
        ends = topic_reading._begin(consumer, topic, None, None, since_ms)
        fetched = {int(m.value() or b"") for m in topic_reading._read(consumer, topic, ends)}
    # Tansu may begin a message early, and at 0 in a partition that holds nothing later.
    assert {6, 7, 8} <= fetched <= {0, 1, 2, 4, 5, 6, 7, 8}


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


def test_partitions_read_in_order_come_side_by_side_each_as_it_is(broker: str, topic_prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix, decisions_partitions=3)
    ensure_topics(settings)
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 0})
    for number in range(12):
        producer.produce(settings.topic(topics.DECISIONS), str(number), partition=number % 2)  # the third stays empty
        assert producer.flush(30) == 0
        time.sleep(0.002)  # a stamp of its own each
    assert [m.value() for m in topic_reading.in_order(settings, topics.DECISIONS)] == [b"%d" % n for n in range(12)]


def secrets_sought(settings: Settings) -> None:
    """An address asks for hidden files, over two partitions, amid others; the newest second stays open till the end."""
    now_ms = time.time_ns() // 1_000_000
    paths = ["/.env", "/", "/.git/HEAD", "/", "/.aws/credentials", "/", "/.ssh/id_rsa", "/"]
    rows = [
        Decision(
            ts_ms=now_ms + i, verdict="allow", status=404, method="GET", path=path, route=path, tenant="acme",
            ip=f"203.0.113.{9 if i % 2 == 0 else i}",
        )
        for i, path in enumerate(paths)
    ]  # fmt: skip
    send(settings, [codec.encode(codec.from_rows(part)) for part in (rows[:3], rows[3:6], rows[6:])])


def test_rules_tried_over_the_topic_tell_what_they_would_have_told_live(broker: str, topic_prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=topic_prefix, decisions_partitions=2)
    ensure_topics(settings)
    secrets_sought(settings)
    send(settings, [b"{"], topics.JSON)
    with pytest.raises(CommandError, match=r"no request in .*; give a longer --over"):
        rules_trial.over("builtin", Recorded.last(settings, -3_600))
    [fired] = rules_trial.over("builtin", Recorded.last(settings, 3_600))
    told = fired.record()
    assert (told["kind"], told["entity"]["value"], told["tenant"]) == ("sensitive-files", "203.0.113.9", "acme")
    assert "/.aws/credentials" in told["summary"]
    assert told["lines"] == []
    environment = {"FLOODWARDEN_KAFKA": broker, "FLOODWARDEN_TOPIC_PREFIX": topic_prefix}
    said = CliRunner().invoke(app, ["rules", "test", "builtin", "--over", "1h"], env=environment)
    assert said.exit_code == 1, said.output
    assert "lines" not in said.stdout
    assert said.stdout.splitlines()[-1].split() == ["sensitive-files/1", "1", "1", "0", "1", "deny", "1"]


def test_no_topic_and_no_broker_are_named(broker: str, topic_prefix: str) -> None:
    missing = topic_reading.read(Settings(kafka=broker, topic_prefix=topic_prefix), Topic("missing", 1))
    with pytest.raises(UnreachableError, match="missing"):
        next(missing)
    away = topic_reading.read(Settings(kafka="127.0.0.1:9"), topics.DECISIONS)
    with pytest.raises(UnreachableError, match="FLOODWARDEN_KAFKA"):
        next(away)
