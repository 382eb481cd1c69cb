"""`odd`: the forest asked every ten seconds about everyone active; what it marks is evidence like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import cusum, trees
from detectors import families as fam
from detectors.backdrop import FADE, Backdrop
from detectors.columns import Fact, Finding, Share
from detectors.cusum import Event, Leak
from detectors.entities import ESTABLISHED_MS, Columns, Entities, Slots
from detectors.explain import evidence, score
from detectors.families import Family
from detectors.features import FEATURES, HOP_S, features, words
from detectors.forest import Forest
from detectors.judge import track_of, write_track
from detectors.recent import Complete
from detectors.record import fresh, write_standing
from detectors.series import NOTHING

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
P_MARK: Final = 0.003
SHARES_MAX: Final = 6
POPULATIONS: Final = 4  # of addresses and keys: newcomers, established


@dataclass(frozen=True, slots=True)
class Asked:
    """Owners the forest was asked about, a row an owner and minute, by owner and time.

    `surprise` is what the control group left of each feature's, zero where no forest knows the population.
    """

    slot: Slots
    kind: NDArray[np.uint8]
    established: NDArray[np.bool_]
    owner: NDArray[np.uint64]
    route: NDArray[np.uint64]
    hop: I64
    features: F64
    surprise: F64
    marked: NDArray[np.bool_]
    s: F64

    @property
    def population(self) -> I64:
        """Which forest knows a row: by kind, newcomers and established."""
        return population(self.kind, self.established)


def population(kind: NDArray[np.uint8], established: NDArray[np.bool_]) -> I64:
    """The number of a population, of `POPULATIONS`."""
    out: I64 = 2 * kind.astype(np.int64) + established
    return out


def ask(
    entities: Entities,
    forests: Mapping[int, Forest],
    backdrop: Backdrop,
    told_as: tuple[Family, F64],
    complete: Complete,
) -> tuple[Asked, list[Finding]]:
    """Ask the forests of populations about complete ten seconds (mutates owners' standing and the control group).

    `told_as` is the forest's family and all thresholds.
    """
    c, (family, h) = entities.c, told_as
    asked = _surprised(c, forests, backdrop, complete)
    marked, s = asked.marked, asked.s
    told: list[Finding] = []
    known = np.zeros(len(asked.slot), np.bool_)
    for number, forest in forests.items():
        rows = np.flatnonzero(asked.population == number)
        if len(rows):
            known[rows] = True
            marked[rows] = forest.p_value(forest.score(asked.surprise[rows])) <= P_MARK
    for kind in np.unique(asked.kind[known]).tolist():
        rows = np.flatnonzero(known & (asked.kind == kind))
        s[rows], found = _accumulate(c, forests, asked, rows, marked[rows], (family, float(h[kind, family.index])))
        told += found
    return asked, told


def _surprised(c: Columns, forests: Mapping[int, Forest], backdrop: Backdrop, complete: Complete) -> Asked:
    slot, hop = complete.slot, complete.hop
    kind, known = c.kind[slot], c.established[slot]
    age_s = np.maximum((hop + 1) * float(HOP_S) - c.born_ms[slot] / 1000.0, 1.0)
    seen = features(complete.recent, complete.habit, age_s)
    grown = known & (age_s > ESTABLISHED_MS // 1000)  # forests were fitted to those who had their hour
    t, of, has = np.zeros_like(seen), population(kind, grown), np.zeros(len(slot), np.bool_)
    for number, forest in forests.items():
        rows = np.flatnonzero(of == number)
        t[rows], has[rows] = forest.surprise(seen[rows]), True
    weight = np.where(known & has, 1.0, 0.0)
    shown = (c.shown, c.shown_hop, c.shown_route)
    own = trees.owned(slot, hop, complete.route, weight, shown, FADE)
    left = backdrop.left_of(t, kind, complete.route, hop, weight, own)
    none = np.zeros(len(slot))
    return Asked(slot, kind, grown, c.key[slot], complete.route, hop, seen, left, none > 0, none)


def _accumulate(
    c: Columns,
    forests: Mapping[int, Forest],
    asked: Asked,
    rows: NDArray[np.intp],
    marked: NDArray[np.bool_],
    of: tuple[Family, float],
) -> tuple[F64, list[Finding]]:
    family, h = of
    i, q1 = family.index, family.q1
    slot = asked.slot[rows]
    p = np.minimum(c.p0[slot, i], q1)
    x = np.where(marked, np.minimum(fam.MARK_MAX, np.log(q1 / p)), np.log((1 - q1) / (1 - p)))
    begins = np.diff(slot, prepend=-1) != 0
    owners, seg = slot[begins], np.cumsum(begins) - 1
    t_ms = (asked.hop[rows] + 1) * HOP_S * 1000 - 1
    at = c.at[owners, i]
    s = cusum.run(seg, t_ms, x, c.tracks.s[at], c.tracks.t_ms[at])
    s[s < NOTHING] = 0.0  # what rounding leaves hangs on how panes came together
    active = np.unique(seg[(s >= h - 1e-5) | c.tracks.episode[at[seg]]])
    heads = np.flatnonzero(np.diff(seg, prepend=-1))
    hour = np.stack([np.add.reduceat(marked, heads), np.add.reduceat(~marked, heads)], axis=1)
    c.hour[owners, i] += hour
    tracks = [(int(owners[one]), track_of(c, int(owners[one]), i), np.flatnonzero(seg == one)) for one in active]
    of_family, ones = (slot, i), np.ones(len(seg), np.int64)
    write_standing(c, of_family, (t_ms, s, fresh(c, of_family, t_ms, s)), (marked.astype(np.int64), ones, 0 * ones))
    told: list[Finding] = []
    for who, track, part in tracks:
        steps = [
            cusum.Row(
                int(rows[k]), int(t_ms[k]) // 1000, int(t_ms[k]), float(x[k]), int(marked[k]), 1, 0, int(c.seen[who])
            )
            for k in part.tolist()
        ]
        events = cusum.walk(track, steps, h, Leak())
        write_track(c, who, i, track)
        c.alarmed[who] |= track.episode
        told += [_finding(c, who, forests, asked, event, of) for event in events]
    return s, told


def _finding(
    c: Columns, slot: int, forests: Mapping[int, Forest], asked: Asked, event: Event, of: tuple[Family, float]
) -> Finding:
    family, h = of
    track = event.track
    told = _shares(forests[int(asked.population[event.index])], asked, event.index)
    minutes = max(track.marks, 1)
    sentence = f"{minutes} minutes looked unlike good traffic, of which fewer than {100 * P_MARK:.1f} % do"
    facts = (
        Fact("odd_minutes", float(minutes), None, sentence),
        evidence(track.s, h),
    )
    return Finding(
        kind=int(c.kind[slot]),
        entity=int(c.entity[slot]),
        family=family.name,
        version=family.version,
        pane_s=track.crossed_pane_s,
        at_s=event.pane_s,
        crossed_ms=track.crossed_ms,
        crossed_after=track.crossed_after,
        first_ms=track.first_ms or track.crossed_ms,
        last_ms=track.last_mark_ms,
        score=score(track.s, h),
        answer=family.answer(int(c.kind[slot]), established=False),
        severity=family.severity,
        route=0,
        facts=facts,
        contributions=told,
        avoid=family.words.avoid,
    )


def _shares(forest: Forest, asked: Asked, at: int) -> tuple[Share, ...]:
    """What of a row was odd, the most telling first."""
    row, t = asked.features[at], asked.surprise[at]
    shares = np.maximum(forest.attribution(t), 0.0)
    shares /= max(float(shares.sum()), 1e-9)
    first = np.argsort(-shares, kind="stable")[:SHARES_MAX]
    rest = shares[first] / max(float(shares[first].sum()), 1e-9)
    return tuple(
        Share(
            FEATURES[j],
            float(row[j]),
            float(share),
            f"{words(FEATURES[j], float(row[j]))} (good traffic: one in {10 ** t[j]:.0f})",
        )
        for j, share in zip(first.tolist(), rest.tolist(), strict=True)
        if share > 0.01
    )
