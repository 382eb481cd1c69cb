"""An action as a limiter reads it: the fields of `schemas.action.Action` it goes by, decoded many at a time. Pure.

A field it does not know is left out of account, and an action of a newer version refused: what would narrow an action
raises its version, because a denial must not reach further than it was meant to (docs/adr/0023).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from pydantic import ValidationError

from schemas.action import VERSION, Action, ActionKind, ActionStatus, TargetKind
from schemas.errors import BadMessageError
from schemas.exempt import ExemptBy

_UNREAD: Final = msgspec.Raw(b"null")


class Aim(msgspec.Struct, frozen=True, gc=False):
    """Whom it is aimed at."""

    kind: TargetKind
    value: str


class NewRate(msgspec.Struct, frozen=True, gc=False):
    """What a limit is replaced by: `tokens` per `period_ms`."""

    tokens: int
    period_ms: int
    burst: int | None = None


class Spared(msgspec.Struct, frozen=True, gc=False):
    """The known good, as they travel."""

    by: ExemptBy
    networks: tuple[str, ...] = ()
    marks: str = ""


class Order(msgspec.Struct, frozen=True, gc=False):
    """One action. What stands last is for people and is not read."""

    uid: str
    kind: ActionKind
    status: ActionStatus
    target: Aim
    owner: str
    expires_ms: int
    rule: str | None = None
    route: str | None = None
    tier: str | None = None
    exempt: Spared | None = None
    limit: str | None = None
    factor: float | None = None
    rate: NewRate | None = None
    level: int | None = None
    v: int = 1
    version: int = 0
    reason: msgspec.Raw = _UNREAD
    model: msgspec.Raw = _UNREAD
    evidence: msgspec.Raw = _UNREAD
    alert_uid: msgspec.Raw = _UNREAD
    step: msgspec.Raw = _UNREAD
    created_ms: msgspec.Raw = _UNREAD
    crossed_ms: msgspec.Raw = _UNREAD
    ended_ms: msgspec.Raw = _UNREAD
    ended_by: msgspec.Raw = _UNREAD
    ended_reason: msgspec.Raw = _UNREAD


_DECODER: Final = msgspec.json.Decoder(Order)


def order(action: Action) -> Order:
    """`action` as a limiter reads it."""
    return _DECODER.decode(action.model_dump_json())


def decoded(body: bytes) -> Order:
    """One action's JSON.

    Raises:
        BadMessageError: names the field that is wrong.
    """
    try:
        found = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _explained(body, error) from error
    if found.v > VERSION:
        raise BadMessageError("future_version", "v", f"{found.v}, this reads up to {VERSION}", "upgrade the limiter")
    if not _is_plain(found):
        _bounded(body)  # few are not, and their bounds are the schema's
    return found


def decoded_lines(lines: bytes) -> Iterator[Order | BadMessageError]:
    """Many actions, a line each; one that is wrong comes as its error, in its place."""
    try:
        found = _DECODER.decode_lines(lines)
    except (msgspec.DecodeError, RecursionError):
        yield from map(_one, lines.splitlines())
        return
    for one, line in zip(found, lines.split(b"\n"), strict=False):
        yield one if one.v <= VERSION and _is_plain(one) else _one(line)


def _is_plain(one: Order) -> bool:
    return one.exempt is None and one.factor is None and one.rate is None and one.level is None


def _one(line: bytes) -> Order | BadMessageError:
    try:
        return decoded(line)
    except BadMessageError as error:
        return error


def _bounded(body: bytes) -> None:
    try:
        Action.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise BadMessageError("bad_value", ".".join(map(str, first["loc"])) or "body", first["msg"]) from error


def _explained(body: bytes, error: Exception) -> BadMessageError:
    try:
        _bounded(body)
    except BadMessageError as known:
        return known
    return BadMessageError("bad_value", "body", str(error))
