"""A block of decisions made into messages of usage: read, combined, encoded. What nobody sees until it is recorded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from detectors.family_file import conditions, with_own
from schemas import codec
from schemas.settings import Settings
from stream import intake
from stream.blocks import Cut
from stream.combine import combine
from stream.event_time import Rule
from stream.metrics import Metrics
from stream.own_blocks import OwnBlocks
from stream.rule_source import plan_of


@dataclass(frozen=True, slots=True)
class Made:
    """What a block became: usage messages in partition order, what was taken of it, and the time of either part."""

    usage: list[bytes]
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
        return Made(usage, taken, taken_s - began_s, time.perf_counter() - taken_s)
