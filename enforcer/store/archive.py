"""What the topics tell, in SQL: each record once, whoever writes and however often it is delivered.

Rows and the offsets they came from are one transaction. A store made anew from the same records has the same alerts,
actions and incidents; only what compaction and retention took from the topics it cannot have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from enforcer import incidents, records
from enforcer.notify import outbox
from enforcer.notify.outbox import Outbox
from enforcer.store import audit
from enforcer.store.database import writing
from enforcer.store.tables import ACTIONS, ALERTS, EVENTS, INCIDENTS, OFFSETS
from schemas import sql
from schemas.action import Action, ActionStatus
from schemas.alert import Alert, Severity, Status

_C: Final = INCIDENTS.c
_KNOWN: Final = (_C.first_ms, _C.last_ms, _C.uid, _C.acked_ms, _C.acked_by, _C.acked_tenant)
_Row = sa.Row[int, int, str, int, str, str]


@dataclass(frozen=True, slots=True)
class Heard:
    """One record of `topic`; `message` is None for one that says nothing (a tombstone, a bad one)."""

    topic: str
    partition: int
    offset: int
    message: Alert | Action | None


class Archive:
    """Writes what was heard. Several on one database are harmless: each record is taken from whoever brings it first.

    Methods raise `sqlalchemy.exc.DBAPIError` where the database does not answer; then nothing was written.
    """

    def __init__(self, engine: sa.Engine, outbox: Outbox | None = None) -> None:
        self._engine = engine
        self._outbox = outbox

    def offsets(self, topic: str) -> dict[int, int]:
        """By partition of `topic`, the first record not taken yet."""
        with self._engine.connect() as at:
            return _offsets(at, [topic])[topic]

    def begin_anew(self, topic: str, partition: int) -> None:
        """Take the partition from its beginning: it is another than the one that the offsets were of."""
        with writing(self._engine) as at:
            here = (OFFSETS.c.topic == topic) & (OFFSETS.c.partition == partition)
            at.execute(sa.delete(OFFSETS).where(here))

    def write(self, records: Sequence[Heard]) -> int:
        """Take what is new of `records` (in order of each partition); how many words of alerts and actions it was."""
        with writing(self._engine) as at:
            offsets = _offsets(at, {record.topic for record in records})
            new = [r for r in records if r.offset >= offsets[r.topic].get(r.partition, 0)]
            if not new:
                return 0
            alerts = [r.message for r in new if isinstance(r.message, Alert)]
            words = _fold(at, [r.message for r in new if isinstance(r.message, Action)])
            changed = _put_alerts(at, {alert.uid: alert for alert in alerts}.values())
            _put_actions(at, {action.uid: action for action in words}.values())
            if self._outbox is not None:
                self._outbox.changed(at, changed, [alert.uid for alert in alerts])
                self._outbox.acted(at, words)
            _tell(at, [*alerts, *words])
            audit.append(at, [_entry(action) for action in words])
            _advance(at, new)
        return len(alerts) + len(words)


def tenant_of(key: str) -> str | None:
    """The tenant that a target or an entity (KIND:VALUE) is."""
    kind, _, value = key.partition(":")
    return value if kind == "tenant" else None


def _tenant(word: Alert | Action) -> str | None:
    """Whose it is: of the tenant that it names, else of the one whose client it is about."""
    return tenant_of(_entity(word) if isinstance(word, Alert) else word.target.key) or word.tenant


def _offsets(at: sa.Connection, topics: Iterable[str]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {topic: {} for topic in topics}
    for row in at.execute(sa.select(OFFSETS).where(OFFSETS.c.topic.in_(list(found)))):
        found[row.topic][row.partition] = row.next
    return found


def _fold(at: sa.Connection, actions: Sequence[Action]) -> list[Action]:
    """Those that say something new, by the rules of `enforcer.ledger`: what is over does not begin again."""
    uids = list({action.uid for action in actions})
    question = sa.select(ACTIONS.c.uid, ACTIONS.c.status, ACTIONS.c.ended_ms).where(ACTIONS.c.uid.in_(uids))
    known = {row.uid: (row.status, row.ended_ms) for row in at.execute(question)}
    told = []
    for action in actions:
        status, ended_ms = known.get(action.uid, ("", None))
        if action.status in (ActionStatus.ACTIVE, ActionStatus.PENDING):
            news = status != action.status and (not status or (ended_ms or 0) < action.created_ms)
        else:
            news = (status, ended_ms) != (action.status, action.ended_ms)
        if news:
            known[action.uid] = (action.status, action.ended_ms)
            told.append(action)
    return told


def _put_actions(at: sa.Connection, actions: Iterable[Action]) -> None:
    rows = [
        {
            "uid": a.uid, "status": a.status, "kind": a.kind, "target": a.target.key, "owner": a.owner,
            "tenant": _tenant(a), "alert_uid": a.alert_uid, "created_ms": a.created_ms,
            "expires_ms": a.expires_ms, "ended_ms": a.ended_ms, "calls": int(outbox.calls(a)),
            "body": records.brief_json(a), "marks": a.exempt.marks if a.exempt else None,
        }
        for a in actions
    ]  # fmt: skip
    _put(at, ACTIONS, rows)


def _put_alerts(at: sa.Connection, alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """Write alerts, each into the incident it belongs to; incidents that one joins become one. The rows of these."""
    touched: dict[str, Alert] = {}
    for alert in alerts:
        uid, joined, left = _place(at, alert)
        touched |= left
        touched[uid] = alert
        for other in joined:
            touched.pop(other, None)
    rows = [_sum_up(at, uid, alert) for uid, alert in touched.items()]
    _put(at, INCIDENTS, rows)
    return rows


def _place(at: sa.Connection, alert: Alert) -> tuple[str, list[str], dict[str, Alert]]:
    """Write an alert: its incident, which is then long enough to hold it, those now part of that, and the one it left.

    It leaves one when it turns out to be part of a campaign. What it leaves does not fall apart, though it was what
    joined two alerts far apart.
    """
    here = INCIDENTS.c.topic == incidents.topic(alert)
    near = (INCIDENTS.c.first_ms <= alert.last_ms + incidents.GAP_MS) & (
        INCIDENTS.c.last_ms >= alert.first_ms - incidents.GAP_MS
    )
    found = at.execute(sa.select(*_KNOWN).where(here, near)).all()
    first_ms, uid = min([(alert.first_ms, incidents.uid(alert.uid)), *((row.first_ms, row.uid) for row in found)])
    left, stay = _left(at, alert, uid)
    if left is not None and stay is None:
        found = [*found, left]
    joined: list[str] = [row.uid for row in found if row.uid != uid]
    if joined:
        at.execute(sa.update(ALERTS).where(ALERTS.c.incident.in_(joined)).values(incident=uid))
        at.execute(sa.delete(INCIDENTS).where(INCIDENTS.c.uid.in_(joined)))
        outbox.joined(at, uid, joined)
    _put(at, ALERTS, [_row(alert, uid)])
    last_ms = max([alert.last_ms, *(row.last_ms for row in found)])
    same = [row for row in found if (row.uid, row.first_ms, row.last_ms) == (uid, first_ms, last_ms)]
    if not same:
        share = incidents.Share(alert.status, alert.severity, 1, first_ms, last_ms)
        _put(at, INCIDENTS, [_incident(uid, alert, incidents.total([share]), alert.summary, None)])
    taken = [row for row in found if row.acked_by is not None]
    if joined and taken:
        acked = min(taken, key=lambda row: (row.acked_ms, row.acked_by))
        in_hand = {name: getattr(acked, name) for name in ("acked_ms", "acked_by", "acked_tenant")}
        at.execute(sa.update(INCIDENTS).where(INCIDENTS.c.uid == uid).values(in_hand))
    return uid, joined, {left.uid: stay} if left is not None and stay is not None else {}


def _left(at: sa.Connection, alert: Alert, uid: str) -> tuple[_Row | None, Alert | None]:
    """The incident of other alerts that this one was in until now, and one that stays there; None: nobody does."""
    c = INCIDENTS.c
    mine = sa.select(ALERTS.c.incident).where(ALERTS.c.uid == alert.uid).scalar_subquery()
    question = sa.select(*_KNOWN)
    other = (c.uid == mine) & (c.uid != uid) & (c.topic != incidents.topic(alert))
    row = at.execute(question.where(other)).one_or_none()
    if row is None:
        return None, None
    rest = sa.select(ALERTS.c.body).where(ALERTS.c.incident == row.uid, ALERTS.c.uid != alert.uid).limit(1)
    body = at.execute(rest).scalar_one_or_none()
    return row, None if body is None else Alert.model_validate_json(body)


def _sum_up(at: sa.Connection, uid: str, alert: Alert) -> dict[str, Any]:
    """An incident as its alerts make it; `alert` is any of them."""
    here = ALERTS.c.incident == uid
    by = (ALERTS.c.tenant, ALERTS.c.status, ALERTS.c.severity)
    bounds = (sa.func.count(), sa.func.min(ALERTS.c.first_ms), sa.func.max(ALERTS.c.last_ms))
    found = at.execute(sa.select(*by, *bounds).where(here).group_by(*by)).all()
    shares = [incidents.Share(Status(status), Severity(severity), *figures) for _, status, severity, *figures in found]
    owners = {row.tenant for row in found}
    first = sa.select(ALERTS.c.body).where(here).order_by(ALERTS.c.first_ms, ALERTS.c.uid).limit(1)
    summary = str(json.loads(at.execute(first).scalar_one())["summary"])
    return _incident(uid, alert, incidents.total(shares), summary, owners.pop() if len(owners) == 1 else None)


def _incident(uid: str, alert: Alert, whole: incidents.Sum, summary: str, tenant: str | None) -> dict[str, Any]:
    return {
        "uid": uid, "topic": incidents.topic(alert), "kind": alert.kind, "route": alert.route, "tenant": tenant,
        "status": whole.status, "severity": whole.severity, "first_ms": whole.first_ms, "last_ms": whole.last_ms,
        "alerts": whole.alerts, "summary": summary,
    }  # fmt: skip


def _row(alert: Alert, incident: str) -> dict[str, Any]:
    entity = _entity(alert)
    return {
        "uid": alert.uid, "status": alert.status, "kind": alert.kind, "severity": alert.severity, "entity": entity,
        "tenant": _tenant(alert), "incident": incident, "first_ms": alert.first_ms, "last_ms": alert.last_ms,
        "crossed_ms": alert.crossed_ms, "body": alert.model_dump_json(),
    }  # fmt: skip


def _tell(at: sa.Connection, words: Sequence[Alert | Action]) -> None:
    seq: int = at.execute(sa.select(sa.func.coalesce(sa.func.max(EVENTS.c.seq), 0))).scalar_one()
    rows = [
        {
            "seq": seq + n, "uid": word.uid,
            "body": word.model_dump_json() if isinstance(word, Alert) else records.brief_json(word),
            "kind": "alert" if isinstance(word, Alert) else "action",
            "tenant": _tenant(word),
            "at_ms": word.last_ms if isinstance(word, Alert) else word.ended_ms or word.created_ms,
        }
        for n, word in enumerate(words, 1)
    ]  # fmt: skip
    if rows:
        at.execute(sa.insert(EVENTS), rows)


def _entry(action: Action) -> audit.Entry:
    """An action's beginning or end, as the audit has it: whoever caused it."""
    begins = action.ended_ms is None
    told: dict[str, Any] = {
        "action": action.uid, "kind": action.kind, "alert": action.alert_uid, "rule": action.rule, "play": action.play,
        "model": action.model, "guard": action.guard, "expires_ms": action.expires_ms,
        "reason": action.reason if begins else action.ended_reason,
    }  # fmt: skip
    actor = action.owner if begins else action.ended_by or action.owner
    at_ms = action.created_ms if begins else action.ended_ms or action.expires_ms
    return audit.Entry(at_ms, actor, f"action.{action.status}", action.target.key, told)


def _entity(alert: Alert) -> str:
    return f"{alert.entity.kind}:{alert.entity.value}"


def _advance(at: sa.Connection, taken: Sequence[Heard]) -> None:
    ends = {(record.topic, record.partition): record.offset + 1 for record in taken}
    _put(at, OFFSETS, [{"topic": t, "partition": p, "next": end} for (t, p), end in ends.items()])


def _put(at: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    statement = sql.insert(at, table)
    key = [column.name for column in table.primary_key]
    rest = {name: statement.excluded[name] for name in rows[0] if name not in key}
    at.execute(statement.on_conflict_do_update(index_elements=key, set_=rest), rows)
