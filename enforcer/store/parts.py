"""Incidents as those see them who have a tenant: as if only its own clients' alerts were there.

One incident may be several tenants'. What is told to one of them is made of its alerts when it is asked for: how many,
how bad, since when, and the words of the first. Nothing is said of the others, not how many they are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa

from enforcer.errors import CommandError
from enforcer.store import reading
from enforcer.store.reading import Kind, Page, Thing, Wanted
from enforcer.store.tables import ACTIONS, ALERTS, EVENTS, INCIDENTS
from schemas.alert import Severity, Status

_OF_ALL: Final = {"live_clients": 0, "good_clients": 0}  # what an alert says of everybody; 0: unknown
_RANKS: Final = {str(severity): rank for rank, severity in enumerate(Severity)}


def listed(engine: sa.Engine, wanted: Wanted, limit: int, cursor: str | None = None) -> Page:
    """A page of incidents. Raises `CommandError` for a cursor that is none of ours."""
    if wanted.tenant is None:
        return reading.listed(engine, reading.INCIDENT, wanted, limit, cursor)
    mine = (wanted.tenant,)
    page = reading.listed(engine, _kind(_seen(mine)), wanted, limit, cursor)
    with engine.connect() as at:
        return Page(_worded(at, page.items, mine), page.next)


def one(engine: sa.Engine, uid: str, tenant: str | None = None) -> Thing:
    """An incident. Raises `CommandError`: there is none, or no alert in it is of that tenant's clients."""
    if tenant is None:
        return reading.one(engine, reading.INCIDENT, uid)
    mine = (tenant,)
    found = reading.one(engine, _kind(_seen(mine, [uid])), uid, tenant)
    with engine.connect() as at:
        return _worded(at, [found], mine)[0]


def own(engine: sa.Engine, uid: str, tenant: str | None = None) -> Thing:
    """An incident that is no other's as well: what is done to it is done to nobody else.

    Raises:
        CommandError: there is none, or others' clients may be part of it.
    """
    found = one(engine, uid, tenant)
    if tenant is not None and reading.owner(engine, reading.INCIDENT, uid) != tenant:
        fix = "label your own alerts in it (alert:UID); a caller without a tenant, who runs the site, takes it in hand"
        raise CommandError("shared_incident", "uid", f"it is not of tenant:{tenant} alone", fix)
    return found


def rows(at: sa.Connection, uids: Sequence[str], tenants: Collection[str] | None) -> list[Thing]:
    """Those of these incidents that the tenants (None: all) see, as rows of their table."""
    if tenants is None:
        found = at.execute(sa.select(INCIDENTS).where(INCIDENTS.c.uid.in_(list(uids)))).mappings()
        return [dict(row) for row in found]
    found = at.execute(sa.select(_seen(tenants, uids))).mappings()
    return _worded(at, [dict(row) for row in found], tenants)


def timeline(engine: sa.Engine, incident: str, limit: int, after: int = 0, tenant: str | None = None) -> list[Thing]:
    """What was heard of an incident's alerts and of the actions they led to, in order, after place `after`."""
    alerts = sa.select(ALERTS.c.uid).where(ALERTS.c.incident == incident)
    if tenant is not None:
        alerts = alerts.where(ALERTS.c.tenant == tenant)
    actions = sa.select(ACTIONS.c.uid).where(ACTIONS.c.alert_uid.in_(alerts))
    ours = sa.or_(EVENTS.c.uid.in_(alerts), EVENTS.c.uid.in_(actions))
    question = sa.select(EVENTS).where(ours, EVENTS.c.seq > after).order_by(EVENTS.c.seq).limit(limit)
    if tenant is not None:
        question = question.where(EVENTS.c.tenant == tenant)
    with engine.connect() as at:
        return [_event(row, tenant) for row in at.execute(question).mappings()]


def alert(shown: Thing, tenant: str | None) -> Thing:
    """An alert as a tenant sees it: without how many clients everybody has."""
    return shown if tenant is None else shown | _OF_ALL


def body(row: sa.RowMapping, tenant: str | None) -> str:
    """A word of the live stream, as it is sent."""
    told = str(row["body"])
    if tenant is None or row["kind"] != "alert":
        return told
    return json.dumps(alert(json.loads(told), tenant), ensure_ascii=False, separators=(",", ":"))


def _event(row: sa.RowMapping, tenant: str | None) -> Thing:
    told = reading.event(row)
    return told | {"alert": alert(told["alert"], tenant)} if "alert" in told else told


def _kind(seen: sa.Subquery) -> Kind:
    return Kind(seen, reading.INCIDENT.time, reading.INCIDENT.uid, reading.INCIDENT.shape)


def _seen(tenants: Collection[str], uids: Collection[str] | None = None) -> sa.Subquery:
    """Incidents, of `uids` alone where given, as rows of their table; route and summary are put in by `_worded`."""
    sums = _sums(tenants, uids)
    is_ours = INCIDENTS.c.acked_tenant.is_(None) | INCIDENTS.c.acked_tenant.in_(list(tenants))
    of_sums: dict[str, Any] = {
        name: sums.c[name] for name in ("tenant", "status", "severity", "first_ms", "last_ms", "alerts")
    }
    made = of_sums | {
        "route": sa.null(),
        "summary": sa.literal(""),
        "acked_by": sa.case((is_ours, INCIDENTS.c.acked_by)),
        "acked_ms": sa.case((is_ours, INCIDENTS.c.acked_ms)),
        "acked_tenant": sa.null(),
    }
    columns = [made[column.name].label(column.name) if column.name in made else column for column in INCIDENTS.c]
    return sa.select(*columns).join(sums, sums.c.incident == INCIDENTS.c.uid).subquery("seen")


def _sums(tenants: Collection[str], uids: Collection[str] | None) -> sa.Subquery:
    """What an incident comes to by these tenants' alerts: `enforcer.incidents.total`, by the database."""
    c, count, rank = ALERTS.c, sa.func.count(), sa.case(_RANKS, value=ALERTS.c.severity)
    stays = c.status != Status.WITHDRAWN
    counted = count.filter(stays)
    worst = sa.func.coalesce(sa.func.max(rank).filter(stays), sa.func.max(rank))
    goes_on = count.filter(stays, c.status != Status.CLOSED)
    question = sa.select(
        c.incident,
        sa.case((sa.func.min(c.tenant) == sa.func.max(c.tenant), sa.func.min(c.tenant))).label("tenant"),
        sa.case((counted == 0, "withdrawn"), (goes_on > 0, "open"), else_="closed").label("status"),
        sa.case({rank: name for name, rank in _RANKS.items()}, value=worst).label("severity"),
        sa.func.min(c.first_ms).label("first_ms"),
        sa.func.max(c.last_ms).label("last_ms"),
        sa.case((counted == 0, count), else_=counted).label("alerts"),
    ).where(c.tenant.in_(list(tenants)))
    if uids is not None:
        question = question.where(c.incident.in_(list(uids)))
    return question.group_by(c.incident).subquery("sums")


def _worded(at: sa.Connection, found: Sequence[Thing], tenants: Collection[str]) -> list[Thing]:
    """Incidents with the words of the first of these tenants' alerts in each."""
    first = (
        sa.select(ALERTS.c.body)
        .where(ALERTS.c.incident == INCIDENTS.c.uid, ALERTS.c.tenant.in_(list(tenants)))
        .order_by(ALERTS.c.first_ms, ALERTS.c.uid)
        .limit(1)
        .scalar_subquery()
    )
    uids = [each["uid"] for each in found]
    question = sa.select(INCIDENTS.c.uid, first).where(INCIDENTS.c.uid.in_(uids))
    told = {uid: json.loads(text or "{}") for uid, text in at.execute(question)}
    words = [told.get(uid, {}) for uid in uids]
    return [
        each | {"route": word.get("route"), "summary": word.get("summary", "")}
        for each, word in zip(found, words, strict=True)
    ]
