"""What may be ordered of registered models, and what is known of them: for the command line and for the API.

What a model is the stream workers know; whoever wires the programs hands in their judgement as `judge`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from enforcer.errors import CommandError
from schemas import models
from schemas.errors import FileError
from schemas.model_registry import Registry
from schemas.models import Order, Trial, Version, Word
from schemas.settings import Settings

ALIVE_MS: Final = 30_000
"""A worker that has said nothing for so long is gone."""
_POLL_S: Final = 0.1
_LIST: Final = "see `floodwarden model list`"
_CODES: Final = {"version": "not_found", "number": "stale"}
Told = dict[str, Any]
Thresholds = Mapping[str, Mapping[str, float]]
Judge = Callable[[Settings, int], Thresholds]
"""A version's thresholds by family and kind of client. Raises `CommandError` where stream workers could not use it."""
Inspect = Callable[[Settings, bytes], Version]
"""What a model's file is, as a version without number. Raises `CommandError` where stream workers could not use it."""


@dataclass(frozen=True, slots=True)
class By:
    """Who orders something, and why."""

    author: str
    reason: str = ""


def unjudged(_: Settings, number: int) -> Thresholds:
    """The judgement where no worker's is at hand: nothing is ordered that way."""
    fix = "start the enforcer by `floodwarden enforcer`"
    raise CommandError("unusable", "version", f"nobody here can say whether workers could use version {number}", fix)


def uninspected(_: Settings, data: bytes) -> Version:
    """The same for a file."""
    fix = "start the enforcer by `floodwarden enforcer`"
    raise CommandError("unusable", "file", f"nobody here can say whether workers could use its {len(data)} bytes", fix)


def register(settings: Settings, data: bytes, by: By, inspect: Inspect) -> Version:
    """Register a model's file: the same file keeps the version it has. Nothing judges by it yet.

    Raises:
        CommandError: workers could not use it (made for other features, families, or damaged), it is too large, or
            another was registered at the same moment.
    """
    checked(by)
    made = msgspec.structs.replace(inspect(settings, data), author=by.author, reason=by.reason, at_ms=_now_ms())
    with _reading():
        return Registry(settings.registry).add(data, made)


def promote(settings: Settings, number: int, by: By, judge: Judge, *, force: bool = False) -> Order:
    """Have all workers judge by a version.

    Raises:
        CommandError: there is none, workers could not use it (made for other features, families, or damaged), it was
            never replayed and nobody insists, or somebody else ordered something meanwhile.
    """
    checked(by)
    with _reading():
        registry = Registry(settings.registry)
        _there(registry, number)
        judge(settings, number)
        trial, order = registry.trial(number), registry.order()
        if trial is None and not force:
            fix = f"see whom it would have hit with `floodwarden model try {number}`, or force it (--force)"
            raise CommandError("untried", "version", f"version {number} was never tried on recorded traffic", fix)
        if order.live == number:
            return order
        shadow = 0 if order.shadow == number else order.shadow
        return _put(registry, order, by, live=number, shadow=shadow, forced=trial is None)


def shadow(settings: Settings, number: int, by: By, judge: Judge) -> Order:
    """Have all workers try a version beside the live one; 0: none.

    Raises:
        CommandError: as `promote`; or it is live.
    """
    checked(by)
    with _reading():
        registry = Registry(settings.registry)
        order = registry.order()
        if number and number == order.live:
            raise CommandError("live", "version", f"version {number} is live", "put another in shadow")
        if number:
            _there(registry, number)
            judge(settings, number)
        return order if order.shadow == number else _put(registry, order, by, live=order.live, shadow=number)


def rollback(settings: Settings, number: int | None, by: By, judge: Judge) -> Order:
    """Have all workers judge by an earlier version again: the one before, or `number`, which was live once.

    Version 0 is the model of the settings.

    Raises:
        CommandError: as `promote`; or there is none to go back to.
    """
    checked(by)
    with _reading():
        registry = Registry(settings.registry)
        before = lives(registry.orders())
        if number is None:
            if len(before) < 2:
                fix = "promote one first"
                raise CommandError("never_live", "version", "there is no version to go back to: none was live", fix)
            number = before[-2]
        elif number not in before[:-1]:
            told = ", ".join(map(str, before[:-1])) or "none"
            fix = f"these were: {told}; any other is promoted"
            raise CommandError("never_live", "version", f"version {number} was not live before", fix)
        if number:
            judge(settings, number)
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


def alive(words: Sequence[Word], now_ms: int) -> list[Word]:
    """Words of workers that are there."""
    return [word for word in words if now_ms - word.at_ms < ALIVE_MS]


def awaited(settings: Settings, order: Order, wait_s: float) -> list[Word]:
    """Words of the workers there are, once all have seen `order`, or as they stand when the time is up."""
    registry, deadline_s = Registry(settings.registry), time.monotonic() + wait_s
    with _reading():
        while True:
            found = alive(registry.words(), _now_ms())
            seen = bool(found) and all(word.serial >= order.serial for word in found)
            if seen or not order.serial or time.monotonic() >= deadline_s:
                return found
            time.sleep(_POLL_S)


def taken(order: Order, words: Sequence[Word]) -> bool:
    """Whether there are workers, and each has taken what was ordered. Nothing was ever ordered: nothing is to take."""
    there = bool(words) or not order.serial
    return there and all(word.serial >= order.serial and not word.refused for word in words)


def state(version: Version, order: Order, trial: Trial | None) -> str:
    """`live`, `shadow`, `tried` or `registered`."""
    if version.version == order.live:
        return "live"
    if version.version == order.shadow:
        return "shadow"
    return "tried" if trial is not None else "registered"


def ordered(order: Order, words: Sequence[Word]) -> Told:
    """What holds and who has taken it."""
    return plain(order) | {"ok": taken(order, words), "workers": [plain(word) for word in words]}


def standing(settings: Settings) -> Told:
    """What holds now, and what the workers there are say."""
    with _reading():
        registry = Registry(settings.registry)
        return ordered(registry.order(), alive(registry.words(), _now_ms()))


def listed(settings: Settings) -> list[Told]:
    """Every version, the newest first: how it stands, and whether it was tried."""
    with _reading():
        registry = Registry(settings.registry)
        order = registry.order()
        return [_row(one, order, registry.trial(one.version)) for one in registry.versions()]


def row(settings: Settings, version: Version) -> Told:
    """One version as the list has it."""
    with _reading():
        registry = Registry(settings.registry)
        return _row(version, registry.order(), registry.trial(version.version))


def shown(settings: Settings, number: int, judge: Judge) -> Told:
    """One version: how it stands, its thresholds, what its replay said. Raises `CommandError`."""
    with _reading():
        registry = Registry(settings.registry)
        version, trial = _there(registry, number), registry.trial(number)
        told = _row(version, registry.order(), trial)
    thresholds = {"thresholds": {family: dict(of) for family, of in judge(settings, number).items()}}
    return told | thresholds | {"trial": None if trial is None else plain(trial)}


def compared(settings: Settings, number: int | None) -> Told:
    """How the live model and a version in shadow (without `number` the one that is) agree.

    Raises:
        CommandError: none is in shadow, there is no such version, or nothing is known of it yet.
    """
    with _reading():
        registry = Registry(settings.registry)
        number = number or registry.order().shadow
        if not number:
            fix = "set one there with `floodwarden model shadow VERSION`"
            raise CommandError("not_found", "version", "no version is in shadow", fix)
        _there(registry, number)
        found = registry.agreement(number)
    if found is None:
        why, fix = f"no worker has said anything of version {number} yet", "they do every ten seconds while it is there"
        raise CommandError("not_found", "version", why, fix)
    return {"version": number} | plain(found) | {"total": plain(found.total)}


def plain(value: msgspec.Struct) -> Told:
    """A struct for JSON."""
    out: Told = msgspec.to_builtins(value)
    return out


def _row(version: Version, order: Order, trial: Trial | None) -> Told:
    return plain(version) | {"state": state(version, order, trial), "tried": trial is not None}


@contextmanager
def _reading() -> Iterator[None]:
    """What the directory says no to, in words of a command."""
    try:
        yield
    except FileError as error:
        code = _CODES.get(error.field, "models_unreadable")
        raise CommandError(code, "models" if code == "models_unreadable" else error.field, str(error), error.fix) from (
            error
        )


def _there(registry: Registry, number: int) -> Version:
    version = next((one for one in registry.versions() if one.version == number), None)
    if version is None:
        raise CommandError("not_found", "version", f"there is no version {number}", _LIST)
    return version


def _put(registry: Registry, after: Order, by: By, *, live: int, shadow: int, forced: bool = False) -> Order:
    order = Order(after.serial + 1, live, shadow, by.author, by.reason, _now_ms(), forced)
    registry.put(order)
    return order


def checked(by: By) -> None:
    """Raises `CommandError` where who orders it, or why, cannot be kept."""
    if fault := models.author_fault(by.author, by.reason):
        field = "by" if models.author_fault(by.author, "") else "reason"
        raise CommandError("bad_value", field, fault, "say it shorter, in one line")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
