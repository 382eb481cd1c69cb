"""Addresses and networks in their one spelling: IPv4 that is written as IPv6 (`::ffff:192.0.2.1`) is IPv4.

A server that listens on both writes its clients so. Who is denied, allowed or trusted by such a spelling must be the
client that a limiter sees. And which client an address is: one IPv6 customer has all addresses of a /64.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_MAPPED_BITS: Final = 96
CLIENT_BITS: Final = 64
_GLOBAL, _TEREDO = 0x2000 >> 13, 0x2001_0000  # 2000::/3, 2001::/32
_IPV4: Final = 1 << 32


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


def client(text: str) -> str:
    """The client at an address: its /64 where that is one customer's, else the address as it is written, as other text.

    One customer's are the /64s of global unicast. In Teredo's one thousands of customers share a /64; local addresses
    (`fd00::/8`, `fe80::/10`) and those that stand for IPv4 (NAT64) are a machine each.
    """
    try:
        found = address(text)
    except ValueError:
        return text
    if isinstance(found, IPv4Address):
        return str(found)
    upper = int(found) >> CLIENT_BITS
    if upper >> 61 != _GLOBAL or upper >> 32 == _TEREDO:
        return text
    return f"{IPv6Address(upper << CLIENT_BITS)}/{CLIENT_BITS}"


def subscriber(text: str) -> int:
    """A number for whom an address belongs to: of IPv4 the address, of IPv6 its upper half, the /64; 0: no address.

    No /64 in use has a number as small as an IPv4 address.
    """
    try:
        found = address(text)
    except ValueError:
        return 0
    return int(found) if isinstance(found, IPv4Address) else int(found) >> CLIENT_BITS


def network_of(number: int) -> str:
    """The /24 or /64 that a subscriber (`subscriber`) is in."""
    if number < _IPV4:
        return f"{IPv4Address(number >> 8 << 8)}/24"
    return f"{IPv6Address(number << CLIENT_BITS)}/{CLIENT_BITS}"
