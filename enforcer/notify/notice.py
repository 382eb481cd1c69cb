"""What is told: an incident and what became of it, as one value. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import xxhash

from schemas.alert import Severity

RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
_DIGEST: Final = "digest-"


class Event(StrEnum):
    """Why somebody is told. `still`: nothing is new; some destinations forget what is not repeated."""

    OPENED = "opened"
    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    STILL = "still"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it stands."""

    uid: str
    kind: str
    route: str | None
    tenant: str | None
    status: str
    severity: Severity
    first_ms: int
    last_ms: int
    alerts: int
    summary: str
    acked_by: str | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """What is worth reading of an incident: some of its clients, what was done by kind and status, the evidence."""

    clients: tuple[str, ...] = ()
    done: tuple[tuple[str, int], ...] = ()
    evidence: tuple[str, ...] = ()
    rule: str | None = None
    model: str | None = None
    behaviour: str | None = None
    ids: tuple[str, ...] = ()
    avoid: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """One word about one incident. `key` names the thread it belongs to, `was` the severity told before."""

    event: Event
    key: str
    incident: Incident
    details: Details = Details()
    was: Severity | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What a destination is sent at once, under `key`. The same `id` is the same message, however often it comes."""

    id: str
    key: str
    at_ms: int
    notices: tuple[Notice, ...]

    @property
    def severity(self) -> Severity:
        """The worst in it."""
        return max((notice.incident.severity for notice in self.notices), key=RANK.__getitem__)

    @property
    def event(self) -> Event | None:
        """What it is about, where all of it is the same."""
        events = {notice.event for notice in self.notices}
        return events.pop() if len(events) == 1 else None


def is_digest(key: str) -> bool:
    """Whether several incidents share this thread."""
    return key.startswith(_DIGEST)


def digest_key(incidents: list[str]) -> str:
    """The thread of these incidents, told together."""
    return _DIGEST + _hash("\0".join(sorted(incidents)))


def word_id(destination: str, key: str, words: list[str]) -> str:
    """A message's id: by whom it is for, its thread, and the words in it."""
    return _hash("\0".join([destination, key, *sorted(words)]))


def _hash(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))
