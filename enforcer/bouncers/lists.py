"""What stands as lists that gateways and firewalls read from a file: plain, nginx, HAProxy, ipset. Pure.

Values are addresses and networks alone, spelt by `ipaddress`: nothing a client wrote gets into a configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from enforcer.bouncers.decisions import BAN, Decision

SET: Final = "floodwarden"
_SET_SIZE: Final = 1 << 20


def _plain(decisions: Iterable[Decision]) -> Iterator[str]:
    return (decision.value for decision in decisions)


def _nginx_deny(decisions: Iterable[Decision]) -> Iterator[str]:
    return (f"deny {decision.value};" for decision in decisions if decision.type == BAN)


def _nginx_geo(decisions: Iterable[Decision]) -> Iterator[str]:
    return (f"{decision.value} {decision.type};" for decision in decisions)


def _haproxy_map(decisions: Iterable[Decision]) -> Iterator[str]:
    return (f"{decision.value} {decision.type}" for decision in decisions)


def _ipset(decisions: Iterable[Decision]) -> Iterator[str]:
    """For `ipset restore`: filled beside the sets in use and swapped in, so that no packet meets an empty set."""
    for family, version in (("inet", 4), ("inet6", 6)):
        name = f"{SET}-v{version}"
        for made in (name, f"{name}-new"):
            yield f"create {made} hash:net family {family} maxelem {_SET_SIZE} -exist"
        yield f"flush {name}-new"
    for decision in decisions:
        if decision.span is not None and decision.type == BAN:
            yield f"add {SET}-v{decision.span[0]}-new {decision.value} -exist"
    for version in (4, 6):
        yield f"swap {SET}-v{version} {SET}-v{version}-new"
        yield f"destroy {SET}-v{version}-new"


FORMATS: Final[dict[str, Callable[[Iterable[Decision]], Iterator[str]]]] = {
    "plain": _plain,
    "nginx-deny": _nginx_deny,
    "nginx-geo": _nginx_geo,
    "haproxy-map": _haproxy_map,
    "ipset": _ipset,
}


def lines(name: str, decisions: Iterable[Decision]) -> Iterator[str]:
    """The lines of the list `name`, of decisions on addresses and networks alone.

    Raises:
        KeyError: there is no such list.
    """
    return FORMATS[name](decision for decision in decisions if decision.span is not None)
