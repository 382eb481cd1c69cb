"""Elastic Common Schema 8: one document for each word about an incident; what ECS has no field for is under ours."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Final

from enforcer.notify.forms.record import told
from enforcer.notify.notice import RANK, Message, Notice
from enforcer.notify.words import stamp, titled

VERSION: Final = "8.11.0"
_TECHNIQUE: Final = re.compile(r"T\d{4}(\.\d{3})?")


def payloads(message: Message) -> list[dict[str, Any]]:
    """One document for each incident in the message."""
    return [_document(message, notice) for notice in message.notices]


def _document(message: Message, notice: Notice) -> dict[str, Any]:
    incident, details = notice.incident, notice.details
    denied = any(what.startswith("deny") for what, _ in details.done)
    found: dict[str, Any] = {
        "@timestamp": stamp(message.at_ms),
        "ecs": {"version": VERSION},
        "message": titled(notice),
        "event": {
            "kind": "alert",
            "category": ["intrusion_detection"],
            "type": ["denied" if denied else "info"],
            "action": f"incident-{notice.event}",
            "id": f"{message.id}-{incident.uid}",
            "module": "floodwarden",
            "dataset": "floodwarden.incident",
            "provider": "floodwarden",
            "severity": RANK[incident.severity],
            "start": stamp(incident.first_ms),
            "end": stamp(incident.last_ms),
            "reason": incident.summary,
            **({"url": notice.link} if notice.link else {}),
        },
        "observer": {"vendor": "Floodwarden", "product": "Floodwarden", "type": "ids"},
        "related": _related(details.clients),
        "floodwarden": {"incident": told(notice)},
    }
    if details.rule:
        found["rule"] = {"name": details.rule, "category": incident.kind}
    if techniques := [uid for uid in details.ids if _TECHNIQUE.fullmatch(uid)]:
        found["threat"] = {"framework": "MITRE ATT&CK", "technique": {"id": techniques}}
    if incident.tenant:
        found["organization"] = {"id": incident.tenant}
    return found


def _related(clients: tuple[str, ...]) -> dict[str, Any]:
    pairs = [client.partition(":")[::2] for client in clients]
    addresses = [value for kind, value in pairs if kind == "ip" and _is_address(value)]
    users = [value for kind, value in pairs if kind == "user"]
    return {name: values for name, values in (("ip", addresses), ("user", users)) if values}


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
