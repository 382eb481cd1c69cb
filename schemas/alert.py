"""An alert: one incident about one entity, from the moment evidence suffices until it has been quiet."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

VERSION: Final = 1
TENANT_CHARS_MAX: Final = 512
SEEN_AT: Final = "addresses"  # the evidence that says at which of its addresses an IPv6 client was


class Frozen(BaseModel):
    """Base of messages: immutable, strict about types, unknown fields refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class EntityKind(StrEnum):
    """Whom usage is counted for and actions aim at."""

    IP = "ip"
    KEY = "key"
    USER = "user"
    ROUTE = "route"
    GLOBAL = "global"
    TENANT = "tenant"
    NETWORK = "network"
    ASN = "asn"


class Entity(Frozen):
    """One entity: an address, a key id, a user, a route template, or everything (`global`, value `*`).

    An IPv6 client is his /64, as a network is written (`2001:db8:1:2::/64`). A network is a /24, or a /48.
    """

    kind: EntityKind = Field(strict=False)
    value: str = Field(max_length=512)


class Status(StrEnum):
    """Life of an alert. `withdrawn`: fired early on an open second that, once whole, did not bear it out."""

    OPEN = "open"
    UPDATE = "update"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Severity(StrEnum):
    """How bad, for people to sort by."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Answer(StrEnum):
    """What the detector's family asks for; the enforcer decides."""

    NOTICE = "notice"
    CHALLENGE = "challenge"
    THROTTLE = "throttle"
    DENY = "deny"


class Evidence(Frozen):
    """One fact behind an alert: a number, what is usual, and the sentence a person reads."""

    name: str
    value: float
    baseline: float | None = None
    sentence: str


class Contribution(Frozen):
    """What one feature or family added to the score: `share` of the whole in 0..1."""

    feature: str
    value: float
    share: float
    sentence: str


class Alert(Frozen):
    """One incident. `uid` comes from what it is about (kind, entity, rule or model, the second it began in)."""

    v: int = VERSION
    uid: str
    status: Status = Field(strict=False)
    kind: str = Field(description="family: guess, probe, novel, sweep, limit, hammer, odd, ...")
    severity: Severity = Field(strict=False)
    answer: Answer = Field(strict=False)
    entity: Entity
    route: str | None = Field(
        default=None, description="where the answer is aimed when not everywhere, a route template"
    )
    first_ms: int
    last_ms: int
    crossed_ms: int = Field(description="event time of the decision with which the evidence sufficed")
    crossed_after: int = Field(default=0, description="the entity's decisions before the one that crossed")
    score: float = Field(ge=0, le=1, description="0..1, higher is worse")
    rule: str | None = Field(default=None, description="family and version, `guess/1`")
    model: str | None = Field(default=None, description="artifact the thresholds and nulls came from")
    live_clients: int = Field(
        default=0,
        ge=0,
        description="distinct addresses and keys with a decision in the last 10 minutes of event time, in the usage "
        "partition the alert comes from (the stream fills it from its windows); 0 = unknown. The enforcer's cap on "
        "the share of clients under action reckons with this times `usage_partitions`.",
    )
    good_clients: int = Field(
        default=0, ge=0, description="of `live_clients` those with a good history of their own; 0 = unknown"
    )
    accounts: int = Field(
        default=0,
        ge=0,
        description="at least so many accounts were seen at the entity in the last hour and did not fail there",
    )
    addresses: int = Field(
        default=0, ge=0, description="so many addresses was it seen from in the last hour; 0 = unknown"
    )
    tenant: str | None = Field(
        default=None, max_length=TENANT_CHARS_MAX, description="the tenant of all its decisions lately; null: no one"
    )
    tenant_clients: int = Field(
        default=0, ge=0, description="as `live_clients`, of this tenant alone; at least so many; 0 = unknown"
    )
    established: bool = Field(default=False, description="the entity has a good history of its own")
    browser: bool = Field(
        default=False, description="most of what it is found by came with a browser: somebody may answer a challenge"
    )
    summary: str
    behaviour: str | None = Field(
        default=None, description="what it is a case of, in CrowdSec's words: http:scan/wordpress"
    )
    ids: tuple[str, ...] = Field(
        default=(), strict=False, description="what catalogues call it: OAT-008 (OWASP), T1110 (MITRE), CVE-2021-44228"
    )
    avoid: str | None = Field(default=None, description="what would have avoided it, for whom it hit")
    campaign: str | None = Field(
        default=None,
        max_length=640,
        description="the attack of many it is part of, by the group that showed it: a route, `asn 64500`; established "
        "clients fare well there meanwhile",
    )
    evidence: tuple[Evidence, ...] = Field(default=(), strict=False)
    contributions: tuple[Contribution, ...] = Field(default=(), strict=False)
