"""Shell of detect: usage blocks in, alerts out, a snapshot now and then. One pipeline for each usage partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

import structlog

from detectors.artifact import Model
from detectors.drift import Day
from schemas import codec, dead_letter, topics
from schemas.alert import Alert
from schemas.errors import BadMessageError
from schemas.models import Agreement
from schemas.settings import Settings
from schemas.usage import MEASURES, Block, Kind
from stream.blocks import Message
from stream.combine import entity_hash
from stream.combiner import Arrived
from stream.driver import Group, Place
from stream.keeper import Keeper
from stream.metrics import Metrics
from stream.pipeline import Config, Pipeline, Usage
from stream.profile import Profile, profile
from stream.rule_source import plan_of
from stream.sender import Outgoing, Sender

log = structlog.get_logger(__name__)
PEEK_SHARE: Final = 4  # after a step that peeked, so many times its length without; while there is time, much less
PEEK_SHARE_IDLE: Final = 0.5
BUSY_MESSAGES: Final = (
    8  # a step of so many came late already: what costs the throughput less goes before looking early
)
TICK_S: Final = 0.2
PACE_S: Final = 2.0  # over so long it is seen how fast event time goes
CATCHING_UP: Final = 1.5  # so much faster than the clock: panes close before a look at them would tell anybody


@dataclass(slots=True)
class Held:
    """A usage partition: its pipeline, the next offset, and when what is due."""

    partition: int
    pipeline: Pipeline
    next: int
    waiting: list[tuple[int, bytes]] = field(default_factory=list)
    peek_due_s: float = 0.0
    tick_due_s: float = 0.0
    busy: bool = False
    stepped_s: float = 0.0
    paced: tuple[float, int] = (0.0, 0)  # the clock and event time, some seconds ago
    catching_up: bool = False

    def take(self, message: Message) -> bool:
        """Take a message where it is the one that is due; False where something that could be read lies before it."""
        due = self.due
        if message.offset > due and (message.follows is None or message.follows > due):
            return False
        if message.offset >= due:
            self.waiting.append((message.offset, message.value))
        return True

    @property
    def due(self) -> int:
        """Offset of the message it waits for."""
        return self.waiting[-1][0] + 1 if self.waiting else self.next

    def rest(self, began_s: float, messages: int, *, peeked: bool) -> None:
        """A step of `messages` is over: how soon to look at open panes again depends on how long it took."""
        now_s = time.perf_counter()
        self.tick_due_s = now_s + TICK_S
        self.busy = messages >= BUSY_MESSAGES if messages else self.busy
        if messages:
            self.pace(now_s)
        if peeked:
            self.peek_due_s = now_s + (PEEK_SHARE if self.busy else PEEK_SHARE_IDLE) * (now_s - began_s)

    def looks(self, now_s: float) -> bool:
        """Whether it is time to look at open panes early."""
        return now_s >= self.peek_due_s and not (self.catching_up and now_s - self.stepped_s < PACE_S / 2)

    def pace(self, now_s: float) -> None:
        """A step is over: does event time run ahead of the clock, because there is much to catch up with?"""
        self.stepped_s = now_s
        then_s, then_ms = self.paced
        if now_s - then_s >= PACE_S:
            now_ms = self.pipeline.progress.newest_ms
            self.catching_up = then_ms > 0 and now_ms - then_ms > CATCHING_UP * 1000 * (now_s - then_s)
            self.paced = now_s, now_ms


@dataclass(frozen=True, slots=True)
class _Stepped:
    alerts: list[Alert]
    blocks: int
    rejected: list[tuple[int, bytes, BadMessageError]]


class Detector:
    """All usage partitions of this worker."""

    def __init__(self, settings: Settings, model: Model, sender: Sender, metrics: Metrics) -> None:
        self._settings, self._sender, self._metrics = settings, sender, metrics
        self._model, self._shadow = model, cast("Model | None", None)
        self._config = replace(Config.of(settings), rules=plan_of(settings).rules)
        self._keeper = Keeper(settings, metrics)
        self._usage = settings.topic(topics.USAGE)
        self._decisions = settings.topic(topics.DECISIONS)
        self._alerts = settings.topic(topics.ALERTS)
        self._dead = settings.topic(topics.DEAD_LETTER)
        self._held: dict[int, Held] = {}
        self._generation = -1
        self._group: Group | None = None
        self._lock = asyncio.Lock()

    async def acquire(self, group: Group) -> dict[Place, int]:
        """After a rebalance: what is ours now, and where reading of it begins.

        A partition we held before goes on from memory: its state is a function of the topic alone, so it cannot have
        gone stale, only behind.
        """
        async with self._lock:
            ours = {p for topic, p in group.assigned() if topic == self._usage}
            await self._keeper.settle()  # what is another's from now on, we have done with
            new = ours - self._held.keys()
            bounds = await group.bounds((self._usage, p) for p in new)
            loaded = [await asyncio.to_thread(self._load, p, bounds[self._usage, p]) for p in sorted(new)]
            self._held = {p: h for p, h in self._held.items() if p in ours} | {h.partition: h for h in loaded}
            self._group, self._generation = group, group.generation
            for held in self._held.values():
                held.waiting.clear()
            return {(self._usage, p): held.next for p, held in self._held.items()}

    async def take(self, arrived: Iterable[Arrived]) -> None:
        """Apply what is due, send the alerts, and write the snapshots that are due."""
        async with self._lock:
            early: set[int] = set()
            for one in arrived:
                held = self._held.get(one.partition)
                if held is None or one.generation != self._generation:
                    continue
                if not held.take(one.message):
                    early.add(one.partition)
            for held in self._held.values():
                if held.waiting:
                    await self._apply(held)
            if early and self._group is not None:
                await self._group.seek({(self._usage, p): self._held[p].due for p in early})

    async def tick(self) -> None:
        """Look where a look was put off; let event time go on where nothing comes; keep snapshots fresh."""
        async with self._lock:
            for held in self._held.values():
                began_s = time.perf_counter()
                peek = held.pipeline.unseen and held.looks(began_s)
                if not peek and began_s < held.tick_due_s:
                    continue
                alerts = await asyncio.to_thread(self._look, held.pipeline, peek)
                held.rest(began_s, 0, peeked=peek)
                await self._send(alerts)
                await self._keeper.keep(held.partition, held.pipeline, held.next)

    async def judge_by(self, live: Model, shadow: Model | None) -> None:
        """From the next pane on, with what is held; `shadow` judges beside, and nobody is told."""
        async with self._lock:
            self._model, self._shadow = live, shadow
            for held in self._held.values():
                await asyncio.to_thread(_adopt, held.pipeline, live, shadow)

    async def agreements(self) -> dict[int, Agreement]:
        """How the live model and the shadow agree, by usage partition; nothing without a shadow."""
        async with self._lock:
            each = {p: held.pipeline.judges.agreement for p, held in self._held.items()}
        return {p: found for p, found in each.items() if found is not None}

    async def days(self, known: Mapping[int, int]) -> tuple[Model, dict[int, Day]]:
        """The model in force, and by usage partition what good clients came to, where it is of later than `known`."""
        async with self._lock:
            found = {p: held.pipeline.judges.live.drift.day for p, held in self._held.items()}
            return self._model, {p: day.copy() for p, day in found.items() if day.until_s > known.get(p, 0)}

    def refused(self, refused: bool) -> None:  # noqa: FBT001 - the one thing it says
        """Whether the model that is ordered cannot be used."""
        self._metrics.model_refused.set(refused)

    async def watch(self) -> None:
        """Say how far behind we are; to be called now and then."""
        now_ms = _now_ms()
        async with self._lock:
            ends = {p: self._group.end((self._usage, p)) for p in self._held} if self._group else {}
            self._metrics.lags("detect", {p: max(0, e - self._held[p].due) for p, e in ends.items() if e is not None})
            for p, held in self._held.items():
                self._metrics.drifts(p, held.pipeline.judges.live)
                if held.pipeline.watermark_ms:
                    self._metrics.watermark_ms.labels(str(p)).set(held.pipeline.watermark_ms)
                    self._metrics.watermark_lag_ms.labels(str(p)).set(now_ms - held.pipeline.watermark_ms)
            silent = {source for held in self._held.values() for source in held.pipeline.silent(now_ms)}
        if silent and self._group:
            found = await self._group.ends((self._decisions, source) for source in silent)
            async with self._lock:
                for held in self._held.values():
                    held.pipeline.awaits({source: end for (_, source), end in found.items()}, _now_ms())

    async def save(self) -> None:
        """Snapshots of everything, for a quick start."""
        async with self._lock:
            for held in self._held.values():
                await self._keeper.keep(held.partition, held.pipeline, held.next, at_once=True)
            await self._keeper.settle()

    async def profile(self, kind: Kind, value: str, window_s: int) -> Profile | None:
        """What is known of one entity in a window; None when its partition is another worker's."""
        partition = entity_hash(kind, value) % self._settings.usage_partitions
        async with self._lock:
            held = self._held.get(partition)
            return profile(held.pipeline.windows, kind, value, window_s) if held else None

    async def rests(self, kind: Kind, window_s: int) -> dict[int, Usage]:
        """What the entities of a kind did that were evicted, by partition held here."""
        async with self._lock:
            return {p: held.pipeline.rest(kind, window_s) for p, held in sorted(self._held.items())}

    async def totals(self) -> dict[Kind, dict[str, int | float]]:
        """Exact sums since the beginning over the partitions held here."""
        async with self._lock:
            each = [held.pipeline.totals() for held in self._held.values()]
        return {kind: {m: sum(totals[kind][m] for totals in each) for m in MEASURES} for kind in Kind}

    def offsets(self) -> dict[int, int]:
        """Next usage offset by partition."""
        return {p: held.next for p, held in sorted(self._held.items())}

    async def _apply(self, held: Held) -> None:
        began_s = time.perf_counter()
        waiting, held.waiting = held.waiting, []
        peek = held.looks(began_s)
        repeated = held.pipeline.progress.repeated_blocks
        late = held.pipeline.progress.late_rows
        stepped = await asyncio.to_thread(self._step, held.pipeline, waiting, peek)
        judged_s = time.perf_counter()
        held.rest(began_s, len(waiting), peeked=peek)
        await self._sender.send([self._dead_letter(held.partition, *bad) for bad in stepped.rejected])
        await self._send(stepped.alerts)
        held.next = waiting[-1][0] + 1
        self._metrics.blocks.labels("detect").inc(stepped.blocks)
        self._metrics.repeated.inc(held.pipeline.progress.repeated_blocks - repeated)
        self._metrics.late_rows.inc(held.pipeline.progress.late_rows - late)
        ended_s = time.perf_counter()
        self._metrics.step_seconds.labels("detect").observe(ended_s - began_s)
        self._metrics.step_messages.labels("detect").observe(len(waiting))
        self._metrics.stage("judge", judged_s - began_s)
        self._metrics.stage("tell", ended_s - judged_s)
        await self._keeper.keep(held.partition, held.pipeline, held.next)

    def _step(self, pipeline: Pipeline, waiting: Sequence[tuple[int, bytes]], peek: bool) -> _Stepped:  # noqa: FBT001 - to_thread
        blocks: list[Block] = []
        rejected: list[tuple[int, bytes, BadMessageError]] = []
        with self._metrics.cpu("detect"):
            for offset, value in waiting:
                try:
                    blocks.append(codec.decode_block(value))
                except BadMessageError as error:
                    rejected.append((offset, value, error))
            return _Stepped(pipeline.step(blocks, _now_ms(), peek=peek), len(blocks), rejected)

    async def _send(self, alerts: Sequence[Alert]) -> None:
        await self._sender.send(
            [Outgoing(self._alerts, a.model_dump_json().encode(), key=a.uid.encode()) for a in alerts]
        )
        for alert in alerts:
            self._metrics.alerts.labels(alert.status.value).inc()

    def _look(self, pipeline: Pipeline, peek: bool) -> list[Alert]:  # noqa: FBT001 - to_thread
        with self._metrics.cpu("detect"):
            return pipeline.tick(_now_ms(), peek=peek)

    def _load(self, partition: int, bounds: tuple[int, int]) -> Held:
        pipeline, offset = self._keeper.load(partition, bounds, self._model, self._config)
        pipeline.judges.beside(self._shadow)
        return Held(partition, pipeline, offset)

    def _dead_letter(self, partition: int, offset: int, value: bytes, error: BadMessageError) -> Outgoing:
        self._metrics.dead_letters.labels(error.code).inc()
        log.error("no usage block", partition=partition, offset=offset, reason=str(error))
        origin = dead_letter.Origin(self._usage, partition, offset)
        value, headers = dead_letter.letter(value, error, origin, topics.ARROW)
        return Outgoing(self._dead, value, headers=headers)


def _adopt(pipeline: Pipeline, live: Model, shadow: Model | None) -> None:
    pipeline.adopt(live)
    pipeline.judges.beside(shadow)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
