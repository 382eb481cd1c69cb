"""Kafka records <-> alerts and actions. A bad one raises `BadMessageError` naming the field."""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import xxhash
from pydantic import ValidationError

from schemas import action as actions
from schemas import alert as alerts
from schemas.action import Action, Target
from schemas.alert import Alert, Frozen
from schemas.decision import TS_MS_MAX, TS_MS_MIN
from schemas.errors import BadMessageError
from schemas.exempt import marks_in

_M = TypeVar("_M", bound=Frozen)
_EVERY: Final[dict[type[Frozen], set[str]]] = {model: set(model.model_fields) for model in (Action, Target)}
_CODES: Final = {"missing": "missing_field", "extra_forbidden": "unknown_field", "json_invalid": "bad_json"}


def alert(value: bytes | None) -> Alert:
    """An alert from `alerts`, about somebody, at times that a decision can have."""
    message = _read(Alert, value)
    _known(message.v, alerts.VERSION)
    for name, text in (("uid", message.uid), ("entity.value", message.entity.value)):
        if not text:
            raise BadMessageError("bad_value", name, "is empty", "say which alert, and about whom")
    for name in ("first_ms", "crossed_ms", "last_ms"):
        if not TS_MS_MIN <= getattr(message, name) <= TS_MS_MAX:
            fix = "epoch milliseconds between 1980 and 2100"
            raise BadMessageError("bad_value", name, f"{getattr(message, name)} is out of range", fix)
    return message


def action(value: bytes) -> Action:
    """An action from `actions`."""
    message = _read(Action, value)
    _known(message.v, actions.VERSION)
    _share_names(message)
    _share_names(message.target)
    return message


def encode(action: Action) -> bytes:
    """An action as it stands in Kafka, in the snapshot and in the feed."""
    return action.model_dump_json().encode()


def brief(action: Action) -> dict[str, Any]:
    """An action as lists show it: of whom it spares by marks it says how many, for that can be 700 kB."""
    told: dict[str, Any] = action.model_dump(mode="json")
    if action.exempt is not None:
        told["exempt"] |= {"marks": "", "known": marks_in(action.exempt.marks)}
    return told


def brief_json(action: Action) -> str:
    """The same as text, spelt as all messages are."""
    return json.dumps(brief(action), ensure_ascii=False, separators=(",", ":"))


def key(action: Action) -> bytes:
    """The compacted topic's key: an action is its own record, so that one on the same target never erases it."""
    return action.uid.encode()


def partition(target: Target, partitions: int) -> int:
    """Where everything about `target` goes, in order."""
    return int(xxhash.xxh3_64_intdigest(target.key.encode("utf-8", "surrogatepass"))) % partitions


def _share_names(message: Frozen) -> None:
    """Pydantic keeps with each message which fields were given: 2 kB an action, and 100,000 may stand."""
    every = _EVERY[type(message)]
    if message.model_fields_set == every:
        object.__setattr__(message, "__pydantic_fields_set__", every)


def _read(model: type[_M], value: bytes | None) -> _M:
    if value is None:
        raise BadMessageError("missing_field", "body", "empty", f"send one {model.__name__} as JSON")
    try:
        # What a newer writer adds under the same version may be left out of account; see docs/adr/0023.
        return model.model_validate_json(value, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        code = _CODES.get(first["type"], "bad_value")
        raise BadMessageError(code, field, first["msg"], f"see {model.__name__} in ARCHITECTURE.md") from error


def _known(version: int, newest: int) -> None:
    if version > newest:
        raise BadMessageError("future_version", "v", f"{version}, this reads up to {newest}", "upgrade the enforcer")
