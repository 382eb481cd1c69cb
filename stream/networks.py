"""The network an address is judged with: its /24, or for IPv6 its /64, which is what one customer is given."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import numpy as np
import pyarrow as pa

from detectors.compiled import compiled, numbered
from schemas.codec import text_hash
from stream.compiled import I32, I64, U8, U64
from stream.grouping import mixed

_HOST_BITS: Final = 64


def networks(addresses: pa.StringArray) -> tuple[I32, pa.Array]:
    """For each distinct address which network it is of, -1 for what is no address; and the networks' names."""
    codes = np.full(len(addresses), -1, np.int32)
    held = addresses.buffers()[2]
    offsets = np.frombuffer(addresses.buffers()[1], np.int32)[addresses.offset : addresses.offset + len(addresses) + 1]
    v4 = _v4(np.frombuffer(held, np.uint8) if held is not None else np.empty(0, np.uint8), offsets)
    plain, other = np.flatnonzero(v4 >= 0), np.flatnonzero(v4 < 0)
    groups, uniques = numbered(mixed(v4[plain].astype(np.uint64) + np.uint64(1)))
    codes[plain] = groups
    number = np.empty(len(uniques), np.int64)
    number[groups] = v4[plain]
    text, ends = _slash_24(number)
    names = pa.StringArray.from_buffers(len(number), pa.py_buffer(ends), pa.py_buffer(text))
    if not len(other):
        return codes, names
    place = {name: code for code, name in enumerate(names.to_pylist())}
    for at, address in zip(other.tolist(), addresses.take(pa.array(other)).to_pylist(), strict=True):
        name = network(address)
        if name is not None:
            codes[at] = place.setdefault(name, len(place))
    return codes, pa.array(list(place), pa.utf8())


def network_hashes(addresses: pa.Array) -> U64:
    """A hash of the network of each distinct address, 0 for what is no address."""
    held = addresses.buffers()[2]
    offsets = np.frombuffer(addresses.buffers()[1], np.int32)[addresses.offset : addresses.offset + len(addresses) + 1]
    v4 = _v4(np.frombuffer(held, np.uint8) if held is not None else np.empty(0, np.uint8), offsets)
    out = mixed(v4.astype(np.uint64) + np.uint64(1))
    other = np.flatnonzero(v4 < 0)
    for at, address in zip(other.tolist(), addresses.take(pa.array(other)).to_pylist(), strict=True):
        name = network(address)
        out[at] = 0 if name is None else text_hash(name)
    return out


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
def _slash_24(numbers: I64) -> tuple[U8, I32]:
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
