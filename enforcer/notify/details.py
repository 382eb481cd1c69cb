"""What is worth reading of incidents, from the store. Bounded: an incident may have a hundred thousand alerts."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from enforcer.notify.notice import Details, Incident
from enforcer.store.tables import ACTIONS, ALERTS

NOTHING: Final = Details()
CLIENTS_MAX: Final = 10
EVIDENCE_MAX: Final = 8
TEXT_CHARS: Final = 1000


def of(at: sa.Connection, uids: Sequence[str], tenants: Collection[str] | None) -> dict[str, Details]:
    """Details by incident, of these tenants' clients (None: of everybody's)."""
    return {uid: _one(at, uid, tenants) for uid in uids}


def cut(incident: Incident) -> Incident:
    """`incident` with texts that anybody has room for."""
    route = incident.route and incident.route[:TEXT_CHARS]
    return replace(incident, summary=incident.summary[:TEXT_CHARS], route=route)


def _one(at: sa.Connection, uid: str, tenants: Collection[str] | None) -> Details:
    here = ALERTS.c.incident == uid
    if tenants is not None:
        here &= ALERTS.c.tenant.in_(list(tenants))
    newest = sa.select(ALERTS.c.entity).where(here).order_by(ALERTS.c.first_ms, ALERTS.c.uid).limit(CLIENTS_MAX)
    clients = tuple(dict.fromkeys(_clean(row.entity) for row in at.execute(newest)))
    body = at.execute(sa.select(ALERTS.c.body).where(here).order_by(ALERTS.c.first_ms, ALERTS.c.uid).limit(1)).scalar()
    first: dict[str, Any] = json.loads(body) if body else {}
    ours = sa.select(ALERTS.c.uid).where(here)
    done = (
        sa.select(ACTIONS.c.kind, ACTIONS.c.status, sa.func.count())
        .where(ACTIONS.c.alert_uid.in_(ours))
        .group_by(ACTIONS.c.kind, ACTIONS.c.status)
        .order_by(ACTIONS.c.kind, ACTIONS.c.status)
    )
    return Details(
        clients=clients,
        done=tuple((f"{kind} {status}", count) for kind, status, count in at.execute(done)),
        evidence=tuple(_clean(each["sentence"]) for each in first.get("evidence", ())[:EVIDENCE_MAX]),
        rule=_maybe(first.get("rule")),
        model=_maybe(first.get("model")),
        behaviour=_maybe(first.get("behaviour")),
        ids=tuple(_clean(each) for each in first.get("ids", ())[:20]),
        avoid=_maybe(first.get("avoid")),
    )


def _maybe(text: str | None) -> str | None:
    return None if text is None else _clean(text)


def _clean(text: str) -> str:
    """As every encoder takes it."""
    return text[:TEXT_CHARS].encode("utf-8", "replace").decode()
