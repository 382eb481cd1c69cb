"""Which client an address is, IPv6 by /64 as one customer is given it; and the network it is judged with: /24, /48."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import numpy as np
import pyarrow as pa

from detectors.compiled import compiled, numbered
from schemas.networks import address, client, subscriber
from stream.compiled import I32, I64, U8, U64
from stream.grouping import Bool, mixed

SITE_BITS: Final = 48  # what a provider gives a site at the most: 65,536 clients
_COLON: Final = 58
_GROUP_BITS, _TOP_GROUP = np.uint64(16), np.uint64(48)
_SIX: Final = np.uint64(1 << 48)  # no number of an IPv4 network is as large
_NONE: Final = ~np.uint64(0)


@dataclass(frozen=True, slots=True)
class Clients:
    """By address the client it is (`codes` into `names`), and the lower half of one that is not a client by itself."""

    codes: I32
    names: pa.Array
    hosts: U64


def clients(addresses: pa.StringArray) -> Clients | None:
    """`schemas.networks.client` of each distinct address; None where each is a client by itself, as all IPv4 is."""
    data, offsets = _lying(addresses)
    if not (data[offsets[0] : offsets[-1]] == _COLON).any():
        return None
    six = np.flatnonzero(_v4(data, offsets) < 0)
    upper, lower = _v6(data, offsets, six)
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
        return Clients(codes, pa.concat_arrays([own, _names(number, 64)]), hosts)
    named = own.to_pylist()
    for at in codes[six[odd]].tolist():
        named[at] = client(named[at])
    place: dict[str, int] = {}
    again = [place.setdefault(name, len(place)) for name in (*named, *_names(number, 64).to_pylist())]
    return Clients(np.array(again, np.int32)[codes], pa.array(list(place), pa.utf8()), hosts)


def networks(addresses: pa.StringArray) -> tuple[I32, pa.Array]:
    """For each distinct address which network it is of, -1 for what is no address; and the networks' names."""
    codes = np.full(len(addresses), -1, np.int32)
    data, offsets = _lying(addresses)
    v4 = _v4(data, offsets) >> 8
    plain = np.flatnonzero(v4 >= 0)
    groups, number = _numbered(v4[plain].astype(np.uint64))
    codes[plain] = groups
    names = _slash_24(number.astype(np.int64))
    six = np.flatnonzero(v4 < 0)
    upper, _ = _v6(data, offsets, six)
    plain, odd = six[_is_known(upper)], six[~_is_known(upper)]
    groups, number = _numbered(upper[_is_known(upper)] >> _GROUP_BITS)
    codes[plain] = groups + len(names)
    names = pa.concat_arrays([names, _names(number << _GROUP_BITS, SITE_BITS)])
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
    data, offsets = _lying(addresses)
    v4 = _v4(data, offsets) >> 8
    numbers = v4.astype(np.uint64) + np.uint64(1)
    six = np.flatnonzero((v4 < 0) & asked)
    upper, _ = _v6(data, offsets, six)
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
    data, offsets = _lying(addresses)
    v4 = _v4(data, offsets)
    out = np.where(asked & (v4 > 0), v4, 0).astype(np.uint64)
    six = np.flatnonzero((v4 < 0) & asked)
    upper, _ = _v6(data, offsets, six)
    plain = (upper != 0) & (upper != _NONE)
    out[six[plain]] = upper[plain]
    for at in six[~plain].tolist():
        out[at] = subscriber(addresses[at].as_py())
    return out


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """One address, of a client that has a /64 its first."""
    try:
        return address(text.removesuffix("/64") if ":" in text else text)
    except ValueError:
        return None


def _lying(addresses: pa.StringArray) -> tuple[U8, I32]:
    """Texts as they lie: bytes, and where each begins and the last one ends."""
    _, places, held = addresses.buffers()
    offsets = np.frombuffer(places, np.int32)[addresses.offset : addresses.offset + len(addresses) + 1]
    return np.frombuffer(held, np.uint8) if held is not None else np.empty(0, np.uint8), offsets


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
    """Which are upper halves of addresses that are one customer's together (`schemas.networks.client`)."""
    return np.asarray((upper >> np.uint64(61) == 1) & (upper >> np.uint64(32) != 0x2001_0000))


def _names(uppers: U64, bits: int) -> pa.StringArray:
    return _texts(*_as_network(uppers, np.frombuffer(f":/{bits}".encode(), np.uint8)))


def _slash_24(numbers: I64) -> pa.StringArray:
    return _texts(*_as_slash_24(numbers))


def _texts(data: U8, ends: I32) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))


@compiled
def _v4(data: U8, offsets: I32) -> I64:
    """Plain IPv4 addresses as numbers, -1 for other text."""
    out = np.full(len(offsets) - 1, -1, np.int64)
    for i in range(len(out)):
        value, number, digits, dots = 0, 0, 0, 0
        for at in range(offsets[i], offsets[i + 1]):
            c = int(data[at])
            if c == 46 and digits and dots < 3:
                value, number, digits, dots = value << 8 | number, 0, 0, dots + 1
                continue
            leading = digits == 1 and number == 0
            number, digits = number * 10 + (c - 48), digits + 1
            if c < 48 or c > 57 or leading or number > 255:
                dots = -1
                break
        if dots == 3 and digits:
            out[i] = value << 8 | number
    return out


@compiled
def _v6(data: U8, offsets: I32, rows: I64) -> tuple[U64, U64]:
    """Both halves of addresses written as IPv6 in groups alone, or of a /64; upper 0 for other text, or as it is 0."""
    upper, lower, groups = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint64), np.zeros(8, np.uint64)
    for i in range(len(rows)):
        begin, end = offsets[rows[i]], offsets[rows[i] + 1]
        if end - begin > 3 and data[end - 3] == 47 and data[end - 2] == 54 and data[end - 1] == 52:
            end -= 3
        count, gap = _groups(data, begin, end, groups)
        if count >= 0 and (gap < 0) == (count == 8):
            upper[i], lower[i] = _half(groups, count, gap, 0), _half(groups, count, gap, 4)
    return upper, lower


@compiled
def _groups(data: U8, begin: int, end: int, groups: U64) -> tuple[int, int]:
    """How many groups of digits an address has (into `groups`, mutated) and before which `::` stands, -1: nowhere.

    -1 groups where it is something else.
    """
    value, digits, count, gap, at = 0, 0, 0, -1, begin
    while at < end:
        digit = _digit(int(data[at]))
        if digit >= 0:
            value, digits = value << 4 | digit, digits + 1
        elif data[at] != 58 or (digits == 0 and at != begin):
            return -1, gap
        else:
            if digits:
                groups[count] = value
                count, value, digits = count + 1, 0, 0
            if at + 1 < end and data[at + 1] == 58 and gap < 0:
                gap, at = count, at + 1
            elif count == 0 or at + 1 == end:
                return -1, gap
        if digits > 4 or count == 8:
            return -1, gap
        at += 1
    if digits:
        groups[count] = value
        count += 1
    return count, gap


@compiled
def _digit(c: int) -> int:
    """The value of a hexadecimal digit, -1 for another character."""
    if 48 <= c <= 57:
        return c - 48
    return (c | 32) - 87 if 97 <= c | 32 <= 102 else -1


@compiled
def _half(groups: U64, count: int, gap: int, first: int) -> np.uint64:
    """Four of eight groups, from the `first` on; those at `gap` are left out where it is not -1."""
    out, skipped = np.uint64(0), 8 - count
    for place in range(first, first + 4):
        out <<= _GROUP_BITS
        if gap < 0 or place < gap:
            out |= groups[place]
        elif place >= gap + skipped:
            out |= groups[place - skipped]
    return out


@compiled
def _as_slash_24(numbers: I64) -> tuple[U8, I32]:
    """Upper 24 bits of IPv4 addresses as text `a.b.c.0/24`, one behind the other, and where each ends."""
    text, ends, at = np.empty(16 * len(numbers), np.uint8), np.zeros(len(numbers) + 1, np.int32), 0
    for i in range(len(numbers)):
        for shift in (16, 8, 0):
            part = numbers[i] >> shift & 255
            for unit in (100, 10, 1):
                if part >= unit or unit == 1:
                    text[at] = 48 + part // unit % 10
                    at += 1
            text[at] = 46
            at += 1
        for c in (48, 47, 50, 52):
            text[at] = c
            at += 1
        ends[i + 1] = at
    return text[:at], ends


@compiled
def _as_network(numbers: U64, ending: U8) -> tuple[U8, I32]:
    """Upper 64 bits of IPv6 networks, none of them 0, as text like `2001:db8::/64`, one behind the other, and ends.

    `ending`: what stands behind the last group of digits, `:/64`.
    """
    text, ends, at = np.empty(24 * len(numbers), np.uint8), np.zeros(len(numbers) + 1, np.int32), 0
    for i in range(len(numbers)):
        left = numbers[i]
        while left:
            group = np.int64(left >> _TOP_GROUP)
            left <<= _GROUP_BITS
            for shift in (12, 8, 4, 0):
                if group >> shift or shift == 0:
                    digit = group >> shift & 15
                    text[at] = 48 + digit if digit < 10 else 87 + digit
                    at += 1
            text[at] = 58
            at += 1
        for c in ending:
            text[at] = c
            at += 1
        ends[i + 1] = at
    return text[:at], ends
