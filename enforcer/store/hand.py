"""Who has an incident in hand."""

from __future__ import annotations

import sqlalchemy as sa

from enforcer.errors import CommandError
from enforcer.store import audit, parts, reading
from enforcer.store.database import writing
from enforcer.store.reading import Kind, Thing
from enforcer.store.tables import INCIDENTS, NOTICES


def acknowledge(engine: sa.Engine, uid: str, by: str, now_ms: int, tenant: str | None = None) -> Thing:
    """Take an incident in hand: the incident. It stays with the first who does; who was told of it is told so.

    Raises:
        CommandError: there is none, or it is not that tenant's alone: it would be in hand for others, too.
    """
    parts.own(engine, uid, tenant)
    with writing(engine) as at:
        # Who took it when it was one tenant's alone has not all of it in hand.
        in_part = INCIDENTS.c.tenant.is_(None) & INCIDENTS.c.acked_tenant.is_not(None)
        nobodys = INCIDENTS.c.acked_by.is_(None)
        free = (INCIDENTS.c.uid == uid) & (nobodys | in_part if tenant is None else nobodys)
        if at.execute(
            sa.update(INCIDENTS).where(free).values(acked_by=by, acked_ms=now_ms, acked_tenant=tenant)
        ).rowcount:
            told = (NOTICES.c.incident == uid) & (NOTICES.c.open == 1) & (NOTICES.c.attempts == 0)
            at.execute(sa.update(NOTICES).where(told).values(due_ms=now_ms))
            audit.append(at, [audit.Entry(now_ms, by, "incident.acknowledged", uid, {})])
    return parts.one(engine, uid, tenant)


def find(engine: sa.Engine, kind: Kind, begins: str) -> str:
    """The uid of the one incident or action that begins so.

    Raises:
        CommandError: none does, or several do.
    """
    found = reading.beginning(engine, kind, begins)
    if len(found) != 1:
        what = f"{'more than one begins' if found else 'none begins'} with {begins[:80]!r}"
        raise CommandError("not_found", kind.noun, what, f"{kind.shown_by} has whole uids; write one out")
    return found[0]
