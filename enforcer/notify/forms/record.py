"""Ours, for webhooks, files and topics: what is known of each incident, by the names the API has."""

from __future__ import annotations

from typing import Any, Final

from enforcer.notify.notice import Message, Notice

VERSION: Final = 1


def payload(message: Message) -> dict[str, Any]:
    """The body to post."""
    event = message.event
    return {
        "v": VERSION,
        "id": message.id,
        "type": f"incident.{event}" if event else "digest",
        "at_ms": message.at_ms,
        "incidents": [told(notice) for notice in message.notices],
    }


def told(notice: Notice) -> dict[str, Any]:
    """One incident."""
    incident, details = notice.incident, notice.details
    return {
        "event": str(notice.event),
        "key": notice.key,
        "uid": incident.uid,
        "kind": incident.kind,
        "route": incident.route,
        "tenant": incident.tenant,
        "status": incident.status,
        "severity": str(incident.severity),
        "severity_before": str(notice.was) if notice.was else None,
        "first_ms": incident.first_ms,
        "last_ms": incident.last_ms,
        "alerts": incident.alerts,
        "summary": incident.summary,
        "acknowledged_by": incident.acked_by,
        "clients": list(details.clients),
        "done": dict(details.done),
        "evidence": list(details.evidence),
        "rule": details.rule,
        "model": details.model,
        "behaviour": details.behaviour,
        "ids": list(details.ids),
        "avoid": details.avoid,
        "link": notice.link,
    }
