"""Follows the topic `history`, from its beginning, and keeps in memory what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from enforcer import broker, metrics
from enforcer.history import History
from enforcer.publisher import Publisher
from schemas.dead_letter import Origin
from schemas.errors import BadMessageError
from schemas.settings import Settings

READ_WITHIN_S: Final = 10.0
_BATCH_MAX: Final = 64  # slices of up to 410 kB
_log = structlog.get_logger()


class HistoryReader:
    """Folds what the stream tells into `known`; `read` is set once it has been read to the end it had."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.known = History(settings.history_seconds, settings.history_bytes_max, settings.usage_partitions)
        self.read = asyncio.Event()

    async def wait(self) -> None:
        """Until what is known is known here; not for ever: without it answers are milder, and say why."""
        try:
            await asyncio.wait_for(self.read.wait(), READ_WITHIN_S)
        except TimeoutError:
            _log.warning("history_not_read", within_s=READ_WITHIN_S)

    async def run(
        self, partitions: Sequence[TopicPartition], publisher: Publisher, stopping: Callable[[], bool]
    ) -> None:
        """Follow `partitions`, all of the topic, forever."""
        async with AsyncExitStack() as stack:
            consumer: Any = await broker.started(stack, lambda: broker.consumer(self._settings, None))
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            await self._follow(consumer, partitions, publisher, stopping)

    async def _follow(
        self, consumer: Any, partitions: Sequence[TopicPartition], publisher: Publisher, stopping: Callable[[], bool]
    ) -> None:
        ends = await broker.retried(lambda: consumer.end_offsets(partitions))
        while not stopping():
            if not self.read.is_set() and await self._reached(consumer, ends):
                _log.info("history", sights=len(self.known))
                self.read.set()
            batches = await consumer.getmany(timeout_ms=200, max_records=_BATCH_MAX)
            for place, messages in batches.items():
                for message in messages:
                    await self._fold(publisher, place, message)
            metrics.SIGHTS.set(len(self.known))
            metrics.SIGHTS_LEFT_OUT.set(self.known.left_out)

    async def _reached(self, consumer: Any, ends: dict[TopicPartition, int]) -> bool:
        return all([await consumer.position(place) >= end for place, end in ends.items()])

    async def _fold(self, publisher: Publisher, place: TopicPartition, message: Any) -> None:
        try:
            self.known.fold(message.key or b"", message.value or b"")
        except BadMessageError as error:
            await publisher.bury(message.value, error, Origin(place.topic, place.partition, message.offset))
