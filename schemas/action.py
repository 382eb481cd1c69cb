"""An action: what the enforcer put in force on a target, why, for how long and by whom."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from schemas.alert import TENANT_CHARS_MAX, Evidence, Frozen
from schemas.exempt import Exempt

VERSION: Final = 1
FACTOR_MAX: Final = 100.0


class ActionKind(StrEnum):
    """What is done. A throttle multiplies limits by `factor` or replaces them by `rate`; a brownout has a `level` 0..4.

    Either may also raise a limit, for a client that needs more for a while. A hold stops automation: until it ends,
    nothing automatic is in force; what people asked for stays.
    """

    NOTICE = "notice"
    DENY = "deny"
    CHALLENGE = "challenge"
    THROTTLE = "throttle"
    BROWNOUT = "brownout"
    ALLOW = "allow"
    HOLD = "hold"


class TargetKind(StrEnum):
    """What an action may aim at. Only `ip` takes a network (`203.0.113.0/24`)."""

    IP = "ip"
    KEY = "key"
    USER = "user"
    ROUTE = "route"
    TENANT = "tenant"
    ASN = "asn"
    COUNTRY = "country"
    GLOBAL = "global"


class ActionStatus(StrEnum):
    """Life of an action. `refused`: a guardrail held it back (`guard` says which), or it was asked for and let go.

    `pending`: somebody is asked first (`approval`); nothing is in force. It ends `approved`, with an action of its own
    in its place, or `refused`.
    """

    PENDING = "pending"
    ACTIVE = "active"
    LIFTED = "lifted"
    EXPIRED = "expired"
    REFUSED = "refused"
    APPROVED = "approved"


class Target(Frozen):
    """Whom or what an action is aimed at."""

    kind: TargetKind = Field(strict=False)
    value: str = Field(max_length=512)

    @property
    def key(self) -> str:
        """`KIND:VALUE`: decides the partition of `actions`; the record's key there is the action's uid."""
        return f"{self.kind}:{self.value}"


class Rate(Frozen):
    """What a limit is replaced by: `tokens` per `period_ms`; `burst` as the limit's algorithm has it when absent."""

    tokens: int = Field(ge=1, le=10**9)
    period_ms: int = Field(ge=1, le=366 * 86_400_000)
    burst: int | None = Field(default=None, ge=1, le=10**9)


class Otherwise(StrEnum):
    """What becomes of a pending action that nobody decides in time."""

    DO = "do"
    LET_GO = "let_go"


class Approval(Frozen):
    """What a pending action waits for: a word until `until_ms`, else `otherwise`; `why` is why it is not just done."""

    until_ms: int
    otherwise: Otherwise = Field(strict=False)
    why: str = Field(max_length=500)


class Action(Frozen):
    """One action as it stands in `actions` (the truth), in the Redis snapshot and in the feed.

    It holds for requests of `target`, and of those only for what `route` and `tier` name, and not for whom `exempt`
    knows; a throttle only for the limit named `limit`. All of them absent: for every request of the target.

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
    tier: str | None = Field(default=None, max_length=128, description="only requests of this tier")
    exempt: Exempt | None = Field(default=None, description="known good clients, whom it leaves alone")
    limit: str | None = Field(default=None, max_length=256, description="a throttle of this limit alone")
    factor: float | None = Field(default=None, gt=0, le=FACTOR_MAX)
    rate: Rate | None = Field(default=None, description="a throttle that replaces limits")
    level: int | None = Field(default=None, ge=0, le=4)
    reason: str
    guard: str | None = Field(
        default=None, max_length=64, description="which guardrail held it back, or has it no harsher; one word"
    )
    play: str | None = Field(default=None, max_length=64, description="the play that led to it (docs/playbooks.md)")
    page: bool = Field(default=False, description="somebody is to be called for it")
    approval: Approval | None = Field(default=None, description="of what is or was `pending`")
    rule: str | None = None
    model: str | None = None
    evidence: tuple[Evidence, ...] = Field(default=(), strict=False)
    alert_uid: str | None = None
    campaign: str | None = Field(default=None, max_length=640, description="the attack of many it is an answer to")
    tenant: str | None = Field(default=None, max_length=TENANT_CHARS_MAX, description="whose client it is aimed at")
    established: bool = Field(default=False, description="its target has a good history of its own")
    owner: str = Field(description="`auto`, or who asked: `cli:NAME`, `api:NAME`")
    step: int = 1
    created_ms: int
    expires_ms: int
    crossed_ms: int | None = Field(
        default=None,
        description="event time of the decision with which the evidence sufficed (of a brownout: when it began); none "
        "where no request decided it: a command, what goes on",
    )
    ended_ms: int | None = Field(default=None, description="when it was lifted or expired")
    ended_by: str | None = Field(default=None, description="`auto`, or who lifted it: `cli:NAME`, `api:NAME`")
    ended_reason: str | None = Field(default=None, description="why it was lifted")

    @property
    def took_effect(self) -> bool:
        """Whether it is or was in force."""
        return self.status in (ActionStatus.ACTIVE, ActionStatus.LIFTED, ActionStatus.EXPIRED)

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves some requests of its target on its route alone: a tier's, a limit's, the known good."""
        return not (self.tier is None and self.exempt is None and self.limit is None)
