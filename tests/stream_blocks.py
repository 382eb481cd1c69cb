"""Decisions as messages of a log, and the log as blocks, the way a combine worker makes them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stream_traffic import GLOBS

from schemas import codec, topics
from schemas.decision import Decision
from schemas.usage import Block
from stream import intake
from stream.blocks import Cut, Lease, Message, Terms
from stream.combine import combine
from stream.event_time import Rule


def message(offset: int, rows: Sequence[Decision], **known: object) -> Message:
    return replace(Message(offset, codec.encode(codec.from_rows(rows)), topics.ARROW), **known)  # type: ignore[arg-type]


def block_of(cut: Cut, partition: int, rule: Rule, usage_partitions: int = 1) -> list[Block]:
    """What a worker writes for a cut."""
    taken = intake.take(cut, partition, rule, GLOBS)
    return combine(
        taken.batch,
        partition=partition,
        start=cut.start,
        end=cut.end,
        ts_ms_max=taken.newest_ms,
        usage_partitions=usage_partitions,
        login_globs=GLOBS,
        judged_s=taken.judged_s,
    )


@dataclass
class Writer:
    """A combine worker's part in one partition: it may die between any two steps, and its successor goes on."""

    partition: int
    log: Sequence[Message]
    rule: Rule
    lease: Lease = field(init=False)
    recorded: tuple[int, int, Terms] | None = None  # start, end, terms: what a broker keeps

    def __post_init__(self) -> None:
        self.lease = Lease(self.partition, 1, 0)

    @property
    def done(self) -> bool:
        return self.lease.next >= len(self.log) and self.lease.redo is None

    def step(self, count: int, *, dies: bool) -> list[Block]:
        """The blocks that up to `count` more messages make; where it dies, its successor writes the last one again."""
        for one in self.log[self.lease.due : self.lease.due + count]:
            self.lease.offer(one)
        written: list[Block] = []
        while cut := self.lease.cut():
            self.recorded = (cut.start, cut.end, cut.terms)
            [block] = block_of(cut, self.partition, self.rule)
            written.append(block)
            self.lease.made(cut, block.ts_ms_max)
        if dies and self.recorded is not None:
            start, end, terms = self.recorded
            self.lease = Lease(self.partition, self.lease.generation + 1, start, end, Terms.recorded(terms.offset))
        return written


def dealt(rows: Sequence[Decision], partitions: int, seed: int, per_message: int = 20) -> list[list[Message]]:
    """Rows in the order given as messages of so many partitions, as limiters deal them out."""
    chance = random.Random(seed)
    logs: list[list[Message]] = [[] for _ in range(partitions)]
    for at in range(0, len(rows), per_message):
        log = logs[chance.randrange(partitions)]
        log.append(message(len(log), rows[at : at + per_message]))
    return logs
