"""A million actions in the memory of a node: columns of plain numbers, and hashes that find a row. Pure.

    table of a kind of target ── hash of the value ──► row ──► next row on the same target ──► ...
    uids                      ── hash of the uid ────► row
    row:  uid (16 bytes) · ends · hash of the target, and 64 bits of another to be sure · terms · rank · generation

What many actions have in common (kind, route, rule, factor ...) is held once, as `Terms`. Nothing in here is an object
that the garbage collector has to visit, and no table grows by more than a 64th of itself at once: either would stall
the checks of a node that holds a million denials for tens of milliseconds.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from limiter.matcher import Identity
from limiter.orders import NewRate, Order
from limiter.policy import PPM
from schemas.action import ActionKind
from schemas.exempt import Known

NONE: Final = 0  # no row: the first column of each is never used
VICTIMS: Final = 1024
SEEN: Final = (1 << 22) - 1
STATIC: Final = 3  # of the settings: never swept, never counted
AUTOMATIC, BY_PERSON, KEPT = 0, 1, 2
_FREE: Final = 255
_NEVER: Final = (1 << 63) - 1
_64_BITS: Final = (1 << 64) - 1
Shards = list[dict[int, int]]


def new_seen() -> bytearray:
    """Nothing seen yet."""
    return bytearray(SEEN + 1)


class Table:
    """Hash -> first row. Where a request is judged, `find` is written out.

    `seen`, shared by tables, counts keys by their last bits: nearly always it alone tells that nothing is known, in one
    look at 4 MB where a dict of a million would be looked at thrice, in tens.
    """

    __slots__ = ("seen", "shards", "size")

    def __init__(self, seen: bytearray) -> None:
        self.seen = seen
        self.shards: Shards = [{} for _ in range(64)]
        self.size = 0

    def find(self, key: int) -> int:
        """The row at `key` (a hash without its last four bits), or `NONE`."""
        return self.shards[key >> 54].get(key, NONE)

    def put(self, key: int, row: int) -> None:
        """`row` is at `key`; `NONE`: nothing is."""
        shard = self.shards[key >> 54]
        before = len(shard)
        if row == NONE:
            shard.pop(key, None)
        else:
            shard[key] = row
        change = len(shard) - before
        self.size += change
        count = self.seen[key & SEEN]
        if change and count < 255:  # one that is full stays so
            self.seen[key & SEEN] = count + change
        if not self.size:
            self.shards = [{} for _ in range(64)]  # a dict that was emptied keeps its memory


@dataclass(frozen=True, slots=True)
class Terms:
    """What an action has in common with many: where its target is looked up, and everything but who, when and uid."""

    table: Table
    kind: ActionKind
    route: str | None = None
    tier: str | None = None
    known: Known | None = None
    rule: str | None = None
    level: int = 0
    limit: str | None = None
    factor_ppm: int | None = None
    rate: NewRate | None = None

    @classmethod
    def of(cls, one: Order, table: Table) -> Terms:
        """Those of an action whose target is looked up in `table`."""
        spared = one.exempt
        known = None if spared is None else Known.of(spared.by, spared.networks, spared.marks)
        factor_ppm = None if one.factor is None else max(1, round(one.factor * PPM))
        return cls(
            table, one.kind, one.route, one.tier, known, one.rule, one.level or 0, one.limit, factor_ppm, one.rate
        )

    def covers(self, identity: Identity, route: str, tier: str | None) -> bool:
        """Whether a request of whom it is aimed at is one that it holds for."""
        return (
            (self.route is None or self.route == route)
            and (self.tier is None or self.tier == tier)
            and (self.known is None or not self.known.spares(identity.ip, identity.user))
        )


_GONE: Final = Terms(Table(bytearray(1)), ActionKind.NOTICE)


class Entries:
    """Rows of actions by target and by uid."""

    def __init__(self) -> None:
        self._ranked = [0, 0, 0, 0]
        self.marks = 0  # of known good clients, all told
        self.expires_ms = array("q", [_NEVER])
        self.check = array("Q", [0])
        self.next = array("I", [NONE])
        self.rank = array("B", [_FREE])
        self._high = array("Q", [0])
        self._low = array("Q", [0])
        self._key = array("q", [0])
        self._of = array("I", [0])
        self._generation = array("B", [0])
        self._now = 1
        self._uids = Table(new_seen())
        self._texts: dict[int, str] = {}  # uids that are no 32 hex digits
        self._free = array("I")
        self._terms: list[Terms] = []
        self._terms_at: dict[Terms, int] = {}
        self._terms_free: list[int] = []
        self._uses = array("I")
        self._victims: list[tuple[int, int]] = []  # (ends, row), what ends soonest last
        self._victims_rank = AUTOMATIC

    @property
    def count(self) -> int:
        """Rows, without those of the settings."""
        return sum(self._ranked[:STATIC])

    def row(self, uid: str) -> int:
        """Where the action is, or `NONE`."""
        found = self._uids.find(hash(uid) >> 4)
        return found if found and self.uid(found) == uid else NONE

    def uid(self, row: int) -> str:
        """The uid of the action in `row`."""
        return self._texts.get(row) or f"{self._high[row]:016x}{self._low[row]:016x}"

    def terms(self, row: int) -> Terms:
        """The terms of the action in `row`."""
        return self._terms[self._of[row]]

    def on(self, table: Table, key: int, check: int) -> Iterator[int]:
        """Rows on one target."""
        row = table.find(key)
        while row:
            if self.check[row] == check:
                yield row
            row = self.next[row]

    def renew(self, row: int, terms: Terms, key: int, check: int, expires_ms: int) -> bool:
        """Whether `row` is already just this; then it belongs to the newest snapshot."""
        same = (
            self.expires_ms[row] == expires_ms
            and self._key[row] == key
            and self.check[row] == check
            and self.terms(row) == terms
        )
        if same:
            self._generation[row] = self._now
        return same

    def add(self, uid: str, terms: Terms, key: int, check: int, expires_ms: int, rank: int) -> int:
        """A new row; the uid must not be here."""
        row = self._a_row()
        number = _number(uid)
        if number is None:
            self._texts[row] = uid
            number = int.from_bytes(hashlib.blake2b(uid.encode("utf-8", "surrogatepass"), digest_size=16).digest())
        self._high[row], self._low[row] = number >> 64, number & _64_BITS
        self.expires_ms[row], self._key[row], self.check[row] = expires_ms, key, check
        self.rank[row], self._generation[row] = rank, self._now
        self._of[row] = self._intern(terms)
        self.next[row] = terms.table.find(key)
        terms.table.put(key, row)
        uid_key = hash(uid) >> 4
        if clash := self._uids.find(uid_key):  # 60 bits in common, once in a million installations: the older goes
            self.drop(clash)
        self._uids.put(uid_key, row)
        self._ranked[rank] += 1
        return row

    def drop(self, row: int) -> None:
        """The action in `row` is no more."""
        terms, key = self.terms(row), self._key[row]
        before = terms.table.find(key)
        if before == row:
            terms.table.put(key, self.next[row])
        else:
            while self.next[before] != row:
                before = self.next[before]
            self.next[before] = self.next[row]
        self._uids.put(hash(self.uid(row)) >> 4, NONE)
        self._texts.pop(row, None)
        self._release(self._of[row])
        self._ranked[self.rank[row]] -= 1
        self.rank[row], self.expires_ms[row], self.next[row] = _FREE, _NEVER, NONE
        self._free.append(row)

    def ended(self, now_ms: int) -> NDArray[np.int64]:
        """Rows whose action has ended."""
        return np.flatnonzero(np.frombuffer(self.expires_ms, np.int64) <= now_ms)

    def mark(self) -> None:
        """A new snapshot begins: what is put from now on belongs to it."""
        if self._now == 255:
            self._generation = array("B", bytes(len(self._generation)))
            self._now = 0
        self._now += 1

    def unmarked(self) -> NDArray[np.int64]:
        """Rows that do not belong to the newest snapshot."""
        old = np.frombuffer(self._generation, np.uint8) != self._now
        return np.flatnonzero(old & (np.frombuffer(self.rank, np.uint8) < STATIC))

    def victim(self, rank: int) -> int:
        """The row to give way to one of `rank`: of the lowest rank there is, up to that, what ends soonest; or `NONE`.

        It looks for `VICTIMS` at a time: what came in since the last look is passed over.
        """
        lowest = next((one for one in range(rank + 1) if self._ranked[one]), None)
        if lowest is None:
            return NONE
        while True:
            while self._victims and self._victims_rank == lowest:
                ends_ms, row = self._victims.pop()
                if self.expires_ms[row] == ends_ms and self.rank[row] == lowest:
                    return row
            self._look_for_victims(lowest)

    def _look_for_victims(self, rank: int) -> None:
        ends = np.frombuffer(self.expires_ms, np.int64)
        rows = np.flatnonzero(np.frombuffer(self.rank, np.uint8) == rank)
        if len(rows) > VICTIMS:
            rows = rows[np.argpartition(ends[rows], VICTIMS)[:VICTIMS]]
        self._victims = sorted(((int(ends[row]), int(row)) for row in rows), reverse=True)
        self._victims_rank = rank

    def _a_row(self) -> int:
        if self._free:
            return self._free.pop()
        row = len(self.rank)
        for column in (self.expires_ms, self.check, self.next, self.rank, self._high, self._low, self._key, self._of,
                       self._generation):  # fmt: skip
            column.append(0)
        return row

    def _intern(self, terms: Terms) -> int:
        at = self._terms_at.get(terms)
        if at is None:
            if self._terms_free:
                at = self._terms_free.pop()
            else:
                at = len(self._terms)
                self._terms.append(terms)
                self._uses.append(0)
            self._terms[at] = terms
            self._terms_at[terms] = at
            self.marks += len(terms.known.marks) if terms.known else 0
        self._uses[at] += 1
        return at

    def _release(self, at: int) -> None:
        self._uses[at] -= 1
        if self._uses[at]:
            return
        terms = self._terms[at]
        del self._terms_at[terms]
        self._terms[at] = _GONE
        self._terms_free.append(at)
        self.marks -= len(terms.known.marks) if terms.known else 0


def _number(uid: str) -> int | None:
    if len(uid) != 32:
        return None
    try:
        number = int(uid, 16)
    except ValueError:
        return None
    return number if f"{number:032x}" == uid else None
