"""Flows of open panes, and who of their owners could cross by them: what a look need not judge.

    add     rows wait, nothing is looked at
    marks   each row is held against the memories once: what no family could mark is not counted
    reach   owners with new marks whose standing evidence and all their open marks, each at its highest, come to h
    stood   who was judged and did not cross: only marks that came since can carry him there, and not every one is tried
    close   the panes leave, and what was counted for them

There may be more open rows than we have room for: `thin` lets owners go, those least worth keeping (`eviction`) first.
Counts stand in a table of fixed size by a part of the owner's hash: who shares a place only looks worse than he is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import eviction
from detectors import families as fam
from detectors.artifact import POSITIONS, Model
from detectors.columns import KINDS_N, Finding, Flows
from detectors.compiled import firsts, unique_rows, within
from detectors.entities import Columns, Entities, Slots
from detectors.families import Each, Families, Null
from detectors.family_file import built_in
from detectors.judge import Judged
from detectors.markable import Markable
from detectors.memories import Memories
from detectors.nulls import upper
from detectors.pairs import mix
from detectors.series import LN2, bucket

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
Worth = Callable[[U64, NDArray[np.uint8]], tuple[F64, NDArray[np.bool_]]]
PLACES: Final = 1 << 16  # where owners share places, all of them look as if they could cross
AGAIN: Final = 0.25  # who was judged is judged again with so much more marks: who has thousands, seldom
_REPEAT: Final = float(np.log(fam.REPEAT_Q1 / fam.REPEAT_P0))


class Outlook:
    """Open flows of one engine. What crossed early is told once."""

    def __init__(self, families: Families | None = None) -> None:
        self.families = families or built_in()
        self._markable = Markable.of(self.families)
        self.parts: list[Flows] = []
        self.told: dict[tuple[int, int, str], int] = {}  # kind, entity, family: the pane it crossed in
        self._seen = 0  # parts already looked at
        self._counts: I32 = np.zeros((PLACES, len(self.families)), np.int32)
        self._marks: list[tuple[I64, I64, I32]] = []  # place and family, pane, count
        self._stood: dict[tuple[int, int], tuple[I64, F64]] = {}  # kind, entity: marks when judged, evidence at most

    def __len__(self) -> int:
        """Number of open rows."""
        return sum(map(len, self.parts))

    @property
    def unseen(self) -> bool:
        """Whether rows came since the last look."""
        return self._seen < len(self.parts)

    def add(self, flows: Flows) -> None:
        """More rows of open panes."""
        if len(flows):
            self.parts.append(flows)

    def close(self, until_s: int) -> list[Flows]:
        """Rows of panes before `until_s`, which leave."""
        done: list[Flows] = []
        rest: list[Flows] = []
        seen = 0
        for i, part in enumerate(self.parts):
            gone = part.pane_s < until_s
            if gone.all():
                done.append(part)
                continue
            if gone.any():
                done.append(part.take(gone))
                part = part.take(~gone)  # noqa: PLW2901 - what is left of it
            rest.append(part)
            seen += i < self._seen
        self.parts, self._seen = rest, seen
        marks, self._marks = self._marks, []
        for place, pane_s, counts in marks:
            gone = pane_s < until_s
            np.subtract.at(self._counts.reshape(-1), place[gone], counts[gone])
            if not gone.all():
                self._marks.append((place[~gone], pane_s[~gone], counts[~gone]))
        self.told = {who: pane_s for who, pane_s in self.told.items() if pane_s >= until_s}
        self._stood.clear()
        return done

    def thin(self, rows_max: int, worth: Worth) -> Flows:
        """Let owners go until three quarters of `rows_max` rows are left; gives the rows that went.

        `worth` tells of owners the evidence that stands against them, and whether they are regulars.
        """
        old, new = Flows.concat(self.parts[: self._seen]), Flows.concat(self.parts[self._seen :])
        held = Flows.concat([old, new])
        owner = mix(held.entity, held.kind.astype(np.uint64))
        ids, at, which = unique_rows(owner)
        evidence, regular = worth(ids, held.kind[at])
        rows = np.bincount(which)
        weight = np.zeros(len(ids), np.int64)
        np.add.at(weight, which, held.n)
        size = len(ids) * rows_max // max(1, len(held))
        room = eviction.Room(len(ids), rows, int(rows_max * eviction.LEAVE))
        stays = np.zeros(len(ids), np.bool_)
        stays[eviction.staying(ids, weight, np.zeros(len(ids), np.int64), evidence, regular, size, room)] = True
        kept = stays[which]
        parts = [old.take(kept[: len(old)]), new.take(kept[len(old) :])]
        self._seen = int(len(parts[0]) > 0)
        self.parts = [part for part in parts if len(part)]
        return held.take(~kept)

    def fresh(self) -> Flows:
        """Rows that came since the last look, which this is."""
        new = Flows.concat(self.parts[self._seen :])
        self.parts[self._seen :] = [new] if len(new) else []
        while len(self.parts) > 1 and len(self.parts[-2]) < 2 * len(self.parts[-1]):  # few parts, rows copied seldom
            self.parts[-2:] = [Flows.concat(self.parts[-2:])]
        self._seen = len(self.parts)
        return new

    def count(self, flows: Flows, memories: Memories) -> Flows:
        """Count what families could mark in fresh rows; gives the rows that have some of it."""
        row, family, n = self._markable.marks(flows, memories)
        place = _places(flows.entity)[row] * len(self.families) + family
        np.add.at(self._counts.reshape(-1), place, n)
        if len(row):
            self._marks.append((place, flows.pane_s[row], n))
        some = np.zeros(len(flows), np.bool_)
        some[row] = True
        return flows.take(some)

    def reach(self, marked: Flows, entities: Entities, model: Model) -> tuple[U64, NDArray[np.uint8]]:
        """Entities and kinds of `marked` that could cross in some family, and have not been told of in it."""
        owner, at, _ = unique_rows(mix(marked.entity, marked.kind.astype(np.uint64)))
        entity, kind = marked.entity[at], marked.kind[at]
        slots = entities.find(owner, kind)
        counts = self._counts[_places(entity)].astype(np.int64)
        c = entities.c
        t, held = c.tracks, c.at[slots]
        gains = _gains(c, slots, kind, counts, model)
        could = (t.s[held] + counts * gains >= model.h[kind]) & (counts > 0)
        newest_ms = int(marked.last_ms.max(initial=0))
        could &= ~(t.episode[held] & (newest_ms - t.last_mark_ms[held] <= fam.QUIET_MS))
        for told_kind, told_entity, family in self.told:
            i = next(f.index for f in self.families if f.name == family)
            could[(entity == np.uint64(told_entity)) & (kind == told_kind), i] = False
        who = np.flatnonzero(could.any(axis=1))
        stood = [self._stood.get(one) for one in zip(kind[who].tolist(), entity[who].tolist(), strict=True)]
        again = [i for i, one in enumerate(stood) if one is not None]
        if again:
            at = who[again]
            then, most = (np.array(each) for each in zip(*(one for one in stood if one is not None), strict=True))
            more = counts[at] - then
            reached = (most + more * gains[at] >= model.h[kind[at]]) & (more >= AGAIN * then)
            who = np.setdiff1d(who, at[~(reached & could[at]).any(axis=1)])
        return entity[who], kind[who]

    def stood(self, judged: Judged, most: F64) -> None:
        """Owners all of whose open rows were judged; `most`, what stood, becomes the most they came to."""
        rows = judged.rows
        for series in judged.series:
            np.maximum.at(most[:, series.family.index], rows.seg[series.at], series.s)
        entity = rows.flows.entity[rows.starts]
        owners = zip(rows.flows.kind[rows.starts].tolist(), entity.tolist(), strict=True)
        counts = self._counts[_places(entity)].astype(np.int64)
        self._stood |= zip(owners, zip(counts, most, strict=True), strict=True)

    def rows_of(self, entity: U64, kind: NDArray[np.uint8]) -> Flows:
        """All open rows of some owners."""
        wanted = np.zeros(PLACES, np.bool_)
        wanted[_places(entity)] = True
        near = Flows.concat([part.take(np.flatnonzero(wanted[_places(part.entity)])) for part in self.parts])
        owners = mix(entity, kind.astype(np.uint64))
        return near.take(within(mix(near.entity, near.kind.astype(np.uint64)), owners))

    def on_routes(self, routes: U64) -> Flows:
        """All open rows on some routes."""
        return Flows.concat([part.take(within(part.route, routes)) for part in self.parts])

    def is_new(self, finding: Finding) -> bool:
        """Whether it was not told before."""
        return (finding.kind, finding.entity, finding.family) not in self.told

    def tell(self, findings: list[Finding]) -> None:
        """They have been told."""
        self.told |= {(f.kind, f.entity, f.family): f.pane_s for f in findings}


def _places(entity: U64) -> NDArray[np.intp]:
    return (entity & np.uint64(PLACES - 1)).astype(np.intp)


def _gains(c: Columns, slots: Slots, kind: NDArray[np.uint8], counts: I64, model: Model) -> F64:
    """The most one mark can add, by owner and family: control groups and regulars only make it less."""
    q1 = np.array([family.q1 for family in model.families])
    p0 = c.p0[slots]
    for family in model.families:
        if family.null is Null.BY_AGE:
            p0[:, family.index] = _lowest_by_age(c, slots, kind, counts[:, family.index], (model, family.index))
        elif family.null is Null.STATED:
            p0[:, family.index] = min(family.usual)
        elif family.rate:
            p0[:, family.index] = 0.5
    out: F64 = np.minimum(fam.MARK_MAX, np.log(q1 / np.minimum(p0, q1)))
    for family in model.families:
        if family.each is Each.CREDENTIAL:
            out[:, family.index] = np.maximum(out[:, family.index], _REPEAT)
        elif family.rate:
            out[:, family.index] = LN2
        out[:, family.index] /= family.mark.at_once
    return out


def _lowest_by_age(c: Columns, slots: Slots, kind: NDArray[np.uint8], new: I64, of: tuple[Model, int]) -> F64:
    """The lowest null of a family in the places of life an owner may come to in open panes (one in nine paths new)."""
    model, family = of
    own, seen = c.own[slots, family], c.seen[slots]
    low, high = bucket(seen), bucket(seen + 8 * new + 64)
    # Most have no history of their own: who is alike in the rest is asked about once.
    alike = (kind.astype(np.int64) * POSITIONS + low) * POSITIONS + high
    alike[own.any(axis=1)] = -1
    one = np.flatnonzero((alike < 0) | firsts(alike.astype(np.uint64)))
    both = model.position[kind[one]] + own[one, None, :].astype(np.float64)
    null = upper(both[..., 0], both[..., 1])
    place = np.arange(POSITIONS)
    ahead = (place < low[one, None]) | (place > high[one, None])
    least = np.where(ahead, 1.0, null).min(axis=1)
    by_alike = np.zeros(KINDS_N * POSITIONS * POSITIONS)
    by_alike[alike[one]] = least  # -1, written by some, is read by none
    out: F64 = by_alike[alike]
    out[alike < 0] = least[alike[one] < 0]
    return out
