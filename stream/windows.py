"""Usage of each entity over the last 10, 60 and 600 seconds of event time, exact to the decision.

    pane (1 s)    |..|..|..|..|..|..|..|..|..|..|..|   -> windows of 10 and 60 s
    pane (10 s)   |.............................|..    -> the window of 600 s, which so covers 590 to 600 s
                                                  ^ end: the pane after the newest row

An entity has a slot, a pane the rows of slots that were added to it; who asks has them added up. Late rows join their
own pane while it is inside a window; rows older than that count in `totals` only. Entities are bounded per kind: those
idle longest go first, and how many went is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.usage import MEASURES, Kind
from stream.grouping import I64, U64, Bool

WINDOWS_S: Final = (10, 60, 600)
PANE_S: Final = (1, 1, 10)
_HELD: Final = ((60, 1), (600, 10))  # (window, pane) kept; the panes of 60 s are those of 10 s as well
_ARRAYS: Final = ("slot", "pane", "rows")
MERGE_ROWS_MIN: Final = 4096
MERGE_PARTS_MAX: Final = 256
LATENCY_STEPS: Final = 1024  # latency is summed in whole 1/1024 ms, so that order does not matter
_LATENCY: Final = MEASURES.index("latency_ms_sum")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one entity did in panes [from_s, until_s); `measures` in the order of `schemas.usage.MEASURES`."""

    from_s: int
    until_s: int
    measures: tuple[int | float, ...]


@dataclass(slots=True)
class _Panes:
    """Rows of one kind by pane, as long as they are inside `window_s`: a row a slot, but for those that came last."""

    window_s: int
    pane_s: int
    parts: dict[int, list[tuple[I64, I64]]] = field(default_factory=dict)  # pane -> (slots, measures)

    def first_pane(self, end_s: int, window_s: int) -> int:
        """Number of the oldest pane inside a window, when the newest row's second ends at `end_s`."""
        return -(-end_s // self.pane_s) - window_s // self.pane_s

    def advance(self, end_s: int) -> None:
        """Let panes that have left the window go."""
        first = self.first_pane(end_s, self.window_s)
        for pane in [p for p in self.parts if p < first]:
            del self.parts[pane]

    def add(self, slots: I64, pane_s: I64, measures: I64, end_s: int) -> None:
        """Rows in their own panes; those before the window are left out."""
        panes = pane_s // self.pane_s
        inside = panes >= self.first_pane(end_s, self.window_s)
        if not inside.all():
            slots, panes, measures = slots[inside], panes[inside], measures[inside]
        if not len(slots):
            return
        low, high = int(panes.min()), int(panes.max())
        if low == high:
            self._put(low, slots, measures)
            return
        order = np.argsort(panes, kind="stable")
        starts = np.searchsorted(panes[order], np.arange(low, high + 2))
        for pane, a, b in zip(range(low, high + 1), starts, starts[1:], strict=False):
            if a < b:
                rows = order[a:b]
                self._put(pane, slots[rows], measures[rows])

    def sums(self, slot: int, window_s: int, end_s: int) -> I64:
        """What one slot did in the panes of a window."""
        total = np.zeros(len(MEASURES), np.int64)
        first = self.first_pane(end_s, window_s)
        for pane, parts in self.parts.items():
            if pane >= first:
                for slots, measures in parts:
                    total += measures[slots == slot].sum(axis=0)
        return total

    def keep(self, kept: Bool) -> None:
        """Forget the slots that are not kept and close the gaps."""
        slot_of = np.cumsum(kept) - 1
        for pane, parts in self.parts.items():
            merged = np.concatenate([s for s, _ in parts])
            measures = np.concatenate([m for _, m in parts])
            stays = kept[merged]
            self.parts[pane] = [(slot_of[merged[stays]], measures[stays])]

    def _put(self, pane: int, slots: I64, measures: I64) -> None:
        """Rows of one slot are added up once as many came as there are: seldom, and memory stays bounded."""
        parts = self.parts.setdefault(pane, [])
        parts.append((slots, measures))
        late = sum(len(s) for s, _ in parts[1:])
        if late > max(len(parts[0][0]), MERGE_ROWS_MIN) or len(parts) > MERGE_PARTS_MAX:
            merged = np.concatenate([s for s, _ in parts])
            order = np.argsort(merged, kind="stable")
            merged = merged[order]
            heads = np.flatnonzero(np.diff(merged, prepend=-1))
            rows = np.concatenate([m for _, m in parts])[order]
            self.parts[pane] = [(merged[heads], np.add.reduceat(rows, heads, axis=0))]


class KindWindows:
    """Windows of all entities of one kind."""

    def __init__(self, entities_max: int) -> None:
        self._entities_max = entities_max
        self._hashes = np.empty(0, np.uint64)  # ascending
        self._slots = np.empty(0, np.int64)  # of each of them
        self._last_s = np.empty(0, np.int64)  # by slot: the newest pane of its rows
        self._panes = [_Panes(w, p) for w, p in _HELD]
        self.evicted = 0

    def __len__(self) -> int:
        """Number of entities held."""
        return len(self._hashes)

    def add(self, hashes: U64, pane_s: I64, measures: I64, end_s: int) -> None:
        """Rows of entities that are inside the longest window."""
        for panes in self._panes:
            panes.advance(end_s)
        if not len(hashes):
            return
        slots = self._slots_of(hashes, end_s)
        np.maximum.at(self._last_s, slots, pane_s)
        for panes in self._panes:
            panes.add(slots, pane_s, measures, end_s)

    def usage(self, entity: int, window_s: int, end_s: int) -> Usage:
        """The window of one entity; all zero for one not seen in it."""
        panes = next(p for p in self._panes if window_s <= p.window_s)
        at = int(np.searchsorted(self._hashes, np.uint64(entity)))
        found = at < len(self._hashes) and int(self._hashes[at]) == entity
        sums = panes.sums(int(self._slots[at]), window_s, end_s) if found else np.zeros(len(MEASURES), np.int64)
        return Usage(panes.first_pane(end_s, window_s) * panes.pane_s, end_s, measured(sums))

    def live(self, end_s: int) -> int:
        """Entities seen in the longest window."""
        return int((self._last_s >= end_s - WINDOWS_S[-1]).sum())

    def _slots_of(self, hashes: U64, end_s: int) -> I64:
        at = np.searchsorted(self._hashes, hashes)
        known = np.append(self._hashes, np.uint64(0))[at] == hashes  # no hash is 0
        if known.all():
            return self._slots[at]
        new = np.unique(hashes[~known])
        if len(self._hashes) + len(new) > self._entities_max:
            self._evict(len(new), end_s)
        if len(new):
            count = len(self._last_s)
            at = np.searchsorted(self._hashes, new)
            self._hashes = np.insert(self._hashes, at, new)
            self._slots = np.insert(self._slots, at, np.arange(count, count + len(new)))
            self._last_s = np.append(self._last_s, np.full(len(new), np.iinfo(np.int64).min))
        return self._slots[np.searchsorted(self._hashes, hashes)]

    def _evict(self, room: int, end_s: int) -> None:
        """Make room for so many: idle past every window first, then the longest idle, an eighth at least."""
        idle = self._last_s < end_s - WINDOWS_S[-1] - PANE_S[-1]
        surplus = len(self._last_s) + room - self._entities_max
        go = idle
        if int(idle.sum()) < surplus:
            many = min(len(idle), max(surplus, self._entities_max // 8))
            go = idle.copy()
            go[np.argpartition(self._last_s, many - 1)[:many] if many else []] = True
        self.evicted += int((go & ~idle).sum())
        kept = ~go
        stays = kept[self._slots]
        self._hashes, self._slots = self._hashes[stays], (np.cumsum(kept) - 1)[self._slots[stays]]
        self._last_s = self._last_s[kept]
        for panes in self._panes:
            panes.keep(kept)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot."""
        arrays: dict[str, NDArray[np.generic]] = {
            "hashes": self._hashes, "slots": self._slots, "last_s": self._last_s, "evicted": np.array([self.evicted]),
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
        made._last_s, made.evicted = arrays["last_s"].astype(np.int64), int(arrays["evicted"][0])
        for panes in made._panes:
            slots, pane_s, rows = (arrays[f"{name}{panes.window_s}"].astype(np.int64) for name in _ARRAYS)
            panes.add(slots, pane_s, rows, end_s)
        return made


class Windows:
    """Windows of every kind, the newest event time they have seen, and exact totals since the beginning."""

    def __init__(self, entities_max: int) -> None:
        self._entities_max = entities_max
        self._kinds = {kind: KindWindows(entities_max) for kind in Kind}
        self._end_s = 0
        self.totals = np.zeros((len(Kind), len(MEASURES)), np.int64)

    def add(self, blocks: Sequence[pa.RecordBatch], ts_ms_max: int) -> None:
        """Count rows (`schemas.usage.COUNTS`) of several blocks, and how far event time has come."""
        kind, hashes, pane_s = (_joined(blocks, name) for name in ("kind", "hash", "pane_s"))
        measures = _matrix(blocks)
        self._end_s = max(self._end_s, ts_ms_max // 1000 + 1)
        recent = pane_s >= self._end_s - WINDOWS_S[-1] - PANE_S[-1]
        for each, windows in self._kinds.items():
            of_kind = kind == each
            self.totals[each] += measures[of_kind].sum(axis=0)
            at = np.flatnonzero(recent & of_kind)
            windows.add(hashes[at], pane_s[at], measures[at], self._end_s)

    def live(self) -> int:
        """Addresses and keys with a decision in the longest window."""
        return sum(self._kinds[kind].live(self._end_s) for kind in (Kind.IP, Kind.KEY))

    def usage(self, kind: Kind, entity: int, window_s: int) -> Usage:
        """What an entity did in the last `window_s` (one of `WINDOWS_S`) seconds of event time."""
        return self._kinds[kind].usage(entity, window_s, self._end_s)

    def entities(self) -> dict[Kind, int]:
        """Number of entities held, by kind."""
        return {kind: len(windows) for kind, windows in self._kinds.items()}

    def evicted(self) -> int:
        """Entities that had to go while still inside a window."""
        return sum(windows.evicted for windows in self._kinds.values())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot."""
        arrays: dict[str, NDArray[np.generic]] = {"totals": self.totals, "end_s": np.array([self._end_s])}
        for kind, windows in self._kinds.items():
            arrays |= {f"{kind.name}.{name}": array for name, array in windows.arrays().items()}
        return arrays

    @classmethod
    def restore(cls, entities_max: int, arrays: dict[str, NDArray[np.generic]]) -> Windows:
        """The inverse of `arrays`."""
        made = cls(entities_max)
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
