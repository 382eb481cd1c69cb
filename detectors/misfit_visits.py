"""Visits of `misfits`: an owner's first hour in a place (a route, read or written to), and what a hop brought."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from detectors import compiled
from detectors.chances import tagged
from detectors.columns import KEY, LIMITED, USER
from detectors.pairs import mix
from detectors.rows import Rows
from detectors.table import Table

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
Flag = NDArray[np.bool_]
Index = NDArray[np.intp]
ASKED_MAX: Final = 1 << 16
VISIT_MS: Final = 3_600_000
QUIET_MS: Final = 1_200_000


@dataclass(frozen=True, slots=True)
class Asked(Table):
    """A row an owner and place of a hop: how often `n` it asked there, from where, and whether it may be told of."""

    key: U64  # owner and place
    owner: U64
    place: U64  # the route, and whether something is submitted
    route: U64
    asn: U64
    entity: U64
    kind: NDArray[np.uint8]
    judged: Flag  # keys, and addresses without a history
    n: I64
    first_ms: I64
    last_ms: I64

    @classmethod
    def none(cls) -> Self:
        """Nobody anything."""
        return cls(*(np.empty(0, dtype) for dtype in (*[np.uint64] * 6, np.uint8, np.bool_, *[np.int64] * 3)))

    @classmethod
    def of(cls, rows: Rows, at: Index, where: tuple[U64, U64], established: Flag) -> Self:
        """Rows `at` of a run with their keys and places, of which some are `established`."""
        f = rows.flows
        key, place = where
        judged, kind = (f.kind[at] == KEY) | ~established[at], f.kind[at]
        said = f.route[at], f.asn[at], f.entity[at], kind, judged, f.n[at], rows.t_ms[at], rows.t_ms[at]
        return cls(key, rows.owner[rows.seg[at]], place, *said)

    @classmethod
    def merged(cls, parts: list[Self]) -> Self:
        """All of some, a row an owner and place, in order; of more than `ASKED_MAX` those whose hashes are lowest."""
        both = cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))
        groups, keys = compiled.numbered(both.key)
        row, first_ms, last_ms, n = compiled.merged(groups, len(keys), both.first_ms, both.last_ms, both.n)
        order = compiled.ordered(keys)[:ASKED_MAX]
        held = both.take(row[order])
        return replace(held, n=n[order], first_ms=first_ms[order], last_ms=last_ms[order])


def asking(rows: Rows, kin: Flag) -> Index:
    """Rows that ask for something: of clients, answered, and of no crawler's kin."""
    f = rows.flows
    return np.flatnonzero((f.kind != USER) & (f.outcome != LIMITED) & ~kin)


def places(rows: Rows, at: Index, submits: int) -> tuple[U64, U64]:
    """Of rows `at` the owners' places and the places; `submits`: the bit of `tags` that says somebody does."""
    f = rows.flows
    place = f.route[at]
    if submits >= 0:
        place = mix(place, tagged(f.tags[at], submits).astype(np.uint64))
    return mix(rows.owner[rows.seg[at]], place), place


@dataclass(slots=True)
class Visits(Table):
    """Those that go on, sorted by key; of an owner and place the first alone."""

    key: U64
    owner: U64
    place: U64
    route: U64
    asn: U64
    entity: U64
    had: U64  # which of the places that lead somewhere its owner had been to, by bits
    kind: NDArray[np.uint8]
    judged: Flag
    leads: I64  # so many places were known to lead somewhere when it began
    n: I64
    first_ms: I64
    last_ms: I64
    told_n: I64  # requests when people were told last; 0: never, -1: nor will they be
    crossed_ms: I64
    crossed_n: I64
    odd: F64  # the most that was found odd in it, in nats
    beside: F64  # what it adds to others of the same owner

    @classmethod
    def begun(cls, asked: Asked, had: U64, leads: int) -> Self:
        """Those that begin with these rows, with nothing asked yet."""
        same = ("key", "owner", "place", "route", "asn", "entity", "kind", "judged", "first_ms", "last_ms")
        found: dict[str, Any] = {f.name: np.zeros(len(had), np.int64) for f in fields(cls)}
        found |= {name: getattr(asked, name).copy() for name in same}
        found |= {"had": had, "leads": found["leads"] + leads, "odd": np.zeros(len(had)), "beside": np.zeros(len(had))}
        return cls(**found)

    @classmethod
    def none(cls) -> Self:
        """Nobody anywhere."""
        return cls.begun(Asked.none(), np.empty(0, np.uint64), 0)

    def plus(self, other: Self, most: int) -> Self:
        """Both, in order; of more than `most` those whose hashes are lowest."""
        both = [np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)]
        order = np.argsort(both[0], kind="stable")[:most]
        return type(self)(*(column[order] for column in both))

    def find(self, key: U64) -> tuple[Index, Flag]:
        """Where keys stand, and whether they do."""
        if not len(self.key):
            return np.zeros(len(key), np.intp), np.zeros(len(key), np.bool_)
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return at, self.key[at] == key

    def over(self, now_ms: int) -> Flag:
        """Those that have lasted an hour, or have been quiet for twenty minutes."""
        return np.asarray((self.first_ms + VISIT_MS <= now_ms) | (self.last_ms + QUIET_MS <= now_ms))


def others(by: U64, more: F64, at: Index) -> F64:
    """What rows `at` get of `more` from the other rows that are like them in `by`."""
    some = np.flatnonzero(more)
    if not len(some):
        return np.zeros(len(at))
    alike, which = np.unique(by[some], return_inverse=True)
    total = np.bincount(which, more[some])
    place = np.minimum(np.searchsorted(alike, by[at]), len(alike) - 1)
    return np.asarray(np.where(alike[place] == by[at], total[place] - more[at], 0.0))
