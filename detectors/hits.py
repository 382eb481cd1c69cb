"""Hits: requests that a rule asks for, by whose bucket they fall into, as detectors take them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import compiled
from detectors.pairs import mix

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
KEPT_MAX: Final = 64  # different values of one owner, rule and pane; `keep` says how many


@dataclass(frozen=True, slots=True)
class Hits:
    """Arrays of one length: `entity` made `n` requests in a pane that `rule` (its place in the set) asks for.

    `value` is the hash of what the rule counts as different, 0 where it counts requests or the values of a pane were
    too many to be told; `answered` of the requests were answered below 400; `sign` and `example` are hashes of the
    least sign and text among them; `route` is the one all were on, else 0.
    """

    rule: NDArray[np.int16]
    kind: NDArray[np.uint8]
    entity: U64
    pane_s: I64
    first_ms: I64
    last_ms: I64
    route: U64
    value: U64
    sign: U64
    example: U64
    n: I64
    answered: I64

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.entity)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Hits:
        """The given rows."""
        return Hits(*(getattr(self, f.name)[rows] for f in fields(self)))

    @staticmethod
    def empty() -> Hits:
        """No rows."""
        return Hits(*(np.empty(0, dtype) for dtype in DTYPES.values()))

    @staticmethod
    def concat(parts: list[Hits]) -> Hits:
        """All rows of `parts`, in their order."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return Hits.empty()
        return Hits(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Hits)))


DTYPES: Final[dict[str, type[np.generic]]] = {
    "rule": np.int16, "kind": np.uint8, "entity": np.uint64, "pane_s": np.int64, "first_ms": np.int64,
    "last_ms": np.int64, "route": np.uint64, "value": np.uint64, "sign": np.uint64, "example": np.uint64,
    "n": np.int64, "answered": np.int64,
}  # fmt: skip


def canonical(hits: Hits, digests: U64, keep: I64) -> tuple[Hits, U64]:
    """Hits by pane, bucket, time and value, like rows one; and their buckets: hashes of rule, kind and entity.

    By rule: `digests`, and how many values of a pane are told (`keep`).

    The same content gives the same rows, however it was dealt out over blocks: what is beyond the least `keep` values
    becomes one row of value 0.
    """
    hits, who = _merged(_in_pane(hits), mix(hits.entity, hits.kind.astype(np.uint64), digests[hits.rule]))
    crowded = _beyond(hits, who, keep)
    if crowded.any():
        rest = np.where(crowded, np.uint64(0), hits.value)
        hits, who = _merged(replace(hits, value=rest), who)
    order = np.lexsort((hits.value, hits.first_ms, who, hits.pane_s))
    return hits.take(order), who[order]


def _in_pane(hits: Hits) -> Hits:
    """Hits that came late and were moved stand within the pane they count in."""
    begins_ms = hits.pane_s * 1000
    first_ms = np.clip(hits.first_ms, begins_ms, begins_ms + 999)
    return replace(hits, first_ms=first_ms, last_ms=np.clip(hits.last_ms, first_ms, begins_ms + 999))


def _beyond(hits: Hits, who: U64, keep: I64) -> NDArray[np.bool_]:
    """Rows whose value is not among the least of their bucket and pane."""
    out = np.zeros(len(hits), np.bool_)
    some = np.flatnonzero(hits.value)
    if not len(some):
        return out
    order = some[np.lexsort((hits.value[some], who[some], hits.pane_s[some]))]
    pane_s, bucket = hits.pane_s[order], who[order]
    begins = np.flatnonzero(np.r_[True, (pane_s[1:] != pane_s[:-1]) | (bucket[1:] != bucket[:-1])])
    place = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    out[order[place >= keep[hits.rule[order]]]] = True
    return out


def _merged(hits: Hits, who: U64) -> tuple[Hits, U64]:
    """Rows of one pane, bucket and value made one; in no order."""
    groups, uniques = compiled.numbered(mix(who, hits.pane_s.astype(np.uint64), hits.value))
    count = len(uniques)
    if count == len(hits):
        return hits, who
    row, first_ms, last_ms, n = compiled.merged(groups, count, hits.first_ms, hits.last_ms, hits.n)
    answered = np.zeros(count, np.int64)
    np.add.at(answered, groups, hits.answered)
    merged = replace(
        hits.take(row),
        first_ms=first_ms,
        last_ms=last_ms,
        n=n,
        answered=answered,
        route=np.where(_differs(groups, row, hits.route, count), np.uint64(0), hits.route[row]),
        sign=_least(groups, count, hits.sign),
        example=_least(groups, count, hits.example),
    )
    return merged, who[row]


def _least(groups: NDArray[np.int32], count: int, values: U64) -> U64:
    """The least value of each group but 0; 0 where there is no other."""
    top = np.uint64(2**64 - 1)
    low = np.full(count, top)
    np.minimum.at(low, groups, np.where(values == 0, top, values))
    return np.where(low == top, np.uint64(0), low)


def _differs(groups: NDArray[np.int32], row: I64, values: U64, count: int) -> NDArray[np.bool_]:
    out = np.zeros(count, np.bool_)
    out[groups[values != values[row[groups]]]] = True
    return out
