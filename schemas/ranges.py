"""Networks as their operators publish them, as intervals of addresses: crawlers' ranges. Pure."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Final

from schemas.errors import FileError
from schemas.networks import address

Interval = tuple[int, int]
V6: Final = 1 << 128  # IPv6 addresses are counted on from here, so that both sorts stand in one order
RANGES_MAX: Final = 100_000
_FIX: Final = 'a network a line, or the operator\'s file: {"prefixes": [{"ipv4Prefix": "192.0.2.0/24"}]}'


def holds(ranges: Sequence[Interval], low: int, high: int) -> bool:
    """Whether all addresses from `low` to `high` are in one of `ranges`, which are in order."""
    at = bisect_right(ranges, (low, 2 * V6)) - 1
    return at >= 0 and high <= ranges[at][1]


def meets(ranges: Sequence[Interval], low: int, high: int) -> bool:
    """Whether any address from `low` to `high` is in one of `ranges`, which are in order and apart."""
    at = bisect_right(ranges, (high, 2 * V6)) - 1
    return at >= 0 and low <= ranges[at][1]


def ranges(data: bytes, file: str) -> tuple[Interval, ...]:
    """Networks of a file, as their operators publish them (JSON) or one a line, as intervals in order.

    Raises:
        FileError: it is neither, or a network is none.
    """
    try:
        text = data.decode("utf-8-sig")
        texts = _prefixes(json.loads(text)) if text.lstrip()[:1] in ("{", "[") else _lines(text)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise FileError(file, 0, "ranges", "cannot be read", _FIX) from error
    found: list[Interval] = []
    for line, one in texts:
        try:
            net = ip_network(one, strict=False)
        except ValueError as error:
            raise FileError(file, line, "ranges", f"{one[:60]!r} is no network", _FIX) from error
        base = V6 if net.version == 6 else 0
        found.append((base + int(net.network_address), base + int(net.broadcast_address)))
    if not 1 <= len(found) <= RANGES_MAX:
        raise FileError(file, 0, "ranges", f"holds {len(found)} networks", f"1 to {RANGES_MAX}")
    return joined(found)


def _lines(text: str) -> list[tuple[int, str]]:
    stripped = ((at, line.partition("#")[0].strip()) for at, line in enumerate(text.splitlines(), start=1))
    return [(at, line) for at, line in stripped if line]


def _prefixes(tree: object) -> list[tuple[int, str]]:
    """Of a list of networks, or of the mapping that crawlers' operators publish."""
    entries = tree["prefixes"] if isinstance(tree, dict) else tree
    if not isinstance(entries, list):
        raise TypeError
    return [(0, one if isinstance(one, str) else one.get("ipv4Prefix") or one["ipv6Prefix"]) for one in entries]


def joined(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Intervals in order, those that touch made one."""
    out: list[Interval] = []
    for low, high in sorted(intervals):
        if out and low <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(out[-1][1], high)
        else:
            out.append((low, high))
    return tuple(out)


def number(ip: str) -> int:
    """An address as it stands in intervals. Raises ValueError where it is none."""
    found = address(ip)
    return int(found) + (V6 if found.version == 6 else 0)
