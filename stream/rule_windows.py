"""Rules with a window: hits of panes that are whole are counted by owner, and where a rule's limits hold that is told.

    hits of a pane ─► by rule and owner ─► Distinct (different values)      ─► limits hold? ─► one hit, which the
                                           StepCounts (requests, gaps, bits)                   rule's bucket tells

Nothing is counted but what the limits of a rule ask for; without such a rule there is nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.buckets import keep
from detectors.columns import Fact, Finding
from detectors.hits import Hits, canonical
from detectors.rule_words import window_facts
from detectors.rules import Ruleset
from schemas.usage import Kind, What
from stream import cells, snapshot
from stream.distinct import Distinct
from stream.grouping import I64, U64
from stream.step_counts import Pane, StepCounts
from stream.windows import nobody

Measured = dict[tuple[str, int, int, int], tuple[Fact, ...]]
"""By rule, kind and hash of the owner, and pane."""


@dataclass(frozen=True, slots=True)
class _Groups:
    """The hits of one pane by whose window they fall into: their first row, how many there are, and sums."""

    rows: Hits
    who: U64
    heads: I64
    sizes: I64
    n: I64


class RuleWindows:
    """The windows of one usage partition, in `bytes_max` together."""

    def __init__(self, rules: Ruleset, bytes_max: int) -> None:
        self._rules = rules
        self._over_s = np.array([rule.over_s for rule in rules.rules] or [0], np.int64)
        self.asked = bool(self._over_s.any())
        self._digests = np.array([rule.digest for rule in rules.rules] or [0], np.uint64)
        self._keep = keep(rules)
        self._different = self._asking("different")
        self._gaps, self._spread = self._asking("gap_variation"), self._asking("bits")
        self._counted = self._asking("requests") | self._gaps | self._spread
        self._distinct_max = bytes_max // 2
        self._distinct, self._counts = Distinct(self._distinct_max), StepCounts(bytes_max // 2)

    def of(self, hits: Hits) -> NDArray[np.bool_]:
        """Which hits are of rules that have a window."""
        return self._over_s[hits.rule] > 0

    def close(self, hits: Hits) -> tuple[Hits, Measured]:
        """Count all hits of some panes, of which no more will come.

        Gives a hit of each rule, owner and pane of which the limits hold, and what was measured.
        """
        rows, who = canonical(hits, self._digests, self._keep)
        cuts = np.flatnonzero(np.r_[True, np.diff(rows.pane_s) != 0, True])
        held: list[Hits] = []
        measured: Measured = {}
        for begin, end in pairwise(cuts.tolist()):
            held.append(self._pane(_grouped(rows.take(slice(begin, end)), who[begin:end]), measured))
        return Hits.concat(held), measured

    def _pane(self, of: _Groups, measured: Measured) -> Hits:
        rule, pane_s = of.rows.rule[of.heads], int(of.rows.pane_s[0])
        values = self._measures(of, rule, pane_s)
        holds = np.ones(len(rule), np.bool_)
        for index in np.unique(rule).tolist():
            groups = np.flatnonzero(rule == index)
            for limit in self._rules.rules[index].when:
                holds[groups] &= limit.holds(values[limit.measure][groups])
        hits = _one_each(of, holds)
        for at, group in enumerate(np.flatnonzero(holds).tolist()):
            told = self._rules.rules[int(rule[group])]
            found = {name: float(column[group]) for name, column in values.items()}
            who = told.name, int(hits.kind[at]), int(hits.entity[at]), pane_s
            measured[who] = window_facts(told, found)
        return hits

    def _measures(self, of: _Groups, rule: NDArray[np.int16], pane_s: int) -> dict[str, NDArray[np.float64]]:
        """What the window of each group comes to, by measure; only what the group's rule asks for is right."""
        whose = of.who[of.heads]
        out = {name: np.zeros(len(rule)) for name in ("different", "requests", "gap_variation", "bits")}
        if self._different[rule].any():
            rows = np.flatnonzero(self._different[of.rows.rule] & (of.rows.value != 0))
            self._distinct.put(of.who[rows], What.PATH, of.rows.value[rows], pane_s, nobody)
            for over_s in np.unique(self._over_s[rule]).tolist():
                groups = np.flatnonzero((self._over_s[rule] == over_s) & self._different[rule])
                since_s = pane_s - over_s + 1
                out["different"][groups] = self._distinct.count(Kind.IP, whose[groups], What.PATH, since_s)
        groups = np.flatnonzero(self._counted[rule])
        if len(groups):
            found = self._counts.add(self._counted_of(of, groups, pane_s))
            for column, name in enumerate(("requests", "gap_variation", "bits")):
                out[name][groups] = found[:, column]
        return out

    def _counted_of(self, of: _Groups, groups: I64, pane_s: int) -> Pane:
        rows = np.flatnonzero(np.repeat(self._counted[of.rows.rule[of.heads]], of.sizes))
        heads = np.r_[0, np.cumsum(of.sizes[groups])]
        rule = of.rows.rule[of.heads[groups]]
        return Pane(
            pane_s=pane_s,
            entity=of.who[of.heads[groups]],
            over_s=self._over_s[rule],
            gaps=self._gaps[rule],
            spread=self._spread[rule],
            first_ms=np.minimum.reduceat(of.rows.first_ms[rows], heads[:-1]),
            last_ms=np.maximum.reduceat(of.rows.last_ms[rows], heads[:-1]),
            n=of.n[groups],
            begins=heads,
            marks=cells.marks(of.rows.value[rows]),
            counts=of.rows.n[rows],
        )

    def _asking(self, measure: str) -> NDArray[np.bool_]:
        return np.array([rule.asks(measure) for rule in self._rules.rules] or [False])

    def bytes(self) -> int:
        """What is held."""
        return self._distinct.bytes() + self._counts.bytes()

    @property
    def evicted(self) -> int:
        """Owners that had to go."""
        return self._distinct.evicted + self._counts.evicted

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for `restore`; nothing without such a rule."""
        if not self.asked:
            return {}
        arrays = {f"distinct.{name}": array for name, array in self._distinct.arrays().items()}
        return arrays | {f"counts.{name}": array for name, array in self._counts.arrays().items()}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """The inverse of `arrays`."""
        distinct = snapshot.under(arrays, "distinct.")
        if self.asked and distinct:
            self._distinct = Distinct.restore(self._distinct_max, distinct)
            self._counts.restore(snapshot.under(arrays, "counts."))


def explained(found: list[Finding], measured: Measured) -> list[Finding]:
    """Findings with what was measured in place of what a bucket holds."""
    out = []
    for one in found:
        facts = measured.get((one.family, one.kind, one.entity, one.at_s))
        known = tuple(fact for fact in one.facts if fact.name in ("sign", "known"))
        out.append(one if facts is None else replace(one, facts=facts + known))
    return out


def _grouped(rows: Hits, who: U64) -> _Groups:
    """`rows` of one pane stand by owner already (`canonical`)."""
    heads = np.flatnonzero(np.r_[True, who[1:] != who[:-1]])
    return _Groups(rows, who, heads, np.diff(np.r_[heads, len(who)]), np.add.reduceat(rows.n, heads))


def _one_each(of: _Groups, holds: NDArray[np.bool_]) -> Hits:
    rows, heads = of.rows, of.heads
    same = np.minimum.reduceat(rows.route, heads) == np.maximum.reduceat(rows.route, heads)
    first = rows.take(heads)
    one = replace(
        first,
        last_ms=np.maximum.reduceat(rows.last_ms, heads),
        route=np.where(same, first.route, np.uint64(0)),
        value=np.zeros(len(heads), np.uint64),
        n=of.n,
        answered=np.add.reduceat(rows.answered, heads),
    )
    # It holds of what the second came to: told at its last request.
    return replace(one, first_ms=one.last_ms).take(holds)
