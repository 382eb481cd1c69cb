"""What can be asked of the store: lists in pages, the newest first, and single things. A tenant's are only its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa

from enforcer.errors import CommandError
from enforcer.store.tables import ACTIONS, ALERTS, APPEALS, AUDIT, EVENTS, INCIDENTS, LABELS, POLICIES
from schemas.exempt import marks_in
from schemas.policies import of_text

Thing = dict[str, Any]
LIMIT_MAX: Final = 200
_Time = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]


@dataclass(frozen=True, slots=True)
class Kind:
    """A table as it is listed: by `time`, then `uid`; `shape` makes a row what is shown."""

    table: sa.FromClause
    time: str
    uid: str
    shape: Callable[[sa.RowMapping], Thing]
    alone: str | None = None  # a column that lists leave out
    noun: str = "entry"
    shown_by: str = "a list"  # the command that has whole uids


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of them: with these values (None: any), at these times (half-open), of this tenant (None: all)."""

    values: Mapping[str, str | Sequence[str] | None] = field(default_factory=dict)
    since_ms: int | None = None
    until_ms: int | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list, and the cursor of what comes after; None at its end."""

    items: list[Thing]
    next: str | None


def _alert(row: sa.RowMapping) -> Thing:
    shown: Thing = json.loads(row["body"])
    return shown | {"incident": row["incident"]}


def _action(row: sa.RowMapping) -> Thing:
    shown: Thing = json.loads(row["body"])
    exempt = shown.get("exempt")
    if exempt is not None:
        kept = exempt["marks"]  # empty but in rows of before there was a column for them
        marks = (row["marks"] or kept) if "marks" in row else ""
        exempt |= {"marks": marks, "known": exempt.get("known", marks_in(kept))}
    return shown


def _plain(row: sa.RowMapping) -> Thing:
    return dict(row)


def _incident(row: sa.RowMapping) -> Thing:
    return {name: value for name, value in row.items() if name != "acked_tenant"}


def _entry(row: sa.RowMapping) -> Thing:
    return dict(row) | {"detail": json.loads(row["detail"])}


ALERT: Final = Kind(ALERTS, "crossed_ms", "uid", _alert, noun="alert", shown_by="`alerts --json`")
ACTION: Final = Kind(
    ACTIONS, "created_ms", "uid", _action, alone="marks", noun="action", shown_by="`actions --json`, of those in force,"
)
INCIDENT: Final = Kind(INCIDENTS, "first_ms", "uid", _incident, noun="incident", shown_by="`incidents --json`")
LABEL: Final = Kind(LABELS, "at_ms", "uid", _plain)
APPEAL: Final = Kind(APPEALS, "at_ms", "uid", _plain)
AUDITED: Final = Kind(AUDIT, "seq", "seq", _entry)


def listed(engine: sa.Engine, kind: Kind, wanted: Wanted, limit: int, cursor: str | None = None) -> Page:
    """A page of a list.

    Raises:
        CommandError: a cursor that is none of ours.
    """
    time, uid = kind.table.c[kind.time], kind.table.c[kind.uid]
    columns = [column for column in kind.table.c if column.name != kind.alone]
    question = sa.select(*columns).order_by(time.desc(), uid.desc()).limit(limit + 1)
    question = question.where(*_conditions(kind, wanted))
    if cursor is not None:
        question = question.where(sa.tuple_(time, uid) < _place(cursor, uid))
    with engine.connect() as at:
        rows = at.execute(question).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page([kind.shape(row) for row in rows[:limit]], _cursor(last[kind.time], last[kind.uid]) if last else None)


def one(engine: sa.Engine, kind: Kind, uid: str, tenant: str | None = None) -> Thing:
    """One thing by its uid.

    Raises:
        CommandError: there is none, or none of that tenant's.
    """
    conditions = _conditions(kind, Wanted({kind.uid: uid}, tenant=tenant))
    with engine.connect() as at:
        row = at.execute(sa.select(kind.table).where(*conditions)).mappings().one_or_none()
    if row is None:
        raise CommandError("not_found", kind.uid, f"there is no {uid[:80]!r}", "see the list; what is old is deleted")
    return kind.shape(row)


def beginning(engine: sa.Engine, kind: Kind, uid: str) -> list[str]:
    """Uids that begin so: none where `uid` is empty, at most two."""
    column = kind.table.c[kind.uid]
    with engine.connect() as at:
        found = at.execute(sa.select(column).where(column.startswith(uid, autoescape=True)).limit(2)).scalars()
        return list(found) if uid else []


def statuses(engine: sa.Engine, uids: Iterable[str]) -> dict[str, str]:
    """How these actions stand, as far as the store knows them."""
    question = sa.select(ACTIONS.c.uid, ACTIONS.c.status).where(ACTIONS.c.uid.in_(list(uids)))
    with engine.connect() as at:
        return {row.uid: row.status for row in at.execute(question)}


def owner(engine: sa.Engine, kind: Kind, uid: str) -> str | None:
    """Whose tenant's a thing is, where that is known."""
    question = sa.select(kind.table.c.tenant).where(kind.table.c[kind.uid] == uid)
    with engine.connect() as at:
        return at.execute(question).scalar_one_or_none()


def events(engine: sa.Engine, after: int, limit: int, kind: str | None, tenant: str | None) -> Sequence[sa.RowMapping]:
    """Words of alerts and actions heard after place `after`, as rows."""
    question = sa.select(EVENTS).where(EVENTS.c.seq > after).order_by(EVENTS.c.seq).limit(limit)
    if kind is not None:
        question = question.where(EVENTS.c.kind == kind)
    if tenant is not None:
        question = question.where(EVENTS.c.tenant == tenant)
    with engine.connect() as at:
        return at.execute(question).mappings().all()


def last_event(engine: sa.Engine) -> int:
    """The place of the newest word."""
    with engine.connect() as at:
        return int(at.execute(sa.select(sa.func.coalesce(sa.func.max(EVENTS.c.seq), 0))).scalar_one())


def event(row: sa.RowMapping) -> Thing:
    """A word as it is shown."""
    return {"seq": row["seq"], "at_ms": row["at_ms"], "kind": row["kind"], row["kind"]: json.loads(row["body"])}


def audit_tail(engine: sa.Engine, limit: int) -> list[Thing]:
    """The newest entries, the oldest of them first."""
    with engine.connect() as at:
        rows = at.execute(sa.select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(limit)).mappings().all()
    return [_entry(row) for row in reversed(rows)]


def policies(engine: sa.Engine, name: str | None = None) -> list[Thing]:
    """Every policy's newest version without its text; with `name` all versions of that one, the newest first."""
    columns = [column for column in POLICIES.c if column.name != "body"]
    question = sa.select(*columns).order_by(POLICIES.c.name, POLICIES.c.version.desc())
    if name is None:
        other = POLICIES.alias()
        newest = sa.select(sa.func.max(other.c.version)).where(other.c.name == POLICIES.c.name).scalar_subquery()
        question = question.where(POLICIES.c.version == newest)
    else:
        question = question.where(POLICIES.c.name == name)
    with engine.connect() as at:
        return [dict(row) for row in at.execute(question).mappings()]


def policy(engine: sa.Engine, name: str, version: int) -> Thing:
    """One version with its text. Raises `CommandError` where there is none."""
    question = sa.select(POLICIES).where(POLICIES.c.name == name, POLICIES.c.version == version)
    with engine.connect() as at:
        row = at.execute(question).mappings().one_or_none()
    if row is None:
        raise CommandError("not_found", "version", f"there is no version {version} of {name[:80]!r}", "see the list")
    shown = dict(row)
    return shown | {"files": {file: data.decode() for file, data in of_text(shown.pop("body")).items()}}


def _conditions(kind: Kind, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    columns = kind.table.c
    found = [
        columns[name] == value if isinstance(value, str) else columns[name].in_(value)
        for name, value in wanted.values.items()
        if value is not None
    ]
    if wanted.since_ms is not None:
        found.append(columns[kind.time] >= wanted.since_ms)
    if wanted.until_ms is not None:
        found.append(columns[kind.time] < wanted.until_ms)
    if wanted.tenant is not None:
        found.append(columns["tenant"] == wanted.tenant)
    return found


def _cursor(at_ms: int, uid: str | int) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((at_ms, str(uid)))).decode().rstrip("=")


def _place(cursor: str, uid: sa.ColumnElement[Any]) -> sa.Tuple:
    """Where a page ended."""
    try:
        told = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        at_ms, name = msgspec.json.decode(told, type=tuple[_Time, str])
        place: int | str = int(name[:18]) if isinstance(uid.type, sa.BigInteger) else name
    except (ValueError, msgspec.MsgspecError) as error:
        raise CommandError("bad_value", "cursor", "is none of ours", "the `next` of the page before") from error
    return sa.tuple_(sa.literal(at_ms, sa.BigInteger), sa.literal(place, uid.type))
