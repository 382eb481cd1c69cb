"""Simulated traffic on its way: paced, to limiters over HTTP and to Kafka; the limiters are real, Kafka is kept out."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import uvicorn
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic
from limiter_world import Enforcer, action, eventually, settings

from floodwarden.embedded import free_port
from floodwarden.errors import CommandError, UnreachableError
from floodwarden.simulate.config import Attack, SimulationConfig, SimulationError, recurring
from floodwarden.simulate.generate import simulate
from floodwarden.simulate.going_on import GoingOn
from floodwarden.simulate.pace import Pace, announced
from floodwarden.simulate.sinks import write
from limiter.http import create_app
from limiter.service import Service
from schemas import codec, topics
from schemas.decision import Decision

FEW = SimulationConfig(duration_s=60, clients=50, attacks=(Attack("brute_force", "strong", 1.0, 10.0),))


@asynccontextmanager
async def limiter(redis_url: str) -> AsyncIterator[tuple[str, list[Decision]]]:
    """A limiter on a port of its own, and the rows it would have published."""
    async with Service(settings(redis_url)) as service:
        kept: list[Decision] = []
        service.publisher.offer = lambda row: kept.append(row) or True  # type: ignore[method-assign,func-returns-value]
        port = free_port()
        config = uvicorn.Config(create_app(service, owns=False), host="127.0.0.1", port=port, log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{port}", kept
        finally:
            server.should_exit = True
            await task


@pytest.mark.integration
async def test_what_the_site_decided_reaches_the_limiters_row_for_row(redis_url: str) -> None:
    async with limiter(redis_url) as (one, first), limiter(redis_url) as (two, second):
        total = await asyncio.to_thread(write, FEW, f"{one},{two}")
        assert total == len(first) + len(second) > 100
        assert abs(len(first) - len(second)) < 3
        sent = Counter((r.ts_ms, r.ip, r.path, r.verdict, r.status) for b, _ in simulate(FEW) for r in codec.to_rows(b))
        assert Counter((r.ts_ms, r.ip, r.path, r.verdict, r.status) for r in first + second) == sent


@pytest.mark.integration
async def test_limiters_that_are_asked_decide_and_a_denied_attacker_is_refused(redis_url: str) -> None:
    enforcer = Enforcer(redis_url)
    enforcer.create(1, action("deny", "ip:203.0.113.1"))
    async with limiter(redis_url) as (one, kept):
        total = await asyncio.to_thread(write, FEW, one, ask=True)
        assert total == len(kept)
        attacker = [row for row in kept if row.ip == "203.0.113.1"]
        assert len(attacker) > 50
        assert {(row.verdict, row.status, row.node) for row in attacker} == {("deny", 403, "n1")}
        others = [row for row in kept if row.ip != "203.0.113.1"]
        assert {200} < {row.status for row in others}
        assert {row.verdict for row in others} <= {"allow", "limit"}


@pytest.mark.integration
async def test_a_limiter_that_is_away_is_passed_over(redis_url: str) -> None:
    async with limiter(redis_url) as (one, kept):
        total = await asyncio.to_thread(write, FEW, f"http://127.0.0.1:{free_port()},{one}")
        assert total == len(kept)


def test_where_no_limiter_answers_is_named_at_once() -> None:
    with pytest.raises(UnreachableError, match="is it a limiter"):
        write(FEW, f"http://127.0.0.1:{free_port()}")


def test_only_limiters_can_be_asked() -> None:
    with pytest.raises(CommandError, match="http://"):
        write(FEW, "kafka://127.0.0.1:1", ask=True)


@pytest.mark.integration
def test_kafka_gets_every_decision(broker: str, topic_prefix: str) -> None:
    topic = topic_prefix + "decisions"
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    total = write(FEW, f"kafka://{broker}/{topic}", pace=Pace(speed=60, live=True))
    consumer = Consumer({"bootstrap.servers": broker, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    rows, deadline = 0, time.monotonic() + 30
    while rows < total and time.monotonic() < deadline:
        for message in consumer.consume(500, 0.2):
            assert message.error() is None
            headers = {name: value.decode() for name, value in message.headers()}
            rows += codec.decode(message.value(), headers[topics.CONTENT_TYPE]).num_rows
    consumer.close()
    assert rows == total


class Clock:
    """A stop that is asked for by waiting: time passes as it is waited for."""

    def __init__(self, stop_at_ms: int = 1 << 60) -> None:
        self.now_ms, self.stop_at_ms = 5_000_000_000_000, 5_000_000_000_000 + stop_at_ms
        self.event = threading.Event()

    def wait(self, seconds: float) -> bool:
        self.now_ms += round(seconds * 1000)
        return self.is_set()

    def is_set(self) -> bool:
        return self.now_ms >= self.stop_at_ms

    def pace(self, speed: float) -> Pace:
        return Pace(speed, live=True, stop=self, clock_ms=lambda: self.now_ms)  # type: ignore[arg-type]


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_a_row_leaves_when_it_is_due_and_none_waits_for_others(speed: float) -> None:
    clock = Clock()
    begun_ms, rows = clock.now_ms, 0
    for part in clock.pace(speed).keep(simulate(FEW), FEW.start_ms):
        at_ms = part.batch.column("ts_ms").to_numpy() - begun_ms
        now_ms = (clock.now_ms - begun_ms) * speed
        assert abs(now_ms - at_ms[-1]) <= speed + 1
        assert now_ms - at_ms[0] <= 100 * speed + speed + 1
        rows += part.batch.num_rows
    assert rows == sum(batch.num_rows for batch, _ in simulate(FEW))


def test_told_to_stop_it_hands_out_no_more() -> None:
    clock = Clock(stop_at_ms=20_000)
    last_ms = [part.batch.column("ts_ms")[-1].as_py() for part in clock.pace(1).keep(simulate(FEW), FEW.start_ms)][-1]
    assert 15_000 < last_ms - (clock.stop_at_ms - 20_000) <= 20_000


def test_an_attack_is_announced_once_with_its_address() -> None:
    told: list[str] = []
    parts = list(announced(Pace().keep(simulate(FEW), FEW.start_ms), told.append))
    assert told == ["attack/brute_force/strong/1 begins, first from 203.0.113.1"]
    assert sum(len(labels) for _, labels in parts) == sum(len(labels) for _, labels in simulate(FEW))


def test_an_attack_comes_again_and_again() -> None:
    starts = [a.start_s for a in recurring([Attack("hammer", "strong", 20.0), Attack("probing")], 600, 1800)]
    assert starts == [0.0, 20.0, 600.0, 620.0, 1200.0, 1220.0]
    with pytest.raises(SimulationError):
        recurring([Attack("hammer")], 0, 1800)


def test_without_limits_nobody_is_refused_and_the_upstream_is_heard() -> None:
    attacks = (Attack("hammer", "strong", 1.0), Attack("brute_force", "strong", 1.0))
    limited, free = (
        np.concatenate([batch.column("status").to_numpy() for batch, _ in simulate(config)])
        for config in (SimulationConfig(duration_s=90, attacks=attacks, limits=limits) for limits in (True, False))
    )
    assert 429 in limited
    assert 429 not in free
    assert len(limited) == len(free)


@pytest.mark.integration
async def test_sigterm_ends_the_command_in_good_order(redis_url: str) -> None:
    async with limiter(redis_url) as (one, kept):
        arguments = ["simulate", "--to", one, "--ask", "--now", "--speed", "1", "--rate", "50", "--attack", "hammer@0"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "floodwarden", *arguments, stderr=subprocess.PIPE, env=dict(os.environ)
        )
        try:
            await eventually(lambda: len(kept) >= 20, 60)
            process.send_signal(signal.SIGTERM)
            asked_s = time.monotonic()
            _, told = await asyncio.wait_for(process.communicate(), 20)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0
        assert time.monotonic() - asked_s < 5
        assert b"attack/hammer/medium/1 begins" in told
        assert f"{len(kept):,} decisions" in told.decode()


def test_who_sees_no_bar_hears_how_far_it_is_every_half_minute() -> None:
    said: list[str] = []
    now_s = 100.0
    told = GoingOn(said.append, lambda: now_s, 3600.0)
    told.begin("http://127.0.0.1:8080")
    for _ in range(70):
        now_s += 1
        told.heard(8)
    assert said == [
        "traffic to http://127.0.0.1:8080 for 1 h; Ctrl-C ends it",
        "240 decisions, 30 s of 1 h",
        "480 decisions, 1 min of 1 h",
    ]


def test_rows_of_now_are_of_now() -> None:
    clock: Any = Clock()
    first = next(clock.pace(1).keep(simulate(FEW), FEW.start_ms))
    assert 0 <= first.batch.column("ts_ms")[0].as_py() - 5_000_000_000_000 < 60_000
