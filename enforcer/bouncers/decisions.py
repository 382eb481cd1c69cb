"""An action in the words of CrowdSec's local API: a decision. Pure.

Bouncers need `origin`, `type` (lower case), `scope` (`Ip`, `Range`), `value`, `duration` and `scenario`; without one of
them some let everybody pass and some end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Final

import msgspec
import xxhash

from schemas.action import Action, ActionKind, Target, TargetKind
from schemas.networks import network

BAN: Final = "ban"
CAPTCHA: Final = "captcha"
TYPES: Final = {ActionKind.DENY: BAN, ActionKind.CHALLENGE: CAPTCHA}
IP: Final = "Ip"
RANGE: Final = "Range"
DEFAULT_SCOPES: Final = frozenset({IP.lower(), RANGE.lower()})
EXPANDED_MAX: Final = 256  # addresses a network is spelt out to, for bouncers that match addresses alone
_SCOPES: Final = {
    TargetKind.COUNTRY: "Country",
    TargetKind.ASN: "AS",
    TargetKind.KEY: "Key",
    TargetKind.USER: "User",
    TargetKind.TENANT: "Tenant",
}
SCOPES: Final = (IP, RANGE, *_SCOPES.values())
_ORIGINS: Final = {"auto": "floodwarden", "import": "lists"}
_ID_BITS: Final = 52  # an id that a reader of JSON with floating point numbers keeps whole
_SCENARIO_CHARS_MAX: Final = 128

Network = IPv4Network | IPv6Network
Span = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. `span` is what it is on where that is addresses: IP version, prefix length, first address."""

    uid: str
    type: str
    scope: str
    value: str
    origin: str
    scenario: str
    until_ms: int
    span: Span | None

    @property
    def place(self) -> tuple[str, str]:
        """What it is about: of several there the strictest stands, then the longest."""
        return self.scope, self.value

    @property
    def rank(self) -> tuple[bool, int, str]:
        """What stands before what on the same place."""
        return self.type == BAN, self.until_ms, self.uid

    def encoded(self, now_ms: int) -> bytes:
        """As JSON, `duration` from now on."""
        return self._json(-((now_ms - self.until_ms) // 1000))

    def ended(self) -> bytes:
        """As JSON in a list of deleted ones."""
        return self._json(-1)

    def _json(self, seconds: int) -> bytes:
        return msgspec.json.encode({
            "duration": f"{seconds}s",
            "id": xxhash.xxh3_64_intdigest(self.uid.encode()) >> (64 - _ID_BITS),
            "origin": self.origin,
            "scenario": self.scenario,
            "scope": self.scope,
            "type": self.type,
            "value": self.value,
        })  # fmt: skip


def decision_of(action: Action, *, scoped: bool) -> Decision | None:
    """The decision that says what `action` does; None where a bouncer could not do it, or would do more.

    A bouncer knows addresses, and no routes, tiers or limits: what is meant for part of a client's requests is not
    told, unless `scoped` says that a denial on a route may be one everywhere.
    """
    kind = TYPES.get(action.kind)
    if kind is None or action.is_narrow or (action.route is not None and not scoped):
        return None
    found = _scope(action.target)
    if found is None:
        return None
    scope, value, span = found
    by, _, name = action.owner.partition(":")
    scenario = name if by == "import" else action.rule or action.reason
    origin = _ORIGINS.get(by, "manual")
    return Decision(action.uid, kind, scope, value, origin, scenario[:_SCENARIO_CHARS_MAX], action.expires_ms, span)


def expanded(decision: Decision) -> Iterator[Decision]:
    """A decision on a small network as decisions on its addresses; any other as it is."""
    addresses = network(decision.value) if decision.scope == RANGE else None
    if addresses is None or addresses.num_addresses > EXPANDED_MAX:
        yield decision
        return
    for address in addresses:
        yield replace(decision, uid=f"{decision.uid}/{address}", scope=IP, value=str(address), span=None)


def _scope(target: Target) -> tuple[str, str, Span | None] | None:
    if target.kind is not TargetKind.IP:
        scope = _SCOPES.get(target.kind)
        return None if scope is None else (scope, target.value, None)
    span = span_of(target)
    if span is None:
        return None
    addresses = network(target.value)
    if addresses.prefixlen == addresses.max_prefixlen:
        return IP, str(addresses.network_address), span
    return RANGE, str(addresses), span


def span_of(target: Target) -> Span | None:
    """The addresses a target is; None: it is none."""
    if target.kind is not TargetKind.IP:
        return None
    try:
        addresses = network(target.value)
    except ValueError:
        return None
    return addresses.version, addresses.prefixlen, int(addresses.network_address)
