"""Usage of each entity over the last 10, 60 and 600 seconds of event time, exact to the decision.

    pane (1 s)    |..|..|..|..|..|..|..|..|..|..|..|   -> windows of 10 and 60 s
    pane (10 s)   |.............................|..    -> the window of 600 s, which so covers 590 to 600 s
                                                  ^ end: the pane after the newest row

An entity has a slot, a pane the rows of slots that were added to it; who asks has them added up. Late rows join their
own pane while it is inside a window; rows older than that count in `totals` only. Entities and their rows are bounded
per kind (`detectors.eviction` says who stays). What those who went had done stays in one slot for them all, the rest:
the windows of those held and of the rest add up to what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors import eviction
from detectors.compiled import firsts, searched
from schemas.usage import MEASURES, Kind
from stream.grouping import I64, U64
from stream.panes import REST, Panes

WINDOWS_S: Final = (10, 60, 600)
PANE_S: Final = (1, 1, 10)
_HELD: Final = ((60, 1), (600, 10))  # (window, pane) kept; the panes of 60 s are those of 10 s as well
_ARRAYS: Final = ("slot", "pane", "rows")
LATENCY_STEPS: Final = 1024  # latency is summed in whole 1/1024 ms, so that order does not matter
_LATENCY: Final = MEASURES.index("latency_ms_sum")
NEVER: Final = np.iinfo(np.int64).min
_FULL: Final = 7 / 8  # of the bound: when those idle have gone and more are still held, others go too
ROWS_MAX: Final = 4_000_000

Alive = Callable[[Kind], U64]
"""Hashes of the entities of a kind that must stay: attackers."""


def nobody(_: Kind) -> U64:
    """No entity has to stay."""
    return np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one entity did in panes [from_s, until_s); `measures` in the order of `schemas.usage.MEASURES`."""

    from_s: int
    until_s: int
    measures: tuple[int | float, ...]


class KindWindows:
    """Windows of all entities of one kind."""

    def __init__(self, entities_max: int) -> None:
        self._entities_max = entities_max
        self._hashes = np.empty(0, np.uint64)  # ascending
        self._slots = np.empty(0, np.int64)  # of each of them
        self._last_s = np.array([NEVER])  # by slot: the newest pane of its rows
        self._weight = np.zeros(1, np.int64)  # by slot: requests, less what purges took off
        self._panes = [Panes(w, p) for w, p in _HELD]
        self.rows_at_most = 0  # told exactly by `evict` alone, so that it follows from what was added
        self.evicted = 0

    def __len__(self) -> int:
        """Number of entities held."""
        return len(self._hashes)

    def rows(self) -> int:
        """Rows held, of all panes."""
        return sum(map(len, self._panes))

    def add(self, hashes: U64, pane_s: I64, measures: I64, end_s: int, alive: Callable[[], U64]) -> None:
        """Rows of entities that are inside the longest window."""
        for panes in self._panes:
            panes.advance(end_s)
        if not len(hashes):
            return
        slots = self._slots_of(hashes)
        np.maximum.at(self._last_s, slots, pane_s)
        np.add.at(self._weight, slots, measures[:, 0])
        for panes in self._panes:
            panes.add(slots, pane_s, measures, end_s)
        self.rows_at_most += len(self._panes) * len(slots)
        if len(self) > self._entities_max:
            self.evict(end_s, alive(), self.rows_at_most)

    def usage(self, entity: int, window_s: int, end_s: int) -> Usage:
        """The window of one entity; all zero for one not seen in it."""
        panes = next(p for p in self._panes if window_s <= p.window_s)
        at = int(np.searchsorted(self._hashes, np.uint64(entity)))
        found = at < len(self._hashes) and int(self._hashes[at]) == entity
        sums = panes.sums(int(self._slots[at]), window_s, end_s) if found else np.zeros(len(MEASURES), np.int64)
        return Usage(panes.first_pane(end_s, window_s) * panes.pane_s, end_s, measured(sums))

    def rest(self, window_s: int, end_s: int) -> Usage:
        """The window of all who had to go, before they went."""
        panes = next(p for p in self._panes if window_s <= p.window_s)
        sums = panes.sums(REST, window_s, end_s)
        return Usage(panes.first_pane(end_s, window_s) * panes.pane_s, end_s, measured(sums))

    def live(self, end_s: int) -> int:
        """Entities seen in the longest window."""
        return int((self._last_s >= end_s - WINDOWS_S[-1]).sum())

    def _slots_of(self, hashes: U64) -> I64:
        at = searched(self._hashes, hashes)
        known = np.append(self._hashes, np.uint64(0))[at] == hashes  # no hash is 0
        if known.all():
            return self._slots[at]
        new = hashes[~known]
        new = np.sort(new[firsts(new)])
        count = len(self._last_s)
        at = searched(self._hashes, new)
        self._hashes = np.insert(self._hashes, at, new)
        self._slots = np.insert(self._slots, at, np.arange(count, count + len(new)))
        self._last_s = np.append(self._last_s, np.full(len(new), NEVER))
        self._weight = np.append(self._weight, np.zeros(len(new), np.int64))
        return self._slots[searched(self._hashes, hashes)]

    def evict(self, end_s: int, alive: U64, rows_max: int) -> None:
        """Let those idle past every window go, and where that gives too little room, those least worth keeping."""
        rows = np.sum([panes.each(len(self._last_s)) for panes in self._panes], axis=0)[self._slots]
        last_s = self._last_s[self._slots]
        kept = last_s >= end_s - WINDOWS_S[-1] - PANE_S[-1]
        live = np.flatnonzero(kept)
        full = len(self) > self._entities_max and len(live) > self._entities_max * _FULL
        if full or int(rows[live].sum()) > rows_max:
            weight = self._weight[self._slots[live]]
            evidence = np.isin(self._hashes[live], alive).astype(np.float64)
            none = np.zeros(len(live), np.bool_)
            size = min(self._entities_max, len(live) * rows_max // max(1, int(rows[live].sum())))
            by_worth = eviction.order(self._hashes[live], weight, last_s[live], evidence, none, size)
            self._weight[self._slots[live]] = weight
            fits = int(np.searchsorted(np.cumsum(rows[live][by_worth]), rows_max, "right"))
            kept[live[by_worth[min(fits, int(self._entities_max * eviction.LEAVE)) :]]] = False
            self.evicted += len(live) - int(kept.sum())
        self._keep(kept)
        self.rows_at_most = self.rows()

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        stay = np.sort(self._slots[kept])
        slot_of = np.zeros(len(self._last_s), np.int64)  # who goes becomes the rest
        slot_of[stay] = np.arange(1, len(stay) + 1)
        self._hashes, self._slots = self._hashes[kept], slot_of[self._slots[kept]]
        self._last_s = np.append(NEVER, self._last_s[stay])
        self._weight = np.append(0, self._weight[stay])
        for panes in self._panes:
            panes.keep(slot_of)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot."""
        arrays: dict[str, NDArray[np.generic]] = {
            "hashes": self._hashes, "slots": self._slots, "last_s": self._last_s, "weight": self._weight,
            "evicted": np.array([self.evicted, self.rows_at_most]),
        }  # fmt: skip
        for window in self._panes:
            parts = [(p, s, m) for p, rows in sorted(window.parts.items()) for s, m in rows]
            arrays[f"slot{window.window_s}"] = np.concatenate([s for _, s, _ in parts] or [np.empty(0, np.int64)])
            arrays[f"pane{window.window_s}"] = np.concatenate(
                [np.full(len(s), p * window.pane_s) for p, s, _ in parts] or [np.empty(0, np.int64)]
            )
            arrays[f"rows{window.window_s}"] = np.concatenate(
                [m for *_, m in parts] or [np.empty((0, len(MEASURES)), np.int64)]
            )
        return arrays

    @classmethod
    def restore(cls, entities_max: int, arrays: dict[str, NDArray[np.generic]], end_s: int) -> KindWindows:
        """The inverse of `arrays`."""
        made = cls(entities_max)
        made._hashes, made._slots = arrays["hashes"].astype(np.uint64), arrays["slots"].astype(np.int64)
        made._last_s, made._weight = arrays["last_s"].astype(np.int64), arrays["weight"].astype(np.int64)
        made.evicted, made.rows_at_most = (int(v) for v in arrays["evicted"])
        for panes in made._panes:
            slots, pane_s, rows = (arrays[f"{name}{panes.window_s}"].astype(np.int64) for name in _ARRAYS)
            panes.add(slots, pane_s, rows, end_s)
        return made


class Windows:
    """Windows of every kind, the newest event time they have seen, and exact totals since the beginning."""

    def __init__(self, entities_max: int, rows_max: int = ROWS_MAX) -> None:
        """At most so many entities of each kind, and rows of all kinds."""
        self._entities_max, self._rows_max = entities_max, rows_max
        self._kinds = {kind: KindWindows(entities_max) for kind in Kind}
        self._end_s = 0
        self.totals = np.zeros((len(Kind), len(MEASURES)), np.int64)

    def fits(self, rows: int) -> bool:
        """Whether so many more rows can push nobody out: then it does not matter how they are dealt out over calls."""
        return self._most_rows() + len(_HELD) * rows <= self._rows_max and all(
            len(windows) + rows <= self._entities_max for windows in self._kinds.values()
        )

    def add(self, blocks: Sequence[pa.RecordBatch], ts_ms_max: int, alive: Alive = nobody) -> None:
        """Count rows (`schemas.usage.COUNTS`) of several blocks, and how far event time has come."""
        kind, hashes, pane_s = (_joined(blocks, name) for name in ("kind", "hash", "pane_s"))
        measures = _matrix(blocks)
        self._end_s = max(self._end_s, ts_ms_max // 1000 + 1)
        recent = pane_s >= self._end_s - WINDOWS_S[-1] - PANE_S[-1]
        for each, windows in self._kinds.items():
            of_kind = kind == each
            self.totals[each] += measures[of_kind].sum(axis=0)
            at = np.flatnonzero(recent & of_kind)
            windows.add(hashes[at], pane_s[at], measures[at], self._end_s, partial(alive, each))
        self._bound_rows(alive)

    def _bound_rows(self, alive: Alive) -> None:
        """Merge and count the rows of kinds, and where that gives too little room, let entities go: most rows first."""
        if self._most_rows() <= self._rows_max:
            return
        for kind, windows in self._kinds.items():
            windows.evict(self._end_s, alive(kind), windows.rows_at_most)
        while (held := self._most_rows()) > self._rows_max * _FULL:
            kind = max(Kind, key=lambda k: self._kinds[k].rows_at_most)
            rows = self._kinds[kind].rows_at_most
            too_many = held - int(self._rows_max * eviction.LEAVE)
            self._kinds[kind].evict(self._end_s, alive(kind), max(rows - too_many, rows // 2))

    def _most_rows(self) -> int:
        return sum(windows.rows_at_most for windows in self._kinds.values())

    def live(self) -> int:
        """Addresses and keys with a decision in the longest window."""
        return sum(self._kinds[kind].live(self._end_s) for kind in (Kind.IP, Kind.KEY))

    def usage(self, kind: Kind, entity: int, window_s: int) -> Usage:
        """What an entity did in the last `window_s` (one of `WINDOWS_S`) seconds of event time."""
        return self._kinds[kind].usage(entity, window_s, self._end_s)

    def rest(self, kind: Kind, window_s: int) -> Usage:
        """What all entities of a kind did that had to go, before they went."""
        return self._kinds[kind].rest(window_s, self._end_s)

    def entities(self) -> dict[Kind, int]:
        """Number of entities held, by kind."""
        return {kind: len(windows) for kind, windows in self._kinds.items()}

    def rows(self) -> int:
        """Rows held, of all kinds."""
        return sum(windows.rows() for windows in self._kinds.values())

    def evicted(self) -> dict[Kind, int]:
        """Entities that had to go while still inside a window, by kind."""
        return {kind: windows.evicted for kind, windows in self._kinds.items()}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot."""
        arrays: dict[str, NDArray[np.generic]] = {"totals": self.totals, "end_s": np.array([self._end_s])}
        for kind, windows in self._kinds.items():
            arrays |= {f"{kind.name}.{name}": array for name, array in windows.arrays().items()}
        return arrays

    @classmethod
    def restore(cls, entities_max: int, arrays: dict[str, NDArray[np.generic]], rows_max: int = ROWS_MAX) -> Windows:
        """The inverse of `arrays`."""
        made = cls(entities_max, rows_max)
        made.totals, made._end_s = arrays["totals"].astype(np.int64), int(arrays["end_s"][0])
        for kind in Kind:
            prefix = f"{kind.name}."
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            made._kinds[kind] = KindWindows.restore(entities_max, own, made._end_s)
        return made


def measured(sums: I64) -> tuple[int | float, ...]:
    """Sums as `MEASURES` states them: latency in milliseconds."""
    return tuple(int(v) / LATENCY_STEPS if i == _LATENCY else int(v) for i, v in enumerate(sums))


def _joined(blocks: Sequence[pa.RecordBatch], name: str) -> NDArray[Any]:
    return np.concatenate([block.column(name).to_numpy(zero_copy_only=False) for block in blocks])


def _matrix(blocks: Sequence[pa.RecordBatch]) -> I64:
    first = _joined(blocks, MEASURES[0])
    out = np.empty((len(first), len(MEASURES)), np.int64)
    for i, name in enumerate(MEASURES):
        column = _joined(blocks, name) if i else first
        out[:, i] = np.rint(column.astype(np.float64) * LATENCY_STEPS) if i == _LATENCY else column
    return out
