"""Text of hashes that flew by, for alerts: the newest ones and those of who is watched, looked up in bulk when due."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from detectors.columns import EVERYBODY
from detectors.compiled import firsts, within
from schemas.usage import Block, Kind
from stream.grouping import I64, U64, first_rows
from stream.kinds import EVERYTHING

NAMES_MAX: Final = 262_144
_SEGMENTS_MAX: Final = 32
_SMALL_ROWS: Final = 4096
_NAMED: Final = (("entity", "hash"), *((f"{name}_name", name) for name in ("route", "path", "asn", "tenant")))


Watched = Callable[[], U64]
"""Hashes whose text must stay: of owners of whom something is held."""


def nobody() -> U64:
    """No text has to stay."""
    return np.empty(0, np.uint64)


class Names:
    """At most `names_max` texts by hash beside those that are watched; the oldest go first."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._names_max = names_max
        self._segments: list[tuple[U64, pa.StringArray]] = []  # oldest first
        self._new = 0  # texts since they were merged

    def __len__(self) -> int:
        """Number of texts held, some of them twice."""
        return sum(len(hashes) for hashes, _ in self._segments)

    def add(self, blocks: Sequence[Block], watched: Watched = nobody) -> None:
        """Learn the texts of owners, routes, paths, users, networks, tenants and hits' examples in these blocks."""
        hashes: list[U64] = []
        texts: list[pa.StringArray] = []
        for flows, counts in _together(blocks):
            users = np.flatnonzero(counts.column("kind").to_numpy() == Kind.USER)
            of_flows = ((flows, *named, None) for named in _NAMED)
            for batch, name, of, rows in (*of_flows, (counts, "entity", "hash", users)):
                h, t = _distinct(batch.column(name), batch.column(of), rows)
                hashes.append(h)
                texts.append(t)
        for hits in (block.hits for block in blocks if block.hits.num_rows):
            for name, of in (("entity", "hash"), ("route_name", "route"), ("example_name", "example")):
                h, t = _distinct(hits.column(name), hits.column(of), None)
                hashes.append(h)
                texts.append(t)
        if sum(map(len, hashes)):
            self._segments.append((np.concatenate(hashes), pa.concat_arrays(texts)))
            self._new += len(self._segments[-1][0])
        if len(self._segments) > _SEGMENTS_MAX or self._new > self._names_max:
            self.load(*self.merged(watched))

    def __call__(self, wanted: Iterable[int]) -> Mapping[int, str]:
        """Texts of those that are known."""
        open_ = np.array(sorted(wanted), np.uint64)
        found = {EVERYBODY: EVERYTHING} if EVERYBODY in open_ else {}
        for hashes, texts in reversed(self._segments):
            at = np.flatnonzero(within(hashes, open_))
            for h, text in zip(hashes[at].tolist(), texts.take(pa.array(at)).to_pylist(), strict=True):
                found.setdefault(h, text)
            if len(found) == len(open_):
                break
        return found

    def merged(self, watched: Watched = nobody) -> tuple[U64, pa.StringArray]:
        """All names once, the newest last, no more than may be kept."""
        if not self._segments:
            return np.empty(0, np.uint64), pa.array([], pa.utf8())
        hashes = np.concatenate([h for h, _ in self._segments])
        texts = pa.concat_arrays([t for _, t in self._segments])
        keep = np.flatnonzero(firsts(hashes[::-1].copy())[::-1])
        if len(keep) > self._names_max:
            stays = within(hashes[keep], watched())
            stays[-self._names_max :] = True
            keep = keep[stays]
        return hashes[keep], texts.take(pa.array(keep))

    def load(self, hashes: U64, texts: pa.StringArray) -> None:
        """The inverse of `merged`."""
        self._segments, self._new = [(hashes, texts)], 0


def _together(blocks: Sequence[Block]) -> list[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Flows and counts of blocks, small ones as one."""
    both = [(block.flows, block.counts) for block in blocks]
    if len(both) < 2 or sum(part.num_rows for parts in both for part in parts) > _SMALL_ROWS * len(both):
        return both
    flows, counts = zip(*both, strict=True)
    return [(_one(flows, [column for named in _NAMED for column in named]), _one(counts, ["kind", "entity", "hash"]))]


def _one(batches: Sequence[pa.RecordBatch], columns: list[str]) -> pa.RecordBatch:
    batches = [batch.select(columns) for batch in batches]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return (table.to_batches() or batches)[0]


def _distinct(text: pa.DictionaryArray, hashes: pa.Array, rows: I64 | None) -> tuple[U64, pa.StringArray]:
    """Each distinct text of some rows with the hash that stands beside it."""
    if rows is not None:
        text, hashes = text.take(pa.array(rows)), hashes.take(pa.array(rows))
    size = len(text.dictionary)
    if not len(text) or not size:
        return np.empty(0, np.uint64), pa.array([], pa.utf8())
    indices = text.indices.fill_null(size) if text.null_count else text.indices
    codes = indices.to_numpy(zero_copy_only=False)
    row = first_rows(codes, size + 1)
    used = np.zeros(size + 1, np.bool_)
    used[codes] = True
    told = hashes.to_numpy(zero_copy_only=False)
    if used[:-1].all():
        return told[row[:-1]], text.dictionary
    at = np.flatnonzero(used[:-1])
    return told[row[at]], text.dictionary.take(pa.array(at))
