"""What lists are asked for. A parameter that no list knows is an error: a misspelt filter would show everything."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Header, Path
from pydantic import BaseModel, ConfigDict, Field

from enforcer.store.reading import LIMIT_MAX, Wanted
from schemas.action import ActionKind, ActionStatus
from schemas.alert import Severity, Status

_MS_MAX: Final = 1 << 53
_PAGING: Final = frozenset({"limit", "cursor", "since_ms", "until_ms"})
Word = Annotated[str | None, Field(max_length=600)]
Milliseconds = Annotated[int | None, Field(ge=0, le=_MS_MAX)]
Uid = Annotated[str, Path(min_length=1, max_length=512)]
IfNoneMatch = Annotated[str | None, Header(max_length=1000)]


class Paged(BaseModel):
    """So many, after the page that ended at `cursor`."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = 50
    cursor: Annotated[str | None, Field(max_length=2000, description="`next` of the page before")] = None

    def wanted(self, tenant: str | None = None) -> Wanted:
        """What the store is asked for, for a caller of that tenant."""
        values = self.model_dump(exclude=set(_PAGING))
        return Wanted(values, getattr(self, "since_ms", None), getattr(self, "until_ms", None), tenant)


class Timed(Paged):
    """Of these times, epoch milliseconds: from `since_ms` on, before `until_ms`."""

    since_ms: Milliseconds = None
    until_ms: Milliseconds = None


class Alerts(Timed):
    """Which alerts."""

    kind: Word = None
    status: Status | None = None
    severity: Severity | None = None
    entity: Annotated[Word, Field(description="KIND:VALUE")] = None
    incident: Word = None


class Incidents(Timed):
    """Which incidents."""

    kind: Word = None
    status: Literal["open", "closed", "withdrawn"] | None = None


class Actions(Timed):
    """Which actions."""

    kind: ActionKind | None = None
    status: ActionStatus | None = None
    target: Annotated[Word, Field(description="KIND:VALUE")] = None
    owner: Word = None
    alert_uid: Word = None


class Appeals(Timed):
    """Which appeals."""

    status: Literal["open", "accepted", "rejected"] | None = None
    action_uid: Word = None


class Labels(Timed):
    """Which labels."""

    subject: Word = None
    label: Word = None


class Audit(Paged):
    """Which entries."""

    actor: Word = None
    verb: Word = None
    subject: Word = None


class Timeline(BaseModel):
    """So many words, after the one with that `seq`."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = 50
    after: Annotated[int, Field(ge=0, le=_MS_MAX)] = 0
