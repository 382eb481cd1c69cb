"""What may be ordered of registered models: to be live, to be tried in shadow, to be taken back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors import artifact
from detectors.family_file import with_own
from floodwarden.errors import CommandError
from schemas import models
from schemas.errors import FileError
from schemas.model_registry import Registry
from schemas.models import Order, Version, Word
from schemas.settings import Settings
from stream.models import registered

ALIVE_MS: Final = 30_000
"""A worker that has said nothing for so long is gone."""
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class By:
    """Who orders something, and why."""

    author: str
    reason: str = ""


def register(settings: Settings, path: Path, by: By) -> Version:
    """Register the model at `path`: the same file keeps the version it has.

    Raises:
        ArtifactError: this program's workers could not use it.
        CommandError: it cannot be written, or a word cannot be taken.
    """
    _checked(by)
    model = artifact.load(path, with_own(settings.families))
    made = Version(0, "", model.version, model.made_from, model.span_s, by.author, by.reason, _now_ms())
    return Registry(settings.registry).add(path.read_bytes(), made)


def promote(settings: Settings, number: int, by: By, *, force: bool = False) -> Order:
    """Have all workers judge by a version.

    Raises:
        ArtifactError: they could not use it: made for other features, families, or damaged.
        CommandError: it was never replayed, and nobody insists; or somebody else ordered something meanwhile.
    """
    _checked(by)
    registry = Registry(settings.registry)
    registered(settings, number)
    trial = registry.trial(number)
    if trial is None and not force:
        raise CommandError(
            f"version {number} was never tried on recorded traffic: see whom it would have hit with "
            f"`floodwarden model try {number}`, or say --force"
        )
    order = registry.order()
    if order.live == number:
        return order
    shadow = 0 if order.shadow == number else order.shadow
    return _put(registry, order, by, live=number, shadow=shadow, forced=trial is None)


def shadow(settings: Settings, number: int, by: By) -> Order:
    """Have all workers try a version beside the live one; 0: none.

    Raises:
        ArtifactError: they could not use it.
        CommandError: it is live, or somebody else ordered something meanwhile.
    """
    _checked(by)
    registry = Registry(settings.registry)
    order = registry.order()
    if number and number == order.live:
        raise CommandError(f"version {number} is live; put another in shadow")
    if number:
        registered(settings, number)
    return order if order.shadow == number else _put(registry, order, by, live=order.live, shadow=number)


def rollback(settings: Settings, number: int | None, by: By) -> Order:
    """Have all workers judge by an earlier version again: the one before, or `number`, which was live once.

    Version 0 is the model of the settings.

    Raises:
        ArtifactError: they could not use it.
        CommandError: there is none to go back to, or somebody else ordered something meanwhile.
    """
    _checked(by)
    registry = Registry(settings.registry)
    before = lives(registry.orders())
    if number is None:
        if len(before) < 2:
            raise CommandError("there is no version to go back to: none was promoted yet")
        number = before[-2]
    elif number not in before[:-1]:
        told = ", ".join(map(str, before[:-1])) or "none"
        raise CommandError(f"version {number} was not live before; these were: {told}. Any other is promoted")
    if number:
        registered(settings, number)
    order = registry.order()
    return _put(registry, order, by, live=number, shadow=0 if order.shadow == number else order.shadow)


def lives(orders: list[Order]) -> list[int]:
    """Versions to go back through, the live one last: going back to one forgets those after it."""
    out = [0]
    for order in reversed(orders):
        if order.live in out:
            del out[out.index(order.live) + 1 :]
        else:
            out.append(order.live)
    return out


def alive(words: list[Word], now_ms: int) -> list[Word]:
    """Words of workers that are there."""
    return [word for word in words if now_ms - word.at_ms < ALIVE_MS]


def awaited(settings: Settings, order: Order, wait_s: float) -> list[Word]:
    """Words of the workers there are, once all have seen `order`, or as they stand when the time is up."""
    registry, deadline_s = Registry(settings.registry), time.monotonic() + wait_s
    while True:
        found = alive(registry.words(), _now_ms())
        if all(word.serial >= order.serial for word in found) or time.monotonic() >= deadline_s:
            return found
        time.sleep(_POLL_S)


def _put(registry: Registry, after: Order, by: By, *, live: int, shadow: int, forced: bool = False) -> Order:
    order = Order(after.serial + 1, live, shadow, by.author, by.reason, _now_ms(), forced)
    try:
        registry.put(order)
    except FileError as error:
        if error.field != "number":
            raise
        raise CommandError(
            "somebody else ordered something at the same moment; see `floodwarden model list`"
        ) from error
    return order


def _checked(by: By) -> None:
    if fault := models.author_fault(by.author, by.reason):
        raise CommandError(fault)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
