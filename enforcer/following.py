"""Follows `actions` from the beginning, and lets who must know all that was decided wait until that is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition

from enforcer import broker
from enforcer.projector import Projector, Record
from enforcer.publisher import Publisher
from schemas.dead_letter import Origin
from schemas.errors import BadMessageError

BATCH_MAX: Final = 500


class Following:
    """How far `partitions` are read. `follower`, which is assigned to them, is nobody else's."""

    def __init__(
        self, follower: Any, partitions: list[TopicPartition], projector: Projector, publisher: Publisher
    ) -> None:
        self._follower = follower
        self._partitions = partitions
        self._projector = projector
        self._publisher = publisher
        self._followed: dict[TopicPartition, int] = {}  # next offset to fold
        self._progress = asyncio.Condition()

    async def run(self, caught_up: Callable[[dict[int, int]], None], stopping: Callable[[], bool]) -> None:
        """Fold what comes, until `stopping`; `caught_up` with the ends there were, once these are reached."""
        ends = await self.ends()
        begun = False
        while not stopping():
            if not begun and self._reached(ends):
                begun = True
                caught_up({tp.partition: end for tp, end in ends.items()})
            batches = await self._follower.getmany(timeout_ms=200 if begun else 20, max_records=BATCH_MAX)
            for tp, messages in batches.items():
                for message in messages:
                    await self._fold(tp, message)
            async with self._progress:
                self._followed = {tp: await self._follower.position(tp) for tp in self._partitions}
                self._progress.notify_all()

    async def ends(self) -> dict[TopicPartition, int]:
        """Where each partition ends now, once the broker says it."""
        found: dict[TopicPartition, int] = await broker.retried(lambda: self._follower.end_offsets(self._partitions))
        return found

    async def until(self, ends: Mapping[TopicPartition, int]) -> None:
        """Return once everything before `ends` is folded."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._reached(ends))

    async def _fold(self, tp: TopicPartition, message: Any) -> None:
        record = Record(message.key, message.value, tp.partition, message.offset)
        try:
            answers = self._projector.fold(record)
        except BadMessageError as error:
            await self._publisher.bury(message.value, error, Origin(tp.topic, tp.partition, message.offset))
        else:
            await self._publisher.actions(answers)

    def _reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        return all(self._followed.get(tp, -1) >= end for tp, end in ends.items())
