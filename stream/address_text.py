"""Addresses as text and as numbers, many at once, compiled: IPv4, IPv6 in groups, and networks' names."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from detectors.compiled import compiled
from stream.compiled import I32, I64, U8, U64

_GROUP_BITS, _TOP_GROUP = np.uint64(16), np.uint64(48)


def names_of(uppers: U64, bits: int) -> pa.StringArray:
    """IPv6 networks of so many bits, by their upper halves, as text."""
    return _texts(*_as_network(uppers, np.frombuffer(f":/{bits}".encode(), np.uint8)))


def names_of_24(numbers: I64) -> pa.StringArray:
    """IPv4 networks of 24 bits, by these, as text."""
    return _texts(*_as_slash_24(numbers))


def _texts(data: U8, ends: I32) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data))


@compiled
def as_v4(data: U8, offsets: I32) -> I64:
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
def as_v6(data: U8, offsets: I32, rows: I64) -> tuple[U64, U64]:
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
