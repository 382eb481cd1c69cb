"""The broker out of a wheel: what is not as on a Kafka unless it is started as we start it."""

from __future__ import annotations

import threading
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from floodwarden.embedded import broker, why_no_broker

pytestmark = pytest.mark.integration
PRODUCERS = 8
EACH = 8_000
READERS = 4
PAUSE_S = 0.0003  # after each message: they go out one by one, and meet


def produce(address: str) -> None:
    producer = Producer({"bootstrap.servers": address, "linger.ms": 1, "enable.idempotence": True, "log_level": 0})
    for _ in range(EACH):
        producer.produce("met", b"one", partition=0)
        producer.poll(0)
        time.sleep(PAUSE_S)
    producer.flush(30)


class Reader(threading.Thread):
    """Reads all of it as it comes; `skipped`: before and behind what it came past. `due`: how far it came."""

    def __init__(self, address: str) -> None:
        super().__init__()
        options = {"group.id": "none", "enable.auto.commit": False, "fetch.wait.max.ms": 1, "log_level": 0}
        self._consumer = Consumer({"bootstrap.servers": address, **options})
        self._consumer.assign([TopicPartition("met", 0, 0)])
        self.skipped: list[tuple[int, int]] = []
        self.due = 0

    def run(self) -> None:
        ends_s = time.monotonic() + 120
        while self.due < PRODUCERS * EACH and time.monotonic() < ends_s:
            for message in self._consumer.consume(1000, 0.05):
                if message.error() is None:
                    self.skipped += [(self.due, message.offset())] if message.offset() != self.due else []
                    self.due = message.offset() + 1
        self._consumer.close()


@pytest.mark.flaky(reruns=0)
def test_who_reads_while_several_append_comes_past_every_message() -> None:
    if reason := why_no_broker():
        pytest.skip(reason)
    with broker() as address:
        admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
        for future in admin.create_topics([NewTopic("met", 1, 1)]).values():
            future.result(20)
        threads = [threading.Thread(target=produce, args=(address,)) for _ in range(PRODUCERS)]
        readers = [Reader(address) for _ in range(READERS)]
        for thread in (*threads, *readers):
            thread.start()
        for thread in (*threads, *readers):
            thread.join()
    assert [(reader.due, reader.skipped) for reader in readers] == [(PRODUCERS * EACH, [])] * READERS
