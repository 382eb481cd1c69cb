"""The enforcer's shell: alerts in, actions out, Redis kept what `actions` says, until a signal."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from redis.exceptions import RedisError

from enforcer import broker, brownout_file, http, metrics, records
from enforcer.acknowledgements import Measured, Watch
from enforcer.bouncers.admission import Admission
from enforcer.bouncers.lapi import Lapi
from enforcer.following import BATCH_MAX, Following
from enforcer.history_reader import HistoryReader
from enforcer.leadership import Leadership
from enforcer.ledger import Ledger
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from enforcer.playbook import Playbook
from enforcer.playbook_watch import PlaybookWatch
from enforcer.projector import Projector
from enforcer.publisher import Publisher
from enforcer.shedder import Shedder, also, opened, teller
from enforcer.store.access import Access
from enforcer.writer import Writer
from schemas import topics
from schemas.action import Action
from schemas.dead_letter import Origin
from schemas.errors import BadMessageError
from schemas.redis_client import connect_async
from schemas.settings import PORTS, Settings

PORT: Final = PORTS["enforcer"]
TICK_S: Final = 0.1
VERIFY_S: Final = 1.0
JUDGED_TOGETHER: Final = 50  # alerts; the loop serves nobody else while they are judged, for some milliseconds
LIFTED_TOGETHER: Final = 500  # of what a stop ends: the loop serves nobody else while they are made
REDIS_TIMEOUT_S: Final = 2.0
_log = structlog.get_logger()


def clock_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def run(settings: Settings, measured: Measured = lambda _: None, access: Access | None = None) -> None:
    """Enforce until SIGTERM or SIGINT; `access` has more keys of bouncers than settings.

    What was read but not answered by then is read again at the next start.
    """

    async def until_signal() -> None:
        stop = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(settings, stop, measured, access)

    asyncio.run(until_signal())


async def serve(
    settings: Settings, stop: asyncio.Event, measured: Measured = lambda _: None, access: Access | None = None
) -> None:
    """Enforce until `stop` is set. Waits for a broker and for the topics; Redis may come and go.

    Raises:
        SettingsError: a malformed allowlist or proxy list.
        FileError: a playbook that cannot be taken.
    """
    shell = _Shell(settings, PlanConfig.of(settings), measured, access)
    app = http.create_app(lambda: tuple(shell.watch.done), shell.why_not_ready, shell.lapi.routes())
    web = http.server(app, settings.host, settings.port or PORT)
    serving: asyncio.Task[Any] = asyncio.create_task(web.serve())
    enforcing: asyncio.Task[Any] = asyncio.create_task(shell.enforce())
    stopping: asyncio.Task[Any] = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({serving, enforcing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    web.should_exit = True
    shell.stop()
    for task in (enforcing, stopping):
        task.cancel()
    await asyncio.gather(serving, enforcing, stopping, return_exceptions=True)
    for task in done - {stopping}:
        task.result()  # neither ends by itself, unless with an error


class _Shell:
    """The loops and what they share. All run in one event loop, so nothing here is locked."""

    def __init__(self, settings: Settings, config: PlanConfig, measured: Measured, access: Access | None) -> None:
        self._settings = settings
        self._config = config
        self._history = HistoryReader(settings)
        self._planner = Planner(config, self._history.known)
        self._redis = connect_async(settings.redis, timeout_s=REDIS_TIMEOUT_S, connect_timeout_s=REDIS_TIMEOUT_S)
        self.lapi = Lapi(
            Admission.of(settings, access, clock_ms), clock_ms, scoped=settings.bouncer_scoped, allowed=config.allowed
        )
        self.watch = Watch(self._redis, settings.keys, clock_ms, measured)
        self._waiting_for = f"Kafka at {settings.kafka}"
        self._stopping = False
        self._projector: Projector | None = None
        self._rules = brownout_file.rules_of(settings)
        self._leadership = Leadership(time.monotonic)
        self._behind = True  # whether `actions` must be read to its end before the next alert is judged

    def why_not_ready(self) -> str:
        """What the enforcer still waits for; empty once alerts are being answered."""
        return f"waiting for {self._waiting_for}" if self._waiting_for else ""

    def stop(self) -> None:
        """Let every loop end at its next turn.

        Cancelling alone is not enough: on Python 3.11 `asyncio.wait_for`, under every call of the Redis client, loses
        a cancellation that comes as its own wait ends.
        """
        self._stopping = True
        if self._projector is not None:
            self._projector.stop()

    async def enforce(self) -> None:
        """Set up, then run every loop until cancelled or until one fails for good."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._redis.aclose)
            follower: Any = await broker.started(stack, lambda: broker.consumer(self._settings, None))
            producer: Any = await broker.started(stack, lambda: broker.producer(self._settings))
            partitions = await self._partitions(follower, producer)
            sights = await broker.partitions(producer, self._settings.topic(topics.HISTORY))
            alerts: Any = await broker.started(stack, lambda: broker.consumer(self._settings, self._group()))
            publisher = Publisher(self._settings, producer, len(partitions))
            ledger = Ledger(self._config.memory, len(partitions))
            writer = Writer(self._redis, self._settings.keys, clock_ms)
            projector = Projector(
                ledger,
                writer,
                self.watch,
                observe=lambda action, old: self._planner.observe(action, clock_ms(), replayed=old),
                changed=self.lapi.apply,
            )
            self._projector = projector
            follower.assign(partitions)
            await follower.seek_to_beginning(*partitions)
            following = Following(follower, partitions, projector, publisher)
            self._waiting_for = "the end of actions"
            async with asyncio.TaskGroup() as group:
                group.create_task(following.run(partial(self._caught_up, projector), lambda: self._stopping))
                group.create_task(projector.write())
                group.create_task(self._tick(projector, publisher))
                group.create_task(self.watch.run(lambda: self._stopping))
                group.create_task(self._history.run(sights, publisher, lambda: self._stopping))
                group.create_task(self._shed(projector, publisher))
                group.create_task(self._answer(alerts, following, projector, publisher))
                if self._settings.playbooks is not None:
                    watch = PlaybookWatch(self._settings.playbooks, self._config.ladder, self._use)
                    group.create_task(watch.run())

    def _use(self, playbook: Playbook) -> None:
        self._config = replace(self._config, playbook=playbook)
        self._planner.use(playbook)
        if self._projector is not None:
            self._projector.ledger.remember(self._config.memory)

    def _group(self) -> str:
        return self._settings.topic_prefix + "enforcer"

    async def _partitions(self, follower: Any, producer: Any) -> list[TopicPartition]:
        """Partitions of `actions`, once every topic we need is there; we make none ourselves."""
        needed = {self._settings.topic(topic) for topic in topics.ENFORCING}
        while missing := needed - await broker.retried(follower.topics):
            self._waiting_for = f"topics {', '.join(sorted(missing))} (any `floodwarden` service makes them)"
            await asyncio.sleep(0.1)
        return await broker.partitions(producer, self._settings.topic(topics.ACTIONS))

    def _caught_up(self, projector: Projector, ends: dict[int, int]) -> None:
        projector.begin(ends)
        self.lapi.begin(projector.ledger)
        self._waiting_for = "Redis"

    async def _tick(self, projector: Projector, publisher: Publisher) -> None:
        """End what has run out, forget what is long gone (the leader does), see that the snapshot is ours; forever."""
        await projector.begun.wait()
        await publisher.actions(self._planner.lifts(clock_ms()))
        verified = 0.0
        while not self._stopping:
            while ends := self._planner.halted(clock_ms(), LIFTED_TOGETHER):
                await publisher.actions(ends)
            leads = self._leadership.held
            metrics.LEADS.set(leads)
            if leads:
                await self._do(publisher, self._planner.overdue(clock_ms()))
                await publisher.actions(projector.ledger.due(clock_ms()))
                await publisher.forget(projector.ledger.forgotten(clock_ms()))
            due = time.monotonic() - verified >= VERIFY_S
            verified = time.monotonic() if due else verified
            try:
                if due:
                    await projector.verify()
                await projector.show_pending(anyway=due)
            except RedisError as error:
                metrics.REDIS_ERRORS.inc()
                _log.debug("redis_away", error=str(error))
            await asyncio.sleep(TICK_S)

    async def _shed(self, projector: Projector, publisher: Publisher) -> None:
        """Begin and end brownouts, forever, where nobody turned that off."""
        if self._rules is None:
            return
        await projector.begun.wait()
        shedder = Shedder(
            self._rules, projector.ledger, self._leadership,
            tail=lambda: opened(self._settings), publish=publisher.actions,
            tell=also(teller(self._redis, self._settings.keys), self._planner.hear, partial(self._do, publisher)),
            clock_ms=clock_ms, acts=not self._settings.dry_run,
        )  # fmt: skip
        await shedder.run(lambda: self._stopping)

    async def _answer(self, alerts: Any, following: Following, projector: Projector, publisher: Publisher) -> None:
        """Answer alerts, forever. An offset is committed once the broker has what its alerts led to."""
        await projector.begun.wait()
        alerts.subscribe(
            [self._settings.topic(topics.ALERTS)], listener=broker.Rebalanced(self._rebalanced, self._leadership)
        )
        await projector.ready.wait()
        await self._history.wait()
        self._waiting_for = "its share of alerts"
        while not self._stopping:
            batches = await alerts.getmany(timeout_ms=200, max_records=BATCH_MAX)
            if self._behind:
                # Another enforcer, or we before a crash, may have answered what we are about to read again.
                ends = await following.ends()
                self._behind = False
                await following.until(ends)
            if alerts.assignment():
                self._waiting_for = ""
            for tp, messages in batches.items():
                for first in range(0, len(messages), JUDGED_TOGETHER):
                    await self._judge(publisher, tp, messages[first : first + JUDGED_TOGETHER])
            if batches or self._leadership.due:
                asked_s = time.monotonic()
                if await broker.committed(alerts):
                    self._leadership.proven(asked_s)

    async def _judge(self, publisher: Publisher, tp: TopicPartition, messages: Sequence[Any]) -> None:
        """Answer some alerts by one write: a write each would wait for the broker a thousand times a second."""
        answers: list[Action] = []
        for message in messages:
            try:
                alert = records.alert(message.value)
            except BadMessageError as error:
                await publisher.bury(message.value, error, Origin(tp.topic, tp.partition, message.offset))
                continue
            metrics.ALERTS.labels(alert.status).inc()
            answers += self._planner.plan(alert, clock_ms())
        await self._do(publisher, answers)

    async def _do(self, publisher: Publisher, actions: Sequence[Action]) -> None:
        await publisher.actions(actions)
        for action in actions:
            metrics.ACTIONS.labels(action.kind, action.status).inc()
            if action.guard is not None:
                metrics.HELD_BACK.labels(action.guard).inc()
            _log.info("action", uid=action.uid, status=action.status, target=action.target.key, reason=action.reason)

    def _rebalanced(self) -> None:
        self._behind = True
