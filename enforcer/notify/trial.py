"""A made-up incident for one destination, outside of everything else: whether what is set up works."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Final

from enforcer.notify import setup
from enforcer.notify.deliver import Deliverer
from enforcer.notify.destinations import Destination, Kind, Notices
from enforcer.notify.notice import Event, Incident, Message, Notice
from enforcer.notify.outcome import Came, Outcome
from enforcer.notify.render import render
from schemas.alert import Severity
from schemas.errors import SettingsError
from schemas.settings import PREFIX, Settings

_STAYS_OPEN: Final = (Kind.PAGERDUTY, Kind.ALERTMANAGER)
_SUMMARY: Final = "This is a test: nothing happened. `floodwarden notices test` was run"


def notices(settings: Settings) -> Notices:
    """What is set up. Raises `SettingsError` where nothing is, or it cannot be taken."""
    found = setup.configured(settings)
    if found is None:
        raise SettingsError(f"{PREFIX}NOTICES is not set; docs/notices.md has an example to start from")
    return found


def send(settings: Settings, notices: Notices, name: str) -> Outcome:
    """Send it there, and its end after it where it would stay open; what came of it, of the first that failed."""
    return asyncio.run(_send(settings, notices.destinations[name]))


async def _send(settings: Settings, destination: Destination) -> Outcome:
    deliverer = Deliverer(settings.kafka, setup.private(settings), _clock_ms)
    key, outcome = f"test-{uuid.uuid4().hex}", Outcome(Came.REFUSED)
    for event in (Event.TEST, Event.RESOLVED) if destination.kind in _STAYS_OPEN else (Event.TEST,):
        at_ms = _clock_ms()
        incident = Incident(key, "test", None, None, "open", Severity.INFO, at_ms, at_ms, 1, _SUMMARY)
        message = Message(uuid.uuid4().hex, key, at_ms, (Notice(event, key, incident),))
        outcome = await deliverer.deliver(destination, message.id, render(destination, message))
        if outcome.came is not Came.DELIVERED:
            return outcome
    return outcome


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000
