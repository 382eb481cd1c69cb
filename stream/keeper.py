"""Keeps pipelines on disk: a copy is taken between two steps and written beside the next ones, one at a time.

What it costs is bounded: after a snapshot the worker rests so many times as long as it took.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import structlog

from detectors.artifact import Model
from schemas import topics
from schemas.settings import Settings
from stream import storage
from stream.errors import SnapshotError
from stream.metrics import Metrics
from stream.pipeline import Config, Pipeline

log = structlog.get_logger(__name__)
REST: Final = 10


class Keeper:
    """Snapshots of the usage partitions of this worker."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._usage = settings.topic(topics.USAGE)
        self._kept: dict[int, int] = {}  # by partition: next offset as of its newest snapshot
        self._due_s: dict[int, float] = {}
        self._rests_until_s = 0.0
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, partition: int, pipeline: Pipeline, offset: int, *, at_once: bool = False) -> None:
        """Take a snapshot when one is due; of what came before `offset` all alerts are acknowledged."""
        if self._kept.get(partition) == offset:
            return
        if at_once:
            await self.settle()
        began_s = time.perf_counter()
        due_s = max(self._due_s.get(partition, 0.0), self._rests_until_s)
        if not at_once and (began_s < due_s or (self._writing and not self._writing.done())):
            return
        await self.settle()
        state = await asyncio.to_thread(self._copy, pipeline)
        self._kept[partition] = offset
        self._writing = asyncio.create_task(self._keep(partition, offset, state, began_s))
        label = str(partition)
        self._metrics.snapshot_bytes.labels(label).set(len(state))
        for what, count in pipeline.sizes().items():
            self._metrics.held.labels(label, what).set(count)

    async def settle(self) -> None:
        """The snapshot under way, if any, is on disk; raises what kept it from there."""
        if self._writing:
            await self._writing
            self._writing = None

    def load(self, partition: int, bounds: tuple[int, int], model: Model, config: Config) -> tuple[Pipeline, int]:
        """From its snapshot where that fits the topic, else for the earliest block the topic still holds."""
        earliest, end = bounds
        try:
            found = storage.read(self._path(partition))
            if found is not None and earliest <= found[0] <= end:
                pipeline = Pipeline.restore(model, config, found[1])
                log.info("snapshot", partition=partition, offset=found[0])
                self._kept[partition] = found[0]
                return pipeline, found[0]
            if found is not None:
                log.warning(
                    "snapshot of another topic", partition=partition, offset=found[0], earliest=earliest, end=end
                )
        except SnapshotError as error:
            log.warning("snapshot refused", partition=partition, reason=str(error))
        storage.remove(self._path(partition))
        log.info("rebuild", partition=partition, offset=earliest)
        self._kept.pop(partition, None)
        return Pipeline(model, config), earliest

    async def _keep(self, partition: int, offset: int, state: memoryview, began_s: float) -> None:
        await asyncio.to_thread(self._write, partition, offset, state)
        now_s = time.perf_counter()
        self._due_s[partition] = now_s + self._settings.snapshot_every_ms / 1000
        self._rests_until_s = now_s + REST * (now_s - began_s)
        self._metrics.snapshot_seconds.observe(now_s - began_s)

    def _copy(self, pipeline: Pipeline) -> memoryview:
        with self._metrics.cpu("snapshot"):
            return pipeline.snapshot()

    def _write(self, partition: int, offset: int, state: memoryview) -> None:
        with self._metrics.cpu("snapshot"):
            storage.write(self._path(partition), offset, state)

    def _path(self, partition: int) -> Path:
        return Path(self._settings.data_dir) / "stream" / f"{self._usage}-{partition}.snapshot"
