"""Who may be told, and which incidents are for whom. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from enforcer.notify.flood import Manner
from enforcer.notify.notice import RANK, Incident
from schemas.alert import Severity

PAGERDUTY_URL: Final = "https://events.pagerduty.com/v2/enqueue"


class Kind(StrEnum):
    """What sort of place it is."""

    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    ALERTMANAGER = "alertmanager"
    WEBHOOK = "webhook"
    EMAIL = "email"
    FILE = "file"
    KAFKA = "kafka"


class Format(StrEnum):
    """What records are written in."""

    PLAIN = "plain"
    OCSF = "ocsf"
    ECS = "ecs"


class Tls(StrEnum):
    """How mail is encrypted on its way to the server."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


MANNER: Final = {
    Kind.SLACK: Manner.READ,
    Kind.PAGERDUTY: Manner.PAGED,
    Kind.ALERTMANAGER: Manner.KEPT,
    Kind.WEBHOOK: Manner.READ,
    Kind.EMAIL: Manner.READ,
    Kind.FILE: Manner.KEPT,
    Kind.KAFKA: Manner.KEPT,
}
PER_MINUTE: Final = {Kind.SLACK: 10, Kind.PAGERDUTY: 10, Kind.WEBHOOK: 60, Kind.EMAIL: 5}
REPEAT_MS: Final = {Kind.ALERTMANAGER: 300_000}


@dataclass(frozen=True, slots=True)
class Mail:
    """By which server, from whom and to whom."""

    host: str
    port: int
    tls: Tls
    user: str
    password: str = field(repr=False)
    sender: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """One place. `url` and `secret` open it, and are shown nowhere."""

    name: str
    kind: Kind
    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    format: Format = Format.PLAIN
    path: Path | None = None
    topic: str = ""
    mail: Mail | None = None
    ca: Path | None = None
    per_minute: int = 0
    tries: int = 20

    @property
    def manner(self) -> Manner:
        """How it takes much at once."""
        return MANNER[self.kind]

    @property
    def keeps(self) -> bool:
        """Whether it is a record that nobody reads as it comes: what is old belongs there, too."""
        return self.kind in (Kind.FILE, Kind.KAFKA)


Seen = Callable[[frozenset[str] | None], Incident | None]
"""An incident as these tenants (None: all) see it; None where no client of theirs is in it."""


@dataclass(frozen=True, slots=True)
class Route:
    """Incidents like these are for `to`. Empty sets mean any; `wait_s` gathers the first alerts of each.

    With `tenants` an incident is what it is by the alerts of their clients.
    """

    to: tuple[str, ...]
    severity: Severity = Severity.INFO
    kinds: frozenset[str] = frozenset()
    routes: tuple[str, ...] = ()
    tenants: frozenset[str] = frozenset()
    wait_s: int = 5

    def takes(self, seen: Seen) -> bool:
        """Whether an incident, as it is seen, is one of these."""
        incident = seen(self.tenants or None)
        return (
            incident is not None
            and RANK[incident.severity] >= RANK[self.severity]
            and (not self.kinds or incident.kind in self.kinds)
            and (not self.routes or any(fnmatchcase(incident.route or "", glob) for glob in self.routes))
        )


@dataclass(frozen=True, slots=True)
class Notices:
    """All of it. `link` leads to an incident, with `{incident}` for its uid; `pages` hear of what calls somebody."""

    destinations: dict[str, Destination] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    link: str = ""
    pages: tuple[str, ...] = ()

    def tenants(self, name: str) -> frozenset[str] | None:
        """Of whose clients a destination is told, by the routes that lead to it; None: of everybody's."""
        leading = [route.tenants for route in self.routes if name in route.to]
        return frozenset().union(*leading) if leading and all(leading) else None

    def wanted(self, seen: Seen) -> dict[str, int]:
        """Whom to tell of an incident, each with how long to wait before, in milliseconds."""
        found: dict[str, int] = {}
        for route in self.routes:
            if route.takes(seen):
                for name in route.to:
                    found[name] = min(found.get(name, route.wait_s * 1000), route.wait_s * 1000)
        return found
