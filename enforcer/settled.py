"""Whether what was done last already answers a word of an alert. Pure."""

from __future__ import annotations

from enforcer.guardrails import STRENGTH
from enforcer.names import AUTO
from schemas.action import Action, ActionKind, ActionStatus
from schemas.alert import Alert, Status


def settled(last: Action, alert: Alert, kind: ActionKind) -> bool:
    """Whether `last` already answers this word of the alert."""
    if last.approval is not None and (last.status is not ActionStatus.REFUSED or last.guard is None):
        # It waits, or was decided. A person's no holds for the whole incident, as a lift does; silence holds for what
        # was asked.
        person = last.status is ActionStatus.REFUSED and last.ended_by != AUTO
        return person or STRENGTH[kind] <= STRENGTH.get(last.kind, -1)
    if last.status is ActionStatus.REFUSED:
        return alert.status is Status.OPEN
    if last.status is ActionStatus.LIFTED:
        # A person's word holds for the whole incident; what was withdrawn may come back on new evidence.
        return last.ended_by != AUTO or alert.last_ms <= (last.ended_ms or 0)
    if STRENGTH[kind] > STRENGTH.get(last.kind, -1):
        return False
    if kind is ActionKind.NOTICE or alert.status is Status.OPEN:
        return True
    return alert.last_ms <= last.created_ms  # evidence from before the answer: told again, or on its way meanwhile
