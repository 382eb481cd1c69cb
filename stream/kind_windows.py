"""Windows of all entities of one kind: a slot an entity, and its rows in rings of panes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import eviction
from detectors.compiled import within
from schemas.usage import MEASURES
from stream import compiled
from stream.grouping import I64, U64
from stream.panes import FIRST, REST, SUMS
from stream.rings import HELD_S, Rings, begins_s
from stream.slots import Slots

LATENCY_STEPS: Final = 1024  # latency is summed in whole 1/1024 ms, so that order does not matter
LATENCY: Final = MEASURES.index("latency_ms_sum")
NEVER: Final = np.iinfo(np.int64).min
UNSEEN: Final = np.iinfo(np.int64).max
LIVE_S: Final = 600  # who has asked in so many seconds is live
FULL: Final = 7 / 8  # of the bound: when those idle have gone and more are still held, others go too


@dataclass(frozen=True, slots=True)
class Usage:
    """What one entity did in panes [from_s, until_s); `measures` in the order of `schemas.usage.MEASURES`."""

    from_s: int
    until_s: int
    measures: tuple[int | float, ...]


class KindWindows:
    """At most `entities_max` entities; what those did who had to go stays in one slot, the rest."""

    def __init__(self, entities_max: int) -> None:
        self._entities_max = entities_max
        self._slots = Slots()
        self._first_ms = np.array([UNSEEN])  # by slot, with room: its first request, as far as it is held
        self._last_s = np.array([NEVER])  # by slot: the newest pane of its rows
        self._weight = np.zeros(1, np.int64)  # by slot: requests, less what purges took off
        self._rings = Rings()
        self.rows_at_most = 0  # told exactly by `evict` alone, so that it follows from what was added
        self.evicted = 0

    def __len__(self) -> int:
        """Number of entities held."""
        return len(self._slots) - 1

    def held(self) -> U64:
        """Hashes of the entities held."""
        return self._slots.hashes

    def rows(self) -> int:
        """Rows held, of all panes."""
        return len(self._rings)

    def add(self, hashes: U64, pane_s: I64, rows: I64, end_s: int, alive: Callable[[], U64]) -> None:
        """Rows (`stream.panes`) of entities."""
        self._rings.advance(end_s)
        if not len(hashes):
            return
        slots = self._slots.place(hashes)
        self._reserve(len(self._slots))
        compiled.noted(slots, pane_s, rows, FIRST, (self._last_s, self._first_ms, self._weight))
        self._rings.add(slots, pane_s, rows, end_s)
        self.rows_at_most += len(slots)
        if len(self) > self._entities_max:
            self.evict(end_s, alive(), self.rows_at_most)

    def find(self, entities: U64) -> I64:
        """The slot of each entity, -1 where it is not held."""
        return self._slots.find(entities)

    def sums(self, slots: I64, window_s: int, end_s: int) -> I64:
        """Rows of a window added up for each of some distinct slots (-1: nobody)."""
        return self._rings.sums(slots, len(self._slots), window_s, end_s)

    def paces(self, slots: I64, window_s: int, end_s: int) -> NDArray[np.float64]:
        """Gaps between requests in a window of each of some distinct slots: number, sum in ms, sum of squares."""
        return self._rings.paces(slots, len(self._slots), window_s, end_s)

    def first_ms(self, slots: I64) -> I64:
        """The first request of each of some slots; 0 for nobody."""
        return np.where(slots < 0, 0, self._first_ms[slots])

    def usage(self, entity: int, window_s: int, end_s: int) -> Usage:
        """The window of one entity; all zero for one not seen in it."""
        return self._usage(self.find(np.array([entity], np.uint64)), window_s, end_s)

    def rest(self, window_s: int, end_s: int) -> Usage:
        """The window of all who had to go, before they went."""
        return self._usage(np.array([REST]), window_s, end_s)

    def _usage(self, slot: I64, window_s: int, end_s: int) -> Usage:
        return Usage(begins_s(window_s, end_s), end_s, measured(self.sums(slot, window_s, end_s)[0, :SUMS]))

    def live(self, end_s: int) -> int:
        """Entities seen in ten minutes."""
        return int((self._last_s[: len(self._slots)] >= end_s - LIVE_S).sum())

    def _reserve(self, slots: int) -> None:
        have = len(self._last_s)
        if slots > have:
            more = max(slots, 2 * have) - have
            self._first_ms = np.append(self._first_ms, np.full(more, UNSEEN))
            self._last_s = np.append(self._last_s, np.full(more, NEVER))
            self._weight = np.append(self._weight, np.zeros(more, np.int64))

    def evict(self, end_s: int, alive: U64, rows_max: int) -> None:
        """Let those idle past every window go, and where that gives too little room, those least worth keeping."""
        count = len(self._slots)
        rows = self._rings.each(count)[1:]
        last_s, weights = self._last_s[1:count], self._weight[1:count]
        kept = last_s >= end_s - HELD_S
        live = np.flatnonzero(kept)
        full = len(self) > self._entities_max and len(live) > self._entities_max * FULL
        if full or int(rows[live].sum()) > rows_max:
            hashes, weight = self.held()[live], weights[live]
            evidence = within(hashes, alive).astype(np.float64)
            none = np.zeros(len(live), np.bool_)
            size = min(self._entities_max, len(live) * rows_max // max(1, int(rows[live].sum())))
            room = eviction.Room(int(self._entities_max * eviction.LEAVE), rows[live], rows_max)
            stay = eviction.staying(hashes, weight, last_s[live], evidence, none, size, room)
            weights[live] = weight
            kept[live] = False
            kept[live[stay]] = True
            self.evicted += len(live) - int(kept.sum())
        self._keep(kept)
        self.rows_at_most = self.rows()

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        stay = np.flatnonzero(kept) + 1
        slot_of = np.zeros(len(self._slots), np.int64)  # who goes becomes the rest
        slot_of[stay] = np.arange(1, len(stay) + 1)
        self._slots = Slots(self.held()[kept])
        self._first_ms = np.append(UNSEEN, self._first_ms[stay])
        self._last_s = np.append(NEVER, self._last_s[stay])
        self._weight = np.append(0, self._weight[stay])
        self._rings.keep(slot_of)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything, for a snapshot."""
        count = len(self._slots)
        own: dict[str, NDArray[np.generic]] = {
            "hashes": self.held(), "slots": np.arange(1, count), "first_ms": self._first_ms[:count],
            "last_s": self._last_s[:count], "weight": self._weight[:count],
            "evicted": np.array([self.evicted, self.rows_at_most]),
        }  # fmt: skip
        return own | self._rings.arrays()

    @classmethod
    def restore(cls, entities_max: int, arrays: dict[str, NDArray[np.generic]]) -> KindWindows:
        """The inverse of `arrays`."""
        made = cls(entities_max)
        by_slot = np.empty(len(arrays["hashes"]), np.uint64)
        by_slot[arrays["slots"] - 1] = arrays["hashes"]  # once they stood in another order
        made._slots = Slots(by_slot)
        made._first_ms, made._last_s = arrays["first_ms"].astype(np.int64), arrays["last_s"].astype(np.int64)
        made._weight = arrays["weight"].astype(np.int64)
        made.evicted, made.rows_at_most = (int(v) for v in arrays["evicted"])
        made._rings.restore(arrays)
        return made


def measured(sums: I64) -> tuple[int | float, ...]:
    """Sums as `MEASURES` states them: latency in milliseconds."""
    return tuple(int(v) / LATENCY_STEPS if i == LATENCY else int(v) for i, v in enumerate(sums))
