"""Where good traffic drifts, a model with refitted thresholds is registered and tried beside the live one.

    each worker      the days of its usage partitions -> drift/P.json in the registry
    whoever sees it  all partitions' days as one -> `drift.refit` -> a version, in shadow where none is

Nobody promotes it but people. Once a day at the most, and by the name of `AUTHOR`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from detectors import artifact
from detectors.artifact import Model
from detectors.calibration import TOP
from detectors.columns import KINDS_N
from detectors.drift import Day, merged, refit
from schemas.errors import FileError
from schemas.model_registry import Registry
from schemas.models import REASON_CHARS_MAX, DriftDay, Order, Version
from schemas.settings import Settings

if TYPE_CHECKING:
    from stream.detector import Detector

log = structlog.get_logger(__name__)
AUTHOR: Final = "the watch for drift"
EVERY_MS: Final = 24 * 3_600_000
APART_S: Final = 2 * 3600  # a day that ended so much before the newest is of a partition nobody has any more
LOOK_EVERY_S: Final = 10.0
KINDS: Final = ("ip", "key", "user")


def keep(registry: Registry, live: Model, days: Mapping[int, Day]) -> None:
    """Tell the registry what partitions' good clients came to under `live`. Raises `FileError`: not writable."""
    for partition, day in days.items():
        made = DriftDay(
            live.version, day.since_s, day.until_s, day.hours, day.n.tolist(), day.counts.tolist(), day.top.tolist()
        )
        registry.watched(partition, made)


def proposed(registry: Registry, live: Model, now_ms: int) -> Version | None:
    """A version with thresholds refitted to all partitions' days, put in shadow; None where nothing is to be proposed.

    Raises:
        FileError: the registry cannot be read or written, or somebody else was first.
    """
    if any(one.author == AUTHOR and now_ms - one.at_ms < EVERY_MS for one in registry.versions()):
        return None
    days = [day for one in registry.days() if one.content == live.version and (day := _day(one, len(live.families)))]
    newest_s = max((day.until_s for day in days), default=0)
    fresh = [day for day in days if newest_s - day.until_s <= APART_S]
    made = refit(live, merged(fresh)) if fresh else None
    if made is None:
        return None
    reason = _reason(live, made)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        artifact.save(made, path)
        version = Version(0, "", made.version, made.made_from, made.span_s, AUTHOR, reason, now_ms)
        version = registry.add(path.read_bytes(), version)
    order = registry.order()
    if not order.shadow:
        registry.put(Order(order.serial + 1, order.live, version.version, AUTHOR, reason, now_ms))
    return version


def _day(one: DriftDay, families: int) -> Day | None:
    """What was kept, where it is of so many families."""
    n, counts, top = np.array(one.n), np.array(one.counts), np.array(one.top)
    by = (KINDS_N, families)
    if (n.shape, counts.shape, top.shape) != (by, (*by, 2), (*by, TOP)):
        return None
    return Day(one.since_s, one.until_s, one.hours, n, counts, top, np.zeros(top.shape, np.uint64))


def _reason(live: Model, made: Model) -> str:
    was = artifact.thresholds(live.beta, live.entities)
    told = [
        f"{family.name} of {kind} {was[k, family.index]:.1f} > {made.h[k, family.index]:.1f}"
        for family in made.families
        for k, kind in enumerate(KINDS)
        if made.h[k, family.index] > was[k, family.index]
    ]
    return f"good traffic drifts: {', '.join(told)}"[:REASON_CHARS_MAX]


async def propose(settings: Settings, detector: Detector) -> None:
    """Have the registry know the days of `detector`, and a version where they drift, without end."""
    registry, known = Registry(settings.registry), dict[int, int]()
    while True:
        live, days = await detector.days(known)
        try:
            if days:
                await asyncio.to_thread(keep, registry, live, days)
                made = await asyncio.to_thread(proposed, registry, live, time.time_ns() // 1_000_000)
                known |= {partition: day.until_s for partition, day in days.items()}
                if made is not None:
                    log.info("model proposed", version=made.version, reason=made.reason)
        except FileError as error:
            log.warning("cannot propose a model", reason=str(error))
        await asyncio.sleep(LOOK_EVERY_S)
