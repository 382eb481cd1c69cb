"""Clients of Kafka that wait for it, however long it takes to be there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from enforcer.leadership import Leadership
from enforcer.projector import backoff_s
from schemas.settings import Settings

SESSION_MS: Final = 6_000
# The embedded broker looks for new records only now and then within this wait: a short one is a short way to enforce.
FETCH_WAIT_MS: Final = 20
log = structlog.get_logger("enforcer.broker")


class Rebalanced(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped here
    """Tells when partitions were assigned, and what that makes of who leads."""

    def __init__(self, told: Callable[[], None], leadership: Leadership) -> None:
        self._told = told
        self._leadership = leadership

    def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002 - the driver's interface
        """Nothing is held back for a partition: what is not committed is answered by the next owner."""
        self._leadership.revoked()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Says so."""
        self._leadership.assigned(place.partition for place in assigned)
        self._told()


def consumer(settings: Settings, group: str | None) -> AIOKafkaConsumer:
    """A consumer, of `group` or of none, that commits only when told."""
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.split(","),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=SESSION_MS // 6,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )


def producer(settings: Settings) -> AIOKafkaProducer:
    """A producer that keeps the order."""
    # Not idempotent: the driver has one request a partition in flight, so a retry keeps the order, and a record written
    # twice has one effect by its uid. The embedded broker refuses this driver's request for a producer id.
    return AIOKafkaProducer(bootstrap_servers=settings.kafka.split(","), acks="all", linger_ms=0)


async def started(stack: AsyncExitStack, make: Callable[[], Any]) -> Any:
    """A started client, however long the broker takes to be there; stopped with the stack."""
    failures = 0
    while True:
        client = make()
        try:
            await client.start()
        except KafkaError as error:
            await client.stop()
            failures += 1
            log.warning("broker_away", error=repr(error), failures=failures)
            await asyncio.sleep(backoff_s(failures))
        else:
            stack.push_async_callback(client.stop)
            return client


async def retried(ask: Callable[[], Awaitable[Any]]) -> Any:
    """What `ask` gives, however long the broker takes to be there."""
    failures = 0
    while True:
        try:
            return await ask()
        except KafkaError as error:
            failures += 1
            log.warning("broker_away", error=repr(error), failures=failures)
            await asyncio.sleep(backoff_s(failures))


async def partitions(producer: Any, name: str) -> list[TopicPartition]:
    """A topic's partitions, in order. A producer looks them up; a consumer only knows those of topics it reads."""
    found = await retried(lambda: producer.partitions_for(name))
    return [TopicPartition(name, number) for number in sorted(found)]


async def committed(alerts: Any) -> bool:
    """Commit what was read; where that fails it is read again. True: the broker took it, from a member of the group."""
    try:
        await alerts.commit()
    except CommitFailedError:
        log.warning("commit_lost", reason="partitions went to another enforcer, which answers these alerts again")
    except KafkaError as error:
        log.warning("broker_away", error=repr(error))
    else:
        return True
    return False
