"""A stream worker as its own process, and what a test sends to it and reads from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from servers import ROOT

from floodwarden.embedded import free_port
from floodwarden.topics import ensure_topics
from schemas import codec, topics
from schemas.alert import Alert
from schemas.decision import Decision
from schemas.settings import Settings

DEADLINE_S = 60


@dataclass
class Worker:
    """A program's `run` in a process of its own; `kill` is SIGKILL."""

    settings: Settings
    directory: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    program: str = "stream.app"

    def start(self) -> None:
        self.starts += 1
        names = ("kafka", "topic_prefix", "data_dir", "port", "decisions_partitions", "usage_partitions", "lateness_ms")
        given = {f"FLOODWARDEN_{n.upper()}": str(getattr(self.settings, n)) for n in (*names, "node", "session_s")}
        code = f"from schemas.settings import load; from {self.program} import run; run(load())"
        with (self.directory / f"worker-{self.settings.port}-{self.starts}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, **given, **self.environment},
            )

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(15)

    def get(self, path: str) -> Any:
        return json.loads(self.text(path))

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.settings.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def answers(self, path: str, good: Callable[[Any], bool], within_s: float = DEADLINE_S) -> Any:
        """The answer once it is good; fails with the worker's log when it does not become so."""
        deadline, last = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            try:
                last = self.get(path)
                if good(last):
                    return last
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                last = error
            if self.process and self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{path}: {last!r}\n{self.log()}")

    def ready(self) -> None:
        self.answers("/readyz", lambda r: len(r["usage"]) == self.settings.usage_partitions)

    def global_n(self) -> int:
        return int(self.get("/v1/totals")["kinds"]["global"]["n"])

    def log(self) -> str:
        name = f"worker-{self.settings.port}-{self.starts}.log"
        return (self.directory / name).read_text("utf-8", "replace")[-6000:]


def make_settings(broker: str, prefix: str, directory: Path, **more: Any) -> Settings:
    settings = Settings(kafka=broker, topic_prefix=prefix, data_dir=directory, port=free_port(), **more)
    ensure_topics(settings)
    return settings


@contextmanager
def worker(settings: Settings, directory: Path, *, whole: bool = True) -> Iterator[Worker]:
    """A worker that is ready; with all usage partitions, where it is to have the `whole`."""
    one = Worker(settings, directory)
    one.start()
    try:
        if whole:
            one.ready()
        else:
            one.answers("/readyz", bool)
        yield one
    finally:
        if one.process and one.process.poll() is None:
            one.kill()


def batch(rows: list[Decision]) -> bytes:
    return codec.encode(codec.from_rows(rows))


def send(settings: Settings, values: list[bytes], content_type: str | None = topics.ARROW) -> None:
    """Write messages round-robin and wait until they are there."""
    producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 0})
    failed: list[Any] = []
    headers = [(topics.CONTENT_TYPE, content_type.encode())] if content_type else []
    for i, value in enumerate(values):
        producer.produce(
            settings.topic(topics.DECISIONS),
            value,
            partition=i % settings.decisions_partitions,
            headers=headers,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failed


@contextmanager
def reading(settings: Settings, topic: topics.Topic) -> Iterator[Consumer]:
    """A consumer of a whole topic from its beginning, in no group."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
    )
    name = settings.topic(topic)
    partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
    consumer.assign([TopicPartition(name, p, 0) for p in partitions])
    try:
        yield consumer
    finally:
        consumer.close()


def next_alert(consumer: Consumer, good: Callable[[Alert], bool], within_s: float = 20) -> Alert:
    deadline = time.monotonic() + within_s
    seen: list[str] = []
    while time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        alert = Alert.model_validate_json(message.value())
        if good(alert):
            return alert
        seen.append(alert.summary)
    raise AssertionError(f"no such alert; seen {seen[-5:]}")
