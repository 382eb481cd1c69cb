"""Shell of combine: messages of decisions partitions in, recorded blocks out to every usage partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from schemas import codec, dead_letter, topics
from schemas.settings import Settings
from stream import intake
from stream.blocks import Cut, Lease, Message, Offered, intent, recorded
from stream.combine import combine
from stream.driver import Group, Place
from stream.errors import LeaseLostError, NameTakenError
from stream.metrics import Metrics
from stream.sender import Outgoing, Sender

log = structlog.get_logger(__name__)
REJOIN_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message with the place and the generation it was delivered in."""

    partition: int
    generation: int
    message: Message


@dataclass(frozen=True, slots=True)
class _Made:
    """What a block became: usage messages in partition order, rows, newest time, and what could not be taken."""

    usage: list[bytes]
    rows: int
    ts_ms_max: int
    rejected: list[intake.Rejected]


class Combiner:
    """All decisions partitions of this worker. At most one block of each is being written."""

    def __init__(self, settings: Settings, sender: Sender, metrics: Metrics) -> None:
        self._settings, self._sender, self._metrics = settings, sender, metrics
        self._decisions = settings.topic(topics.DECISIONS)
        self._intents = settings.topic(topics.INTENTS)
        self._usage = settings.topic(topics.USAGE)
        self._dead = settings.topic(topics.DEAD_LETTER)
        self._globs = settings.login_globs
        self._leases: dict[int, Lease] = {}
        self._group: Group | None = None
        self._membership = (-1, "")
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
            try:
                while cuts := [(lease, cut) for lease in self._leases.values() if (cut := lease.cut())]:
                    await self._write(cuts)
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

    async def _lease(self, group: Group, ours: set[int]) -> None:
        intents = await group.committed((self._intents, p) for p in ours)
        plain = await group.committed((self._decisions, p) for p in ours)
        bounds = await group.bounds((self._decisions, p) for p in ours)
        newest = {p: lease.ts_ms_max for p, lease in self._leases.items()}
        self._join(group)
        for p in sorted(ours):
            earliest, _ = bounds[self._decisions, p]
            if (found := intents.get((self._intents, p))) is not None:
                start, end = recorded(found)
                lease = Lease(p, group.generation, start, end, newest.get(p, 0))
            else:
                lease = Lease(p, group.generation, plain.get((self._decisions, p), earliest))
            if gone := lease.truncated(earliest):
                self._metrics.lost_offsets.inc(gone)
                log.error("decisions were removed before they were read", partition=p, messages=gone)
            self._leases[p] = lease
        log.info("leased", partitions=sorted(ours), generation=group.generation)

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
        return early

    async def _write(self, cuts: list[tuple[Lease, Cut]]) -> None:
        began_s = time.perf_counter()
        made, _ = await asyncio.gather(asyncio.to_thread(self._make, cuts), self._record(cuts))
        outgoing = [
            Outgoing(self._usage, value, partition=u)
            for u in range(self._settings.usage_partitions)
            for value in (block.usage[u] for block in made)
        ]
        for (lease, _), block in zip(cuts, made, strict=True):
            outgoing += [self._dead_letter(lease.partition, rejected) for rejected in block.rejected]
        await self._sender.send(outgoing)
        for (lease, cut), block in zip(cuts, made, strict=True):
            lease.written(cut, block.ts_ms_max)
            self._metrics.decisions.inc(block.rows)
            self._metrics.messages.inc(len(cut.messages))
        self._metrics.blocks.labels("combine").inc(len(cuts))
        self._metrics.step_seconds.labels("combine").observe(time.perf_counter() - began_s)

    async def _record(self, cuts: list[tuple[Lease, Cut]]) -> None:
        if self._group is None:
            raise LeaseLostError("not in the group")
        offsets: Mapping[Place, int] = {
            (self._intents, lease.partition): intent(cut.start, cut.end) for lease, cut in cuts
        } | {(self._decisions, lease.partition): cut.start for lease, cut in cuts}
        await self._group.commit(cuts[0][0].generation, self._membership[1], offsets)

    def _make(self, cuts: list[tuple[Lease, Cut]]) -> list[_Made]:
        return [self._combine(lease, cut) for lease, cut in cuts]

    def _combine(self, lease: Lease, cut: Cut) -> _Made:
        batch, rejected = intake.take(cut.messages)
        blocks = combine(
            batch,
            partition=lease.partition,
            start=cut.start,
            end=cut.end,
            ts_ms_max=lease.ts_ms_max,
            usage_partitions=self._settings.usage_partitions,
            login_globs=self._globs,
        )
        return _Made([codec.encode_block(b) for b in blocks], batch.num_rows, blocks[0].ts_ms_max, rejected)

    def _dead_letter(self, partition: int, rejected: intake.Rejected) -> Outgoing:
        message, error = rejected.message, rejected.error
        self._metrics.dead_letters.labels(error.code).inc()
        log.warning("dead letter", partition=partition, offset=message.offset, reason=str(error))
        origin = dead_letter.Origin(self._decisions, partition, message.offset)
        value, headers = dead_letter.letter(message.value, error, origin, message.content_type)
        return Outgoing(self._dead, value, headers=headers)
