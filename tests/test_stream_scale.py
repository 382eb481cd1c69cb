"""One, two and four workers share the partitions and say the same, also when they join in the middle of an attack."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewPartitions
from stream_worker import Worker, batch, make_settings, reading, send, worker

from floodwarden.embedded import free_port
from schemas import topics
from schemas.alert import Alert, Status
from schemas.decision import Decision
from schemas.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.slow]
BEGIN_MS = 1_700_000_000_000
SECONDS, A_SECOND, MESSAGES = 24, 250, 48
QUIET_MS = 25 * 60_000  # past which every incident is closed
GUESSER, PROBER, HAMMER = "203.0.113.7", "203.0.113.8", "203.0.113.9"


def traffic() -> list[Decision]:
    """24 seconds in event-time order: good clients, and an attacker of each of three families."""
    chance, rows = random.Random(11), []
    for i in range(SECONDS * A_SECOND):
        ts_ms, kind = BEGIN_MS + i * 1000 // A_SECOND, chance.random()
        if kind < 0.08:
            given = {"ip": GUESSER, "method": "POST", "route": "/login", "path": "/login", "status": 401}
            rows.append(Decision(ts_ms=ts_ms, verdict="allow", user=f"u{chance.randrange(900)}", **given))  # type: ignore[arg-type]
        elif kind < 0.16:
            path = f"/x{chance.randrange(500)}"
            rows.append(
                Decision(ts_ms=ts_ms, verdict="allow", ip=PROBER, method="GET", route="/{path}", path=path, status=404)
            )
        elif kind < 0.3:
            verdict = "limit" if chance.random() < 0.9 else "allow"
            rows.append(
                Decision(ts_ms=ts_ms, verdict=verdict, ip=HAMMER, method="GET", route="/items/{id}", path="/items/1")
            )
        else:
            address, item = f"198.51.100.{chance.randrange(60)}", chance.randrange(30)
            rows.append(
                Decision(
                    ts_ms=ts_ms, verdict="allow", ip=address, method="GET", route="/items/{id}",
                    path=f"/items/{item}", status=200,
                )
            )  # fmt: skip
    return rows


def last_words(alerts: Consumer, settled: Callable[[dict[str, Alert]], bool]) -> dict[str, Alert]:
    """The newest alert by uid, once they are as they shall be."""
    deadline, said = time.monotonic() + 60, dict[str, Alert]()
    while not settled(said):
        assert time.monotonic() < deadline, {a.summary: a.status for a in said.values()}
        message = alerts.poll(0.2)
        if message is not None and not message.error():
            alert = Alert.model_validate_json(message.value())
            said[alert.uid] = alert
    return said


def ended(said: dict[str, Alert]) -> bool:
    over = {Status.CLOSED, Status.WITHDRAWN}
    told = {a.entity.value for a in said.values() if a.status is Status.CLOSED}
    return {GUESSER, PROBER, HAMMER} <= told and all(a.status in over for a in said.values())


def counted(workers: list[Worker], wanted: int) -> None:
    """Every decision is in the windows of whoever holds its partition, each partition being one worker's."""
    deadline = time.monotonic() + 60
    while True:
        totals = [one.answers("/v1/totals", bool) for one in workers]
        partitions = sorted(p for each in totals for p in each["partitions"])
        n = sum(each["kinds"]["global"]["n"] for each in totals)
        if partitions == [0, 1, 2, 3] and n == wanted:
            return
        assert time.monotonic() < deadline, (partitions, n, wanted)
        time.sleep(0.1)


def fleet(settings: Settings, directory: Path, first: int, more: int) -> dict[str, Alert]:
    """What `first` workers say, joined by `more` when half of the decisions are sent."""
    rows = traffic()
    size = len(rows) // MESSAGES
    values = [batch(rows[at : at + size]) for at in range(0, len(rows), size)]
    with ExitStack() as stack, reading(settings, topics.ALERTS) as alerts:
        workers: list[Worker] = []

        def join(count: int) -> None:
            for _ in range(count):
                one = Worker(settings.model_copy(update={"port": free_port()}), directory)
                one.start()
                stack.callback(one.kill)
                workers.append(one)

        join(first)
        half = len(values) // 2
        send(settings, values[:half])
        counted(workers, half * size)
        join(more)
        send(settings, values[half:])
        counted(workers, len(rows))
        later = Decision(
            ts_ms=rows[-1].ts_ms + QUIET_MS, verdict="allow", ip="198.51.100.1", method="GET", route="/items/{id}",
            path="/items/1", status=200,
        )  # fmt: skip
        send(settings, [batch([later])] * settings.decisions_partitions)
        return last_words(alerts, ended)


def lasting(said: dict[str, Alert]) -> dict[str, Alert]:
    """All but what was withdrawn, and but for how many clients were alive when it was noticed."""
    return {uid: a.model_copy(update={"live_clients": 0}) for uid, a in said.items() if a.status is Status.CLOSED}


def test_more_workers_say_what_one_says_also_when_they_join_in_mid_attack(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    said = {}
    for first, more in ((1, 0), (1, 1), (2, 2)):
        name = f"{first}-{more}"
        directory = tmp_path / name
        directory.mkdir()
        prefix = f"{topic_prefix}{name}."
        settings = make_settings(broker, prefix, directory, usage_partitions=4, lateness_ms=60_000)
        said[name] = lasting(fleet(settings, directory, first, more))
    alone = said.pop("1-0")
    assert {a.entity.value for a in alone.values()} >= {GUESSER, PROBER, HAMMER}
    for each in said.values():
        assert each == alone


@pytest.mark.kafka
def test_decisions_gets_more_partitions_between_two_runs_and_every_decision_counts_once(
    kafka_address: str, topic_prefix: str, tmp_path: Path
) -> None:
    rows = traffic()
    values = [batch(rows[at : at + 100]) for at in range(0, len(rows), 100)]
    half = len(values) // 2
    before = make_settings(kafka_address, topic_prefix, tmp_path, decisions_partitions=2, node="worker-a")  # soon back
    with worker(before, tmp_path) as one:
        send(before, values[:half])
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] == half * 100)
        one.kill()
        admin = AdminClient({"bootstrap.servers": kafka_address})
        wanted = [NewPartitions(before.topic(t), 5) for t in (topics.DECISIONS, topics.INTENTS, topics.TERMS)]
        for done in admin.create_partitions(wanted).values():
            done.result(20)
    after = before.model_copy(update={"decisions_partitions": 5})
    with worker(after, tmp_path) as one:
        send(after, values[half:])
        one.answers("/v1/totals", lambda t: t["kinds"]["global"]["n"] >= len(rows))
        one.answers("/readyz", lambda r: r["decisions"] == [0, 1, 2, 3, 4])
        assert one.global_n() == len(rows)
