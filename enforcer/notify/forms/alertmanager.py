"""For Prometheus' Alertmanager: API v2. An alert is its labels, so its severity there is the one told last.

Alertmanager forgets what is not repeated: each alert ends `LASTS_MS` from now unless it is told again.
"""

from __future__ import annotations

from typing import Any, Final

from enforcer.notify import words
from enforcer.notify.escape import plain
from enforcer.notify.notice import Event, Message, Notice
from schemas.alert import Severity

LASTS_MS: Final = 900_000
TEST_LASTS_MS: Final = 60_000
NAME: Final = "FloodwardenIncident"


def payload(message: Message) -> list[dict[str, Any]]:
    """The body to post."""
    return [alert for notice in message.notices for alert in _alerts(notice, message.at_ms)]


def _alerts(notice: Notice, at_ms: int) -> list[dict[str, Any]]:
    incident, was = notice.incident, notice.was or notice.incident.severity
    match notice.event:
        case Event.RAISED:
            return [_alert(notice, was, at_ms), _alert(notice, incident.severity, at_ms + LASTS_MS)]
        case Event.RESOLVED:
            return [_alert(notice, was, at_ms)]
        case Event.TEST:
            return [_alert(notice, incident.severity, at_ms + TEST_LASTS_MS)]
        case Event.OPENED:
            return [_alert(notice, incident.severity, at_ms + LASTS_MS)]
        case _:
            return [_alert(notice, was, at_ms + LASTS_MS)]


def _alert(notice: Notice, severity: Severity, ends_ms: int) -> dict[str, Any]:
    incident = notice.incident
    labels = {"alertname": NAME, "incident": notice.key, "severity": str(severity), "kind": plain(incident.kind, 100)}
    if incident.route:
        labels["route"] = plain(incident.route, 500)
    annotations = {"summary": plain(words.titled(notice), 1000)}
    annotations |= {name: plain(value, 1000) for name, value in words.facts(notice)}
    if notice.details.evidence:
        annotations["evidence"] = "\n".join(plain(line, 500) for line in notice.details.evidence)
    told: dict[str, Any] = {
        "labels": labels,
        "annotations": annotations,
        "startsAt": words.stamp(min(incident.first_ms, ends_ms)),
        "endsAt": words.stamp(ends_ms),
    }
    return told | ({"generatorURL": notice.link} if notice.link else {})
