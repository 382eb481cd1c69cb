"""What people read of an incident, in the house's sentences. Pure; nothing is escaped yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from enforcer.notify.notice import Event, Incident, Message, Notice
from enforcer.wording import length

LISTED_MAX: Final = 20
_LAST_MS: Final = 253_402_300_799_000  # the end of the year 9999
_SAID: Final = {
    Event.OPENED: "New incident",
    Event.RAISED: "Now worse",
    Event.ACKNOWLEDGED: "In hand",
    Event.STILL: "Still going on",
    Event.RESOLVED: "Over",
    Event.TEST: "Test",
}


def headline(message: Message) -> str:
    """One line that says it all."""
    first = message.notices[0]
    if len(message.notices) == 1:
        return f"{_SAID[first.event]}: {titled(first)}"
    said = f"{_SAID[message.event].lower()}" if message.event else "news"
    return f"{len(message.notices)} incidents at once ({said}), the worst {message.severity}"


def titled(notice: Notice) -> str:
    """An incident by what it is, how bad, and where."""
    incident = notice.incident
    where = f" on {incident.route}" if incident.route else ""
    return f"[{incident.severity}] {incident.kind}{where}: {incident.summary}"


def facts(notice: Notice) -> list[tuple[str, str]]:
    """What is known, as name and value."""
    incident, details = notice.incident, notice.details
    found = [
        ("severity", _severity(notice)),
        ("status", f"{incident.status}, in hand: {incident.acked_by}" if incident.acked_by else incident.status),
        ("since", clock(incident.first_ms)),
        ("for", length(max(0, incident.last_ms - incident.first_ms) // 1000)),
        ("alerts", f"{incident.alerts:,}"),
        ("done", ", ".join(f"{count} {what}" for what, count in details.done) or "nothing"),
        ("clients", _some(details.clients, incident)),
        ("behaviour", " ".join(part for part in (details.behaviour, *details.ids) if part)),
        ("by", ", ".join(part for part in (details.rule, details.model) if part)),
    ]
    return [(name, value) for name, value in found if value]


def clock(at_ms: int) -> str:
    """A time for people, in UTC."""
    return _at(at_ms).strftime("%Y-%m-%d %H:%M:%S UTC")


def stamp(at_ms: int) -> str:
    """A time for programs: RFC 3339."""
    return _at(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _at(at_ms: int) -> datetime:
    # A client's clock may be anywhere; a time nobody can write is the next that one can.
    return datetime.fromtimestamp(min(max(at_ms, 0), _LAST_MS) / 1000, UTC)


def _severity(notice: Notice) -> str:
    severity = notice.incident.severity
    return f"{severity} (was {notice.was})" if notice.was not in (None, severity) else str(severity)


def _some(clients: tuple[str, ...], incident: Incident) -> str:
    more = f" and more, {incident.alerts} alerts in all" if len(clients) < incident.alerts and clients else ""
    return ", ".join(clients) + more
