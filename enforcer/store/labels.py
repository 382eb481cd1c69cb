"""What people say of what was found and done: labels, and appeals of those it was done to."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from enforcer.errors import CommandError
from enforcer.store import parts, reading
from enforcer.store.archive import tenant_of
from enforcer.store.database import writing
from enforcer.store.reading import Thing
from enforcer.store.tables import ACTIONS, ALERTS, APPEALS, LABELS
from schemas.targets import parse_target

FALSE_POSITIVE: Final = "false_positive"
TRUE_POSITIVE: Final = "true_positive"
JUDGED_MAX: Final = 20_000  # labels, the newest
OPEN_MAX: Final = 10  # appeals against one action at once
_KINDS: Final = {"alert": reading.ALERT, "action": reading.ACTION, "incident": reading.INCIDENT}


@dataclass(frozen=True, slots=True)
class Said:
    """Who says something, and when. `tenant` None: of anything; else only of what is that tenant's."""

    by: str
    at_ms: int
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """Who was rightly (`true`) or wrongly found: KIND:VALUE, and by which family, empty for whatever it is."""

    entity: str
    family: str
    true: bool


def judged(engine: sa.Engine) -> list[Judged]:
    """What people say of clients: of two words about the same the later one holds, and one that is neither takes back.

    A label of an incident is one of all its alerts, a tenant's of those that are the tenant's; that of an action is one
    of the alert it answered.
    """
    words: dict[tuple[str, str], str] = {}
    newest = sa.select(LABELS.c.subject, LABELS.c.tenant, LABELS.c.label).order_by(
        LABELS.c.at_ms.desc(), LABELS.c.uid.desc()
    )
    with engine.connect() as at:
        for subject, tenant, word in reversed(at.execute(newest.limit(JUDGED_MAX)).all()):
            words |= dict.fromkeys(_about(at, subject, tenant), word)
    told = {TRUE_POSITIVE: True, FALSE_POSITIVE: False}
    return [Judged(entity, family, told[word]) for (entity, family), word in words.items() if word in told]


def _about(at: sa.Connection, subject: str, tenant: str | None) -> list[tuple[str, str]]:
    """Entities and families that a subject is about, as who labelled it could see."""
    kind, _, uid = subject.partition(":")
    if kind not in _KINDS:
        return [(subject, "")]
    alert = sa.select(ACTIONS.c.alert_uid).where(ACTIONS.c.uid == uid).scalar_subquery()
    in_it = ALERTS.c.incident == uid
    if tenant is not None:
        in_it &= ALERTS.c.tenant == tenant
    where = {"alert": ALERTS.c.uid == uid, "incident": in_it, "action": ALERTS.c.uid == alert}
    found = at.execute(sa.select(ALERTS.c.entity, ALERTS.c.kind).where(where[kind]))
    return [(entity, family) for entity, family in found]


def label(engine: sa.Engine, subject: str, word: str, note: str, said: Said) -> Thing:
    """Label an alert, an action, an incident or an entity.

    Raises:
        CommandError: there is no such subject, or it is not the tenant's.
    """
    subject, owner = _subject(engine, subject, said.tenant)
    row = {
        "uid": uuid.uuid4().hex, "subject": subject, "tenant": owner, "label": word,
        "note": note, "by": said.by, "at_ms": said.at_ms,
    }  # fmt: skip
    with writing(engine) as at:
        at.execute(sa.insert(LABELS).values(row))
    return row


def appeal(engine: sa.Engine, action_uid: str, text: str, contact: str, said: Said) -> Thing:
    """Contest an action. Raises `CommandError` where there is none, or it is contested often enough."""
    reading.one(engine, reading.ACTION, action_uid, said.tenant)
    row = {
        "uid": uuid.uuid4().hex, "action_uid": action_uid, "status": "open", "text": text, "contact": contact,
        "tenant": reading.owner(engine, reading.ACTION, action_uid), "by": said.by, "at_ms": said.at_ms,
        "decided_by": None, "decided_ms": None, "decision": "",
    }  # fmt: skip
    open_now = (APPEALS.c.action_uid == action_uid) & (APPEALS.c.status == "open")
    with writing(engine) as at:
        count = at.execute(sa.select(sa.func.count()).select_from(APPEALS).where(open_now)).scalar_one()
        if count >= OPEN_MAX:
            raise CommandError("too_many", "uid", f"{count} appeals against it are open", "decide these first")
        at.execute(sa.insert(APPEALS).values(row))
    return row


def decide(engine: sa.Engine, appeal_uid: str, *, accept: bool, reason: str, said: Said) -> Thing:
    """Close an open appeal. Raises `CommandError` where there is none, or it was decided before."""
    found = reading.one(engine, reading.APPEAL, appeal_uid, said.tenant)
    decided = {
        "status": "accepted" if accept else "rejected", "decided_by": said.by, "decided_ms": said.at_ms,
        "decision": reason,
    }  # fmt: skip
    still_open = (APPEALS.c.uid == appeal_uid) & (APPEALS.c.status == "open")
    with writing(engine) as at:
        if not at.execute(sa.update(APPEALS).where(still_open).values(decided)).rowcount:
            raise CommandError("decided", "uid", f"was {found['status']} already", "a new appeal can be made")
    return found | decided


def _subject(engine: sa.Engine, subject: str, tenant: str | None) -> tuple[str, str | None]:
    """The subject in its one spelling, and whose it is."""
    kind, _, uid = subject.partition(":")
    if kind == "incident" and tenant is not None:
        return subject, str(parts.one(engine, uid, tenant)["tenant"])
    if kind in _KINDS:
        reading.one(engine, _KINDS[kind], uid, tenant)
        return subject, reading.owner(engine, _KINDS[kind], uid)
    try:
        entity = parse_target(subject).key
    except ValueError as error:
        fix = "alert:UID, action:UID, incident:UID, or an entity like ip:203.0.113.7"
        raise CommandError("bad_value", "subject", str(error), fix) from error
    owner = tenant_of(entity)
    if tenant is not None and owner != tenant:
        raise CommandError("not_found", "subject", f"{subject[:80]!r} is not yours", f"tenant:{tenant}")
    return entity, owner
