"""Which client an address is, IPv6 by /64 as one customer is given it; and the network it is judged with: /24, /48."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import numpy as np
import pyarrow as pa

from detectors.compiled import numbered
from schemas.exempt_kept import scrambled
from schemas.networks import CLIENT_BITS, address, client, origin, subscriber
from stream.address_text import as_v4, as_v6, names_of, names_of_24
from stream.compiled import I32, U64
from stream.grouping import Bool, mixed
from stream.text_bytes import lying

SITE_BITS: Final = 48  # what a provider gives a site at the most: 65,536 clients
_COLON: Final = 58
_GROUP_BITS: Final = np.uint64(16)
_SIX: Final = np.uint64(1 << 48)  # no number of an IPv4 network is as large
_NONE: Final = ~np.uint64(0)
_ALONE: Final = np.uint64(1 << 63)


@dataclass(frozen=True, slots=True)
class Clients:
    """By address the client it is (`codes` into `names`), and the lower half of one that is not a client by itself."""

    codes: I32
    names: pa.Array
    hosts: U64


def clients(addresses: pa.StringArray) -> Clients | None:
    """`schemas.networks.client` of each distinct address; None where each is a client by itself, as all IPv4 is."""
    data, offsets = lying(addresses)
    if not (data[offsets[0] : offsets[-1]] == _COLON).any():
        return None
    six = np.flatnonzero(as_v4(data, offsets) < 0)
    upper, lower = as_v6(data, offsets, six)
    of_64 = _is_shared(upper)
    groups, number = _numbered(upper[of_64])
    hosts = np.zeros(len(addresses), np.uint64)
    hosts[six[of_64]] = lower[of_64]
    alone = np.ones(len(addresses), np.bool_)
    alone[six[of_64]] = False
    codes = np.empty(len(addresses), np.int32)
    codes[alone] = np.arange(int(alone.sum()), dtype=np.int32)
    codes[six[of_64]] = groups + int(alone.sum())
    own = addresses.filter(pa.array(alone))
    odd = np.flatnonzero((upper == 0) | (upper == _NONE))
    if not len(odd):
        return Clients(codes, pa.concat_arrays([own, names_of(number, CLIENT_BITS)]), hosts)
    named = own.to_pylist()
    for at in codes[six[odd]].tolist():
        named[at] = client(named[at])
    place: dict[str, int] = {}
    again = [place.setdefault(name, len(place)) for name in (*named, *names_of(number, CLIENT_BITS).to_pylist())]
    return Clients(np.array(again, np.int32)[codes], pa.array(list(place), pa.utf8()), hosts)


def networks(addresses: pa.StringArray) -> tuple[I32, pa.Array]:
    """For each distinct address which network it is of, -1 for what is no address; and the networks' names."""
    codes = np.full(len(addresses), -1, np.int32)
    data, offsets = lying(addresses)
    v4 = as_v4(data, offsets) >> 8
    plain = np.flatnonzero(v4 >= 0)
    groups, number = _numbered(v4[plain].astype(np.uint64))
    codes[plain] = groups
    names = names_of_24(number.astype(np.int64))
    six = np.flatnonzero(v4 < 0)
    upper, _ = as_v6(data, offsets, six)
    plain, odd = six[_is_known(upper)], six[~_is_known(upper)]
    groups, number = _numbered(upper[_is_known(upper)] >> _GROUP_BITS)
    codes[plain] = groups + len(names)
    names = pa.concat_arrays([names, names_of(number << _GROUP_BITS, SITE_BITS)])
    if not len(odd):
        return codes, names
    place = {name: code for code, name in enumerate(names.to_pylist())}
    for at, text in zip(odd.tolist(), addresses.take(pa.array(odd)).to_pylist(), strict=True):
        name = network(text)
        if name is not None:
            codes[at] = place.setdefault(name, len(place))
    return codes, pa.array(list(place), pa.utf8())


def network_hashes(addresses: pa.Array, asked: Bool) -> U64:
    """A hash of the network of each distinct address or client that is `asked` for, 0 for what is none.

    IPv4 written as IPv6 has that of its IPv4.
    """
    data, offsets = lying(addresses)
    v4 = as_v4(data, offsets) >> 8
    numbers = v4.astype(np.uint64) + np.uint64(1)
    six = np.flatnonzero((v4 < 0) & asked)
    upper, _ = as_v6(data, offsets, six)
    numbers[six] = (upper >> _GROUP_BITS) + _SIX
    out = mixed(numbers)
    odd = six[~_is_known(upper)]
    for at, text in zip(odd.tolist(), addresses.take(pa.array(odd)).to_pylist(), strict=True):
        ip = _address(text)
        known = isinstance(ip, IPv4Address)
        number = 0 if ip is None else (int(ip) >> 8) + 1 if known else (int(ip) >> 128 - SITE_BITS) + int(_SIX)
        out[at] = mixed(np.array([number], np.uint64))[0] if number else 0
    return out


def network(text: str) -> str | None:
    """The network of one address or client, None for what is none. IPv4 written as IPv6 is IPv4."""
    ip = _address(text)
    if ip is None:
        return None
    if isinstance(ip, IPv4Address):
        return f"{IPv4Address(int(ip) >> 8 << 8)}/24"
    spare = 128 - SITE_BITS
    return f"{IPv6Address(int(ip) >> spare << spare)}/{SITE_BITS}"


def subscribers(addresses: pa.Array, asked: Bool) -> U64:
    """`schemas.networks.subscriber` of each distinct address that is `asked` for, 0 for the others."""

    def of_client(upper: U64, lower: U64) -> U64:
        return np.where(_is_shared(upper), upper, scrambled(upper ^ scrambled(lower)) | _ALONE)

    return _each(addresses, asked, of_client, subscriber)


def origins(addresses: pa.Array, asked: Bool) -> U64:
    """`schemas.networks.origin` of each distinct address that is `asked` for, 0 for the others."""
    return _each(addresses, asked, lambda upper, _: upper, origin)


def _each(addresses: pa.Array, asked: Bool, many: Callable[[U64, U64], U64], one: Callable[[str], int]) -> U64:
    """`one` of each distinct address, by `many` of IPv6 in groups."""
    data, offsets = lying(addresses)
    v4 = as_v4(data, offsets)
    out = np.where(asked & (v4 > 0), v4, 0).astype(np.uint64)
    six = np.flatnonzero((v4 < 0) & asked)
    upper, lower = as_v6(data, offsets, six)
    plain = (upper != 0) & (upper != _NONE)
    out[six[plain]] = many(upper[plain], lower[plain])
    for at in six[~plain].tolist():
        out[at] = one(addresses[at].as_py())
    return out


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """One address, of a client that has a /64 its first."""
    try:
        return address(text.removesuffix("/64") if ":" in text else text)
    except ValueError:
        return None


def _numbered(networks: U64) -> tuple[I32, U64]:
    """The group of each, and each group's network."""
    groups, uniques = numbered(mixed(networks + np.uint64(1)))
    number = np.empty(len(uniques), np.uint64)
    number[groups] = networks
    return groups, number


def _is_known(upper: U64) -> Bool:
    """Which are upper halves of IPv6: what maps IPv4 begins with 0; the last one is nobody's key."""
    return np.asarray((upper >> _GROUP_BITS != 0) & (upper != _NONE))


def _is_shared(upper: U64) -> Bool:
    """`schemas.networks.is_shared` of many."""
    return np.asarray((upper >> np.uint64(61) == 1) & (upper >> np.uint64(32) != 0x2001_0000))
