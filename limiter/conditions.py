"""When a limit holds: who and where from, what the request carries, the hour, the dates. Pure: time is handed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from limiter.facts import Facts, address_of
from schemas.hours import Hours

MINUTE_MS: Final = 60_000
FOREVER_MS: Final = 1 << 53
_BITS: Final = {4: 32, 6: 128}
At = tuple[int, int, int]  # of a network: version, prefix length, number


class Networks:
    """A set of networks; whether an address is in one costs a look-up for each prefix length in use."""

    __slots__ = ("_lengths", "members")

    def __init__(self, members: Iterable[At] = ()) -> None:
        self.members = frozenset(members)
        self._lengths = tuple(sorted({member[:2] for member in self.members}))

    def __bool__(self) -> bool:
        return bool(self.members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self.members == other.members

    def __hash__(self) -> int:
        return hash(self.members)

    def around(self, ip: str | None) -> list[At]:
        """The networks that `ip` is in, the widest first."""
        address = address_of(ip) if ip is not None else None
        if address is None:
            return []
        number, version = int(address), address.version
        tried = [(v, length, number >> (_BITS[v] - length)) for v, length in self._lengths if v == version]
        return [at for at in tried if at in self.members]


NOWHERE: Final = Networks()


def at_of(network: IPv4Network | IPv6Network) -> At:
    """A network as a table's key."""
    host_bits = _BITS[network.version] - network.prefixlen
    return network.version, network.prefixlen, int(network.network_address) >> host_bits


@dataclass(frozen=True, slots=True)
class When:
    """Conditions, all of which must hold. A name that a request has no value for is in no `any_of` and no `none_of`."""

    any_of: tuple[tuple[str, frozenset[str]], ...] = ()
    none_of: tuple[tuple[str, frozenset[str]], ...] = ()
    inside: Networks = NOWHERE
    outside: Networks = NOWHERE
    hours: tuple[Hours, ...] = ()
    from_ms: int | None = None
    until_ms: int | None = None

    def holds(self, facts: Facts) -> bool:
        """Whether all of it holds for a request."""
        return (
            (self.from_ms is None or facts.now_ms >= self.from_ms)
            and (self.until_ms is None or facts.now_ms < self.until_ms)
            and all(facts.value(name) in values for name, values in self.any_of)
            and not any(facts.value(name) in values for name, values in self.none_of)
            and (not self.inside or bool(self.inside.around(facts.identity.ip)))
            and not (self.outside and self.outside.around(facts.identity.ip))
            and (not self.hours or any(each.holds(facts.now_ms) for each in self.hours))
        )

    def until(self, now_ms: int) -> int:
        """Until when, at the soonest, the passing of time alone changes what `holds` answers."""
        ends = [at for at in (self.from_ms, self.until_ms) if at is not None and at > now_ms]
        if self.hours:
            ends.append((now_ms // MINUTE_MS + 1) * MINUTE_MS)
        return min(ends, default=FOREVER_MS)

    @property
    def names(self) -> frozenset[str]:
        """Every name it looks at."""
        return frozenset(name for name, _ in (*self.any_of, *self.none_of))


ALWAYS: Final = When()
