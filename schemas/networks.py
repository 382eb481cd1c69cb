"""Addresses and networks in their one spelling: IPv4 that is written as IPv6 (`::ffff:192.0.2.1`) is IPv4.

A server that listens on both writes its clients so. Who is denied, allowed or trusted by such a spelling must be the
client that a limiter sees. And which client an address is (ADR 0052): one IPv6 customer has all addresses of a /64.
There is one rule, `is_shared`: what evidence and usage are about, whose bucket a limit takes from, and whom an action
leaves alone go by it.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from schemas.scrambled import scrambled

_MAPPED_BITS: Final = 96
CLIENT_BITS: Final = 64
_GLOBAL, _TEREDO, _NAT64 = 0x2000 >> 13, 0x2001_0000, 0x0064_FF9B  # 2000::/3, 2001::/32, 64:ff9b::/32
_IPV4: Final = 1 << 32
_LOWER: Final = (1 << CLIENT_BITS) - 1
_ALONE: Final = 1 << 63  # no /64 of one customer has a number as large


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


def is_shared(upper: int) -> bool:
    """Whether all addresses with this upper half, a /64, are one customer's: then he is one client, else each is.

    One customer's are the /64s of global unicast. In Teredo's one thousands of customers share a /64; local addresses
    (`fd00::/8`, `fe80::/10`) and those that stand for IPv4 (NAT64) are a machine each.
    """
    return upper >> 61 == _GLOBAL and upper >> 32 != _TEREDO


def client(text: str) -> str:
    """The client at an address: its /64 where `is_shared`, else the address as it is written, as other text."""
    try:
        found = address(text)
    except ValueError:
        return text
    if isinstance(found, IPv4Address):
        return str(found)
    upper = int(found) >> CLIENT_BITS
    if not is_shared(upper):
        return text
    return f"{IPv6Address(upper << CLIENT_BITS)}/{CLIENT_BITS}"


def subscriber(text: str) -> int:
    """A number for the client at an address (`client`); 0: no address.

    Of IPv4 it is the address, of a customer's /64 its upper half, of other IPv6 both halves scrambled to 63 bits and
    2^63: two of these are one by mistake with a chance of 1 in 2^63.
    """
    try:
        found = address(text)
    except ValueError:
        return 0
    upper = int(found) >> CLIENT_BITS
    if isinstance(found, IPv4Address):
        return int(found)
    return upper if is_shared(upper) else scrambled(upper ^ scrambled(int(found) & _LOWER)) | _ALONE


def marked(text: str) -> str:
    """The client at an address as marks of who is spared are made of it: one spelling; other text as it is."""
    if ":" not in text:
        return text
    number = subscriber(text)
    if 0 < number < _IPV4:
        return str(IPv4Address(number))
    return f"{number:x}/{128 if number & _ALONE else CLIENT_BITS}" if number else text


def origin(text: str) -> int:
    """A number for where an address is: of IPv4 the address, of IPv6 the /64, whosever; 0: no address."""
    try:
        found = address(text)
    except ValueError:
        return 0
    return int(found) if isinstance(found, IPv4Address) else int(found) >> CLIENT_BITS


def network_of(number: int) -> str | None:
    """The /24 or /64 of an `origin`; None where that is everybody's: Teredo's, NAT64's."""
    if number < _IPV4:
        return f"{IPv4Address(number >> 8 << 8)}/24"
    if number >> 32 in (_TEREDO, _NAT64):
        return None
    return f"{IPv6Address(number << CLIENT_BITS)}/{CLIENT_BITS}"
