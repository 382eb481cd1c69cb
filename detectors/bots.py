"""Crawlers that say who they are: whether a request comes from where their operator says they come from. Pure.

verified    its address is in a published range           never answered by a rule
spoofed     ranges are known, and it is in none of them    the rules that ask for `spoofed`
unknown     no ranges of it are known                      like anybody
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from schemas.documents import documents
from schemas.errors import FileError
from schemas.networks import address
from schemas.reading import At

Interval = tuple[int, int]
_V6: Final = 1 << 128  # IPv6 addresses are counted on from here, so that both sorts stand in one order
RANGES_MAX: Final = 100_000
_FIX: Final = 'a network a line, or the operator\'s file: {"prefixes": [{"ipv4Prefix": "192.0.2.0/24"}]}'


@dataclass(frozen=True, slots=True)
class Bot:
    """A crawler: words of its user agent (lower case), domains its addresses' names end in, where ranges stand."""

    name: str
    agent: tuple[str, ...]
    names: tuple[str, ...]
    published: str


@dataclass(frozen=True, slots=True)
class Bots:
    """Crawlers and their ranges, of those whose ranges are known."""

    bots: tuple[Bot, ...] = ()
    ranges: Mapping[str, tuple[Interval, ...]] | None = None

    def claimed(self, agent: str) -> Bot | None:
        """The crawler that a user agent says it is."""
        lower = agent.lower()
        return next((bot for bot in self.bots if any(word in lower for word in bot.agent)), None)

    def comes_from(self, bot: Bot, ip: str) -> bool | None:
        """Whether `ip` is one of the crawler's; None: nobody said where it comes from, or that is no address."""
        ranges = (self.ranges or {}).get(bot.name)
        if ranges is None:
            return None
        try:
            number = _number(ip)
        except ValueError:
            return None
        at = bisect_right(ranges, (number, 2 * _V6)) - 1
        return at >= 0 and number <= ranges[at][1]

    @property
    def words(self) -> tuple[str, ...]:
        """Words of which a user agent that claims to be one of them has one."""
        return tuple(word for bot in self.bots for word in bot.agent)


def declared(data: bytes, file: str) -> tuple[Bot, ...]:
    """The crawlers a file declares. Raises `FileError`."""
    (document,) = documents(data, file)
    fields = At(file, "bots", document.tree, document.line).fields(
        "source", "date", "bots", required={"bots": "a list"}
    )
    return tuple(_bot(item) for item in fields["bots"].items())


def _bot(at: At) -> Bot:
    fields = at.fields("name", "agent", "names", "published", required={"name": "examplebot", "agent": "examplebot"})
    words = tuple(item.text().lower() for item in fields["agent"].one_or_more())
    names = tuple(item.text().lower() for item in fields["names"].items()) if "names" in fields else ()
    published = fields["published"].text() if "published" in fields else ""
    return Bot(fields["name"].name(), words, names, published)


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
        base = _V6 if net.version == 6 else 0
        found.append((base + int(net.network_address), base + int(net.broadcast_address)))
    if not 1 <= len(found) <= RANGES_MAX:
        raise FileError(file, 0, "ranges", f"holds {len(found)} networks", f"1 to {RANGES_MAX}")
    return _joined(found)


def _lines(text: str) -> list[tuple[int, str]]:
    stripped = ((at, line.partition("#")[0].strip()) for at, line in enumerate(text.splitlines(), start=1))
    return [(at, line) for at, line in stripped if line]


def _prefixes(tree: object) -> list[tuple[int, str]]:
    """Of a list of networks, or of the mapping that crawlers' operators publish."""
    entries = tree["prefixes"] if isinstance(tree, dict) else tree
    if not isinstance(entries, list):
        raise TypeError
    return [(0, one if isinstance(one, str) else one.get("ipv4Prefix") or one["ipv6Prefix"]) for one in entries]


def _joined(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """In order, those that touch made one."""
    out: list[Interval] = []
    for low, high in sorted(intervals):
        if out and low <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(out[-1][1], high)
        else:
            out.append((low, high))
    return tuple(out)


def _number(ip: str) -> int:
    found = address(ip)
    return int(found) + (_V6 if found.version == 6 else 0)
