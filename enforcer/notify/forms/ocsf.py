"""OCSF 1.5: Detection Finding (2004), one for each word about an incident; `finding_info.uid` is the incident's."""

from __future__ import annotations

import re
from typing import Any, Final

from enforcer.notify.forms.record import told
from enforcer.notify.notice import Event, Message, Notice
from enforcer.notify.words import titled
from schemas.alert import Severity

VERSION: Final = "1.5.0"
CLASS: Final = 2004
_TECHNIQUE: Final = re.compile(r"T\d{4}(\.\d{3})?")
_ACTIVITY: Final = {Event.OPENED: (1, "Create"), Event.TEST: (1, "Create"), Event.RESOLVED: (3, "Close")}
_UPDATE: Final = (2, "Update")
_SEVERITY: Final = {
    Severity.INFO: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_OBSERVABLE: Final = {"ip": (2, "IP Address"), "user": (4, "User Name"), "key": (10, "Resource UID")}
_OTHER: Final = (99, "Other")


def payloads(message: Message) -> list[dict[str, Any]]:
    """One event for each incident in the message."""
    return [_event(message, notice) for notice in message.notices]


def _event(message: Message, notice: Notice) -> dict[str, Any]:
    incident = notice.incident
    activity_id, activity = _ACTIVITY.get(notice.event, _UPDATE)
    severity_id, severity = _SEVERITY[incident.severity]
    status_id, status = (
        (4, "Resolved") if activity == "Close" else (2, "In Progress") if incident.acked_by else (1, "New")
    )
    return {
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity_id,
        "type_name": f"Detection Finding: {activity}",
        "time": message.at_ms,
        "start_time": incident.first_ms,
        "end_time": incident.last_ms,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "is_alert": activity == "Create",
        "message": titled(notice),
        "metadata": {
            "version": VERSION,
            "uid": f"{message.id}-{incident.uid}",
            "product": {"name": "Floodwarden", "vendor_name": "Floodwarden"},
            **({"tenant_uid": incident.tenant} if incident.tenant else {}),
        },
        "finding_info": _finding(message, notice),
        "observables": [_observable(client) for client in notice.details.clients],
        "evidences": [{"data": {"client": client}} for client in notice.details.clients]
        + [{"data": {"sentence": line}} for line in notice.details.evidence],
        "unmapped": told(notice),
    }


def _finding(message: Message, notice: Notice) -> dict[str, Any]:
    incident, details = notice.incident, notice.details
    found: dict[str, Any] = {
        "uid": incident.uid,
        "title": f"{incident.kind} on {incident.route}" if incident.route else incident.kind,
        "desc": incident.summary,
        "types": [kind for kind in (incident.kind, details.behaviour) if kind],
        "created_time": incident.first_ms,
        "first_seen_time": incident.first_ms,
        "last_seen_time": incident.last_ms,
        "modified_time": message.at_ms,
        "related_events_count": incident.alerts,
    }
    if details.rule or details.model:
        name = details.rule or details.model
        by_rule = {"type_id": 1, "type": "Rule"} if details.rule else {"type_id": 4, "type": "Learning (ML/DL)"}
        found["analytic"] = {"name": name, "uid": name, **by_rule}
    if techniques := [uid for uid in details.ids if _TECHNIQUE.fullmatch(uid)]:
        found["attacks"] = [{"technique": {"uid": uid}} for uid in techniques]
    return found | ({"src_url": notice.link} if notice.link else {})


def _observable(client: str) -> dict[str, Any]:
    kind, _, value = client.partition(":")
    type_id, name = _OBSERVABLE.get(kind, _OTHER)
    return {"name": "evidences.data.client", "type_id": type_id, "type": name, "value": value}
