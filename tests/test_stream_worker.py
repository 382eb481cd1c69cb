"""The worker as a process, on the embedded broker and on real Kafka: exact counts, alerts in time, poison aside."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from stream_worker import Worker, batch, make_settings, next_alert, reading, send, worker

from floodwarden.embedded import free_port
from schemas import topics
from schemas.alert import Status
from schemas.decision import Decision
from stream.app import EXIT_CRASHED

pytestmark = pytest.mark.integration
SESSION_S = 150  # longer than a worker takes to start again, however busy the machine


def traffic(count: int, seed: int) -> list[Decision]:
    now_ms, chance = int(time.time() * 1000), random.Random(seed)
    return [
        Decision(
            ts_ms=now_ms - chance.randrange(500),
            verdict="allow",
            ip=f"198.51.100.{chance.randrange(200)}",
            key_id=f"k{chance.randrange(50)}" if chance.random() < 0.5 else None,
            method="GET",
            route="/items/{id}",
            path=f"/items/{chance.randrange(100)}",
            status=200,
            latency_ms=3.25,
        )
        for _ in range(count)
    ]


def failed_logins(count: int, address: str) -> list[Decision]:
    now_ms = int(time.time() * 1000)
    return [
        Decision(
            ts_ms=now_ms, verdict="allow", ip=address, user=f"user{i}", method="POST", route="/login", path="/login",
            status=401,
        )
        for i in range(count)
    ]  # fmt: skip


def test_decisions_become_usage_windows_and_alerts_within_a_moment(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    with worker(settings, tmp_path) as one, reading(settings, topics.ALERTS) as alerts:
        send(settings, [batch(traffic(500, seed)) for seed in range(8)])
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 4000)
        usage = one.get("/v1/usage?kind=route&value=/items/{id}&window_s=600")
        assert usage["measures"]["n"] == 4000
        assert usage["measures"]["latency_ms_sum"] == 4000 * 3.25
        began = time.monotonic()
        send(settings, [batch(failed_logins(40, "203.0.113.9"))])
        alert = next_alert(alerts, lambda a: a.kind == "guess" and a.status is Status.OPEN)
        assert alert.entity.value == "203.0.113.9"
        assert alert.route in (None, "/login")
        assert time.monotonic() - began < 2, "an early alert waits for no pane to close"
        told = one.text("/metrics")
        for what in (
            'cpu_seconds_total{stage="combine"}',
            'cpu_seconds_total{stage="detect"}',
            'bytes_total{topic="usage"}',
        ):
            [value] = re.findall(rf"^floodwarden_stream_{re.escape(what)} (\S+)$", told, re.MULTILINE)
            assert float(value) > 0
        assert one.stop() == 0


def test_a_worker_killed_in_mid_load_counts_every_decision_once(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path, snapshot_every_ms=200)
    messages, rows = 240, 200
    with worker(settings, tmp_path) as one:
        values = [batch(traffic(rows, seed)) for seed in range(messages)]
        sending = threading.Thread(target=_paced, args=(settings, values))
        sending.start()
        for part in (4, 3, 2):
            one.answers("/v1/totals", lambda t, part=part: t["kinds"]["global"]["n"] > messages * rows / (2 * part))
            one.kill()
            one.start()
        sending.join()
        _counts_settle_at(one, messages * rows)


def test_two_workers_share_the_load_and_one_takes_over_from_the_killed_other(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path, snapshot_every_ms=200)
    other = settings.model_copy(update={"port": make_settings(broker, topic_prefix, tmp_path).port})
    with worker(settings, tmp_path) as one:
        two = Worker(other, tmp_path)
        two.start()
        try:
            two.answers("/readyz", lambda r: r["usage"] and r["decisions"])
            send(settings, [batch(traffic(200, seed)) for seed in range(40)])
            two.kill()
            send(settings, [batch(traffic(200, seed)) for seed in range(40, 80)])
            _counts_settle_at(one, 80 * 200)
        finally:
            if two.process and two.process.poll() is None:
                two.kill()


def test_of_more_workers_than_partitions_each_partition_has_one_and_all_are_ready(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path, decisions_partitions=2, usage_partitions=2)
    with contextlib.ExitStack() as stack:
        workers = []
        for _ in range(3):  # one after the other: the first has everything, and gives up some of it
            one = settings.model_copy(update={"port": free_port()})
            workers.append(stack.enter_context(worker(one, tmp_path, whole=not workers)))
        deadline = time.monotonic() + 30
        while True:
            holds = [one.answers("/readyz", bool) for one in workers]
            dealt = [sorted(p for each in holds for p in each[topic]) for topic in ("decisions", "usage")]
            totals = [one.get("/v1/totals")["partitions"] for one in workers]
            if [*dealt, sorted(p for each in totals for p in each)] == [[0, 1]] * 3:
                break
            assert time.monotonic() < deadline, (holds, totals)
            time.sleep(0.1)
        assert any(not each["decisions"] and not each["usage"] for each in holds)


@pytest.mark.kafka
def test_a_named_worker_that_was_killed_gets_its_partitions_back_without_a_rebalance(
    kafka_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    named = {"node": "worker-a", "session_s": SESSION_S}
    settings = make_settings(kafka_address, topic_prefix, tmp_path, snapshot_every_ms=200, **named)
    with worker(settings, tmp_path) as one:
        send(settings, [batch(traffic(200, seed)) for seed in range(20)])
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 20 * 200)
        before = leased(one)
        one.kill()
        one.start()
        one.ready()
        send(settings, [batch(traffic(200, seed)) for seed in range(20, 40)])
        _counts_settle_at(one, 40 * 200)
        assert leased(one) == before


@pytest.mark.kafka
def test_a_worker_that_froze_while_its_successor_took_over_cannot_count_anything_again(
    kafka_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka_address, topic_prefix, tmp_path, snapshot_every_ms=200, node="worker-a")
    with worker(settings, tmp_path) as frozen:
        send(settings, [batch(traffic(200, seed)) for seed in range(20)])
        frozen.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 20 * 200)
        assert frozen.process
        frozen.process.send_signal(signal.SIGSTOP)
        other_directory = tmp_path / "successor"
        other_directory.mkdir()
        other = settings.model_copy(update={"port": free_port()})
        with worker(other, other_directory) as successor:
            send(settings, [batch(traffic(200, seed)) for seed in range(20, 40)])
            frozen.process.send_signal(signal.SIGCONT)
            for each in (frozen, successor):  # neither can know which of the two the name belongs to
                assert each.process
                assert each.process.wait(100) == EXIT_CRASHED
                assert "another stream worker is named 'worker-a'" in each.log()
            successor.start()
            send(settings, [batch(traffic(200, seed)) for seed in range(40, 60)])
            _counts_settle_at(successor, 60 * 200)


def leased(one: Worker) -> list[str]:
    """Generation and partitions of each assignment in the log of its present start."""
    return [line.split("generation=")[1] for line in one.log().splitlines() if "leased" in line]


def test_poison_goes_to_dead_letter_with_its_origin_and_the_stream_goes_on(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(broker, topic_prefix, tmp_path)
    with worker(settings, tmp_path) as one, reading(settings, topics.DEAD_LETTER) as dead:
        good = batch(traffic(100, 1))
        send(settings, [good, good[:300], b"\x00garbage", good])
        send(settings, [b'[{"ts_ms":5,"verdict":"allow"}]'], topics.JSON)
        send(settings, [b'{"ts_ms":%d,"verdict":"allow","ip":"192.0.2.1"}' % (time.time() * 1000)], None)
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == 201)
        letters = {}
        deadline = time.monotonic() + 20
        while len(letters) < 3 and time.monotonic() < deadline:
            message = dead.poll(0.2)
            if message is not None and not message.error():
                letters[message.value()] = {k: v.decode() for k, v in message.headers()}
        assert letters[good[:300]]["code"] == "bad_arrow"
        assert letters[b"\x00garbage"]["origin-topic"] == settings.topic(topics.DECISIONS)
        assert letters[b"\x00garbage"]["origin-partition"] == "2"
        assert letters[b'[{"ts_ms":5,"verdict":"allow"}]']["field"].endswith("ts_ms")


def _paced(settings: object, values: list[bytes]) -> None:
    for i in range(0, len(values), 8):
        send(settings, values[i : i + 8])  # type: ignore[arg-type]
        time.sleep(0.05)


def _counts_settle_at(one: Worker, wanted: int) -> None:
    """Exactly so many, and still so many when everything has been read."""
    one.ready()
    one.answers("/v1/totals", lambda t: len(t["partitions"]) == 2 and t["kinds"]["global"]["n"] >= wanted)
    for kind in ("global", "ip", "route"):
        assert one.get("/v1/totals")["kinds"][kind]["n"] == wanted
    assert one.get("/v1/usage?kind=global&value=*&window_s=600")["measures"]["n"] == wanted
