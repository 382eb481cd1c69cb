"""The client's address from what proxies wrote: read from the right, and only as far as proxies we trust vouch. Pure.

A proxy appends whom it talked to on the right; everything left of that is what it was sent, so a client may have
invented it. The walk therefore begins at the connection's own peer and goes one hop left for each trusted proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from schemas import networks

HOPS_MAX: Final = 20
HEADER_CHARS_MAX: Final = 4096  # of a header, from its right
_ADDRESS_CHARS_MAX: Final = 80
_PAIR: Final = re.compile(r'[ \t]*([!#$%&\'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*+"|[^\s",;=]*)[ \t]*(?:;|\Z)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in `text`, with or without port, zone, brackets or an IPv6 mapping of IPv4; None: no address."""
    return _address(text) if len(text) <= _ADDRESS_CHARS_MAX else None


@lru_cache(maxsize=10_000)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return networks.address(text.partition("%")[0])
    except ValueError:
        return None


def listed(value: str) -> Iterator[str]:
    """The hops of an X-Forwarded-For (or an X-Real-IP, which has one), last first."""
    whole = len(value) <= HEADER_CHARS_MAX
    parts = value[-HEADER_CHARS_MAX:].split(",")
    return reversed(parts[-HOPS_MAX:] if whole else parts[1:][-HOPS_MAX:])  # a part cut through says nothing


def forwarded(value: str) -> Iterator[str]:
    """The `for` of each element of a Forwarded (RFC 7239), last first; an element without a readable one is "".

    Read backwards, because quotes that a client leaves open on the left must not swallow what a proxy appended.
    """
    text = value[-HEADER_CHARS_MAX:]
    end = len(text)
    for _ in range(HOPS_MAX):
        start = _element_start(text, end)
        if start == 0 and len(text) < len(value):
            return  # cut through
        yield _for(text[start:end])
        if start == 0:
            return
        end = start - 1


def _element_start(text: str, end: int) -> int:
    quoted = False
    for at in range(end - 1, -1, -1):
        if text[at] == '"':
            slashes = at
            while slashes and text[slashes - 1] == "\\":
                slashes -= 1
            quoted ^= (at - slashes) % 2 == 0  # an odd number of them escapes it
        elif text[at] == "," and not quoted:
            return at + 1
    return 0


def _for(element: str) -> str:
    found, at = "", 0
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            return ""
        if pair[1].lower() == "for":
            if found:
                return ""
            found = _ESCAPED.sub(r"\1", pair[2][1:-1]) if pair[2].startswith('"') else pair[2]
        at = pair.end()
    return found


class Proxies:
    """Whose word counts. Raises ValueError for a list of CIDRs that is none."""

    def __init__(self, cidrs: str) -> None:
        self._trusted = tuple(networks.network(part.strip()) for part in cidrs.split(",") if part.strip())
        self._known = lru_cache(maxsize=1_000)(self._is_trusted)

    def trust(self, peer: str | None) -> bool:
        """Whether what `peer` says of a client is believed; None, a Unix socket, is our own side."""
        return peer is None or (len(peer) <= _ADDRESS_CHARS_MAX and self._known(peer))

    def client(self, peer: str | None, hops: Iterator[str]) -> str | None:
        """The first from the right that no trusted proxy is: `peer` itself, or one of `hops`, which come last first.

        A hop that is no address ends the search at the last good one: what stands left of it may be invented.
        """
        last = address(peer) if peer is not None else None
        if self.trust(peer):
            for hop in hops:
                found = address(hop)
                if found is None:
                    break
                last = found
                if not self.trust(str(found)):
                    break
        return str(last) if last is not None else None

    def _is_trusted(self, text: str) -> bool:
        found = address(text)
        return found is not None and any(_holds(network, found) for network in self._trusted)


def _holds(network: IPv4Network | IPv6Network, found: IPv4Address | IPv6Address) -> bool:
    return found.version == network.version and found in network
