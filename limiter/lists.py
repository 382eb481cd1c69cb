"""Who is always let through and who never is, by the policy: any kind of key, networks included. Pure.

Look-ups cost the same however long the lists are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from limiter.attributes import Attributes
from limiter.conditions import At, Networks, at_of
from limiter.facts import Facts, Identity

NOW_IS_NO_MATTER: Final = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One client on a list, under the `rule` that rows and answers name. Of kind `ip` it is a network, in CIDR."""

    rule: str
    kind: str
    value: str


class _Table:
    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_value: dict[str, dict[str, str]] = {}
        self._by_network: dict[At, str] = {}
        for entry in entries:
            if entry.kind == "ip":
                self._by_network.setdefault(at_of(ip_network(entry.value)), entry.rule)
            else:
                self._by_value.setdefault(entry.kind, {}).setdefault(entry.value, entry.rule)
        self._networks = Networks(self._by_network)
        self.names = frozenset(self._by_value)

    def by_value(self, entry: Entry) -> str | None:
        return self._by_value.get(entry.kind, {}).get(entry.value)

    def by_network(self, entry: Entry) -> str | None:
        network = ip_network(entry.value)
        inside = self._networks.around(str(network.network_address))
        wider = [at for at in inside if at[1] <= network.prefixlen]
        return self._by_network[wider[-1]] if wider else None

    def rule(self, facts: Facts) -> str | None:
        for kind, rules in self._by_value.items():
            value = facts.value(kind)
            if value is not None and value in rules:
                return rules[value]
        if self._by_network and (inside := self._networks.around(facts.identity.ip)):
            return self._by_network[inside[-1]]  # the narrowest says it best
        return None


class Lists:
    """A policy's `allow` and `deny`. Allow wins."""

    def __init__(self, allow: tuple[Entry, ...], deny: tuple[Entry, ...]) -> None:
        self._empty = not allow and not deny
        self._allow, self._deny = _Table(allow), _Table(deny)
        self.names = self._allow.names | self._deny.names

    def covers(self, entry: Entry) -> str | None:
        """The rule of the allow list under which whoever `entry` means is let through; None: there is none."""
        if entry.kind != "ip":
            return self._allow.by_value(entry)
        return self._allow.by_network(entry)

    def judge(self, identity: Identity, tier: str, attributes: Attributes | None) -> tuple[bool, str] | None:
        """Whether the client is let through (True) or refused (False), and by which rule; None: by neither list."""
        if self._empty:
            return None
        facts = Facts(identity, tier, attributes, NOW_IS_NO_MATTER)
        allowed = self._allow.rule(facts)
        if allowed is not None:
            return True, allowed
        denied = self._deny.rule(facts)
        return None if denied is None else (False, denied)
