"""The Faust shell: group membership and delivery are Faust's, everything else is a function that an agent calls.

    decisions --agent--> inbox --drain--> Combiner --> usage
    usage     --agent--> inbox --drain--> Detector --> alerts

An inbox empties whole into one step: a step under load is a large one, a step while idle is one message, at once. It is
bounded in messages and bytes; while it is full Faust's queue fills, while that is full Faust fetches no more.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

import faust
import structlog

from detectors.artifact import Model
from schemas import topics
from schemas.errors import SettingsError
from schemas.settings import Settings
from stream import http
from stream.blocks import Message
from stream.combiner import Arrived, Combiner
from stream.detector import Detector
from stream.driver import Group, NoTables, Place, install
from stream.metrics import Metrics
from stream.model_watch import ModelWatch, follow
from stream.models import configured
from stream.own_blocks import OwnBlocks
from stream.proposals import propose
from stream.rule_source import plan_of
from stream.sender import Sender
from stream.warm import warm

log = structlog.get_logger(__name__)
INBOX_MESSAGES_MAX: Final = 2048
INBOX_BYTES_MAX: Final = 64 << 20
FAUST_MESSAGES_MAX: Final = 1024  # read and not yet in an inbox, by topic
LINGER_STEP_MESSAGES: Final = 8  # after a step of so many the next one waits for company: larger steps cost less a row
LINGER_SHARE: Final = 0.25  # of what the last step took
LINGER_S_MAX: Final = 0.02
TICK_S: Final = 0.02
WATCH_EVERY_S: Final = 1.0
EXIT_CRASHED: Final = 3
LOG_APPEND_TIME: Final = 1  # of a message's timestamp: the broker's, not its producer's
MS_DIGITS_MAX: Final = 13  # of epoch milliseconds until 2286
_WATCH_S: Final = 0.1
_STOP_S: Final = 5.0
_SAVE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Stream:
    """A worker's parts, wired but not started."""

    faust: faust.App
    combiner: Combiner
    detector: Detector
    sender: Sender
    metrics: Metrics
    inboxes: Mapping[str, Inbox]


class Inbox:
    """Messages between an agent and its step: bounded, so that a slow step stops Faust from fetching."""

    def __init__(self, step: Callable[[list[Arrived]], Awaitable[None]], bytes_max: int = INBOX_BYTES_MAX) -> None:
        self._step = step
        self._queue: asyncio.Queue[Arrived] = asyncio.Queue(INBOX_MESSAGES_MAX)
        self._bytes, self._bytes_max = 0, bytes_max
        self._room = asyncio.Event()
        self._room.set()

    async def fill(self, events: AsyncIterable[Any]) -> None:
        """Take what Faust delivers, without end."""
        async for event in events:
            await self._room.wait()
            one = arrived(event.message)
            self._bytes += len(one.message.value)
            if self._bytes >= self._bytes_max:
                self._room.clear()
            await self._queue.put(one)

    async def drain(self) -> None:
        """Hand on all there is in one step, again and again: at once while idle, with company under load."""
        linger_s = 0.0
        while True:
            batch = [await self._queue.get()]
            if linger_s:
                await asyncio.sleep(linger_s)
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            self._bytes -= sum(len(one.message.value) for one in batch)
            if self._bytes < self._bytes_max:
                self._room.set()
            began_s = time.perf_counter()
            await self._step(batch)
            linger_s = linger(len(batch), time.perf_counter() - began_s)


def linger(messages: int, took_s: float) -> float:
    """How long a step waits for more messages, after one that had so many and took so long."""
    return min(LINGER_S_MAX, took_s * LINGER_SHARE) if messages >= LINGER_STEP_MESSAGES else 0.0


def arrived(message: Any) -> Arrived:
    """A Faust message by name."""
    headers = dict(message.headers or ())
    content_type, sent = headers.get(topics.CONTENT_TYPE), headers.get(topics.SENT)
    kept = Message(
        message.offset,
        message.value or b"",
        content_type.decode("latin-1") if content_type else None,
        message.follows,
        round(message.timestamp * 1000) if message.timestamp and message.timestamp > 0 else None,
        message.timestamp_type == LOG_APPEND_TIME,
        int(sent) if sent and sent.isdigit() and len(sent) <= MS_DIGITS_MAX else None,
    )
    return Arrived(message.partition, message.generation_id, kept)


def create_app(settings: Settings, model: Model | None = None) -> Stream:
    """A worker that has not started; nothing is connected and no clock is read."""
    app = faust.App(
        f"{settings.topic_prefix}stream",
        broker=[f"kafka://{address}" for address in settings.kafka.split(",")],
        store="memory://",
        datadir=os.path.join(tempfile.gettempdir(), f"floodwarden-faust-{os.getpid()}"),  # noqa: PTH118 - Faust's, unused
        web_enabled=False,
        loghandlers=[],
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=2000,
        consumer_max_fetch_size=8 << 20,
        consumer_group_instance_id=settings.node or None,  # static membership: back at once, without a rebalance
        TableManager=NoTables,
        stream_wait_empty=False,
        stream_buffer_maxsize=FAUST_MESSAGES_MAX,
        broker_request_timeout=max(10, settings.session_s),  # Faust refuses one that is shorter than a session
        broker_session_timeout=settings.session_s,
        broker_heartbeat_interval=1,
    )
    metrics = Metrics()
    sender = Sender(settings.kafka, f"{settings.topic_prefix}stream")
    own = OwnBlocks()
    combiner = Combiner(settings, sender, metrics, own)
    detector = Detector(settings, model or configured(settings), sender, metrics, own)
    inboxes = {"decisions": Inbox(combiner.take), "usage": Inbox(detector.take)}
    decisions, usage = (
        app.topic(settings.topic(topic), value_type=bytes, value_serializer="raw", acks=False)
        for topic in (topics.DECISIONS, topics.USAGE)
    )

    async def combine(stream: Any) -> None:
        await inboxes["decisions"].fill(stream.events())

    async def detect(stream: Any) -> None:
        await inboxes["usage"].fill(stream.events())

    async def on_assigned(group: Group) -> Mapping[Place, int]:
        return await combiner.acquire(group) | await detector.acquire(group)

    app.agent(decisions)(combine)
    app.agent(usage)(detect)
    install(app, on_assigned)
    return Stream(app, combiner, detector, sender, metrics, inboxes)


def run(settings: Settings) -> NoReturn:
    """Serve until SIGTERM or SIGINT. Crash-only: what cannot go on ends the process with code 3, to start again."""
    log.info("starting", kafka=settings.kafka, prefix=settings.topic_prefix)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> NoReturn:
    watch = ModelWatch(settings, settings.node or f"{socket.gethostname()}:{settings.port or http.PORT}")
    taken = await asyncio.to_thread(watch.start, time.time_ns() // 1_000_000)
    await asyncio.to_thread(warm, taken.live, plan_of(settings).rules)
    gc.collect()
    gc.freeze()  # a full collection would look at all that was imported, and no thread steps meanwhile
    stream = create_app(settings, taken.live)
    await stream.detector.judge_by(taken.live, taken.shadow)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stream.sender.start()
    await _check_topics(settings, stream.sender)
    server = http.Server(stream.combiner, stream.detector, stream.metrics, lambda: _joined(stream))
    await server.start(settings.host, settings.port or http.PORT)
    log.info("listening", host=settings.host, port=server.port)
    work = [asyncio.create_task(inbox.drain()) for inbox in stream.inboxes.values()]
    work += [asyncio.create_task(run) for run in (_tick(stream), _watch(stream.combiner), _watch(stream.detector))]
    work += [asyncio.create_task(run(stream.detector)) for run in (partial(follow, watch), partial(propose, settings))]
    work += [asyncio.create_task(_host(stream.faust))]
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopping, *work], return_when=asyncio.FIRST_COMPLETED)
    crashed = [error for task in done if task is not stopping and (error := task.exception())]
    if crashed:
        log.error("crashed", error=str(crashed[0].__cause__ or crashed[0]), exc_info=crashed[0])
        _leave(EXIT_CRASHED)
    await _end(stream, server, work)
    _leave(0)


async def _end(stream: Stream, server: http.Server, work: list[asyncio.Task[None]]) -> None:
    for task in work:
        task.cancel()
    await asyncio.wait(work, timeout=_STOP_S)
    await _ended("snapshots", stream.detector.save(), _SAVE_S)
    await _ended("Faust", stream.faust.stop(), _STOP_S)
    await _ended("producer", stream.sender.stop(), _STOP_S)
    await _ended("HTTP", server.stop(), _STOP_S)
    log.info("stopped")


async def _ended(what: str, ending: Coroutine[Any, Any, object], within_s: float) -> None:
    """Wait for `ending`, but not for ever, also where it takes no notice of being cancelled."""
    task = asyncio.create_task(ending)
    done, _ = await asyncio.wait([task], timeout=within_s)
    if not done or task.exception():
        log.warning("did not stop", what=what, error=str(task.exception()) if done else "no end in time")


def _leave(code: int) -> NoReturn:
    """End the process, not by way of Faust's threads, which may wait for ever: nothing that matters is left in it."""
    logging.shutdown()
    os._exit(code)


async def _tick(stream: Stream) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        await stream.detector.tick()


async def _watch(part: Combiner | Detector) -> None:
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        await part.watch()


async def _host(app: faust.App) -> None:
    """Start Faust, and raise what it crashed with, which would otherwise sit in its supervisor."""
    await app.start()
    while not (app.crashed or app.should_stop):  # noqa: ASYNC110 - Faust has no event for both
        await asyncio.sleep(_WATCH_S)
    raise RuntimeError("Faust stopped") from app.crash_reason


async def _check_topics(settings: Settings, sender: Sender) -> None:
    wanted = (
        (topics.DECISIONS, "DECISIONS", settings.decisions_partitions),
        (topics.USAGE, "USAGE", settings.usage_partitions),
        (topics.TERMS, "DECISIONS", settings.decisions_partitions),
        (topics.HISTORY, "USAGE", settings.usage_partitions),
    )
    for topic, name, count in wanted:
        found = await sender.partitions(settings.topic(topic))
        if found != count:
            raise SettingsError(
                f"topic {settings.topic(topic)} has {found} partitions, FLOODWARDEN_{name}_PARTITIONS says {count}: "
                "give one the number of the other"
            )


def _joined(stream: Stream) -> bool:
    return stream.combiner.joined and not stream.faust.rebalancing
