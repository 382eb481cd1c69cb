"""Messages to Kafka, all acknowledged before the call returns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaProducer

from schemas import topics

Headers = list[tuple[str, bytes]]
_REQUEST_TIMEOUT_MS: Final = 15_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to write; without `partition` its key decides."""

    topic: str
    value: bytes
    key: bytes | None = None
    partition: int | None = None
    headers: Headers = field(default_factory=list)


class Sender:
    """A producer. What it cannot write is fatal: the process ends, and its successor redoes the block.

    Not an idempotent one, which the embedded broker does not know: a message that a retry wrote twice is a repeated
    block, which detect drops, or an alert whose uid is known. Order holds: one request a partition is under way.
    """

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            acks="all",
            linger_ms=0,
            max_request_size=topics.USAGE_BYTES_MAX,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and close."""
        await self._producer.stop()

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        return len(await self._producer.partitions_for(topic))

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Write all; returns when each is acknowledged, raises `KafkaError` when one cannot be."""
        waits = [
            await self._producer.send(m.topic, m.value, key=m.key, partition=m.partition, headers=m.headers)
            for m in messages
        ]
        if waits:
            await asyncio.gather(*waits)
