"""What the API takes and shows, as its OpenAPI document has it. Answers themselves are built from the store's rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from enforcer.api.told import ActionListed
from enforcer.callers import Role, Scope
from schemas.action import FACTOR_MAX, Action, Rate

T = TypeVar("T")
SECONDS_MAX: Final = 10 * 366 * 86_400
Text = Annotated[str, StringConstraints(max_length=500, strip_whitespace=True)]
Reason = Annotated[Text, Field(min_length=1, description="why, for whoever undoes it")]
Seconds = Annotated[int, Field(ge=1, le=SECONDS_MAX, description="how long from now on")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]


class Shape(BaseModel):
    """What is taken is taken as it is described: unknown fields are refused, types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Page(BaseModel, Generic[T]):
    """Some of a list, the newest first; `next` is the cursor of what comes after, null at the end."""

    items: list[T]
    next: str | None


class Done(BaseModel):
    """A write in force: what it began and ended, how long that took, and which live limiters lack it still."""

    actions: list[ActionListed]
    also_lifted: list[ActionListed]
    in_force_ms: int
    ack_ms: dict[str, int]
    missing: list[str]
    version: int


class Because(Shape):
    """Why."""

    reason: Reason


class Longer(Because):
    """How long, and why."""

    seconds: Seconds


class Approval(Because):
    """Why what was held back is right after all; for as long as it was meant to last, or `seconds`."""

    seconds: Seconds | None = None


class Whom(Longer):
    """A target, and which of its requests."""

    kind: Annotated[str, Field(max_length=20, description="ip, key, user, route, tenant, asn, country, global")]
    value: Annotated[str, Field(min_length=1, max_length=512)]
    route: Annotated[str | None, Field(max_length=512, description="only this route template")] = None
    tier: Annotated[str | None, Field(max_length=128, description="only this tier")] = None


class Denial(Whom):
    """Whom to deny."""

    challenge: Annotated[bool, Field(description="challenge instead")] = False
    except_from: Annotated[
        list[Annotated[str, Field(max_length=64)]], Field(max_length=1_000, description="addresses left alone")
    ] = []


class Throttle(Whom):
    """Whose limits to multiply by `factor` or to replace by `rate`; of all limits, or of the one named `limit`."""

    factor: Annotated[float | None, Field(gt=0, le=FACTOR_MAX)] = None
    rate: Rate | None = None
    limit: Annotated[str | None, Field(max_length=256)] = None


class Allow(Longer):
    """Whom to protect."""

    kind: Annotated[str, Field(max_length=20)]
    value: Annotated[str, Field(min_length=1, max_length=512)]


class Shed(Longer):
    """How much load to shed."""

    level: Annotated[int, Field(ge=1, le=4)]
    route: Annotated[str | None, Field(max_length=512)] = None
    tier: Annotated[str | None, Field(max_length=128)] = None


class Brownout(BaseModel):
    """The level in force, 0 while there is none, and how the site does, where an enforcer in this region leads."""

    level: int
    action: Action | None
    health: dict[str, Any] | None = None


class Automation(BaseModel):
    """Whether automation is stopped, and by what."""

    stopped: bool
    holds: list[Action]


class Labelled(Shape):
    """What somebody says of something."""

    subject: Annotated[
        str, Field(min_length=1, max_length=600, description="alert:UID, action:UID, incident:UID, ip:...")
    ]
    label: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="false_positive, true_positive, ...")]
    note: Text = ""


class Label(BaseModel):
    """A label as it was given."""

    uid: str
    subject: str
    tenant: str | None
    label: str
    note: str
    by: str
    at_ms: int


class Contest(Shape):
    """What a client says against an action."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=5000, strip_whitespace=True)]
    contact: Text = ""


class Decision(Because):
    """Whether the client is right."""

    accept: bool


class Appeal(BaseModel):
    """An appeal, and what was decided."""

    uid: str
    action_uid: str
    tenant: str | None
    status: Literal["open", "accepted", "rejected"]
    text: str
    contact: str
    by: str
    at_ms: int
    decided_by: str | None
    decided_ms: int | None
    decision: str


class Entry(BaseModel):
    """An entry of the audit."""

    seq: int
    at_ms: int
    actor: str
    verb: str
    subject: str
    detail: dict[str, Any]
    hash: str
    before: str


class Verified(BaseModel):
    """Whether the audit is whole."""

    ok: bool
    entries: int
    head: str
    broken: str


class NewKey(Shape):
    """A key to be made."""

    name: Name
    role: Annotated[Role, Field(strict=False)]
    scopes: Annotated[list[Annotated[Scope, Field(strict=False)]], Field(max_length=len(Scope))] = []
    tenant: Name | None = None
    seconds: Seconds | None = None


class KeyShown(BaseModel):
    """A key without itself."""

    id: str
    name: str
    role: Role
    scopes: list[Scope]
    tenant: str | None
    created_ms: int
    created_by: str
    expires_ms: int | None
    revoked_ms: int | None
    revoked_by: str | None
    pulled_ms: int | None
    pulled_from: str | None
    pulled_agent: str | None


class KeyMade(KeyShown):
    """A new key, shown this once."""

    key: str


class NewUser(Shape):
    """The role of somebody whose token says none."""

    role: Annotated[Role, Field(strict=False)]
    tenant: Name | None = None


class UserShown(BaseModel):
    """Somebody's role."""

    name: str
    role: Role
    tenant: str | None
    created_ms: int
    created_by: str


class Me(BaseModel):
    """The caller."""

    name: str
    via: Literal["key", "token"]
    role: Role
    tenant: str | None
    scopes: list[Scope]


def listed(items: list[dict[str, Any]], following: str | None = None) -> Response:
    """A page as it is answered."""
    return JSONResponse({"items": items, "next": following})


def single(thing: Mapping[str, Any], if_none_match: str | None) -> Response:
    """One thing with its ETag; 304 without it where the caller has it already."""
    body = json.dumps(thing).encode()
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    if if_none_match is not None and etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(",")):
        return Response(status_code=304, headers={"etag": etag})
    return Response(body, headers={"etag": etag}, media_type="application/json")
