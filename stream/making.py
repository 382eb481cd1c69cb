"""A block of decisions made into messages of usage: read, combined, encoded. What nobody sees until it is recorded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from detectors.family_file import conditions, with_own
from schemas import codec
from schemas.arrow_stream import ROWS_MAX, UNPACKED_BYTES_MAX
from schemas.settings import Settings
from schemas.topics import USAGE_BYTES_MAX
from schemas.usage import Block
from stream import intake
from stream.blocks import Cut
from stream.combine import combine
from stream.event_time import Rule
from stream.metrics import Metrics
from stream.own_blocks import OwnBlocks
from stream.rule_source import plan_of

HEAD_BYTES: Final = 1 << 10  # Kafka's, around a message


@dataclass(frozen=True, slots=True)
class Made:
    """What a block became: usage messages in partition order, what was taken of it, and the time of either part.

    `share`: of what a message may have, so much the largest of them takes; more than 1 cannot be sent or not be read.
    """

    usage: list[bytes]
    share: float
    taken: intake.Taken
    decode_s: float
    combine_s: float


class Maker:
    """Makes blocks by the rules and families in force; `own` keeps what this worker will read itself."""

    def __init__(self, settings: Settings, metrics: Metrics, own: OwnBlocks | None = None) -> None:
        self._metrics, self._own = metrics, own
        self._usage_partitions = settings.usage_partitions
        self._globs = settings.login_globs
        self._plan = plan_of(settings)
        self._conditions = conditions(with_own(settings.families))
        self._rule = Rule(settings.lateness_ms, settings.skew_ms)

    def make(self, cuts: Sequence[tuple[int, Cut]]) -> list[Made]:
        """Blocks of decisions partitions."""
        with self._metrics.cpu("combine"):
            return [self._made(partition, cut) for partition, cut in cuts]

    def _made(self, partition: int, cut: Cut) -> Made:
        began_s = time.perf_counter()
        taken = intake.take(cut, partition, self._rule, self._globs)
        taken_s = time.perf_counter()
        blocks = combine(
            taken.batch,
            partition=partition,
            start=cut.start,
            end=cut.end,
            ts_ms_max=taken.newest_ms,
            usage_partitions=self._usage_partitions,
            login_globs=self._globs,
            conditions=self._conditions,
            judged_s=taken.judged_s,
            plan=self._plan,
        )
        usage = [codec.encode_block(block) for block in blocks]
        if self._own:
            for number, (block, value) in enumerate(zip(blocks, usage, strict=True)):
                self._own.keep(number, block, value)
        shares = map(share, blocks, usage)
        return Made(usage, max(shares), taken, taken_s - began_s, time.perf_counter() - taken_s)


def share(block: Block, value: bytes) -> float:
    """How much of what it may have a block takes as the message `value`: in bytes, and each part in rows and bytes."""
    parts = (block.counts, block.flows, block.hits, block.items)
    taken: float = max(
        (len(value) + HEAD_BYTES) / USAGE_BYTES_MAX,
        max(part.num_rows for part in parts) / ROWS_MAX,
        max(int(part.nbytes) for part in parts) / UNPACKED_BYTES_MAX,  # of itself, not of what it is cut from
    )
    return taken
