"""What a worker makes of a real log: transactions in it, clocks that are wrong, and more than it can take."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from confluent_kafka import Producer
from stream_worker import Worker, batch, make_settings, next_alert, reading, send, worker

from floodwarden import clocks
from schemas import codec, topics
from schemas.alert import Alert, Status
from schemas.decision import Decision
from schemas.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
FIVE_MINUTES_MS = 300_000


def rows(
    count: int, *, ahead_ms: int = 0, node: str = "n1", ip: str = "198.51.100.1", **columns: object
) -> list[Decision]:
    ts_ms = int(time.time() * 1000) + ahead_ms
    given = {"verdict": "allow", "route": "/items/{id}", "method": "GET", "path": "/items/1", "status": 200} | columns
    return [Decision(ts_ms=ts_ms, node=node, ip=ip, **given) for _ in range(count)]  # type: ignore[arg-type]


def failed_logins(count: int, **columns: object) -> list[Decision]:
    given = {"method": "POST", "route": "/login", "path": "/login", "status": 401} | columns
    return [r for i in range(count) for r in rows(1, user=f"user{i}", **given)]  # type: ignore[arg-type]


def metric(one: Worker, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{one.settings.port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.search(rf"^floodwarden_stream_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else float("nan")


def from_node(settings: Settings, value: bytes, ahead_ms: int, partition: int) -> None:
    """A message of a limiter whose clock is so far ahead."""
    producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 0})
    sent = str(int(time.time() * 1000) + ahead_ms).encode()
    headers = [(topics.CONTENT_TYPE, topics.ARROW.encode()), (topics.SENT, sent)]
    producer.produce(settings.topic(topics.DECISIONS), value, partition=partition, headers=headers)
    assert producer.flush(10) == 0


@pytest.mark.kafka
def test_what_transactions_committed_is_counted_once_across_their_markers_and_what_was_aborted_is_not(
    kafka_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka_address, topic_prefix, tmp_path, decisions_partitions=2, snapshot_every_ms=200)
    topic = settings.topic(topics.DECISIONS)
    with worker(settings, tmp_path) as one:
        producer = Producer({"bootstrap.servers": kafka_address, "transactional.id": topic_prefix + "t"})
        producer.init_transactions(20)
        wanted = 0
        for turn in range(24):
            producer.begin_transaction()
            for i in range(3):
                producer.produce(topic, batch(rows(10)), partition=(turn + i) % 2)
            assert producer.flush(20) == 0
            if turn % 5 == 3:
                producer.abort_transaction(20)
            else:
                producer.commit_transaction(20)
                wanted += 30
            if turn % 4 == 1:
                send(settings, [batch(rows(7)), batch(rows(7))])
                wanted += 14
            if turn in (8, 16):
                one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] > 0)
                one.kill()
                one.start()
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] >= wanted)
        send(settings, [batch(rows(1)), batch(rows(1))])
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] >= wanted + 2)
        assert one.global_n() == wanted + 2
        assert metric(one, "skipped_offsets_total") > 0


@pytest.mark.kafka
@pytest.mark.parametrize("ahead_ms", [FIVE_MINUTES_MS, -FIVE_MINUTES_MS])
def test_a_node_five_minutes_off_moves_no_window_is_heard_at_once_and_is_named(
    kafka_address: str, topic_prefix: str, tmp_path: Path, ahead_ms: int
) -> None:
    settings = make_settings(kafka_address, topic_prefix, tmp_path, decisions_partitions=2)
    with worker(settings, tmp_path) as one, reading(settings, topics.ALERTS) as alerts:
        for _ in range(3):
            from_node(settings, batch(rows(50)), 0, 0)
            from_node(settings, batch(rows(50, ahead_ms=ahead_ms, node="wrong")), ahead_ms, 1)
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 300)
        assert one.get("/v1/usage?kind=ip&value=198.51.100.1&window_s=10")["measures"]["n"] == 300
        attack = failed_logins(40, ahead_ms=ahead_ms, node="wrong", ip="203.0.113.9")
        from_node(settings, batch(attack), ahead_ms, 1)
        alert = next_alert(alerts, lambda a: a.kind == "guess" and a.status is Status.OPEN)
        assert abs(alert.crossed_ms - time.time() * 1000) < 20_000
        assert metric(one, "late_rows_total") == 0
        assert abs(metric(one, 'clock_skew_ms{node="wrong"}') - ahead_ms) < 20_000
        assert metric(one, 'clock_rows_total{node="wrong"}') == 190
        assert "wrong clock" in one.log()
        skews = clocks.skews_ms(settings)
        assert skews is not None
        assert abs(skews["wrong"] - ahead_ms) < 1000 > abs(skews["n1"])


@pytest.mark.kafka
def test_rows_from_the_future_of_a_sender_that_tells_no_clock_are_set_back_to_the_brokers_time(
    kafka_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka_address, topic_prefix, tmp_path, decisions_partitions=1)
    with worker(settings, tmp_path) as one:
        send(settings, [batch(rows(20, ahead_ms=FIVE_MINUTES_MS, node="gateway")), batch(rows(30))])
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 50)
        assert one.get("/v1/usage?kind=global&value=*&window_s=10")["measures"]["n"] == 50
        assert metric(one, 'clock_rows_total{node="gateway"}') == 20
        assert metric(one, "late_rows_total") == 0


def test_where_no_broker_stamps_messages_nobody_claims_to_know_clocks(
    embedded_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(embedded_address, topic_prefix, tmp_path, decisions_partitions=1)
    assert clocks.skews_ms(settings) == {}
    from_node(settings, batch(rows(1)), FIVE_MINUTES_MS, 0)
    assert clocks.skews_ms(settings) is None


def test_who_falls_behind_for_good_says_so_samples_with_weights_and_is_whole_again_when_it_is_over(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path, decisions_partitions=2)
    one = Worker(settings, tmp_path, environment={"FLOODWARDEN_SHED_BEHIND_MS": "400"})
    one.start()
    try:
        one.ready()
        with reading(settings, topics.ALERTS) as alerts, Flood(one) as flood:
            opened = next_alert(alerts, lambda a: a.kind == "overload", 60)
            assert (opened.status, opened.entity.value) == (Status.OPEN, "*")
            _until(lambda: metric(one, "sampled_out_total") > 1000, one)
            assert metric(one, 'sampling_one_in{rows="ordinary"}') > 1
            sent = flood.stop()
            told: list[Alert] = []
            closed = next_alert(alerts, lambda a: not told.append(a) and a.status is Status.CLOSED, 90)
            assert {a.uid for a in told if a.kind == "overload"} == {opened.uid} == {closed.uid}
            _until(lambda: metric(one, "messages_total") == sent and metric(one, "behind_ms") == 0, one)
            one.answers("/v1/totals", lambda t: abs(t["kinds"]["global"]["n"] - sent) < sent * 0.1)
            assert one.global_n() != sent, "some of it is an estimate"
            assert metric(one, 'sampling_one_in{rows="ordinary"}') == 1
            exact = one.global_n()
            send(settings, [batch(rows(100)), batch(rows(100))])
            one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == exact + 200)
    finally:
        one.kill()


def test_the_overload_of_a_worker_that_was_killed_meanwhile_is_closed_by_the_next(
    embedded_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(embedded_address, topic_prefix, tmp_path, decisions_partitions=2)
    one = Worker(settings, tmp_path, environment={"FLOODWARDEN_SHED_BEHIND_MS": "400"})
    one.start()
    try:
        one.ready()
        with reading(settings, topics.ALERTS) as alerts:
            with Flood(one):
                opened = next_alert(alerts, lambda a: a.kind == "overload", 60)
            one.kill()
            one.environment = {}
            one.start()
            closed = next_alert(alerts, lambda a: a.uid == opened.uid and a.status is Status.CLOSED, 60)
            assert "is gone" in closed.summary
    finally:
        one.kill()


class Flood(threading.Thread):
    """Messages of one decision each, which cost a worker most: always more than it takes, and not many more."""

    def __init__(self, one: Worker) -> None:
        super().__init__(daemon=True)
        self._one, self._enough, self.sent = one, threading.Event(), 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Ends it; how many were sent."""
        self._enough.set()
        self.join(60)
        return self.sent

    def run(self) -> None:
        """Sends until it is stopped."""
        settings = self._one.settings
        producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 5})
        topic, began_s = settings.topic(topics.DECISIONS), time.monotonic()
        while not self._enough.is_set():
            more = 10_000 + int(3000 * (time.monotonic() - began_s))
            wanted = int(metric(self._one, "messages_total")) + more
            for i in range(max(0, wanted - self.sent)):
                value = codec.rows_to_json(rows(1, ip=f"198.51.100.{i % 200}"))
                producer.produce(topic, value, partition=i % 2)
                producer.poll(0)
            self.sent = max(self.sent, wanted)
            self._enough.wait(0.02)
        producer.flush(60)


def _until(good: Callable[[], bool], one: Worker, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not good():
        assert time.monotonic() < deadline, one.log()
        time.sleep(0.1)
