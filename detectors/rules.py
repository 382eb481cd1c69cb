"""Rules: requests of a kind fill a bucket of whoever made them, the bucket leaks, and when it overflows that is told.

level   .  .. . ....|.....   capacity     a bucket that holds nothing speaks on the first request:
leak      ^ overflows           that is how a signature becomes an alert

Or they are counted in a window that slides, and what is told is that its limits hold (`detectors.rule_when`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from xxhash import xxh3_64_intdigest

from detectors.filters import Filter
from detectors.hits import KEPT_MAX
from detectors.rule_when import VALUES_TOLD_MAX, Limit
from detectors.signatures import Signature

BY: Final = ("client", "ip", "key", "user", "route")
"""Whose bucket: `client` is the accepted key where there is one, else the address."""
DISTINCT: Final = ("url", "path", "agent", "user", "ip", "route", "sign")
ANSWERS: Final = ("notice", "throttle", "challenge", "deny")
SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
CAPACITY_MAX: Final = 10_000
DISTINCT_MAX: Final = 63  # a bucket remembers so many values, and one more overflows it
LEAK_MS_MAX: Final = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    `means` says what was counted, after its number. `signs` are names of signatures of which a request bears one;
    `spoofed` asks for requests that pass themselves off as a crawler whose published addresses do not include theirs.
    `aimed`: the answer is for the one route all of it was on, if it was one. `answer` is for newcomers, `known` for
    clients with a history.
    """

    name: str
    version: int
    means: str
    where: Filter | None
    signs: tuple[str, ...]
    spoofed: bool
    by: str
    aimed: bool
    distinct: str
    capacity: int
    leak_ms: int
    answer: str
    known: str
    severity: str
    behaviour: str
    ids: tuple[str, ...] = ()
    avoid: str = ""
    source: str = ""
    file: str = ""
    line: int = 0
    over_s: int = 0  # its window; 0: it has a bucket
    when: tuple[Limit, ...] = ()

    def bearing(self, signs: tuple[str, ...]) -> Rule:
        """The same rule, of other signs."""
        return replace(self, signs=signs)

    @property
    def digest(self) -> int:
        """What its buckets hang on: another number where it counts otherwise."""
        what = f"{self.name}/{self.version};{self.by};{self.distinct};{self.capacity};{self.leak_ms}"
        if self.over_s:
            what += f";{self.over_s};" + ";".join(f"{limit.measure} {limit.text}" for limit in self.when)
        return int.from_bytes(sha256(what.encode()).digest()[:8], "little") | 1

    @property
    def limits(self) -> str:
        """Of a rule with a window: what must hold, in words."""
        return ", ".join(limit.said(self.distinct) for limit in self.when)

    @property
    def told(self) -> int:
        """How many different values of an owner and pane are told: as many as it takes to say whether it speaks.

        Of a window twice as many as its limit has, for beyond `usage.ITEMS_EXACT_MAX` they are estimated.
        """
        if not self.over_s:
            return min(self.capacity + 1, KEPT_MAX)
        if self.asks("bits"):
            return VALUES_TOLD_MAX
        bounds = [b for limit in self.when if limit.measure == "different" for b in (limit.above, limit.below) if b]
        return min(KEPT_MAX + 2 * int(max(bounds, default=0)), VALUES_TOLD_MAX)

    def asks(self, measure: str) -> bool:
        """Whether its window is asked for `measure`."""
        return any(limit.measure == measure for limit in self.when)

    @property
    def fires(self) -> str:
        """When it speaks, in words."""
        if self.over_s:
            return f"when {self.limits} come in {said_ms(self.over_s * 1000)}"
        what = f"different {self.distinct}s" if self.distinct else "requests"
        if not self.capacity:
            return "on the first one"
        return f"with more than {self.capacity} {what}, of which one is forgotten every {said_ms(self.leak_ms)}"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Rules in their order and the signatures they ask for.

    `expected` are names of signatures of requests that fail as a matter of course in applications people run, so that
    their errors are no evidence. `signs` are all signatures by the hash of their names.
    """

    rules: tuple[Rule, ...] = ()
    signatures: tuple[Signature, ...] = ()
    expected: tuple[str, ...] = ()
    signs: Mapping[int, Signature] = field(default_factory=dict)
    _by_name: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: tuple[Rule, ...], signatures: tuple[Signature, ...], expected: tuple[str, ...] = ()) -> Ruleset:
        """A set whose rules can be asked for by name."""
        signs = {text_hash(each.name): each for each in signatures}
        return cls(rules, signatures, expected, signs, {rule.name: at for at, rule in enumerate(rules)})

    def index(self, name: str) -> int:
        """Place of a rule; -1: there is none of that name."""
        return self._by_name.get(name, -1)


def text_hash(text: str) -> int:
    """Hash of a sign's name, as hits carry it."""
    return xxh3_64_intdigest(text.encode()) or 1


NONE: Final = Ruleset()


def said_ms(time_ms: int) -> str:
    """A duration as it is written in a file."""
    for unit_ms, unit in ((3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if time_ms % unit_ms == 0:
            return f"{time_ms // unit_ms}{unit}"
    return f"{time_ms}ms"
