"""An action: what the enforcer put in force on a target, why, for how long and by whom."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from schemas.alert import Evidence, Frozen

VERSION: Final = 1


class ActionKind(StrEnum):
    """What is done. A throttle multiplies the target's limits by `factor`; a brownout has a `level` 0..4."""

    NOTICE = "notice"
    DENY = "deny"
    CHALLENGE = "challenge"
    THROTTLE = "throttle"
    BROWNOUT = "brownout"
    ALLOW = "allow"


class TargetKind(StrEnum):
    """What an action may aim at. Only `ip` takes a network (`203.0.113.0/24`)."""

    IP = "ip"
    KEY = "key"
    USER = "user"
    ROUTE = "route"
    TENANT = "tenant"
    GLOBAL = "global"


class ActionStatus(StrEnum):
    """Life of an action. `refused`: a guardrail held it back (`reason` says which); it never took effect."""

    ACTIVE = "active"
    LIFTED = "lifted"
    EXPIRED = "expired"
    REFUSED = "refused"


class Target(Frozen):
    """Whom or what an action is aimed at."""

    kind: TargetKind = Field(strict=False)
    value: str = Field(max_length=512)

    @property
    def key(self) -> str:
        """`KIND:VALUE`: decides the partition of `actions`; the record's key there is the action's uid."""
        return f"{self.kind}:{self.value}"


class Action(Frozen):
    """One action as it stands in `actions` (the truth), in the Redis snapshot and in the feed.

    Only its status and how it ended ever change: one that is to last longer is a new action with its own uid.
    `version` is its place in the feed (0 until written). `step` is the rung of the escalation ladder, from 1.
    """

    v: int = VERSION
    uid: str
    version: int = 0
    kind: ActionKind = Field(strict=False)
    status: ActionStatus = Field(strict=False)
    target: Target
    route: str | None = Field(default=None, description="only requests of this route template")
    factor: float | None = Field(default=None, gt=0, le=1)
    level: int | None = Field(default=None, ge=0, le=4)
    reason: str
    rule: str | None = None
    model: str | None = None
    evidence: tuple[Evidence, ...] = Field(default=(), strict=False)
    alert_uid: str | None = None
    owner: str = Field(description="`auto`, or who asked: `cli:NAME`")
    step: int = 1
    created_ms: int
    expires_ms: int
    crossed_ms: int | None = Field(
        default=None, description="event time of the decision with which the evidence sufficed"
    )
    ended_ms: int | None = Field(default=None, description="when it was lifted or expired")
    ended_by: str | None = Field(default=None, description="`auto`, or who lifted it: `cli:NAME`")
    ended_reason: str | None = Field(default=None, description="why it was lifted")
