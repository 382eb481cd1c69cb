"""Follows the registry: which version to judge by and which to try beside it, from its directory, once a second.

What cannot be taken (made for other features, damaged, not there yet) is said, and what ran runs on; it is tried
again when the order changes, and every ten seconds, for a file may still be on its way.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from detectors.artifact import Model
from detectors.errors import ArtifactError
from schemas.errors import FileError
from schemas.model_registry import Registry
from schemas.models import Agreement, Order, Word
from schemas.settings import Settings
from stream.models import registered, stated

if TYPE_CHECKING:
    from stream.detector import Detector

log = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 1.0
SAY_EVERY_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What to judge by, and what to try beside it; the versions they are, 0 for the settings' model, or none."""

    live: Model
    shadow: Model | None
    versions: tuple[int, int]


class ModelWatch:
    """One worker's view of the registry. Its methods read and write small files: not for the event loop."""

    def __init__(self, settings: Settings, node: str) -> None:
        self._settings, self._node = settings, node
        self._registry = Registry(settings.registry)
        self._order: Order | None = None  # the newest looked at
        self._taken: Taken | None = None
        self._since_ms = 0
        self._said_ms: int | None = None  # None: something is to be said at once
        self.refused = ""

    def start(self, now_ms: int) -> Taken:
        """What to begin with: where the live version cannot be used, the settings' model, so that somebody watches.

        Raises:
            ArtifactError: that cannot be used either.
        """
        taken = self.look(now_ms)
        if taken is None:
            self._taken = taken = Taken(stated(self._settings), None, (0, 0))
            self._since_ms = now_ms
        return taken

    def look(self, now_ms: int) -> Taken | None:
        """What is to be taken from now on; None where nothing changes."""
        try:
            order = self._registry.order()
        except FileError as error:
            self.refused = str(error)
            return None
        due = bool(self.refused) and self._due(now_ms)
        if order == self._order and not due:
            return None
        self._order = order
        try:
            taken = self._resolved(order)
        except ArtifactError as error:
            self.refused = str(error)
            self._said_ms = None
            return None
        changed = self._taken is None or taken.versions != self._taken.versions
        self.refused, self._said_ms = "", None
        if changed:
            self._taken, self._since_ms = taken, now_ms
        return taken if changed else None

    def say(self, now_ms: int, agreements: dict[int, Agreement]) -> None:
        """Tell the registry what runs here, and how a shadow fares, by usage partition: now and then, and on changes.

        Raises:
            FileError: the directory cannot be written.
        """
        taken, order = self._taken, self._order
        if taken is None or order is None or order.serial == 0 or not self._due(now_ms):
            return
        self._said_ms = now_ms
        live, shadow = taken.versions
        for partition, agreement in agreements.items() if shadow else ():
            self._registry.agreed(shadow, partition, agreement)
        word = Word(
            self._node, order.serial, live, shadow, taken.live.version, self._since_ms, now_ms, self.refused[:500]
        )
        self._registry.say(word)

    def _due(self, now_ms: int) -> bool:
        return self._said_ms is None or now_ms - self._said_ms >= SAY_EVERY_MS

    def _resolved(self, order: Order) -> Taken:
        held = self._taken
        families = held.live.families if held is not None else None  # those we began with, whatever their files say now
        if held is not None and held.versions[0] == order.live:
            live = held.live
        elif order.live:
            live = registered(self._settings, order.live, families)
        else:
            live = stated(self._settings, families=families)
        shadow = None
        if order.shadow:
            shadow = held.shadow if held is not None and held.versions[1] == order.shadow else None
            shadow = shadow or registered(self._settings, order.shadow, live.families)
        return Taken(live, shadow, (order.live, order.shadow))


async def follow(watch: ModelWatch, detector: Detector) -> None:
    """Have `detector` judge by what is ordered, and say so, without end."""
    refused = ""
    while True:
        if taken := await asyncio.to_thread(watch.look, _now_ms()):
            await detector.judge_by(taken.live, taken.shadow)
            log.info("model", live=taken.versions[0], shadow=taken.versions[1], content=taken.live.version)
        if watch.refused != refused:
            refused = watch.refused
            log.error("model refused", reason=refused) if refused else log.info("model taken after all")
            detector.refused(bool(refused))
        try:
            await asyncio.to_thread(watch.say, _now_ms(), await detector.agreements())
        except FileError as error:
            log.warning("cannot say which model runs", reason=str(error))
        await asyncio.sleep(LOOK_EVERY_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
