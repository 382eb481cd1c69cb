"""What each entity did in the last 10, 60, 600 and 3600 seconds of event time, exact to the decision.

An entity has a slot, a pane the rows of slots that were added to it (`stream.rings`); who asks has them added up. Late
rows join their own pane while it is inside a window; rows older than that count in `totals` only. Entities and their
rows are bounded per kind (`detectors.eviction` says who stays). What those who went had done stays in one slot for them
all, the rest: the windows of those held and of the rest add up to what was decided.
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
from detectors.columns import Flows
from schemas.usage import MEASURES, Block, Kind, What
from stream import compiled, snapshot
from stream.distinct import BYTES_MAX as DISTINCT_BYTES_MAX
from stream.distinct import Distinct
from stream.grouping import I64, U64
from stream.kind_windows import FULL, LATENCY, LATENCY_STEPS, KindWindows, Usage
from stream.panes import SUMS
from stream.rings import HELD_S, begins_s

F64 = NDArray[np.float64]
ROWS_MAX: Final = 4_000_000
GAPS_MIN: Final = 2  # before one can be said to be as long as the other

Alive = Callable[[Kind], U64]
"""Hashes of the entities of a kind that must stay: attackers."""


def nobody(_: Kind) -> U64:
    """No entity has to stay."""
    return np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Pace:
    """How entities' requests follow each other in a window: gaps between them, their mean, and how much they differ.

    `variation` is the gaps' standard deviation over their mean: 0 of a machine that keeps time, 1 of independent
    requests, more of bursts; NaN of fewer than two gaps. Gaps inside one pane count as equal, so it is never too high.
    """

    gaps: I64
    mean_ms: F64
    variation: F64


class Windows:
    """Windows of every kind, the newest event time they have seen, and exact totals since the beginning.

    Questions take hashes of entities of one kind, any number of them, and a window (one of `rings.WINDOWS_S`); one
    that is not held has done nothing.
    """

    def __init__(
        self, entities_max: int, rows_max: int = ROWS_MAX, distinct_bytes_max: int = DISTINCT_BYTES_MAX
    ) -> None:
        """At most so many entities of each kind, rows of all kinds, and bytes of distinct values."""
        self._entities_max, self._rows_max = entities_max, rows_max
        self._kinds = {kind: KindWindows(entities_max) for kind in Kind}
        self._distinct = Distinct(distinct_bytes_max)
        self._end_s = 0
        self.totals = np.zeros((len(Kind), len(MEASURES)), np.int64)

    def fits(self, rows: int, marks: int) -> bool:
        """Whether so many more rows, and marks of distinct values, can push nobody out.

        Then it does not matter how they are dealt out over calls.
        """
        return (
            self._most_rows() + rows <= self._rows_max
            and all(len(windows) + rows <= self._entities_max for windows in self._kinds.values())
            and self._distinct.fits(marks)
        )

    def add(self, blocks: Sequence[pa.RecordBatch], ts_ms_max: int, alive: Alive = nobody) -> None:
        """Count rows (`schemas.usage.COUNTS`) of several blocks, and how far event time has come."""
        place, begins = compiled.sorted_places(_joined(blocks, "kind"), len(Kind))
        rows, hashes, pane_s = compiled.laid(place, _columns(blocks)), np.empty_like(place), np.empty_like(place)
        hashes[place], pane_s[place] = _joined(blocks, "hash").view(np.int64), _joined(blocks, "pane_s")
        self._end_s = max(self._end_s, ts_ms_max // 1000 + 1)
        recent = pane_s >= self._end_s - HELD_S
        for kind, windows in self._kinds.items():
            of_kind = slice(int(begins[kind]), int(begins[kind + 1]))
            self.totals[kind] += compiled.totalled(rows[of_kind], SUMS)
            some = of_kind if recent[of_kind].all() else of_kind.start + np.flatnonzero(recent[of_kind])
            windows.add(hashes[some].view(np.uint64), pane_s[some], rows[some], self._end_s, partial(alive, kind))
        self._bound_rows(alive)

    def see(self, seen: Sequence[tuple[Flows, Block]], alive: Alive = nobody) -> None:
        """Take in what is distinct in blocks, each beside its flows as read."""
        self._distinct.see(seen, alive)

    def _bound_rows(self, alive: Alive) -> None:
        """Merge and count the rows of kinds, and where that gives too little room, let entities go: most rows first."""
        if self._most_rows() <= self._rows_max:
            return
        for kind, windows in self._kinds.items():
            windows.evict(self._end_s, alive(kind), windows.rows_at_most)
        while (held := self._most_rows()) > self._rows_max * FULL:
            kind = max(Kind, key=lambda k: self._kinds[k].rows_at_most)
            rows = self._kinds[kind].rows_at_most
            too_many = held - int(self._rows_max * eviction.LEAVE)
            self._kinds[kind].evict(self._end_s, alive(kind), max(rows - too_many, rows // 2))

    def _most_rows(self) -> int:
        return sum(windows.rows_at_most for windows in self._kinds.values())

    def live(self) -> int:
        """Addresses and keys with a decision in the last ten minutes."""
        return sum(self._kinds[kind].live(self._end_s) for kind in (Kind.IP, Kind.KEY))

    def counts(self, kind: Kind, entities: U64, window_s: int) -> I64:
        """`MEASURES` of each, exact; latency in 1/1024 ms."""
        slots, which = self._slots(kind, entities)
        return self._kinds[kind].sums(slots, window_s, self._end_s)[which, :SUMS]

    def pace(self, kind: Kind, entities: U64, window_s: int) -> Pace:
        """How regularly each asks."""
        slots, which = self._slots(kind, entities)
        gaps, total_ms, squares = self._kinds[kind].paces(slots, window_s, self._end_s)[which].T
        known = np.maximum(gaps, 1)
        mean_ms = total_ms / known
        spread_ms = np.sqrt(np.maximum(squares / known - mean_ms**2, 0))
        variation = np.where(gaps >= GAPS_MIN, spread_ms / np.maximum(mean_ms, 1e-9), np.nan)
        return Pace(gaps.astype(np.int64), mean_ms, variation)

    def first_seen_ms(self, kind: Kind, entities: U64) -> I64:
        """Event time of the first request of each, since it is held (an hour after its last it is not); 0: not held."""
        return self._kinds[kind].first_ms(self._kinds[kind].find(entities))

    def distinct(self, kind: Kind, entities: U64, what: What, window_s: int) -> F64:
        """How many different addresses, users, routes, paths or user agents were in the requests of each.

        Exact of who never had more than `usage.ITEMS_EXACT_MAX` in an hour since it was silent for one, else estimated
        (`cells.ERROR`).
        `uniques.COUNTED` says what is counted of which kind.
        """
        return self._distinct.count(kind, entities, what, begins_s(window_s, self._end_s))

    def answers_bits(self, kind: Kind, entities: U64, window_s: int) -> F64:
        """Entropy of what came of the requests of each, in bits: 0 where it was always the same, at most `log2(7)`."""
        n = dict(zip(MEASURES, self.counts(kind, entities, window_s).T, strict=True))
        failed = [n[name] for name in ("auth_failed", "client_error", "server_error")]
        fine = n["allowed"] - sum(failed)
        each = np.stack([fine, *failed, n["limited"], n["denied"], n["challenged"]], axis=1)
        share = each / np.maximum(each.sum(axis=1, keepdims=True), 1)
        bits: F64 = -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)
        return np.maximum(bits, 0)

    def _slots(self, kind: Kind, entities: U64) -> tuple[I64, NDArray[np.intp]]:
        """The distinct slots, and which of them each entity's is."""
        slots, which = np.unique(self._kinds[kind].find(entities), return_inverse=True)
        return slots, which

    def usage(self, kind: Kind, entity: int, window_s: int) -> Usage:
        """`counts` of one entity, and the panes they are of."""
        return self._kinds[kind].usage(entity, window_s, self._end_s)

    def rest(self, kind: Kind, window_s: int) -> Usage:
        """What all entities of a kind did that had to go, before they went."""
        return self._kinds[kind].rest(window_s, self._end_s)

    def entities(self) -> dict[Kind, int]:
        """Number of entities held, by kind."""
        return {kind: len(windows) for kind, windows in self._kinds.items()}

    def distinct_bytes(self) -> int:
        """What distinct values take."""
        return self._distinct.bytes()

    def rows(self) -> int:
        """Rows held, of all kinds."""
        return sum(windows.rows() for windows in self._kinds.values())

    def evicted(self) -> dict[Kind, int]:
        """Entities that had to go while still inside a window, by kind."""
        return {kind: windows.evicted for kind, windows in self._kinds.items()}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot."""
        arrays: dict[str, NDArray[np.generic]] = {"totals": self.totals, "end_s": np.array([self._end_s])}
        arrays |= {f"distinct.{name}": array for name, array in self._distinct.arrays().items()}
        for kind, windows in self._kinds.items():
            arrays |= {f"{kind.name}.{name}": array for name, array in windows.arrays().items()}
        return arrays

    @classmethod
    def restore(
        cls,
        entities_max: int,
        arrays: dict[str, NDArray[np.generic]],
        rows_max: int = ROWS_MAX,
        distinct_bytes_max: int = DISTINCT_BYTES_MAX,
    ) -> Windows:
        """The inverse of `arrays`."""
        made = cls(entities_max, rows_max, distinct_bytes_max)
        made._distinct = Distinct.restore(distinct_bytes_max, snapshot.under(arrays, "distinct."))
        made.totals, made._end_s = arrays["totals"].astype(np.int64), int(arrays["end_s"][0])
        for kind in Kind:
            made._kinds[kind] = KindWindows.restore(entities_max, snapshot.under(arrays, f"{kind.name}."))
        return made


def _joined(blocks: Sequence[pa.RecordBatch], name: str) -> NDArray[Any]:
    return np.concatenate([block.column(name).to_numpy(zero_copy_only=False) for block in blocks])


def _columns(blocks: Sequence[pa.RecordBatch]) -> tuple[I64, ...]:
    """The columns of rows as `stream.panes` holds them."""
    columns = [_joined(blocks, name) for name in (*MEASURES, "first_ms", "last_ms")]
    columns[LATENCY] = np.rint(columns[LATENCY] * LATENCY_STEPS).astype(np.int64)
    return tuple(columns)
