"""Writes actions and dead letters to Kafka, and does not return before the broker has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from enforcer import metrics, records
from enforcer.projector import backoff_s
from schemas import dead_letter, topics
from schemas.action import Action
from schemas.dead_letter import Origin
from schemas.errors import BadMessageError
from schemas.settings import Settings

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Message:
    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


class Publisher:
    """A producer that tries for as long as it takes. Sending again is harmless: an action's uid makes it one."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, partitions: int) -> None:
        self._producer: Any = producer
        self._actions = settings.topic(topics.ACTIONS)
        self._dead_letter = settings.topic(topics.DEAD_LETTER)
        self._partitions = partitions

    async def actions(self, actions: Sequence[Action]) -> None:
        """Write `actions`, in order, each to the partition of its target."""
        await self._send([self._message(action, records.encode(action)) for action in actions])

    async def forget(self, actions: Sequence[Action]) -> None:
        """Write tombstones."""
        await self._send([self._message(action, None) for action in actions])

    async def bury(self, value: bytes | None, error: BadMessageError, origin: Origin) -> None:
        """Write what nobody could take to `dead-letter`, with why and from where."""
        metrics.DEAD_LETTERS.labels(origin.topic, error.code).inc()
        _log.warning("dead_letter", topic=origin.topic, offset=origin.offset, code=error.code, reason=str(error))
        value, headers = dead_letter.letter(value or b"", error, origin, topics.JSON)
        await self._send([_Message(self._dead_letter, None, value, None, headers)])

    def _message(self, action: Action, value: bytes | None) -> _Message:
        where = records.partition(action.target, self._partitions)
        return _Message(self._actions, records.key(action), value, where)

    async def _send(self, messages: Sequence[_Message]) -> None:
        failures = 0
        while messages:
            try:
                # From the first that failed on: a later one of the same action must not come before it.
                messages = messages[await self._send_once(messages) :]
            except KafkaError as error:
                failures += 1
                metrics.KAFKA_ERRORS.inc()
                _log.warning("broker_away", error=repr(error), unsent=len(messages), failures=failures)
                await asyncio.sleep(backoff_s(failures))

    async def _send_once(self, messages: Sequence[_Message]) -> int:
        sent = [
            await self._producer.send(m.topic, m.value, key=m.key, partition=m.partition, headers=m.headers)
            for m in messages
        ]
        results = await asyncio.gather(*sent, return_exceptions=True)
        for index, result in enumerate(results):
            if isinstance(result, KafkaError):
                metrics.KAFKA_ERRORS.inc()
                return index
            if isinstance(result, BaseException):
                raise result
        return len(messages)
