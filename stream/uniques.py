"""What is distinct about entities, as combine tells it: marks of values by (entity, second), beside what flows tell.

Flows name path, route, account and address of who owns them, but for those that were cut; everything else is here. A
row counts where it has an owner: what we denied is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.compiled import ordered
from schemas.usage import ITEM_WORDS, ITEMS, ITEMS_EXACT_MAX, WORDS, Kind, Outcome, What
from stream import cells
from stream.cells import U32
from stream.compiled import I32, I64
from stream.grouping import U64
from stream.requests import CLASSES, OUTCOMES, Requests
from stream.rows import by_partition, cut

_OWNED: Final = (What.PATH, What.ROUTE, What.USER, What.AGENT)
OF_FLOWS: Final[Mapping[Kind, tuple[What, ...]]] = {Kind.IP: _OWNED, Kind.KEY: (*_OWNED, What.ADDRESS)}
"""What the flows of an owner tell."""
COUNTED: Final[Mapping[Kind, tuple[What, ...]]] = {
    **OF_FLOWS,
    Kind.USER: (What.ADDRESS, What.AGENT),
    Kind.ROUTE: (What.ADDRESS, What.USER, What.PATH),
    Kind.NETWORK: (What.ADDRESS, What.USER),  # most have one address: its paths are said already
    Kind.GLOBAL: (What.ADDRESS, What.USER, What.PATH),
    Kind.TENANT: (What.ADDRESS, What.USER),
    Kind.ASN: (What.ADDRESS, What.USER),
    Kind.AGENT: (What.ADDRESS, What.USER),
    Kind.COUNTRY: (What.ADDRESS,),
}
"""What is counted of each kind. What is not stated is not counted: 0.

Addresses are clients, of IPv6 the /64; of such a client they are counted by themselves: 0 of any other. Accounts of an
address or a key are those of requests that no limit refused (`LET_IN`): whoever runs against one may name any account.
"""
LET_IN: Final = np.array([code // 2 % OUTCOMES != Outcome.LIMITED for code in range(CLASSES)])  # by class of a request
_CROWD: Final = 64  # rows of a group, on average, from which on it is quicker to set cells first
_ALIKE: Final = (Kind.USER, Kind.ROUTE, Kind.NETWORK, Kind.GLOBAL, Kind.ASN, Kind.AGENT)
"""Kinds whose entity all requests of a flow share, so that one of them is enough."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows that have an owner; of these one for each flow where they share a second; and of each kind those cut."""

    owned: I64
    one_each: I64
    cut: Mapping[Kind, I64]


def seen(owners: I32, rows: Requests, groups: I32, one: I64, cut: NDArray[np.bool_]) -> Seen:
    """`one` is a row of each group, `cut` says which groups were cut."""
    owned = np.flatnonzero(owners >= 0)
    late = rows.judged is not rows.pane
    lost = owned[cut[groups[owned]]] if cut.any() else np.empty(0, np.int64)
    by_key = owners[lost] >= len(rows.ip.values)
    return Seen(owned, owned if late else one, {Kind.IP: lost[~by_key], Kind.KEY: lost[by_key]})


class Uniques:
    """Collects the items of one block, kind by kind."""

    def __init__(self, rows: Requests, seen: Seen) -> None:
        self._seen = seen
        self._classes = rows.classes
        self._hosts = _hosts(rows, seen)
        self._of_hosts = _of(rows.address.table, rows.address.codes) if len(self._hosts) else np.empty(0, np.uint32)
        self._marks = {
            What.ADDRESS: _of(rows.ip.table, rows.ip.codes),
            What.USER: _of(rows.user.table, rows.user.codes),
            What.ROUTE: _of(rows.route.table, rows.route.codes),
            What.PATH: cells.marks(np.ascontiguousarray(rows.path_hash)),
            What.AGENT: _of(rows.agent.table, rows.agent.codes),
        }
        self._cells: dict[What, NDArray[np.int16]] = {}
        self._parts: list[tuple[U32, NDArray[np.uint8], U32]] = []

    def add(self, kind: Kind, groups: I32, count: int, first: int) -> None:
        """Entities of a kind, whose counts are the `count` rows from `first` on; `groups` is by request."""
        for what in COUNTED.get(kind, ()):
            marks = self._marks[what]
            if not len(marks):
                continue
            if what in OF_FLOWS.get(kind, ()):
                rows = self._seen.cut[kind]
                rows = rows[LET_IN[self._classes[rows]]] if what is What.USER else rows
            else:
                rows = self._seen.one_each if kind in _ALIKE else self._seen.owned
            if len(rows) > _CROWD * count:
                rows = self._tell_crowds(what, groups, marks, rows, count, first)
            if len(rows):
                self._tell(what, *cells.distinct(groups, marks, rows), count, first)
        if kind is Kind.IP and len(self._hosts):
            self._tell(What.ADDRESS, *cells.distinct(groups, self._of_hosts, self._hosts), count, first)

    def items(self) -> dict[str, NDArray[np.generic]]:
        """Columns of `schemas.usage.ITEMS`, `row` among the counts of all partitions."""
        empty = (np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.uint32))
        row, what, item = (np.concatenate(parts) for parts in zip(*(self._parts or [empty]), strict=True))
        order = ordered(row.astype(np.uint64))  # so it takes less room on the way
        return {"row": row[order], "what": what[order], "item": item[order]}

    def _tell(self, what: What, group: I32, mark: U32, count: int, first: int) -> None:
        many = np.bincount(group, minlength=count) > ITEMS_EXACT_MAX
        if many.any():
            at = np.flatnonzero(many[group])
            place = (np.cumsum(many) - 1).astype(np.int32)[group]
            self._words(what, cells.words(place, cells.cells(mark), at, int(many.sum())), np.flatnonzero(many) + first)
            few = ~many[group]
            group, mark = group[few], mark[few]
        self._part(group.astype(np.int64) + first, np.full(len(mark), what), mark)

    def _tell_crowds(self, what: What, groups: I32, marks: U32, rows: I64, count: int, first: int) -> I64:
        """Cells of groups that have many rows each, by a short way; gives the rows of groups that have few values."""
        if what not in self._cells:
            self._cells[what] = cells.cells(marks)
        set_ = cells.words(groups, self._cells[what], rows, count)
        many = cells.sizes(set_) > ITEMS_EXACT_MAX
        self._words(what, set_[many], np.flatnonzero(many) + first)
        if many.all():
            return np.empty(0, np.int64)
        return cells.outside(groups, rows, many)

    def _words(self, what: What, words: U32, row: I64) -> None:
        at, word = np.nonzero(words)
        self._part(row[at], WORDS + what * ITEM_WORDS + word, words[at, word])

    def _part(self, row: I64, what: NDArray[np.integer], item: U32) -> None:
        self._parts.append((row.astype(np.uint32), what.astype(np.uint8), item))


def _hosts(rows: Requests, seen: Seen) -> I64:
    """Owned rows that came from one of many addresses of their client."""
    return seen.owned[rows.hosted(seen.owned) > 0] if len(rows.hosts) else np.empty(0, np.int64)


def _of(table: U64, codes: I32) -> U32:
    """Marks by row; empty where the column is."""
    return cells.marks(table)[codes] if len(table) > 1 else np.empty(0, np.uint32)


def dealt(items: dict[str, NDArray[np.generic]], home: NDArray[np.integer], partitions: int) -> list[pa.RecordBatch]:
    """Items by the partition of their counts row (`home`), with its number there."""
    order, ends = by_partition(home, partitions)
    place = np.empty(len(home), np.int64)
    place[order] = np.arange(len(home))
    row = items["row"].astype(np.int64)
    numbered = items | {"row": (place - ends[home])[row].astype(np.uint32)}
    order, ends = by_partition(home[row], partitions)
    made = pa.RecordBatch.from_arrays([pa.array(numbered[f.name][order], f.type) for f in ITEMS], schema=ITEMS)
    return cut(made, ends)
