"""Rules made ready to ask of whole batches: a bit for each way to meet a rule, a word of bits for each distinct value.

    row        url  agent  route  method  status  ...
    words     1101   1111   0101    0111    1101     their AND: the ways this row meets; of most rows 0

A condition on one column becomes bits of that column's values, `any` several ways, and so does a rule that looks for
signs in several columns. What else ties columns together is asked of the rows that are left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from detectors.bots import Bots
from detectors.filters import Decisions, Every, Filter, Some, Texts, columns, mask
from detectors.rules import Ruleset
from detectors.signatures import COLUMNS, Signs
from stream.signs import borne

U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
STATUSES: Final = 600
NUMBERS: Final = {"status": STATUSES, "login": 2}  # what has few values beside texts
_UNTABLED: Final = frozenset({"latency_ms", "cost"})
_LONG: Final = frozenset({"url", "path", "query"})  # nearly as many values as rows: asked of few rows, or not twice
_KNOWN_MAX: Final = 20_000  # texts of a column that are remembered
Said = tuple[tuple[int, ...], tuple[str, ...]]
"""A value's bits, and the signs it bears."""
Borne = dict[int, tuple[str, ...]]
"""Signs by the place of the value that bears them."""
_WAYS_MAX: Final = 8  # of one rule, by `any`
_ORDER: Final = ("url", "login", "status", "rule", "route")  # asked first: they leave the fewest rows


@dataclass(frozen=True, slots=True)
class Way:
    """One way to meet a rule (its place in the set): conditions by column, a column to bear a sign, and the rest."""

    rule: int
    by_column: dict[str, Filter]
    signs: str
    rest: Filter | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A set of rules made ready, with the crawlers it spares. What it said of short texts it remembers, in bounds."""

    rules: Ruleset
    bots: Bots = field(default_factory=Bots)
    ways: tuple[Way, ...] = ()
    signs: dict[str, Signs] = field(default_factory=dict)  # by column
    expected: Signs | None = None
    _known: dict[str, dict[str | None, Said]] = field(default_factory=dict)
    _numbers: dict[str, U64] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Ruleset, bots: Bots | None = None) -> Plan:
        """The plan of a set."""
        ways = tuple(way for at in range(len(rules.rules)) for way in _ways(rules, at))
        asked = {name for rule in rules.rules for name in rule.signs}
        signatures = [s for s in rules.signatures if s.name in asked]
        signs = {column: Signs(signatures, column) for column in COLUMNS}
        expected = [s for s in rules.signatures if s.name in rules.expected]
        return cls(rules, bots or Bots(), ways, signs, Signs(expected, "url") if expected else None)

    def columns(self) -> list[str]:
        """Columns of which a table is needed, in the order to ask them in."""
        asked = {name for way in self.ways for name in way.by_column} | {way.signs for way in self.ways if way.signs}
        return [*(name for name in _ORDER if name in asked), *sorted(asked.difference(_ORDER))]

    def said(self, column: str, values: pa.StringArray | None) -> tuple[U64, Borne]:
        """Bits of each distinct value of `column`, and behind the last of a row without one: (values + 1, words).

        And the signs that values bear. `values` are None for `status` and `login`, whose values are numbers.
        """
        if values is None:
            if column not in self._numbers:
                self._numbers[column] = self._table(column, None, {})
            return self._numbers[column], {}
        if column in _LONG:
            found = borne(self.signs.get(column), values)
            return self._table(column, values, found), found
        known = self._known.setdefault(column, {})
        texts = values.to_pylist()
        new = list({text for text in texts if text not in known and text is not None})
        if new or None not in known:
            if len(known) > _KNOWN_MAX:
                known.clear()
                new = list({text for text in texts if text is not None})
            self._learn(column, new)
        said = [known[text] for text in (*texts, None)]
        words = np.array([each[0] for each in said], np.uint64)
        return words, {at: names for at, (_, names) in enumerate(said) if names}

    def _learn(self, column: str, texts: list[str]) -> None:
        values = pa.array(texts, pa.utf8())
        found = borne(self.signs.get(column), values)
        table = self._table(column, values, found)
        known = self._known[column]
        for at, text in enumerate((*texts, None)):
            known[text] = tuple(table[at].tolist()), found.get(at, ())

    def _table(self, column: str, values: pa.StringArray | None, found: Borne) -> U64:
        size = NUMBERS[column] if values is None else len(values)
        free = [at for at, way in enumerate(self.ways) if column not in way.by_column and way.signs != column]
        words = np.repeat(_bits(free, len(self.ways))[None, :], size + 1, axis=0)
        signed = {place: set(names) for place, names in found.items()}
        asked: dict[Filter, Flag] = {}
        for at, way in enumerate(self.ways):
            condition = way.by_column.get(column)
            holds = None
            if condition is not None:
                if condition not in asked:
                    asked[condition] = mask(condition, _values(column, values, size))
                holds = asked[condition]
            if way.signs == column:
                signs = self.rules.rules[way.rule].signs
                bears = np.zeros(size + 1, np.bool_)
                bears[[place for place, names in signed.items() if not names.isdisjoint(signs)]] = True
                holds = bears if holds is None else holds & bears
            if holds is not None:
                words[holds, at // 64] |= np.uint64(1 << at % 64)
        return words


def _bits(places: list[int], count: int) -> U64:
    words = np.zeros(max(1, -(-count // 64)), np.uint64)
    for at in places:
        words[at // 64] |= np.uint64(1 << at % 64)
    return words


def _ways(rules: Ruleset, at: int) -> list[Way]:
    rule = rules.rules[at]
    if rule.spoofed:
        return []  # who passes himself off as another is found by address and agent together
    parts = rule.where.parts if isinstance(rule.where, Every) else (rule.where,) if rule.where else ()
    some = [part.parts if isinstance(part, Some) else (part,) for part in parts]
    choices = list(product(*some))
    if len(choices) > _WAYS_MAX:
        choices = [parts]
    looked_in = [c for c in COLUMNS if any(s.name in rule.signs and c in s.columns for s in rules.signatures)]
    return [_way(at, choice, column) for choice in choices for column in looked_in or [""]]


def _way(rule: int, parts: tuple[Filter, ...], signs: str) -> Way:
    by_column: dict[str, Filter] = {}
    rest: list[Filter] = []
    alone = not signs and all(set(columns(part)) <= _LONG for part in parts)
    for part in parts:
        names = set(columns(part))
        name = names.pop() if len(names) == 1 else ""
        if not name or name in _UNTABLED or (name in _LONG and not alone):
            rest.append(part)
        else:
            by_column[name] = Every((by_column[name], part)) if name in by_column else part
    return Way(rule, by_column, signs, Every(tuple(rest)) if rest else None)


def _values(column: str, values: pa.StringArray | None, size: int) -> Decisions:
    """The distinct values of a column as a batch in which each stands once, and then a row without one."""
    if values is not None:
        codes = np.append(np.arange(size, dtype=np.int32), np.int32(-1))
        return Decisions(size + 1, {column: Texts(codes, pl.Series(values))}, {}, {})
    numbers = np.append(np.arange(size, dtype=np.float64), np.nan)
    return Decisions(size + 1, {}, {"status": numbers}, {"login": numbers == 1})
