"""The buckets of one usage partition: hits of panes in, findings out. Bounded, and exact through a restore."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import pour
from detectors.bucket_columns import Columns
from detectors.columns import IP, KEY, Finding
from detectors.compiled import ordered
from detectors.families import QUIET_MS
from detectors.hits import Hits, canonical
from detectors.pairs import mix
from detectors.rule_words import finding
from detectors.rules import Ruleset

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Known = Callable[[U64, NDArray[np.uint8]], Flag]
"""Which owners (hashes of entity and kind, kinds) have a history."""
BUCKETS_MAX: Final = 1 << 16
LEAVE: Final = 0.75  # of the bound is left after a purge
_ROOM: Final = 256


def keep(rules: Ruleset) -> I64:
    """How many different values of an owner and pane are told, by rule."""
    return np.array([rule.told for rule in rules.rules] or [0], np.int64)


class Buckets:
    """A bucket for each rule and owner that is not dry; beyond `buckets_max` the emptiest go, after a pane.

    The same hits give the same findings, however they came. What a rule is (`Rule.digest`) is part of whose bucket it
    is, so a rule that is changed begins anew.
    """

    def __init__(self, rules: Ruleset, buckets_max: int = BUCKETS_MAX) -> None:
        self.rules, self.buckets_max = rules, buckets_max
        self.evicted = 0
        self._keep = keep(rules)
        self._capacity = np.array([r.capacity for r in rules.rules] or [0], np.int64)
        self._leak_ms = np.array([r.leak_ms for r in rules.rules] or [1], np.int64)
        self._distinct = np.array([bool(r.distinct) and not r.over_s for r in rules.rules] or [False])
        self._digests = np.array([r.digest for r in rules.rules] or [0], np.uint64)
        self._c = Columns.blank(_ROOM)
        self._used = 0
        self._keys: U64 = np.empty(0, np.uint64)  # ascending
        self._slots: I64 = np.empty(0, np.int64)  # of each of them

    def __len__(self) -> int:
        """Number of buckets held, some of them dry."""
        return self._used

    def bytes(self) -> int:
        """What they take."""
        return sum(column.nbytes for column in self._c.arrays().values())

    def held(self) -> U64:
        """Entities of whom there is a bucket."""
        return self._c.entity[: self._used]

    def close(self, hits: Hits, known: Known) -> list[Finding]:
        """Fill in all hits of some panes, of which no more will come: what overflowed, in the order of panes."""
        if not len(hits):
            return []
        rows, who = canonical(hits, self._digests, self._keep)
        if self._used + len(rows) <= self.buckets_max:
            return _in_order(self._fill(rows, who, known))
        found: list[Finding] = []
        cuts = np.flatnonzero(np.r_[True, np.diff(rows.pane_s) != 0, True])
        for begin, end in pairwise(cuts.tolist()):
            found += self._fill(rows.take(slice(begin, end)), who[begin:end], known)
            if self._used > self.buckets_max:
                self._purge(int(rows.pane_s[begin]) * 1000 + 999)
        return _in_order(found)

    def look(self, hits: Hits, known: Known) -> list[Finding]:
        """Who overflows by these hits; changes nothing."""
        if not len(hits):
            return []
        rows, who = canonical(hits, self._digests, self._keep)
        keys = np.unique(who)
        at = np.searchsorted(self._keys, keys)
        have = np.append(self._keys, np.uint64(0))[at] == keys
        some = Buckets(self.rules, self.buckets_max)
        some._hold(self._c.take(self._slots[at[have]]))
        return _in_order([f for f in some._fill(rows, who, known) if f.pane_s == f.at_s])

    def _fill(self, rows: Hits, who: U64, known: Known) -> list[Finding]:
        slot, rule = self._place(rows, who), rows.rule
        told, states, signs, examples = pour.poured(
            slot,
            rows.pane_s,
            (rows.first_ms, rows.last_ms),
            (rows.n, rows.answered),
            (rows.value, rows.sign, rows.example),
            (self._capacity[rule], self._leak_ms[rule], self._distinct[rule]),
            (self._c.state, self._c.seen, self._c.signs, self._c.examples),
        )
        if not len(told):
            return []
        those = rows.take(told)
        regular = (those.kind == IP) | (those.kind == KEY)
        owners = mix(those.entity, those.kind.astype(np.uint64))
        regular[regular] = known(owners[regular], those.kind[regular])
        return [
            finding(self.rules, those, at, states[at], (signs[at], examples[at]), known=bool(regular[at]))
            for at in range(len(told))
        ]

    def _place(self, rows: Hits, who: U64) -> I64:
        """The bucket of each row, made where there is none."""
        at = np.searchsorted(self._keys, who)
        lacks = np.flatnonzero(np.append(self._keys, np.uint64(0))[at] != who)  # no key is 0
        if len(lacks):
            new, row = np.unique(who[lacks], return_index=True)
            row = lacks[row]
            made = np.arange(self._used, self._used + len(new))
            self._used += len(new)
            if self._used > len(self._c.key):
                self._c = self._c.grown(max(self._used, min(2 * len(self._c.key), self.buckets_max * 3 // 2)))
            c, rule = self._c, rows.rule[row]
            c.key[made], c.entity[made], c.kind[made] = new, rows.entity[row], rows.kind[row]
            c.full_ms[made] = self._capacity[rule] * self._leak_ms[rule]
            place = np.searchsorted(self._keys, new)
            self._keys, self._slots = np.insert(self._keys, place, new), np.insert(self._slots, place, made)
            at = np.searchsorted(self._keys, who)
        slots: I64 = self._slots[at]
        return slots

    def _purge(self, now_ms: int) -> None:
        """Let the dry ones go, and where that gives too little room those nearest to it; incidents stay longest."""
        c, state = self._c, self._c.state[: self._used]
        level = np.maximum(state[:, pour.LEVEL] - np.maximum(now_ms - state[:, pour.AT], 0), 0)
        stands = (state[:, pour.EPISODE] == 1) & (now_ms - state[:, pour.MARK] <= QUIET_MS)
        stay = np.flatnonzero((level > 0) | stands)
        if len(stay) > self.buckets_max * LEAVE:
            fullness = level[stay] / np.maximum(c.full_ms[stay], 1)
            order = np.lexsort((c.key[stay], -state[stay, pour.AT], -fullness, ~stands[stay]))
            kept = np.sort(stay[order[: int(self.buckets_max * LEAVE)]])
            self.evicted += len(stay) - len(kept)
            stay = kept
        self._hold(c.take(stay))

    def _hold(self, c: Columns) -> None:
        self._used = len(c.key)
        self._c = c if self._used >= _ROOM else c.grown(_ROOM)
        order = ordered(c.key)
        self._keys, self._slots = c.key[order], order

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for `restore`."""
        return self._c.take(np.arange(self._used)).arrays() | {"evicted": np.array(self.evicted)}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave; nothing at all is a snapshot of before there were rules."""
        if arrays:
            self._hold(Columns.of(arrays))
            self.evicted = int(arrays["evicted"])


def _in_order(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda f: (f.at_s, f.crossed_ms, f.kind, f.entity, f.family))
