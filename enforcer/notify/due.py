"""What a destination is to be told of an incident, and when to look again. Pure; by state, so nothing is told twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enforcer.incidents import GAP_MS
from enforcer.notify.notice import RANK, Event, Incident
from schemas.alert import Severity

STALE_MS: Final = 3_600_000  # people are not told anew of what was last seen longer ago


@dataclass(frozen=True, slots=True)
class Told:
    """What a destination knows. `number` of words so far; `severity` as of the last; `begun`: another is on its way."""

    open: bool = False
    begun: bool = False
    acked: bool = False
    number: int = 0
    severity: Severity | None = None
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """The word that is due, and else when there may be one; neither: not until the incident changes."""

    event: Event | None = None
    again_ms: int | None = None


def due(told: Told, incident: Incident | None, now_ms: int, repeat_ms: int = 0) -> Due:
    """What to tell now. `incident` is None once it became part of another, or was forgotten.

    Its end is told once nothing can reopen it: a page that is resolved and triggered again would be two. With
    `repeat_ms` it is told so often that it goes on.
    """
    if incident is None:
        return Due(Event.RESOLVED if told.open or told.begun else None)
    if not told.open:
        return Due(Event.OPENED if _is_news(told, incident) else None)
    if incident.status != "open":
        over_ms = incident.last_ms + GAP_MS
        return Due(Event.RESOLVED) if now_ms > over_ms else Due(again_ms=over_ms + 1)
    event = _change(told, incident)
    if event is None and repeat_ms:
        again_ms = told.at_ms + repeat_ms
        return Due(Event.STILL) if now_ms >= again_ms else Due(again_ms=again_ms)
    return Due(event)


def _change(told: Told, incident: Incident) -> Event | None:
    if told.severity is None or RANK[incident.severity] > RANK[told.severity]:
        return Event.RAISED
    return Event.ACKNOWLEDGED if incident.acked_by is not None and not told.acked else None


def _is_news(told: Told, incident: Incident) -> bool:
    if incident.status == "open":
        return True
    return told.number == 0 and incident.status == "closed"  # it was over before it could be told
