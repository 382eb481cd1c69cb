"""Is good traffic still as the model says? The smallest p-values of good clients, family by family, hour by hour.

    hour ends     each client without an alarm: the highest its evidence was, s; its p-value, at most e^(-s / beta)
    of N clients  the j-th smallest p-value is about j/N or more: the 5th to 20th are held to that, the first four,
                  who may be anybody, are not
    a day         | h | h | frozen | frozen | h | ...    24 hours that count, then it begins anew

Who alarmed, alone or as one of a group, is left out for as long as he is remembered, what he did before included. An
hour in which a group alarmed, or one active client in a hundred did, is frozen, and so is the hour after. A worker's
first two hours do not count either. Nothing here changes a threshold: `refit` says which ones a day would give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.artifact import ENTITIES_MIN, Model, defaults, slopes, thresholds
from detectors.calibration import BETA_MAX, TOP
from detectors.columns import KINDS_N
from detectors.entities import RESERVED, Entities
from detectors.families import HOUR_S
from detectors.series import NOTHING

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
FIRST: Final = 4  # clients with most evidence that say nothing: they may be bad, and not found yet
SURE: Final = 6 * log(10)  # one chance in a million, an hour and family
LEAST: Final = 1.2  # times the slope the model says, before it is told
DAY_HOURS: Final = 24
WARM_S: Final = 2 * HOUR_S
FREEZE_S: Final = HOUR_S  # after an hour with an incident
BAD_SHARE: Final = 0.01
BAD_MIN: Final = 5


@dataclass(slots=True)
class Day:
    """What good clients came to in the hours that counted since `since_s`, by kind and family.

    `n`: how many had an opportunity. `counts`: their marks and other opportunities. `top`, `who`: the highest evidence,
    descending, and whose it is.
    """

    since_s: int
    until_s: int
    hours: int
    n: I64
    counts: F64
    top: F64
    who: U64

    @staticmethod
    def blank(families: int) -> Day:
        """One that has not begun."""
        by = (KINDS_N, families)
        none = np.zeros((*by, TOP))
        return Day(0, 0, 0, np.zeros(by, np.int64), np.zeros((*by, 2)), none, none.astype(np.uint64))

    def add(self, entities: Entities, model: Model, good: NDArray[np.intp]) -> None:
        """The hour of the clients in these slots (mutates, and notes in `entities` who was counted)."""
        c = entities.c
        known = np.isin(c.key[good], model.regulars)
        for family in model.families:
            if not family.alone:
                continue
            i = family.index
            rows = good[~known] if family.soft else good
            rows = rows[c.hour[rows, i].sum(axis=1) > 0]
            for kind in range(KINDS_N):
                some = rows[c.kind[rows] == kind]
                if not len(some):
                    continue
                self.n[kind, i] += int((~c.counted[some, i]).sum())
                self.counts[kind, i] += c.hour[some, i].sum(axis=0, dtype=np.float64)
                self._rise(kind, i, c.key[some], c.tracks.most[c.at[some, i]].astype(np.float64))
            c.counted[rows, i] = True

    def _rise(self, kind: int, family: int, owner: U64, s: F64) -> None:
        owner = np.concatenate([self.who[kind, family], owner])
        s = np.concatenate([self.top[kind, family], s])
        order = np.lexsort((owner, -s))[: 2 * TOP]  # of one owner two at the most, the hour's and the day's
        _, first = np.unique(owner[order], return_index=True)
        order = order[np.sort(first)][:TOP]
        order = order[s[order] > NOTHING]
        self.who[kind, family], self.top[kind, family] = 0, 0.0
        self.who[kind, family, : len(order)], self.top[kind, family, : len(order)] = owner[order], s[order]

    def copy(self) -> Day:
        """As it stands."""
        return replace(self, **{part: getattr(self, part).copy() for part in ("n", "counts", "top", "who")})

    def without(self, owners: U64) -> None:
        """Take out what owners came to who alarmed since."""
        gone = np.isin(self.who, owners) & (self.who > 0)
        for kind, family in zip(*np.nonzero(gone.any(axis=2)), strict=True):
            stay = np.flatnonzero(~gone[kind, family])
            for column in (self.who, self.top):
                kept = column[kind, family, stay]
                column[kind, family] = 0
                column[kind, family, : len(kept)] = kept


@dataclass(slots=True)
class Drift:
    """The watch of one engine."""

    day: Day
    since_s: I64  # by kind and family, the beginning of the day in which it drifted; 0: it has not
    told: NDArray[np.bool_]  # in this day
    frozen_s: int = 0  # hours that end before or then do not count
    slope: F64 = field(default_factory=lambda: np.zeros(0))  # by kind and family, where the day says so; else 0

    @staticmethod
    def begun(families: int) -> Drift:
        """One that has seen nothing."""
        by = (KINDS_N, families)
        return Drift(Day.blank(families), np.zeros(by, np.int64), np.zeros(by, np.bool_), 0, np.zeros(by))

    def take(self, entities: Entities, model: Model, now_s: int, *, group_alarmed: bool) -> list[tuple[int, int]]:
        """The hour ends at `now_s`: (kind, family) that were found to drift and not told yet (mutates)."""
        c, used = entities.c, slice(RESERVED, entities.used)
        seen = c.last_ms[used] >= (now_s - HOUR_S) * 1000
        alarmed = c.alarmed[used]
        bad = int((seen & alarmed).sum())
        if group_alarmed or (bad >= BAD_MIN and bad > BAD_SHARE * seen.sum()):
            self.frozen_s = now_s + FREEZE_S
        slot, _, at = c.standing(entities.used)
        ever = alarmed.copy()
        ever[slot[c.tracks.crossed_pane_s[at] > 0] - RESERVED] = True
        self.day.without(c.key[used][ever])
        found: list[tuple[int, int]] = []
        if now_s > self.frozen_s and now_s - entities.born_s >= WARM_S:
            if self.day.hours == DAY_HOURS:
                self._anew(entities)
            self.day.since_s = self.day.since_s or now_s - HOUR_S
            self.day.until_s = now_s
            self.day.hours += 1
            self.day.add(entities, model, RESERVED + np.flatnonzero(seen & ~ever))
            found = self._judged(model)
        c.tracks.most[:] = 0.0
        return found

    def _anew(self, entities: Entities) -> None:
        self.since_s[self.slope == 0] = 0
        self.day, self.told[:] = Day.blank(self.told.shape[1]), False
        entities.c.counted[: entities.used] = False

    def _judged(self, model: Model) -> list[tuple[int, int]]:
        self.slope = drifted(model, self.day)
        now = self.slope > 0
        self.since_s[now & (self.since_s == 0)] = self.day.since_s
        new = now & ~self.told
        self.told |= now
        return [(int(kind), int(family)) for kind, family in zip(*np.nonzero(new), strict=True)]

    def times(self, model: Model) -> dict[str, float]:
        """By family, how many times as high as `model` says good evidence rises, where it drifted; else 0."""
        most = (self.slope / np.maximum(model.beta, 1.0)).max(axis=0)
        return {family.name: float(most[family.index]) for family in model.families}

    def restart(self, entities: Entities) -> None:
        """Another model: what was held to the old one says nothing of it (mutates)."""
        fresh = Drift.begun(self.told.shape[1])
        self.day, self.since_s, self.told, self.slope = fresh.day, fresh.since_s, fresh.told, fresh.slope
        entities.c.counted[: entities.used] = False
        entities.c.tracks.most[:] = 0.0

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        own = {part: getattr(self, part).copy() for part in ("since_s", "told", "slope")}
        day = {f"day_{part.name}": np.array(getattr(self.day, part.name)) for part in fields(Day)}
        return {f"{name}.{part}": array for part, array in (own | day | {"frozen_s": np.array(self.frozen_s)}).items()}

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave; a state kept before this was begins a day."""
        if f"{name}.frozen_s" not in arrays:
            return
        for part in ("since_s", "told", "slope"):
            setattr(self, part, arrays[f"{name}.{part}"].copy())
        self.frozen_s = int(arrays[f"{name}.frozen_s"])
        for one in fields(Day):
            array = arrays[f"{name}.day_{one.name}"]
            setattr(self.day, one.name, array.copy() if array.ndim else int(array))


def drifted(model: Model, day: Day) -> F64:
    """By kind and family, how steeply good evidence rises where that is surely more than the model says; else 0."""
    out = np.zeros_like(model.beta)
    for kind, family in zip(*np.nonzero(day.top[:, :, FIRST] > 0), strict=True):
        s = day.top[kind, family]
        rank = np.arange(FIRST + 1, int((s > 0).sum()) + 1)
        n, beta = float(max(day.n[kind, family], rank[-1] + 1)), max(float(model.beta[kind, family]), 1.0)
        fall = s[rank - 1] / beta  # n e^-fall so high are expected: none, to the last digit, where evidence is strong
        expected = n * np.exp(-fall)
        surprise = np.where(rank > expected, rank * (np.log(rank / n) + fall) - (rank - expected), 0.0)
        slope = float(np.max(s[rank - 1] / np.log(max(n, ENTITIES_MIN) / rank)))
        if surprise.max() >= SURE and slope >= LEAST * beta:
            out[kind, family] = slope
    return out


def merged(days: list[Day]) -> Day:
    """Days of several engines, that share no client, as one."""
    out = Day.blank(days[0].n.shape[1])
    out.since_s, out.until_s = min(day.since_s for day in days), max(day.until_s for day in days)
    out.hours = min(day.hours for day in days)
    out.n, out.counts = np.sum([day.n for day in days], axis=0), np.sum([day.counts for day in days], axis=0)
    top, who = (np.concatenate([getattr(day, part) for day in days], axis=2) for part in ("top", "who"))
    order = np.lexsort((who, -top), axis=2)[:, :, :TOP]
    out.top, out.who = (np.take_along_axis(each, order, axis=2) for each in (top, who))
    return out


def refit(model: Model, day: Day) -> Model | None:
    """`model` with higher thresholds for families whose evidence drifted in `day`; None where there is nothing to set.

    A threshold is raised to what the slope and clients of the day give, never beyond the stated one, that a worker has
    with nothing to learn from: who trains us slowly wins no more than that, however often. None is lowered.
    """
    slope = drifted(model, day)
    entities = np.where(slope > 0, np.maximum(model.entities, day.n), model.entities)
    beta = np.where(slope > 0, np.minimum(slope, BETA_MAX), model.beta)
    was, stated = thresholds(model.beta, model.entities), defaults(model.families).h
    h = np.where(slope > 0, np.clip(thresholds(beta, entities), was, np.maximum(was, stated)), was)
    if (h <= was).all():
        return None
    beta = slopes(h, beta, entities)
    made_from = model.made_from.removesuffix("+drift") + "+drift"
    fresh = thresholds(beta, entities)
    return replace(model, beta=beta, entities=entities, h=fresh, made_from=made_from, metrics={})  # were of others
