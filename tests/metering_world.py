"""Meters as processes, and what a test waits for."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from stream_worker import Worker, reading

from floodwarden.embedded import free_port
from schemas import topics
from schemas.settings import Settings


@contextmanager
def meter(settings: Settings, directory: Path) -> Iterator[Worker]:
    """A meter with partitions dealt out to it, in the store beside the stream worker's snapshots."""
    one = Worker(
        settings.model_copy(update={"port": free_port(), "node": ""}), directory, program="stream.metering.app"
    )
    one.start()
    try:
        one.answers("/readyz", bool)
        yield one
    finally:
        if one.process and one.process.poll() is None:
            one.process.send_signal(signal.SIGCONT)
            one.kill()


def ends(consumer: Consumer, settings: Settings) -> dict[str, int]:
    name = settings.topic(topics.USAGE)
    places = [TopicPartition(name, p) for p in range(settings.usage_partitions)]
    return {str(p.partition): consumer.get_watermark_offsets(p, timeout=10)[1] for p in places}


def all_counted(settings: Settings, meters: list[Worker]) -> None:
    """Waits until each block of the usage topic has been counted by who holds its partition now."""
    with reading(settings, topics.USAGE) as consumer:
        wanted = ends(consumer, settings)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        held: dict[str, int] = {}
        for one in meters:
            held |= one.answers("/readyz", bool)["usage_offsets"]
        if held == wanted:
            return
        time.sleep(0.1)
    raise AssertionError((held, wanted, [one.log() for one in meters]))
