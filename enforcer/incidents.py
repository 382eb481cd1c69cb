"""Which alerts are one incident. Pure, and the same whatever the order in which they are heard.

Alerts of one kind, of one campaign or else on one route, that overlap or follow each other within `GAP_MS` are one:
five hundred addresses that guess at one login are one incident, with what their route, network and tenant showed, and
two families of one client are two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import xxhash

from schemas.alert import Alert, Severity, Status

GAP_MS: Final = 600_000
_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Share:
    """Alerts of an incident that have the same status and severity, summed up."""

    status: Status
    severity: Severity
    alerts: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Sum:
    """What an incident comes to. `withdrawn` when all its alerts are; else only the others count."""

    status: str
    severity: Severity
    alerts: int
    first_ms: int
    last_ms: int


def topic(alert: Alert) -> str:
    """What alerts of one incident have in common."""
    return f"{alert.kind} {alert.campaign or alert.route or '*'}"


def uid(alert_uid: str) -> str:
    """The incident's name, from the alert that began it: the first by time, then by this name."""
    return xxhash.xxh3_128_hexdigest(f"incident {alert_uid}".encode("utf-8", "surrogatepass"))


def total(shares: Iterable[Share]) -> Sum:
    """The sum over an incident's alerts, of which there is at least one."""
    every = list(shares)
    counted = [share for share in every if share.status is not Status.WITHDRAWN] or every
    if counted[0].status is Status.WITHDRAWN:
        status = "withdrawn"
    else:
        status = "open" if any(share.status is not Status.CLOSED for share in counted) else "closed"
    return Sum(
        status,
        max((share.severity for share in counted), key=_RANK.__getitem__),
        sum(share.alerts for share in counted),
        min(share.first_ms for share in every),
        max(share.last_ms for share in every),
    )
