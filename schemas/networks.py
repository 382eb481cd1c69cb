"""Addresses and networks in their one spelling: IPv4 that is written as IPv6 (`::ffff:192.0.2.1`) is IPv4.

A server that listens on both writes its clients so. Who is denied, allowed or trusted by such a spelling must be the
client that a limiter sees.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_MAPPED_BITS: Final = 96


def address(text: str) -> IPv4Address | IPv6Address:
    """`text` as an address. Raises ValueError where it is none."""
    found = ip_address(text)
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def network(text: str) -> IPv4Network | IPv6Network:
    """`text` as a network; bits behind its prefix are no matter. Raises ValueError where it is none."""
    found = ip_network(text, strict=False)
    if isinstance(found, IPv6Network) and found.prefixlen >= _MAPPED_BITS:
        mapped = found.network_address.ipv4_mapped
        return found if mapped is None else IPv4Network((mapped, found.prefixlen - _MAPPED_BITS))
    return found
