"""For PagerDuty: Events API v2. One thread is one `dedup_key`, and so one page however often it is sent."""

from __future__ import annotations

from typing import Any, Final

from enforcer.notify import words
from enforcer.notify.escape import plain
from enforcer.notify.notice import Event, Message
from schemas.alert import Severity

SUMMARY_CHARS: Final = 1024
DETAIL_CHARS: Final = 2000
_ACTION: Final = {Event.RESOLVED: "resolve", Event.ACKNOWLEDGED: "acknowledge"}
_SEVERITY: Final = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "info",
    Severity.INFO: "info",
}


def payload(message: Message) -> dict[str, Any]:
    """The body to post, without its `routing_key`."""
    action = _ACTION.get(message.event, "trigger") if message.event else "trigger"
    told: dict[str, Any] = {"event_action": action, "dedup_key": message.key}
    if action != "trigger":
        return told
    first = message.notices[0]
    told["payload"] = {
        "summary": plain(words.headline(message), SUMMARY_CHARS),
        "source": "floodwarden",
        "severity": _SEVERITY[message.severity],
        "timestamp": words.stamp(first.incident.first_ms),
        "component": plain(first.incident.route or "everywhere", 255),
        "group": plain(first.incident.tenant or "floodwarden", 255),
        "class": plain(first.incident.kind, 255),
        "custom_details": _details(message),
    }
    told["client"] = "Floodwarden"
    if first.link and len(message.notices) == 1:
        told["client_url"] = first.link
        told["links"] = [{"href": first.link, "text": "Open the incident"}]
    return told


def _details(message: Message) -> dict[str, Any]:
    if len(message.notices) > 1:
        listed = message.notices[: words.LISTED_MAX]
        lines = [plain(words.titled(notice), 500) for notice in listed]
        return {"incidents": lines, "more": len(message.notices) - len(listed)}
    first = message.notices[0]
    told: dict[str, Any] = {name: plain(value, DETAIL_CHARS) for name, value in words.facts(first)}
    told["evidence"] = [plain(line, 500) for line in first.details.evidence]
    return told
