"""What is kept about each owner: evidence, own history, counts. Plain arrays, a slot an owner, and not too many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import eviction
from detectors.columns import KINDS_N
from detectors.compiled import ordered, searched
from detectors.families import HOUR_S
from detectors.features import COUNTS, TAUS_S
from detectors.tracks import LEAVE, Tracks, moved, of_somebody, renumber

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Slots = NDArray[np.intp]
RESERVED: Final = KINDS_N  # slots below stand for one never seen, of each kind
IDLE_MS: Final = 6 * HOUR_S * 1000
ESTABLISHED_N: Final = 20
ESTABLISHED_MS: Final = HOUR_S * 1000
YOUNG: Final = (
    "counted",
    "credential",
    "accounts",
    "fell",
    "strange",
    "pages",
    "missed",
    "last",
    "agent",
    "polls",
    "polled_ms",
    "turned",
)  # columns that states kept before they were lack
YOUNG_MS: Final = HOUR_S * 500  # before that nobody is established


def established_ms(age_ms: int) -> int:
    """How long who is established has been here: an hour, or half of the time in which anybody was known."""
    return min(ESTABLISHED_MS, age_ms // 2) if age_ms >= YOUNG_MS else ESTABLISHED_MS


@dataclass(slots=True)
class Columns:
    """One row a slot. Families stand on the second axis, (marks, non-marks) on the third."""

    key: U64  # owner hash
    kind: NDArray[np.uint8]
    entity: U64
    born_ms: I64
    last_ms: I64
    seen: I64  # requests in this life
    weight: I64  # of them, what purges did not take off: who weighs something is a heavy hitter
    good: I64  # of them answered below 400
    established: NDArray[np.bool_]
    alarmed: NDArray[np.bool_]  # since the last commit
    fail_ms: I64  # last failed login
    polls: I64  # failures without a name, at the pace of a device that waits (`detectors.waits`)
    polled_ms: I64  # the last failure without a name
    refused_s: I64  # last pane with a refusal
    credential: U64  # that it was refused with (`detectors.credential`)
    accounts: I64  # that were answered well here in the last hours (`detectors.doubt`)
    fell: I64  # of them that failed since, anew each hour; and failures of accounts that were not here
    strange: I64
    pages: I64  # new to it, that it found in the last hours as others had; and those it found not there
    missed: I64
    route: U64  # of the row before
    last: U64  # its path
    agent: U64  # its user agent
    turned: NDArray[np.bool_]  # whether it ever asked for another path than the one before (`detectors.senders`)
    odd_minute: I64  # last minute in which the forest was asked
    path: U64  # of the row before
    gap_ms: I64  # when that was
    hop: I64  # ten seconds that `recent` stands at
    hop_route: U64  # of its last row
    asked: NDArray[np.bool_]  # whether the forest was asked at `hop`
    recent: F64  # counts that fade, by (count, time constant)
    habit: F64  # requests, fading over hours
    shown: F64  # what its samples in the forest's control group weigh, at `shown_hop` on `shown_route`
    shown_hop: I64
    shown_route: U64
    at: I32  # row of `tracks` by family, 0 where nothing stands
    tracks: Tracks
    own: F32
    hour: F32
    p0: F64  # null by family (marks a second, for rates), fixed for the hour
    counted: NDArray[np.bool_]  # in the day of `drift`

    @staticmethod
    def blank(size: int, families: int, tracks: Tracks | None = None) -> Columns:
        """`size` slots of nothing. What stands against them is to be in `tracks`, or in some of their own."""
        i8, flag = np.int64, np.bool_
        one = {
            name: np.zeros(size, i8)
            for name in (
                *("born_ms", "last_ms", "seen", "weight", "good", "accounts", "fell", "strange", "pages", "missed"),
                *("fail_ms", "refused_s", "odd_minute", "gap_ms", "hop", "shown_hop", "polls", "polled_ms"),
            )
        }
        return Columns(
            key=np.zeros(size, np.uint64),
            kind=np.zeros(size, np.uint8),
            entity=np.zeros(size, np.uint64),
            route=np.zeros(size, np.uint64),
            last=np.zeros(size, np.uint64),
            agent=np.zeros(size, np.uint64),
            path=np.zeros(size, np.uint64),
            credential=np.zeros(size, np.uint64),
            hop_route=np.zeros(size, np.uint64),
            shown_route=np.zeros(size, np.uint64),
            habit=np.zeros(size),
            shown=np.zeros(size),
            established=np.zeros(size, flag),
            alarmed=np.zeros(size, flag),
            turned=np.zeros(size, flag),
            asked=np.ones(size, flag),
            recent=np.zeros((size, len(COUNTS), len(TAUS_S))),
            at=np.zeros((size, families), np.int32),
            tracks=Tracks(size) if tracks is None else tracks,
            own=np.zeros((size, families, 2), np.float32),
            hour=np.zeros((size, families, 2), np.float32),
            p0=np.full((size, families), 0.5),
            counted=np.zeros((size, families), flag),
            **one,
        )

    def standing(self, used: int) -> tuple[Slots, Slots, I32]:
        """Slot, family and row of what stands against the first `used` slots, in their order."""
        slot, family = np.nonzero(self.at[:used])
        return slot, family, self.at[slot, family]

    def track(self, slot: int, family: int) -> int:
        """The row of an owner and family, made where there is none, whatever room there is."""
        if not self.at[slot, family]:
            self.at[slot, family] = self.tracks.make(1)[0]
        return int(self.at[slot, family])


ARRAYS: Final = tuple(f.name for f in fields(Columns) if f.name != "tracks")


def had_past(c: Columns, slot: int, crossed_s: int) -> bool:
    """Whether an owner that crossed in this pane was established then, whatever it has become since."""
    return bool(c.established[slot]) and crossed_s * 1000 - int(c.born_ms[slot]) > ESTABLISHED_MS


class Entities:
    """Slots by owner hash: a sorted index beside the columns. More than `size_max` only until `purge`, after a pane."""

    def __init__(self, size_max: int, families: int) -> None:
        self.size_max = size_max
        self.families = families
        self.c = Columns.blank(256, families, Tracks(size_max))
        self.c.kind[:RESERVED] = np.arange(RESERVED)
        self.used = RESERVED
        self.evicted = 0
        self.born_s = 0  # the first pane with anybody
        self.early_s = 0  # when it was last asked who is established already (`learn.early`)
        self._keys: U64 = np.empty(0, np.uint64)
        self._slots: Slots = np.empty(0, np.intp)

    def find(self, owners: U64, kinds: NDArray[np.uint8]) -> Slots:
        """Slot of each owner; those never seen get the reserved slot of their kind."""
        at = searched(self._keys, owners)
        at[at == len(self._keys)] = 0
        out = kinds.astype(np.intp)
        if len(self._keys):
            known = self._keys[at] == owners
            out[known] = self._slots[at[known]]
        return out

    def place(self, owners: U64, kinds: NDArray[np.uint8], entities: U64, first_ms: I64) -> Slots:
        """Slot of each owner (distinct, sorted), made where there is none."""
        slots = self.find(owners, kinds)
        new = np.flatnonzero(slots < RESERVED)
        if not len(new):
            return slots
        self._reserve(self.used + len(new))
        made = np.arange(self.used, self.used + len(new))
        self.used += len(new)
        c = self.c
        c.key[made], c.kind[made], c.entity[made] = owners[new], kinds[new], entities[new]
        c.born_ms[made] = c.last_ms[made] = first_ms[new]
        c.p0[made] = c.p0[kinds[new]]
        slots[new] = made
        at = np.searchsorted(self._keys, owners[new])
        self._keys, self._slots = np.insert(self._keys, at, owners[new]), np.insert(self._slots, at, made)
        return slots

    def drop_idle(self, now_ms: int) -> None:
        """Forget owners idle for six hours."""
        keep = self.c.last_ms[: self.used] > now_ms - IDLE_MS
        keep[:RESERVED] = True
        if not keep.all():
            self._keep(np.flatnonzero(keep))

    def purge(self, evidence: F64) -> None:
        """Let those least worth keeping go where there are more than `size_max`, given the evidence of each slot."""
        if self.used <= self.size_max:
            return
        who, c = slice(RESERVED, self.used), self.c
        room = eviction.Room(int(self.size_max * eviction.LEAVE))
        stay = eviction.staying(
            c.key[who], c.weight[who], c.last_ms[who], evidence[who], c.established[who], self.size_max, room
        )
        self.evicted += self.used - RESERVED - len(stay)
        self._keep(np.concatenate([np.arange(RESERVED), stay + RESERVED]))

    def _keep(self, rows: Slots) -> None:
        """Only these slots, ascending. Memory that has been touched once is used again."""
        none, n = Columns.blank(1, self.families), len(rows)
        for name in ARRAYS:
            column = getattr(self.c, name)
            moved(column.view(np.uint8).reshape(len(column), -1), rows)
            column[n : self.used] = getattr(none, name)
        self.used = n
        self._index()
        self._left(of_somebody(self.c.at[:n], self.c.tracks.used))

    def settle(self) -> None:
        """Let rows of `tracks` go that say nothing any more."""
        self._left(self.c.tracks.anything())

    def forget(self, slot: Slots, family: Slots, worth: F64) -> None:
        """Let that go which least stands in, where more stands than there is room for. `worth`: of all that stands."""
        tracks = self.c.tracks
        if len(tracks) <= tracks.room:
            return
        stay, at = np.zeros(tracks.used, np.bool_), self.c.at[slot, family]
        stay[at[np.lexsort((family, self.c.key[slot], -worth))[: int(tracks.room * LEAVE)]]] = True
        self._left(stay)

    def _left(self, stay: NDArray[np.bool_]) -> None:
        renumber(self.c.at[: self.used], self.c.tracks.keep(stay))

    def _reserve(self, size: int) -> None:
        have = len(self.c.key)
        if size <= have:
            return
        grown = Columns.blank(max(size, min(2 * have, self.size_max * 3 // 2)), self.families, self.c.tracks)
        for name in ARRAYS:
            getattr(grown, name)[: self.used] = getattr(self.c, name)[: self.used]
        self.c = grown

    def _index(self) -> None:
        keys = self.c.key[RESERVED : self.used]
        order = ordered(keys)
        self._keys, self._slots = keys[order], (order + RESERVED).astype(np.intp)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """State as plain arrays."""
        state: dict[str, NDArray[np.generic]] = {
            f"entities.{name}": getattr(self.c, name)[: self.used].copy() for name in ARRAYS if name != "at"
        }
        state |= self.c.tracks.arrays(self.c.at[: self.used])
        state["entities.evicted"] = np.array(self.evicted)
        state["entities.clock"] = np.array([self.born_s, self.early_s], np.int64)
        return state

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.used = len(arrays["entities.key"])
        self.c = Columns.blank(max(256, self.used), self.families, Tracks(self.size_max))
        for name in ARRAYS:
            if name != "at" and (name not in YOUNG or f"entities.{name}" in arrays):
                getattr(self.c, name)[: self.used] = arrays[f"entities.{name}"]
        self.c.tracks.restore(self.c.at, arrays)
        self.evicted = int(arrays["entities.evicted"])
        long_ago = np.array([1, 0])  # states kept before this was
        self.born_s, self.early_s = (int(v) for v in arrays.get("entities.clock", long_ago))
        self._index()
