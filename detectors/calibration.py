"""Learning what is normal from judged runs: how clients differ, how lives go, how high good evidence rises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.artifact import ENTITIES_MIN, POSITIONS, Model
from detectors.columns import KINDS_N, USER
from detectors.entities import ESTABLISHED_MS, ESTABLISHED_N
from detectors.families import Family, Null
from detectors.judge import Judged
from detectors.nulls import Z, fit
from detectors.odd import Asked
from detectors.pairs import mix
from detectors.series import Series, bucket

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
TOP: Final = 20  # maxima the slope is taken from
BETA_MAX: Final = 3.0
ENTITIES_ENOUGH: Final = 20  # fewer than this teach nothing about how clients differ
REGULAR_SHARE: Final = 0.75
REGULARS_MAX: Final = 5_000


@dataclass(slots=True)
class Witness:
    """Takes in judged runs (`Engine(watch=witness)`) and keeps what the fits need, a row an owner and family."""

    owner: list[U64] = field(default_factory=list)
    kind: list[NDArray[np.uint8]] = field(default_factory=list)
    family: list[I64] = field(default_factory=list)
    counts: list[F64] = field(default_factory=list)  # marks, tries, highest evidence
    places: list[tuple[U64, F64]] = field(default_factory=list)  # (owner, bucket) and marks, tries by age
    bursts: dict[int, list[tuple[U64, NDArray[np.uint8], F64]]] = field(default_factory=dict)  # by family: who when
    asked: list[Asked] = field(default_factory=list)
    odd: int = -1  # index of the forest's family
    lives: list[tuple[U64, F64]] = field(default_factory=list)  # owner; first, last, good
    influx: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)  # what newcomers came for, when all is in

    def take(self, judged: Judged) -> None:
        """Keep one run."""
        rows = judged.rows
        kinds = rows.flows.kind[rows.starts]
        last = np.maximum.reduceat(rows.t_ms, rows.starts)
        good = np.add.reduceat(np.where(rows.flows.outcome == 0, rows.flows.n, 0), rows.starts)
        self.lives.append((rows.owner, np.stack([rows.t_ms[rows.starts], last, good], axis=1).astype(np.float64)))
        for series in judged.series:
            seg = rows.seg[series.at]
            heads = np.flatnonzero(np.diff(seg, prepend=-1))
            sums = [np.add.reduceat(v, heads) for v in (series.marks, series.tries)]
            self.owner.append(rows.owner[seg[heads]])
            self.kind.append(kinds[seg[heads]])
            self.family.append(np.full(len(heads), series.family.index))
            self.counts.append(np.stack([*sums, np.maximum.reduceat(series.s, heads)], axis=1).astype(np.float64))
            if series.family.null is Null.BY_AGE:
                self._aged(judged, series, seg)
            if series.family.rate:
                width_s = series.family.burst_s
                spell = rows.flows.pane_s[series.at] // width_s
                spells, inverse = np.unique(mix(rows.owner[seg], spell.astype(np.uint64)), return_inverse=True)
                kind_of = np.zeros(len(spells), np.uint8)
                kind_of[inverse] = kinds[seg]
                rate = np.bincount(inverse, weights=series.marks) / width_s
                self.bursts.setdefault(series.family.index, []).append((spells, kind_of, rate))

    def _aged(self, judged: Judged, series: Series, seg: I64) -> None:
        rows = judged.rows
        place = rows.owner[seg] & ~np.uint64(127) | bucket(judged.sight.before[series.at]).astype(np.uint64)
        place |= rows.flows.kind[series.at].astype(np.uint64) << np.uint64(5)
        keys, inverse = np.unique(place, return_inverse=True)
        pair = [np.bincount(inverse, weights=v, minlength=len(keys)) for v in (series.marks, series.tries)]
        self.places.append((keys, np.stack(pair, axis=1)))

    def take_asked(self, asked: Asked) -> None:
        """Keep what the forest was asked: features to learn from, marks and evidence to calibrate by."""
        self.asked.append(asked)
        heads = np.flatnonzero(np.diff(asked.slot, prepend=-1))
        if not len(heads):
            return
        sums = [np.add.reduceat(asked.marked, heads), np.diff(np.append(heads, len(asked.slot)))]
        self.owner.append(asked.owner[heads])
        self.kind.append(asked.kind[heads])
        self.family.append(np.full(len(heads), self.odd))
        self.counts.append(np.stack([*sums, np.maximum.reduceat(asked.s, heads)], axis=1).astype(np.float64))

    def learned(self, model: Model, *, shipped_weight: float = 0.0) -> Learned:
        """What these runs say, in the place of `model`'s nulls; its own count as `shipped_weight` entities."""
        owners = _by_owner(self)
        prior, position = model.prior.copy(), model.position.copy()
        for kind in range(KINDS_N):
            for population in (0, 1):
                for family in model.families:
                    if family.null is not Null.LEARNED:
                        continue
                    some = (owners.kind == kind) & (owners.family == family.index) & (owners.established == population)
                    at = (kind, population, family.index)
                    prior[at] = _either(prior[at], fit(*owners.counts[some, :2].T), shipped_weight)
        keys, sums = _summed(self.places, 2)
        for kind in range(USER):
            for place in range(POSITIONS):
                some = (keys & np.uint64(127)) == kind * 32 + place
                position[kind, place] = _either(position[kind, place], fit(*sums[some].T), shipped_weight)
        return Learned(prior, position, _rates(self, model), owners, model.families)


@dataclass(frozen=True, slots=True)
class Owners:
    """Totals a row an owner and family: marks, tries, highest evidence."""

    owner: U64
    kind: NDArray[np.uint8]
    family: I64
    established: NDArray[np.bool_]
    counts: F64


@dataclass(frozen=True, slots=True)
class Learned:
    """New nulls, and the owners they rest on."""

    prior: F64
    position: F64
    rate_per_s: F64
    owners: Owners
    families: tuple[Family, ...]

    def entities(self) -> I64:
        """How many owners of each kind had an opportunity in each family."""
        n = len(self.families)
        cells = self.owners.kind.astype(np.int64) * n + self.owners.family
        return np.bincount(cells, minlength=KINDS_N * n).reshape(KINDS_N, n)

    def regulars(self, h: F64) -> tuple[U64, F64]:
        """Owners whose ways come near a threshold of a soft family, hours long: crawlers, batches, fleets.

        Only in these, whose answer harms least, is a training file believed about single owners.
        """
        o = self.owners
        soft = np.isin(o.family, [family.index for family in self.families if family.soft])
        near = o.counts[:, 2] > REGULAR_SHARE * h[o.kind, o.family]
        who = np.unique(o.owner[soft & near & o.established])
        null = np.zeros((len(who), len(self.families)))
        rows = np.flatnonzero(soft & near & np.isin(o.owner, who))
        # Its share over a day says little of an hour in which it walks new ground: there it gives no evidence.
        null[np.searchsorted(who, o.owner[rows]), o.family[rows]] = 0.999
        return who[:REGULARS_MAX], null[:REGULARS_MAX]

    def slopes(self, regulars: U64, stated: F64, *, trim_share: float) -> F64:
        """Beta (kind, family): how high good evidence rises beside ln(N/j) over the 20 largest maxima.

        The highest `trim_share` of owners in a family, one at least unless it is 0, may be bad ones in a file not known
        to be clean, and are left out. `regulars` do not speak for others in soft families.
        """
        n_of = self.entities()
        beta = np.ones((KINDS_N, len(self.families)))
        for kind in range(KINDS_N):
            for family in self.families:
                some = (self.owners.kind == kind) & (self.owners.family == family.index)
                if family.soft:
                    some &= ~np.isin(self.owners.owner, regulars)
                highest = np.sort(self.owners.counts[some, 2])[::-1]
                n = max(int(n_of[kind, family.index]), ENTITIES_MIN)
                skip = int(np.ceil(n * trim_share)) if trim_share else 0
                j = np.arange(1, min(TOP, len(highest) - skip) + 1)
                if n_of[kind, family.index] < ENTITIES_ENOUGH:
                    beta[kind, family.index] = stated[kind, family.index]
                if not len(j):
                    continue
                ratio = highest[skip + j - 1] / np.log(n / j)
                beta[kind, family.index] = min(max(beta[kind, family.index], float(ratio.max())), BETA_MAX)
        return beta


def _either(old: F64, new: tuple[float, float, int], weight: float) -> F64:
    a, b, entities = new
    if entities < ENTITIES_ENOUGH:
        return old
    share = entities / (entities + weight)
    out: F64 = old * (1 - share) + np.array([a, b]) * share
    return out


def _summed(parts: list[tuple[U64, F64]], width: int) -> tuple[U64, F64]:
    if not parts:
        return np.empty(0, np.uint64), np.zeros((0, width))
    keys, inverse = np.unique(np.concatenate([k for k, _ in parts]), return_inverse=True)
    values = np.concatenate([v for _, v in parts])
    return keys, np.stack([np.bincount(inverse, weights=values[:, i]) for i in range(width)], axis=1)


def _by_owner(seen: Witness) -> Owners:
    if not seen.owner:
        none = np.empty(0, np.int64)
        return Owners(none.astype(np.uint64), none.astype(np.uint8), none, none.astype(bool), np.zeros((0, 3)))
    owner, family = np.concatenate(seen.owner), np.concatenate(seen.family)
    kind, counts = np.concatenate(seen.kind), np.concatenate(seen.counts)
    order = np.lexsort((family, owner))
    owner, family, kind, counts = owner[order], family[order], kind[order], counts[order]
    heads = np.flatnonzero(np.concatenate([[True], (owner[1:] != owner[:-1]) | (family[1:] != family[:-1])]))
    total = np.add.reduceat(counts, heads, axis=0)
    total[:, 2] = np.maximum.reduceat(counts[:, 2], heads)
    return Owners(owner[heads], kind[heads], family[heads], _established(seen, owner[heads]), total)


def _established(seen: Witness, owner: U64) -> NDArray[np.bool_]:
    keys = np.concatenate([k for k, _ in seen.lives])
    values = np.concatenate([v for _, v in seen.lives])
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    heads = np.flatnonzero(np.diff(keys, prepend=keys[:1] ^ np.uint64(1)))
    first, last = np.minimum.reduceat(values[:, 0], heads), np.maximum.reduceat(values[:, 1], heads)
    good = np.add.reduceat(values[:, 2], heads)
    known = (good >= ESTABLISHED_N) & (last - first > ESTABLISHED_MS)
    out: NDArray[np.bool_] = known[np.searchsorted(keys[heads], owner)]
    return out


def _rates(seen: Witness, model: Model) -> F64:
    """Marks a second good clients come to in spells with any: mean + 2.5 sd, a fifth to four times what is stated."""
    out = model.rate_per_s.copy()
    for family in model.families:
        parts = seen.bursts.get(family.index, [])
        if not parts:
            continue
        # A spell may have been cut by runs: its parts are added up.
        spells, inverse = np.unique(np.concatenate([who for who, _, _ in parts]), return_inverse=True)
        rate = np.bincount(inverse, weights=np.concatenate([r for _, _, r in parts]), minlength=len(spells))
        kind = np.zeros(len(spells), np.uint8)
        kind[inverse] = np.concatenate([k for _, k, _ in parts])
        for one in range(KINDS_N):
            some = np.sort(rate[kind == one])
            some = some[: len(some) - len(some) // 100]
            if len(some) >= ENTITIES_ENOUGH:
                most = float(some.mean() + Z * some.std())
                out[one, family.index] = min(max(most, family.usual[0] / 5), family.usual[0] * 4)
    return out
