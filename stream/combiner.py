"""Shell of combine: messages of decisions partitions in, recorded blocks out to every usage partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from schemas import dead_letter, topics
from schemas.alert import Alert
from schemas.settings import Settings
from stream import intake, overload
from stream.blocks import Cut, Lease, Message, Offered, Size, Terms, intent, recorded
from stream.driver import Group, Place
from stream.errors import LeaseLostError, NameTakenError
from stream.making import Made, Maker
from stream.metrics import NODES_MAX, Metrics
from stream.open_overload import OpenOverload
from stream.own_blocks import OwnBlocks
from stream.sender import Outgoing, Sender
from stream.shedding import Shedding

log = structlog.get_logger(__name__)
COMPLAIN_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message with the place and the generation it was delivered in."""

    partition: int
    generation: int
    message: Message


class Combiner:
    """All decisions partitions of this worker. At most one block of each is being written."""

    def __init__(self, settings: Settings, sender: Sender, metrics: Metrics, own: OwnBlocks | None = None) -> None:
        self._settings, self._sender, self._metrics = settings, sender, metrics
        self._decisions = settings.topic(topics.DECISIONS)
        self._intents = settings.topic(topics.INTENTS)
        self._terms = settings.topic(topics.TERMS)
        self._alerts = settings.topic(topics.ALERTS)
        self._usage = settings.topic(topics.USAGE)
        self._dead = settings.topic(topics.DEAD_LETTER)
        self._maker = Maker(settings, metrics, own)
        self._size = Size()
        self._complained: dict[str, float] = {}  # of the nodes whose clocks were wrong: when to say so again
        self._shedding = Shedding(settings.shed_behind_ms)
        self._open = OpenOverload(settings.data_dir)
        self._leases: dict[int, Lease] = {}
        self._group: Group | None = None
        self._membership = (-1, "")
        self._asked_anew = False
        self._lock = asyncio.Lock()

    async def acquire(self, group: Group) -> dict[Place, int]:
        """After a rebalance: what is ours now, and where reading of it begins."""
        async with self._lock:  # never while a block is being written
            ours = {p for topic, p in group.assigned() if topic == self._decisions}
            held = {p: lease.generation for p, lease in self._leases.items()}
            if group is not self._group or held != dict.fromkeys(ours, group.generation):
                await self._lease(group, ours)
            return {(self._decisions, p): lease.due for p, lease in self._leases.items()}

    async def take(self, arrived: Iterable[Arrived]) -> None:
        """Keep what is due and write every block that can be written."""
        async with self._lock:
            early = self._offer(arrived)
            level = await self._level()
            try:
                await self._write_all(level)
            except LeaseLostError as error:
                log.warning("partitions lost", reason=str(error))
                self._leases = {}
                return
            if early and self._group is not None:
                await self._group.seek({(self._decisions, p): self._leases[p].due for p in early})

    @property
    def joined(self) -> bool:
        """Whether the group has dealt its partitions out to us, if only none."""
        return self._group is not None

    def assigned(self) -> list[int]:
        """Decisions partitions held."""
        return sorted(self._leases)

    async def watch(self) -> None:
        """Say how far behind we are; to be called now and then."""
        async with self._lock:
            ends = {p: self._group.end((self._decisions, p)) for p in self._leases} if self._group else {}
            lags = {p: max(0, end - self._leases[p].due) for p, end in ends.items() if end is not None}
            self._metrics.lags("combine", lags)
            if not any(lags.values()):
                await self._level()

    async def _level(self) -> int:
        """The level at which blocks are taken now; a change of it is told."""
        now_ms = time.time_ns() // 1_000_000
        waiting = [lease.pending[0].stamp_ms for lease in self._leases.values() if lease.pending]
        behind_ms = max([now_ms - stamp_ms for stamp_ms in waiting if stamp_ms is not None], default=0)
        self._metrics.behind_ms.set(max(0, behind_ms))
        since_ms, before = self._shedding.since_ms, self._shedding.level
        level = self._shedding.judge(behind_ms, now_ms)
        if level != before:
            alert = overload.alert(self._name, level, since_ms, behind_ms, now_ms)
            log.warning("overload", status=alert.status.value, level=level, behind_ms=behind_ms)
            self._metrics.sampling(level)
            await self._tell([alert])
            await asyncio.to_thread(self._open.told, alert, self._name, list(self._leases))
        return level

    @property
    def _name(self) -> str:
        return self._settings.node or self._membership[1]

    async def _tell(self, alerts: Iterable[Alert]) -> None:
        await self._sender.send(
            [Outgoing(self._alerts, a.model_dump_json().encode(), key=a.uid.encode()) for a in alerts]
        )

    async def _lease(self, group: Group, ours: set[int]) -> None:
        intents = await group.committed((self._intents, p) for p in ours)
        terms = await group.committed((self._terms, p) for p in ours)
        plain = await group.committed((self._decisions, p) for p in ours)
        bounds = await group.bounds((self._decisions, p) for p in ours)
        self._join(group)
        for p in sorted(ours):
            earliest, _ = bounds[self._decisions, p]
            if (found := intents.get((self._intents, p))) is not None:
                start, end = recorded(found)
                lease = Lease(p, group.generation, start, end, Terms.recorded(terms.get((self._terms, p), 0)))
            else:
                lease = Lease(p, group.generation, plain.get((self._decisions, p), earliest))
            if gone := lease.truncated(earliest):
                self._metrics.lost_offsets.inc(gone)
                log.error("decisions were removed before they were read", partition=p, messages=gone)
            self._leases[p] = lease
        log.info("leased", partitions=sorted(ours), generation=group.generation)
        await self._deal_new_ones(group, ours)
        if orphans := await asyncio.to_thread(self._open.taken_over, self._name, ours):
            now_ms = time.time_ns() // 1_000_000
            await self._tell(overload.left(alert, self._name, now_ms) for alert in orphans)

    async def _deal_new_ones(self, group: Group, ours: set[int]) -> None:
        """A named worker that is soon back is given what it had: partitions added meanwhile are nobody's. Asks once."""
        others = set(range(self._settings.decisions_partitions)) - ours
        if self._settings.node and others and not self._asked_anew:
            read = await group.committed((self._intents, p) for p in others)
            if len(read) < len(others):
                self._asked_anew = True
                log.info("partitions nobody has read", partitions=sorted(others - {p for _, p in read}))
                await group.rejoin()

    def _join(self, group: Group) -> None:
        """Its partitions are still to be leased."""
        generation, member = self._membership
        if self._settings.node and group.generation == generation and group.member != member:
            raise NameTakenError(self._settings.node)
        self._group, self._membership, self._leases = group, (group.generation, group.member), {}

    def _offer(self, arrived: Iterable[Arrived]) -> set[int]:
        """Partitions from which something came too early: after a seek Faust may still deliver what it held."""
        early: set[int] = set()
        for one in arrived:
            lease = self._leases.get(one.partition)
            if lease is None or lease.generation != one.generation:
                continue
            if lease.offer(one.message) is Offered.EARLY:
                early.add(one.partition)
            if lease.skipped:
                self._metrics.skipped_offsets.inc(lease.skipped)
                lease.skipped = 0
        return early

    async def _write_all(self, level: int) -> None:
        """Write block after block; while one is on its way to the broker the next one is made, but not yet recorded."""
        cuts, making = self._begin(level)
        while making:
            began_s = time.perf_counter()
            made, _ = await asyncio.gather(making, self._record(cuts))
            if not self._fits(cuts, made):  # nothing of them was sent: the record of another cut takes the place
                cuts, making = self._begin(level)
                continue
            made_s = time.perf_counter()
            for (lease, cut), block in zip(cuts, made, strict=True):
                lease.made(cut, block.taken.newest_ms)
            written = cuts
            cuts, making = self._begin(level)
            await self._write(written, made)
            self._wrote(written, made, (began_s, made_s, time.perf_counter()))

    def _begin(self, level: int) -> tuple[list[tuple[Lease, Cut]], asyncio.Task[list[Made]] | None]:
        """The next block of each lease that has one, and the thread that makes them; None where there is none."""
        cuts = [(lease, cut) for lease in self._leases.values() if (cut := lease.cut(level, self._size.bytes_max))]
        of = [(lease.partition, cut) for lease, cut in cuts]
        return cuts, asyncio.create_task(asyncio.to_thread(self._maker.make, of)) if cuts else None

    def _fits(self, cuts: list[tuple[Lease, Cut]], made: list[Made]) -> bool:
        """Whether the usage of each block can be sent; where it cannot, its lease cuts less of it the next time."""
        self._size.made((cut.bytes, block.share) for (_, cut), block in zip(cuts, made, strict=True))
        large = [one for one, block in zip(cuts, made, strict=True) if not one[1].fits(block.share)]
        for lease, cut in large:
            lease.too_large(cut)
            if len(cut.messages) == 1:
                place = {"partition": lease.partition, "offset": cut.start, "level": lease.terms.level}
                log.warning("one message becomes more usage than a message may have: it is sampled", **place)
        return not large

    async def _write(self, cuts: list[tuple[Lease, Cut]], made: list[Made]) -> None:
        outgoing = [
            Outgoing(self._usage, value, partition=u)
            for u in range(self._settings.usage_partitions)
            for value in (block.usage[u] for block in made)
        ]
        for (lease, _), block in zip(cuts, made, strict=True):
            outgoing += [self._dead_letter(lease.partition, rejected) for rejected in block.taken.rejected]
        await self._sender.send(outgoing)

    def _wrote(self, cuts: list[tuple[Lease, Cut]], made: list[Made], at_s: tuple[float, float, float]) -> None:
        """Blocks are acknowledged everywhere; `at_s`: when they were begun, made, and that."""
        began_s, made_s, ended_s = at_s
        for (_, cut), block in zip(cuts, made, strict=True):
            self._metrics.took(block.taken, len(cut.messages))
            self._complain(block.taken.clocks)
        self._metrics.blocks.labels("combine").inc(len(cuts))
        self._metrics.bytes.labels("decisions").inc(sum(cut.bytes for _, cut in cuts))
        self._metrics.bytes.labels("usage").inc(sum(len(value) for block in made for value in block.usage))
        self._metrics.step_seconds.labels("combine").observe(ended_s - began_s)
        self._metrics.step_messages.labels("combine").observe(sum(len(cut.messages) for _, cut in cuts))
        self._metrics.stage("decode", sum(block.decode_s for block in made))
        self._metrics.stage("combine", sum(block.combine_s for block in made))
        self._metrics.stage("write", ended_s - made_s)

    def _complain(self, clocks: Iterable[intake.Clock]) -> None:
        """Of each node whose clock is wrong now and then in the log."""
        now_s = time.monotonic()
        for clock in clocks:
            known = clock.node in self._complained or len(self._complained) < NODES_MAX
            if known and now_s >= self._complained.get(clock.node, now_s):
                self._complained[clock.node] = now_s + COMPLAIN_EVERY_S
                log.warning(
                    "wrong clock",
                    node=clock.node,
                    ahead_ms=clock.ahead_ms,
                    fix="its rows were set right; let it ask NTP",
                )

    async def _record(self, cuts: list[tuple[Lease, Cut]]) -> None:
        if self._group is None:
            raise LeaseLostError("not in the group")
        offsets: dict[Place, int] = {}
        for lease, cut in cuts:
            offsets[self._intents, lease.partition] = intent(cut.start, cut.end)
            offsets[self._terms, lease.partition] = cut.terms.offset
            offsets[self._decisions, lease.partition] = cut.start
        began_s = time.perf_counter()
        await self._group.commit(cuts[0][0].generation, self._membership[1], offsets)
        self._metrics.stage("record", time.perf_counter() - began_s)

    def _dead_letter(self, partition: int, rejected: intake.Rejected) -> Outgoing:
        message, error = rejected.message, rejected.error
        self._metrics.dead_letters.labels(error.code).inc()
        log.warning("dead letter", partition=partition, offset=message.offset, reason=str(error))
        origin = dead_letter.Origin(self._decisions, partition, message.offset)
        value, headers = dead_letter.letter(message.value, error, origin, message.content_type)
        return Outgoing(self._dead, value, headers=headers)
