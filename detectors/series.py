"""Chances held against what good traffic does: nulls, control groups, and the evidence that comes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import doors
from detectors import families as fam
from detectors.artifact import POSITIONS, Model
from detectors.chances import Chances
from detectors.control import Control, distinct
from detectors.entities import Columns, Slots
from detectors.families import Each, Null
from detectors.nulls import upper
from detectors.rows import Rows
from detectors.sampling import WARM_KEY, Samples, place
from detectors.sight import Sight

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
LN2: Final = float(np.log(2.0))
WARM_SHARE_MAX: Final = 0.1
WARM_N: Final = 2_000  # samples ever, before what is new to anyone may speak
NOTHING: Final = 1e-7  # nats; rounding leaves so much where there is none


@dataclass(frozen=True, slots=True)
class Series:
    """One family's rows in a run: evidence before (`x`) and after (`s`), counts, and the null each was held to."""

    family: fam.Family
    at: NDArray[np.intp]
    x: F64
    marks: I64
    tries: I64
    distinct: I64
    p0: F64
    s: F64
    control: F64  # of p0, what the control group made it at least
    shut: NDArray[np.bool_]  # of logins, whether the door may be what fails (`doors`)


@dataclass(frozen=True, slots=True)
class Held:
    """What chances of a run are held against. `samples`: this run's own; `seen_n`: samples ever; `kin`: by row."""

    rows: Rows
    slots: Slots
    c: Columns
    sight: Sight
    model: Model
    control: Control
    samples: Samples
    seen_n: int
    kin: NDArray[np.bool_]

    def series(self, all_of: list[Chances]) -> list[Series]:
        """Rows and evidence of each family, not yet accumulated."""
        bounds = self._controls(all_of)
        p0 = self._nulls()
        return [self._held(one, p0, bounds) for one in all_of]

    def _held(self, one: Chances, p0: F64, bounds: dict[int, F64]) -> Series:
        family, f = one.family, self.rows.flows
        if family.rate:
            return _rated(one, self.c.p0[self.slots, family.index][self.rows.seg[one.at]])
        if family.mark.to_anyone:
            one = _part(one, self._warm(one.at, bounds[-1]))
        seg = self.rows.seg[one.at]
        null: F64 = p0[seg, family.index]
        if family.null is Null.STATED:
            null = np.array(family.usual)[self.c.established[self.slots][seg].astype(np.intp)]
        elif family.null is Null.BY_AGE:
            own = self.c.own[self.slots, family.index].astype(np.float64)[seg]
            null = np.maximum(by_age(f.kind[one.at], self.sight.before[one.at], own, self.model), null)
            null[self.kin[one.at]] = 1.0
        group = bounds[family.index][one.at] if family.control else np.zeros(len(one.at))
        if family.each is not Each.CREDENTIAL:
            return _marked(one, np.maximum(null, group), group)
        door = doors.seen(self.control, f.route[one.at], f.pane_s[one.at], self.samples)
        group = np.where(door.broken, np.maximum(group, doors.BROKEN_P0), group)
        return replace(_marked(one, np.maximum(null, group), group), shut=door.shut)

    def _nulls(self) -> F64:
        """Nulls (segment, family); of those by age here only the floor."""
        model = self.model
        p0 = self.c.p0[self.slots]
        p0[:, [family.index for family in model.families if family.null is Null.BY_AGE]] = 0.0
        if len(model.regulars):
            at = np.minimum(np.searchsorted(model.regulars, self.rows.owner), len(model.regulars) - 1)
            known = model.regulars[at] == self.rows.owner
            p0[known] = np.maximum(p0[known], model.regulars_p0[at[known]])
        return p0

    def _controls(self, all_of: list[Chances]) -> dict[int, F64]:
        """By family with a control group: its bound on each row; under -1 everybody's share of novel paths."""
        f = self.rows.flows
        one, which = distinct(f.route, f.pane_s)
        indexes = [each.family.index for each in all_of if each.family.control]
        asked = np.concatenate([*(place(f.route[one], i) for i in indexes), np.full(len(one), WARM_KEY)])
        found = self.control.bounds(asked, np.tile(f.pane_s[one], len(indexes) + 1), self.samples)
        by = found.reshape(len(indexes) + 1, len(one))
        return {i: bound[which] for i, bound in zip([*indexes, -1], by, strict=True)}

    def _warm(self, at: NDArray[np.intp], everybody: F64) -> NDArray[np.bool_]:
        """Rows by whose time enough was seen for what is new to anyone to be rare."""
        mine = np.sort(self.samples[1][self.samples[0] == WARM_KEY])
        met_n = self.seen_n + np.searchsorted(mine, self.rows.flows.pane_s[at])
        found: NDArray[np.bool_] = (everybody[at] < WARM_SHARE_MAX) & (met_n >= WARM_N)
        return found


def bucket(before: I64) -> NDArray[np.intp]:
    """Place in an owner's life: two buckets an octave of its requests."""
    out: NDArray[np.intp] = np.minimum((2 * np.log2(before + 1.0)).astype(np.intp), POSITIONS - 1)
    return out


def by_age(kind: NDArray[np.uint8], before: I64, own: F64, model: Model) -> F64:
    """How often owners at this place of their life ask for a path new to them; own history added."""
    prior = model.position[kind, bucket(before)]
    return upper(prior[:, 0] + own[:, 0], prior[:, 1] + own[:, 1])


def _part(one: Chances, some: NDArray[np.bool_]) -> Chances:
    repeats = one.repeats if one.repeats is None else one.repeats[some]
    return replace(one, at=one.at[some], marks=one.marks[some], plain=one.plain[some], repeats=repeats)


def _rated(one: Chances, rate: F64) -> Series:
    none = np.empty(0)
    x = one.marks.astype(np.float64) * LN2
    distinct_n = one.marks if one.repeats is None else one.marks - one.repeats
    nowhere = np.zeros(len(rate), np.bool_)
    return Series(one.family, one.at, x, one.marks, one.marks, distinct_n, rate, none, np.zeros(len(rate)), nowhere)


def _marked(one: Chances, p0: F64, control: F64) -> Series:
    family, marks = one.family, one.marks
    p = np.minimum(p0, family.q1)
    plain = one.plain * np.log((1 - family.q1) / (1 - p))
    x = marks.astype(np.float64) * np.minimum(fam.MARK_MAX, np.log(family.q1 / p)) + plain
    distinct_n = marks
    if one.repeats is not None:
        x = x + one.repeats * np.log(fam.REPEAT_Q1 / np.clip(control, fam.REPEAT_P0, fam.REPEAT_Q1))
        marks = marks + one.repeats
    none = np.empty(0)
    nowhere = np.zeros(len(p0), np.bool_)
    return Series(
        family, one.at, np.maximum(x, -100.0), marks, marks + one.plain, distinct_n, p0, none, control, nowhere
    )
