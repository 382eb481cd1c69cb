"""The network an address is judged with: its /24, or for IPv6 its /64, which is what one customer is given."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import numpy as np
import pyarrow as pa

from detectors.compiled import compiled, numbered
from schemas.codec import text_hash
from stream.compiled import I32, I64, U8, U64
from stream.grouping import Bool, mixed
from stream.text_hashes import hashes

_HOST_BITS: Final = 64
_GROUP_BITS, _TOP_GROUP = np.uint64(16), np.uint64(48)


def networks(addresses: pa.StringArray) -> tuple[I32, pa.Array]:
    """For each distinct address which network it is of, -1 for what is no address; and the networks' names."""
    codes = np.full(len(addresses), -1, np.int32)
    data, offsets = _lying(addresses)
    v4 = _v4(data, offsets)
    plain = np.flatnonzero(v4 >= 0)
    groups, number = _numbered(v4[plain].astype(np.uint64))
    codes[plain] = groups
    names = _slash_24(number.astype(np.int64))
    places, groups, slash_64, odd = _sixes(data, offsets, np.flatnonzero(v4 < 0))
    codes[places] = groups + len(names)
    names = pa.concat_arrays([names, slash_64])
    if not len(odd):
        return codes, names
    place = {name: code for code, name in enumerate(names.to_pylist())}
    for at, address in zip(odd.tolist(), addresses.take(pa.array(odd)).to_pylist(), strict=True):
        name = network(address)
        if name is not None:
            codes[at] = place.setdefault(name, len(place))
    return codes, pa.array(list(place), pa.utf8())


def network_hashes(addresses: pa.Array, asked: Bool) -> U64:
    """A hash of the network of each distinct address that is `asked` for, 0 for what is no address.

    IPv4 written as IPv6 has that of its IPv4.
    """
    data, offsets = _lying(addresses)
    v4 = _v4(data, offsets)
    out = mixed(v4.astype(np.uint64) + np.uint64(1))
    places, groups, names, odd = _sixes(data, offsets, np.flatnonzero((v4 < 0) & asked))
    out[places] = hashes(names)[groups]
    for at, address in zip(odd.tolist(), addresses.take(pa.array(odd)).to_pylist(), strict=True):
        name = network(address)
        mapped = None if name is None else _mapped(address)
        if mapped is not None:
            out[at] = mixed(np.array([(int(mapped) >> 8) + 1], np.uint64))[0]
        else:
            out[at] = 0 if name is None else text_hash(name)
    return out


def _mapped(address: str) -> IPv4Address | None:
    """The IPv4 address that one is written for, None where it is another."""
    ip = ip_address(address)
    return ip if isinstance(ip, IPv4Address) else ip.ipv4_mapped


def network(address: str) -> str | None:
    """The network of one address, None for what is none. IPv4 written as IPv6 is IPv4."""
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return f"{IPv6Address(int(ip) >> _HOST_BITS << _HOST_BITS)}/64"
        ip = ip.ipv4_mapped
    return f"{IPv4Address(int(ip) >> 8 << 8)}/24"


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


def _sixes(data: U8, offsets: I32, rows: I64) -> tuple[I64, I32, pa.StringArray, I64]:
    """Which of the texts are plain IPv6, the group of each, the groups' names; and which are something else."""
    upper = _v6(data, offsets, rows)
    plain = (upper != 0) & (upper != ~np.uint64(0))  # what maps IPv4 begins with 0; the last one is nobody's key
    groups, number = _numbered(upper[plain])
    return rows[plain], groups, _texts(*_as_slash_64(number)), rows[~plain]


def _slash_24(numbers: I64) -> pa.StringArray:
    return _texts(*_as_slash_24(numbers))


def _texts(data: U8, ends: I32) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))


@compiled
def _v4(data: U8, offsets: I32) -> I64:
    """The upper 24 bits of plain IPv4 addresses, -1 for other text."""
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
            out[i] = value
    return out


@compiled
def _v6(data: U8, offsets: I32, rows: I64) -> U64:
    """The upper half of addresses written as IPv6 in groups alone; 0 for other text, and where the half is 0."""
    out, groups = np.zeros(len(rows), np.uint64), np.zeros(8, np.uint64)
    for i in range(len(rows)):
        count, gap = _groups(data, offsets[rows[i]], offsets[rows[i] + 1], groups)
        if count >= 0 and (gap < 0) == (count == 8):
            out[i] = _upper(groups, count, gap)
    return out


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
def _upper(groups: U64, count: int, gap: int) -> np.uint64:
    """The first four of eight groups, of which those at `gap` are left out where it is not -1."""
    out, skipped = np.uint64(0), 8 - count
    for place in range(4):
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
def _as_slash_64(numbers: U64) -> tuple[U8, I32]:
    """Upper 64 bits of IPv6 addresses, none of them 0, as text like `2001:db8::/64`, one behind the other, and ends."""
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
        for c in (58, 47, 54, 52):
            text[at] = c
            at += 1
        ends[i + 1] = at
    return text[:at], ends
