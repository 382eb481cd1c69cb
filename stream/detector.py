"""Shell of detect: usage blocks in, alerts out, a snapshot now and then. One pipeline for each usage partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import structlog

from detectors.artifact import Model
from detectors.drift import Day
from schemas import dead_letter, history, topics
from schemas.alert import Alert
from schemas.errors import BadMessageError
from schemas.models import Agreement
from schemas.settings import Settings
from schemas.usage import MEASURES, Block, Kind
from stream import history_reader
from stream.combine import entity_hash
from stream.combiner import Arrived
from stream.driver import Group, Place
from stream.held import Held
from stream.keeper import Keeper
from stream.metrics import Metrics
from stream.own_blocks import OwnBlocks
from stream.pipeline import Config, Pipeline, Usage
from stream.profile import Profile, profile
from stream.rule_source import plan_of
from stream.sender import Outgoing, Sender

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Stepped:
    alerts: list[Alert]
    blocks: int
    rejected: list[tuple[int, bytes, BadMessageError]]


class Detector:
    """All usage partitions of this worker."""

    def __init__(
        self, settings: Settings, model: Model, sender: Sender, metrics: Metrics, own: OwnBlocks | None = None
    ) -> None:
        self._settings, self._sender, self._metrics = settings, sender, metrics
        self._own = own or OwnBlocks()
        self._model, self._shadow = model, cast("Model | None", None)
        self._config = replace(Config.of(settings), rules=plan_of(settings).rules)
        self._keeper = Keeper(settings, metrics)
        self._usage = settings.topic(topics.USAGE)
        self._decisions = settings.topic(topics.DECISIONS)
        self._alerts = settings.topic(topics.ALERTS)
        self._dead = settings.topic(topics.DEAD_LETTER)
        self._history = settings.topic(topics.HISTORY)
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
            self._own.want(ours)
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
                alerts = await asyncio.to_thread(self._look, held, peek)
                held.rest(began_s, 0, peeked=peek)
                await self._send(alerts)
                await self._tell(held)
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
            silent = {source for held in self._held.values() for source in held.pipeline.silent(held.awake.ms)}
        if silent and self._group:
            found = await self._group.ends((self._decisions, source) for source in silent)
            ends = {source: found.get((self._decisions, source)) for source in silent}
            async with self._lock:
                for held in self._held.values():
                    held.pipeline.awaits(ends, held.awake.ms)

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
        stepped = await asyncio.to_thread(self._step, held, waiting, peek)
        judged_s = time.perf_counter()
        held.rest(began_s, len(waiting), peeked=peek)
        await self._sender.send([self._dead_letter(held.partition, *bad) for bad in stepped.rejected])
        await self._send(stepped.alerts)
        await self._tell(held)
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

    def _step(self, held: Held, waiting: Sequence[tuple[int, bytes]], peek: bool) -> _Stepped:  # noqa: FBT001 - to_thread
        blocks: list[Block] = []
        rejected: list[tuple[int, bytes, BadMessageError]] = []
        with self._metrics.cpu("detect"):
            for offset, value in waiting:
                try:
                    blocks.append(self._own.read(held.partition, value))
                except BadMessageError as error:
                    rejected.append((offset, value, error))
            return _Stepped(held.pipeline.step(blocks, held.awake.look(_now_ms()), peek=peek), len(blocks), rejected)

    async def _send(self, alerts: Sequence[Alert]) -> None:
        await self._sender.send(
            [Outgoing(self._alerts, a.model_dump_json().encode(), key=a.uid.encode()) for a in alerts]
        )
        for alert in alerts:
            self._metrics.alerts.labels(alert.status.value).inc()

    async def _tell(self, held: Held) -> None:
        """Tell what came to be known, one record after the other; acknowledged before a snapshot says it was told."""
        for part, sights in held.pipeline.history.told(self._settings.history_every_seconds):
            key = history.record_key(held.partition, part)
            await self._sender.send([Outgoing(self._history, history.encode(sights), key, held.partition)])

    def _look(self, held: Held, peek: bool) -> list[Alert]:  # noqa: FBT001 - to_thread
        with self._metrics.cpu("detect"):
            return held.pipeline.tick(held.awake.look(_now_ms()), peek=peek)

    def _load(self, partition: int, bounds: tuple[int, int]) -> Held:
        pipeline, offset = self._keeper.load(partition, bounds, self._model, self._config)
        pipeline.judges.beside(self._shadow)
        if not len(pipeline.history):
            pipeline.history.seed(history_reader.read(self._settings, partition))
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
