"""What may have to be told is noted in the transaction that changes an incident: lost with it, or there with it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa

from enforcer.canary import CODE
from enforcer.notify.destinations import Notices, Seen
from enforcer.notify.due import STALE_MS
from enforcer.notify.notice import Incident
from enforcer.store import parts
from enforcer.store.tables import ACTIONS, ALERTS, INCIDENTS, NOTICES
from schemas import sql
from schemas.action import Action, ActionStatus
from schemas.alert import Severity

_NEW: Final[Mapping[str, Any]] = {"severity": "", "open": 0, "acked": 0, "number": 0, "told_ms": 0, "attempts": 0}


class Outbox:
    """Notes for `notices`. Its methods run in the caller's transaction, who is the only one that writes incidents."""

    def __init__(self, notices: Notices, clock_ms: Callable[[], int]) -> None:
        self._notices = notices
        self._clock_ms = clock_ms

    def changed(self, at: sa.Connection, rows: Sequence[Mapping[str, Any]], alerts: Iterable[str]) -> None:
        """Incidents, as rows of their table, are new or not as they were, by these alerts."""
        paged = self._paged(at, alerts)
        for row in rows:
            seen = _seen(at, of_row(row))
            self._note(at, row["uid"], self._notices.wanted(seen) | self._pages(paged.get(row["uid"], ())), seen)

    def acted(self, at: sa.Connection, actions: Iterable[Action]) -> None:
        """Actions were written. What calls somebody does so for its alert's incident, once that is known."""
        for action in actions:
            if calls(action):
                question = sa.select(INCIDENTS, ALERTS.c.tenant.label("whose")).join(
                    ALERTS, ALERTS.c.incident == INCIDENTS.c.uid
                )
                row = at.execute(question.where(ALERTS.c.uid == action.alert_uid)).mappings().one_or_none()
                if row is not None:
                    self._note(at, row["uid"], self._pages([row["whose"]]), _seen(at, of_row(row)))

    def _paged(self, at: sa.Connection, alerts: Iterable[str]) -> dict[str, set[str | None]]:
        """Incidents of which an action that calls somebody was heard of before these alerts, and whose these are."""
        pages = sa.select(ALERTS.c.incident, ALERTS.c.tenant).where(
            ACTIONS.c.alert_uid.in_(list(alerts)), ACTIONS.c.calls == 1, ALERTS.c.uid == ACTIONS.c.alert_uid
        )
        found: dict[str, set[str | None]] = {}
        for row in at.execute(pages.distinct()):
            found.setdefault(row.incident, set()).add(row.tenant)
        return found

    def _pages(self, whose: Iterable[str | None]) -> dict[str, int]:
        """Who is called, at once, for alerts of these tenants."""
        theirs = set(whose)
        named = ((name, self._notices.tenants(name)) for name in self._notices.pages if theirs)
        return {name: 0 for name, mine in named if mine is None or mine & theirs}

    def _note(self, at: sa.Connection, uid: str, wanted: Mapping[str, int], seen: Seen) -> None:
        now_ms = self._clock_ms()
        # An incident that was told stays its destinations' whatever it becomes: its end is told where it began.
        there = (NOTICES.c.incident == uid) & (NOTICES.c.number > 0) & (NOTICES.c.attempts == 0)
        at.execute(sa.update(NOTICES).where(there).values(due_ms=now_ms))
        told = [(name, seen(self._notices.tenants(name)), wait_ms) for name, wait_ms in wanted.items()]
        rows = [
            {"destination": name, "incident": uid, "key": uid, "kind": incident.kind, "route": incident.route,
             "due_ms": now_ms + wait_ms, **_NEW}
            for name, incident, wait_ms in told
            if incident is not None and (incident.last_ms >= now_ms - STALE_MS or self._keeps(name))
        ]  # fmt: skip
        if rows:
            statement = sql.insert(at, NOTICES)
            sooner = sa.case(
                (NOTICES.c.due_ms.is_(None), statement.excluded.due_ms),
                (NOTICES.c.due_ms > statement.excluded.due_ms, statement.excluded.due_ms),
                else_=NOTICES.c.due_ms,
            )
            untold = (NOTICES.c.number == 0) & (NOTICES.c.attempts == 0)
            statement = statement.on_conflict_do_update(
                index_elements=["destination", "incident"], set_={"due_ms": sooner}, where=untold
            )
            at.execute(statement, rows)

    def _keeps(self, name: str) -> bool:
        return self._notices.destinations[name].keeps


def calls(action: Action) -> bool:
    """Whether somebody is to be called for it: a playbook says so, or it waits for somebody's word."""
    return action.page or (action.status is ActionStatus.PENDING and action.guard != CODE)


def joined(at: sa.Connection, uid: str, others: Sequence[str]) -> None:
    """Incidents `others` are part of `uid` now: what was told of one is told of it, once for each destination.

    Where several were told, or may have been, the others' end is due: nothing is left open in a place where it began.
    """
    known = sa.case((NOTICES.c.open == 1, 2), (NOTICES.c.attempts > 0, 1), else_=0).label("known")
    own = sa.case((NOTICES.c.incident == uid, 0), else_=1)
    question = (
        sa.select(NOTICES.c.destination, NOTICES.c.incident, known)
        .where(NOTICES.c.incident.in_([uid, *others]))
        .order_by(NOTICES.c.destination, known.desc(), own, NOTICES.c.told_ms)
    )
    for destination, group in groupby(at.execute(question).all(), key=lambda row: row.destination):
        head, *rest = group
        for row in rest:
            here = (NOTICES.c.destination == destination) & (NOTICES.c.incident == row.incident)
            gone = {"incident": f"was {uuid.uuid4().hex}", "due_ms": 0}
            at.execute(sa.update(NOTICES).where(here).values(gone) if row.known else sa.delete(NOTICES).where(here))
        here = (NOTICES.c.destination == destination) & (NOTICES.c.incident == head.incident)
        at.execute(sa.update(NOTICES).where(here).values(incident=uid))


def _seen(at: sa.Connection, whole: Incident) -> Seen:
    """How an incident is seen; asked once for the same tenants."""

    @cache
    def seen(tenants: frozenset[str] | None) -> Incident | None:
        if tenants is None or whole.tenant in tenants:
            return whole
        if whole.tenant is not None:
            return None
        return next(map(of_row, parts.rows(at, [whole.uid], tenants)), None)

    return seen


def of_row(row: Mapping[str, Any] | sa.RowMapping) -> Incident:
    """An incident from its row."""
    return Incident(
        row["uid"], row["kind"], row["route"], row["tenant"], row["status"], Severity(row["severity"]),
        row["first_ms"], row["last_ms"], row["alerts"], row["summary"], row.get("acked_by"),
    )  # fmt: skip
