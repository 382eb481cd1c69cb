"""Two regions, a Redis each, one Kafka: the same in force in both, one leader, and a brownout that outlives it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from confluent_kafka import Producer
from enforcer_world import World, alert, eventually, local_redis, now_ms

from floodwarden.embedded import free_port
from schemas import codec, topics
from schemas.action import ActionStatus
from schemas.usage import COUNTS, FLOWS, Block, Kind

pytestmark = pytest.mark.integration
QUICK = """
version: 1
enter: { errors: 0.3 }
leave: { errors: 0.1 }
window_seconds: 2
enter_seconds: 1
dwell_seconds: 2
calm_seconds: 5
quarter_seconds: 1
seconds_max: 600
level_max: 2
"""


class Upstream:
    """A site that answers 200 requests a second, told of in `usage`; `failing` of them with 5xx."""

    def __init__(self, world: World) -> None:
        self._topic = world.settings.topic(topics.USAGE)
        self._producer = Producer({"bootstrap.servers": world.settings.kafka, "linger.ms": 0})
        self.failing = 0
        self._offset = 0

    def tell(self) -> None:
        """A tenth of a second."""
        row = {"kind": int(Kind.GLOBAL), "hash": 1, "entity": "*", "pane_s": now_ms() // 1000, "n": 20, "allowed": 20,
               "server_error": self.failing // 10, "latency_ms_sum": 400.0, "latency_n": 20}  # fmt: skip
        filled = {name: row.get(name, 0) for name in COUNTS.names}
        counts = pa.RecordBatch.from_pylist([filled], COUNTS)
        block = Block(0, self._offset, self._offset + 1, now_ms(), counts, pa.RecordBatch.from_pylist([], FLOWS))
        self._offset += 1
        self._producer.produce(self._topic, codec.encode_block(block), partition=0)
        self._producer.poll(0)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """All the while."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(0.1):
                self.tell()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def leads(world: World) -> bool:
    try:
        text = world.get("/metrics").text
    except httpx.TransportError:
        return False
    return bool(re.search(r"^floodwarden_enforcer_leads 1\.0$", text, re.MULTILINE))


def plain(world: World) -> dict[str, Any]:
    """What is in force; places in the feed are each Redis's own."""
    return {uid: {**action, "version": 0} for uid, action in world.held().items()}


def brownouts(world: World) -> list[dict[str, Any]]:
    return [action for action in world.held().values() if action["kind"] == "brownout"]


def test_two_regions_agree_one_leads_and_when_it_is_killed_the_other_goes_on(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    rules = tmp_path / "brownout.yaml"
    rules.write_text(QUICK)
    ports = free_port(), free_port()
    with local_redis(ports[0], tmp_path) as east, local_redis(ports[1], tmp_path) as west:
        one, two = (
            World(broker, url, topic_prefix, port=free_port(), node=name, brownout=str(rules))
            for url, name in ((east, "east"), (west, "west"))
        )
        site = Upstream(one)
        with one.enforcer() as first, two.enforcer() as second, site.telling():
            one.send(*(alert(f"198.51.100.{n}") for n in range(20)))
            eventually(lambda: len(one.held()) == 20 and plain(one) == plain(two), 60)
            leader, other, process = eventually(
                lambda: (one, two, first) if leads(one) else (two, one, second) if leads(two) else None, 60
            )
            assert not leads(other)

            site.failing = 120
            eventually(lambda: brownouts(one) and brownouts(two), 60)
            begun_ms = brownouts(other)[0]["crossed_ms"]
            process.kill()
            process.wait(10)
            eventually(lambda: leads(other), 60)
            eventually(lambda: any(action["level"] >= 2 for action in brownouts(other)), 60)
            assert {action["crossed_ms"] for action in brownouts(other)} == {begun_ms}

            site.failing = 0
            eventually(lambda: not brownouts(other), 100)
        told = [action for action in other.actions() if action.kind == "brownout"]
        assert {action.owner for action in told} == {"auto"}
        ended = {action.uid for action in told if action.status is not ActionStatus.ACTIVE}
        assert {action.uid for action in told} == ended
        assert leader is not other
