"""The rules of one usage partition: hits of open panes, which fill buckets and windows when their panes close.

Hits only grow, so open panes are looked at as they come: what overflows already is told early. A window is asked of
panes that are whole, for what it is asked may grow and shrink.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.buckets import BUCKETS_MAX, Buckets, Known
from detectors.columns import Finding
from detectors.families import HOUR_S
from detectors.hits import DTYPES, Hits
from detectors.rules import Ruleset, text_hash
from stream import snapshot
from stream.bounds import Bounds
from stream.grouping import U64, mixed
from stream.rule_windows import RuleWindows, explained


class RuleBook:
    """Not thread-safe. `unseen`: whether hits came that nobody has looked at."""

    def __init__(self, rules: Ruleset, bounds: Bounds) -> None:
        self._rules = rules
        self._buckets = Buckets(rules, min(bounds.buckets, BUCKETS_MAX))
        self._windows = RuleWindows(rules, bounds.rule_window_bytes)
        self._hits_max = bounds.hits
        self._parts: list[Hits] = []
        self._told: set[tuple[int, int, str, int]] = set()  # kind, entity, rule, pane: early, of open panes
        self._unknown = 0
        self._in_order = False  # whether parts stand by their panes
        self.unseen = False

    def fits(self, hits: int) -> bool:
        """Whether so many more push nothing out."""
        return sum(map(len, self._parts)) + hits <= self._hits_max

    def add(self, batch: pa.RecordBatch, closed_s: int) -> int:
        """Take in rows of `schemas.usage.HITS`; those of closed panes count in the oldest open one.

        Gives the requests nobody had room for.
        """
        if not batch.num_rows:
            return 0
        hits, unknown = read(batch, self._rules)
        self._unknown += unknown
        if not len(hits):
            return 0
        if self._in_order:  # parts of one that was larger, which they would hold
            self._parts, self._in_order = [part.take(np.arange(len(part))) for part in self._parts], False
        self._parts.append(replace(hits, pane_s=np.maximum(hits.pane_s, closed_s)))
        self.unseen = True
        return 0 if self.fits(0) else self._thin()

    def _thin(self) -> int:
        """Let three quarters of the bound stay: whose, their hashes say, so that it is the same however they came."""
        held = Hits.concat(self._parts)
        owners = mixed(held.entity ^ held.kind)
        stays = np.zeros(len(held), np.bool_)
        stays[np.argsort(owners, kind="stable")[: self._hits_max * 3 // 4]] = True
        self._parts = [held.take(stays)]
        return int(held.n[~stays].sum())

    def steps(self, closed_s: int, until_s: int) -> list[int]:
        """Up to where to close one after the other: the hours that have hits, from their beginning on, and the end."""
        hours = {int(h) for part in self._parts for h in np.unique(part.pane_s[part.pane_s < until_s] // HOUR_S)}
        edges = {edge * HOUR_S for hour in hours for edge in (hour, hour + 1)}
        if len(hours) > 1:  # in order, so that each step takes its own from the front and looks at no other
            held = Hits.concat(self._parts)
            self._parts, self._in_order = [held.take(np.argsort(held.pane_s, kind="stable"))], True
        return [*sorted(edge for edge in edges if closed_s < edge < until_s), until_s]

    def close(self, until_s: int, known: Known) -> list[Finding]:
        """What the hits of panes before `until_s`, now whole, say."""
        done, rest = [], []
        for part in self._parts:
            if self._in_order:
                cut = int(np.searchsorted(part.pane_s, until_s))
                front, back = part.take(slice(cut)), part.take(slice(cut, None))
            else:
                over = part.pane_s < until_s
                front, back = part.take(over), part if not over.any() else part.take(~over)
            done += [front] if len(front) else []
            rest += [back] if len(back) else []
        self._parts = rest
        self._told = {who for who in self._told if who[3] >= until_s}
        self.unseen = self.unseen and bool(rest)
        return self._closed(Hits.concat(done), known) if done else []

    def _closed(self, hits: Hits, known: Known) -> list[Finding]:
        if not self._windows.asked:
            return self._buckets.close(hits, known)
        windowed = self._windows.of(hits)
        held, measured = self._windows.close(hits.take(windowed))
        return explained(self._buckets.close(Hits.concat([hits.take(~windowed), held]), known), measured)

    def look(self, known: Known) -> list[Finding]:
        """What open panes say that was not said before. Changes no bucket."""
        if not self.unseen:
            return []
        self.unseen = False
        hits = Hits.concat(self._parts)
        found = self._buckets.look(hits.take(~self._windows.of(hits)) if self._windows.asked else hits, known)
        new = [f for f in found if (f.kind, f.entity, f.family, f.pane_s) not in self._told]
        self._told |= {(f.kind, f.entity, f.family, f.pane_s) for f in new}
        return new

    def panes(self, *, least: bool = False) -> list[int]:
        """The newest pane of each part that is held; or the oldest."""
        return [int(part.pane_s.min() if least else part.pane_s.max()) for part in self._parts]

    def held(self) -> U64:
        """Entities of whom there are buckets or hits."""
        return np.concatenate([self._buckets.held(), *(part.entity for part in self._parts)])

    def sizes(self) -> dict[str, int]:
        """What is held, for metrics."""
        return {
            "buckets": len(self._buckets),
            "buckets_evicted": self._buckets.evicted,
            "rule_window_bytes": self._windows.bytes() if self._windows.asked else 0,
            "rule_windows_evicted": self._windows.evicted,
            "open_hits": sum(map(len, self._parts)),
            "unknown_hits": self._unknown,
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot: hits by their rules' names, whose places may change."""
        held = Hits.concat(self._parts)
        names = np.array([text_hash(rule.name) for rule in self._rules.rules], np.uint64)
        arrays = {f"open.{f.name}": getattr(held, f.name) for f in fields(Hits)}
        arrays |= {f"window.{name}": array for name, array in self._windows.arrays().items()}
        return arrays | {f"bucket.{name}": a for name, a in self._buckets.arrays().items()} | {"names": names}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """The inverse of `arrays`; of a snapshot that is older than rules, nothing."""
        if not arrays:
            return
        held = Hits(*(arrays[f"open.{name}"].astype(dtype) for name, dtype in DTYPES.items()))
        places = {text_hash(rule.name): at for at, rule in enumerate(self._rules.rules)}
        place = np.array([places.get(int(name), -1) for name in arrays["names"]] + [-1], np.int16)
        held = replace(held, rule=place[held.rule])
        held = held.take(held.rule >= 0)
        self._parts, self.unseen = ([held], True) if len(held) else ([], False)
        self._buckets.restore(snapshot.under(arrays, "bucket."))
        self._windows.restore(snapshot.under(arrays, "window."))


def read(batch: pa.RecordBatch, rules: Ruleset) -> tuple[Hits, int]:
    """Rows of `schemas.usage.HITS` without their text, and how many are of rules that are not in the set."""
    names = batch.column("rule")
    place = np.array([rules.index(name) for name in names.dictionary.to_pylist()] + [-1], np.int16)
    rule = place[names.indices.fill_null(len(place) - 1).to_numpy(zero_copy_only=False)]
    columns = {
        name: batch.column("hash" if name == "entity" else name).to_numpy(zero_copy_only=False).astype(dtype)
        for name, dtype in DTYPES.items()
        if name != "rule"
    }
    hits = Hits(rule=rule, **columns)
    known = rule >= 0
    return (hits, 0) if known.all() else (hits.take(known), int((~known).sum()))
