"""To which addresses notices may go. Pure. A name's owner says where it leads, so the answer itself is judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from schemas import networks

_NAT64: Final = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_LOW_BITS: Final = 0xFFFF_FFFF
Network = IPv4Network | IPv6Network


def allowed(text: str, private: Sequence[Network]) -> bool:
    """Whether one may connect to the address `text`: it is public, as is what it stands for, or in `private`."""
    try:
        found = networks.address(text.partition("%")[0])
    except ValueError:
        return False
    if any(found in network for network in private if network.version == found.version):
        return True
    return all(each.is_global and not each.is_multicast for each in (found, *_within(found)))


def some(found: Iterable[str], private: Sequence[Network]) -> list[str]:
    """Those of addresses that one may connect to, each once, in order."""
    return [text for text in dict.fromkeys(found) if allowed(text, private)]


def parse(text: str) -> tuple[Network, ...]:
    """Networks, comma separated. Raises ValueError naming the one that is none."""
    return tuple(networks.network(part.strip()) for part in text.split(",") if part.strip())


def _within(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 one is translated or tunnelled to."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _NAT64):
        found.append(IPv4Address(int(address) & _LOW_BITS))
    return [each for each in found if each is not None]
