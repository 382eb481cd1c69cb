"""The one place that reaches into Faust and aiokafka: where reading begins, and commits bound to a generation.

Pinned by tests/test_stream_driver.py, which says what moved when a new version moves it. Reached into are
`Consumer.perform_seek` (Faust calls it after every rebalance that left us something, and nothing else sets positions
after it), `App.on_rebalance_complete` (sent also when it left us nothing),
`Consumer._new_consumer_thread`, `AIOKafkaConsumerThread._create_worker_consumer`, `ConsumerThread.thread_loop`,
`AIOKafkaConsumer._coordinator`, `_fetch_max_wait_ms` and `_isolation_level`, `GroupCoordinator._send_req`,
`request_rejoin`, `generation`, `member_id`, `AIOKafkaConsumerThread._fetch_records` and `_seek_wait`,
`SubscriptionState.subscription`, `TableManager.on_start` and `_update_channels`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import faust
from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as faust_driver
from faust.types import TP

from stream.errors import LeaseLostError

Place = tuple[str, int]
"""Topic and partition."""
FETCH_WAIT_MS: Final = 25  # a partition whose rows were just taken is asked for only when the fetch under way returns
_FENCED: Final = frozenset({22, 25, 27})  # illegal generation, unknown member, rebalance in progress
_ENDS_S: Final = 0.5
_AGENTS_S: Final = 0.01
_COMMIT_TRIES: Final = 50
_COMMIT_PAUSE_S: Final = 0.1


class Group:
    """This worker's membership in its group, as long as its consumer lives."""

    def __init__(self, app: faust.App, consumer: Any) -> None:
        self._app, self._consumer = app, consumer

    @property
    def generation(self) -> int:
        """Of the present assignment; another one after each rebalance."""
        return int(self._app.consumer_generation_id)

    @property
    def member(self) -> str:
        """This worker's name in the group."""
        return str(self._kafka._coordinator.member_id)  # noqa: SLF001 - this module is where we reach in

    def assigned(self) -> set[Place]:
        """What is ours at present."""
        return {(tp.topic, tp.partition) for tp in self._consumer.assignment()}

    async def committed(self, places: Iterable[Place]) -> dict[Place, int]:
        """Offsets this group has committed; those it has not are left out."""
        wanted = [TopicPartition(*place) for place in places]
        if not wanted:
            return {}
        found = await self._in_thread(self._kafka._coordinator.fetch_committed_offsets, wanted)  # noqa: SLF001
        return {(tp.topic, tp.partition): meta.offset for tp, meta in found.items() if meta and meta.offset >= 0}

    async def bounds(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """Earliest and next offset of each partition's log."""
        wanted = [TopicPartition(*place) for place in places]
        if not wanted:
            return {}
        first = await self._in_thread(self._kafka.beginning_offsets, wanted)
        last = await self._in_thread(self._kafka.end_offsets, wanted)
        return {(tp.topic, tp.partition): (first[tp], last[tp]) for tp in wanted}

    async def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """Next offset of partitions that may be others'; of none while the broker does not say."""
        wanted = [TopicPartition(*place) for place in places]
        try:
            async with asyncio.timeout(_ENDS_S):
                found = await self._in_thread(self._kafka.end_offsets, wanted)
        except (kafka_errors.KafkaError, TimeoutError):
            return {}
        return {(tp.topic, tp.partition): int(end) for tp, end in found.items()}

    def end(self, place: Place) -> int | None:
        """Next offset of a partition of ours, as of the last fetch; None before that."""
        found = self._kafka.highwater(TopicPartition(*place)) if place in self.assigned() else None
        return int(found) if found is not None and found >= 0 else None

    async def seek(self, positions: Mapping[Place, int]) -> None:
        """Read on from here; what Faust has read before is forgotten."""
        if positions:
            await self._consumer.seek_wait({TP(*place): offset for place, offset in positions.items()})

    async def rejoin(self) -> None:
        """Join anew. Where we lead the group its partitions are dealt anew, where not nothing changes."""

        async def ask() -> None:
            self._kafka._coordinator.request_rejoin()  # noqa: SLF001

        await self._in_thread(ask)

    async def commit(self, generation: int, member: str, offsets: Mapping[Place, int]) -> None:
        """Commit in the name of one generation.

        Raises:
            LeaseLostError: the group is past that generation, or its coordinator did not answer in time.
        """
        by_topic: dict[str, list[tuple[int, int, str]]] = {}
        for (topic, partition), offset in offsets.items():
            by_topic.setdefault(topic, []).append((partition, offset, ""))
        request = OffsetCommitRequest(self._app.conf.id, generation, member, -1, list(by_topic.items()))
        for _ in range(_COMMIT_TRIES):
            try:
                codes = await self._in_thread(self._commit_once, request)
            except kafka_errors.KafkaError as error:
                if not error.retriable:
                    raise
            else:
                if not codes:
                    return
                if codes & _FENCED:
                    raise LeaseLostError(f"generation {generation} is over (codes {sorted(codes)})")
            await asyncio.sleep(_COMMIT_PAUSE_S)
        raise LeaseLostError("the group coordinator did not take a commit in time")

    async def _commit_once(self, request: OffsetCommitRequest) -> set[int]:
        coordinator = self._kafka._coordinator  # noqa: SLF001
        await coordinator.ensure_coordinator_known()
        response = await coordinator._send_req(request)  # noqa: SLF001
        return {code for _, partitions in response.topics for _, code in partitions} - {0}

    @property
    def _kafka(self) -> Any:
        return self._consumer._thread._ensure_consumer()  # noqa: SLF001

    async def _in_thread(self, call: Callable[..., Awaitable[Any]], *args: object) -> Any:
        # Not through Faust's method queue, where a fetch that waits for rows would hold it up.
        future = asyncio.run_coroutine_threadsafe(_run(call, *args), self._consumer._thread.thread_loop)  # noqa: SLF001
        return await asyncio.wrap_future(future)


class Thread(faust_driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Reads, and says of each record which offset it `follows`: what lies between holds nothing that could be read.

    A position moves on by reading, or we put it somewhere; a rebalance begins a new state, of which nothing is known.
    Offsets without records are transaction markers, what was aborted, and what retention took meanwhile.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - what was aborted was not decided
        self.read_to: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # by state of an assigned partition
        return consumer

    async def _fetch_records(self, consumer: Any, active_partitions: Any, **limits: Any) -> Any:
        records = await super()._fetch_records(consumer, active_partitions, **limits)
        for tp, found in records.items():
            state = _state(consumer, tp)
            read_to = self.read_to.get(state) if state is not None else None
            for record in found:
                record.follows = record.offset if read_to is None else min(read_to, record.offset)
                read_to = record.offset + 1
            if state is not None and read_to is not None:
                self.read_to[state] = read_to
        return records

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        for tp, offset in partitions.items():
            if (state := _state(consumer, tp)) is not None:
                self.read_to[state] = offset
        await super()._seek_wait(consumer, partitions)


class NoTables(TableManager):  # type: ignore[misc]
    """Joins the group as soon as the agents read their topics; Faust gives tables, of which we have none, a second."""

    async def on_start(self) -> None:
        """Wait for the agents: a topic that is subscribed to later waits 45 s."""
        wanted = {name for agent in self.app.agents.values() for name in agent.channel.topics}
        while not self.should_stop and not wanted <= self._read():  # noqa: ASYNC110 - no event
            await asyncio.sleep(_AGENTS_S)
        await self._update_channels()
        await self.recovery.start()

    def _read(self) -> set[str]:
        return {name for topic in self.app.topics for name in topic.topics}


def _state(consumer: Any, tp: Any) -> Any:
    """Position and state of a partition as long as it is assigned; another object after each rebalance."""
    subscription = consumer._subscription.subscription  # noqa: SLF001
    assignment = subscription.assignment if subscription else None
    return assignment.state_value(tp) if assignment else None


async def _run(call: Callable[..., Awaitable[Any]], *args: object) -> Any:
    return await call(*args)


def install(app: faust.App, on_assigned: Callable[[Group], Awaitable[Mapping[Place, int]]]) -> None:
    """Have `on_assigned` say after every rebalance where reading begins, for every partition it names."""

    async def on_complete(_: faust.App, **__: object) -> None:
        if not app.consumer.assignment():  # Faust seeks nothing for who got nothing, and who had something must know
            await on_assigned(Group(app, app.consumer))

    app.on_rebalance_complete.connect(on_complete)

    class Consumer(faust_driver.Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

        def _to_message(self, tp: TP, record: Any) -> Any:
            message = super()._to_message(tp, record)
            message.follows = getattr(record, "follows", None)
            return message

        async def perform_seek(self) -> None:
            group = Group(app, self)
            await group.seek(await on_assigned(group))

    class Transport(faust_driver.Transport):  # type: ignore[misc]
        pass

    Transport.Consumer = Consumer
    app.transport = Transport(app.conf.broker_consumer, app)
