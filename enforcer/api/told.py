"""What was found and done, as the API shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from schemas.action import Action
from schemas.alert import Alert
from schemas.exempt import Exempt


class AlertShown(Alert):
    """An alert, and the incident it belongs to."""

    incident: str


class Enforcement(BaseModel):
    """An action's way to the limiters, in milliseconds.

    `ack_ms` by limiter since `created_ms`; `p50_ms`, `p99_ms` over them and `total_ms` to the last since `crossed_ms`,
    the deciding request (`created_ms` where no request decided it). `level` is a brownout's.
    """

    action: str
    kind: str
    target: str
    crossed_ms: int | None
    created_ms: int
    written_ms: int
    version: int
    ack_ms: dict[str, int]
    missing: list[str]
    total_ms: int | None
    p50_ms: int | None
    p99_ms: int | None
    level: int | None = None


class Spared(Exempt):
    """Whom an action leaves alone: `known` so many by a mark. Which marks, an action alone says; lists have none."""

    known: int


class ActionListed(Action):
    """An action as lists have it."""

    exempt: Spared | None = None


class ActionShown(ActionListed):
    """An action, and when each limiter had it (null: not measured, or not yet)."""

    enforcement: Enforcement | None


class Incident(BaseModel):
    """Alerts of one kind on one route that overlap or follow each other within ten minutes."""

    uid: str
    topic: str
    kind: str
    route: str | None
    tenant: str | None
    status: Literal["open", "closed", "withdrawn"]
    severity: str
    first_ms: int
    last_ms: int
    alerts: int
    summary: str
    acked_by: str | None
    acked_ms: int | None


class Event(BaseModel):
    """One word of an alert or an action, as it was heard."""

    seq: int
    at_ms: int
    kind: Literal["alert", "action"]
    alert: Alert | None = None
    action: ActionListed | None = None
