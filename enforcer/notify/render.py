"""A message as the bytes that a destination gets. Pure; what opens the destination is added by who delivers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from enforcer.notify.destinations import Destination, Format, Kind
from enforcer.notify.forms import alertmanager, ecs, mail, ocsf, pagerduty, record, slack
from enforcer.notify.notice import Message

JSON: Final = "application/json"
MAIL: Final = "message/rfc822"


@dataclass(frozen=True, slots=True)
class Rendered:
    """One or more bodies, each with the uid of its incident (of the message, where it is about several)."""

    bodies: tuple[tuple[str, bytes], ...]
    content_type: str = JSON


def render(destination: Destination, message: Message) -> Rendered:
    """What `destination` is to get."""
    match destination.kind:
        case Kind.SLACK:
            return _one(message, slack.payload(message))
        case Kind.PAGERDUTY:
            return _one(message, pagerduty.payload(message))
        case Kind.ALERTMANAGER:
            return _one(message, alertmanager.payload(message))
        case Kind.WEBHOOK:
            return _one(message, _formed(destination.format, message))
        case Kind.EMAIL:
            assert destination.mail is not None  # noqa: S101 - the file has no mail destination without it
            return Rendered(((message.id, mail.message(destination.mail, message).as_bytes()),), MAIL)
        case Kind.FILE | Kind.KAFKA:
            return Rendered(tuple(_records(destination.format, message)))


def _formed(form: Format, message: Message) -> Any:
    match form:
        case Format.PLAIN:
            return record.payload(message)
        case Format.OCSF:
            found = ocsf.payloads(message)
        case Format.ECS:
            found = ecs.payloads(message)
    return found[0] if len(found) == 1 else found


def _records(form: Format, message: Message) -> list[tuple[str, bytes]]:
    match form:
        case Format.PLAIN:
            head = {"v": record.VERSION, "id": message.id, "at_ms": message.at_ms}
            found = [head | record.told(notice) for notice in message.notices]
        case Format.OCSF:
            found = ocsf.payloads(message)
        case Format.ECS:
            found = ecs.payloads(message)
    uids = [notice.incident.uid for notice in message.notices]
    return [(uid, _json(one)) for uid, one in zip(uids, found, strict=True)]


def _one(message: Message, payload: Any) -> Rendered:
    return Rendered(((message.id, _json(payload)),))


def _json(payload: Any) -> bytes:
    return msgspec.json.encode(payload)
