"""One run of closed (or open) panes judged against what is remembered. Reads everything, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import cusum, moment
from detectors import families as fam
from detectors.artifact import POSITIONS, Model
from detectors.columns import LIMITED, OK
from detectors.control import SAMPLE_S, Control, distinct
from detectors.cusum import Event, Leak, Track
from detectors.entities import Columns, Slots
from detectors.nulls import upper
from detectors.pairs import firsts, mix
from detectors.rows import Rows
from detectors.sight import Memories, Sight, look

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
LN2: Final = float(np.log(2.0))
WARM_KEY: Final = np.uint64(7)  # a route of its own in the control sums: everybody's share of novel paths
WARM_SHARE_MAX: Final = 0.1
WARM_N: Final = 2_000  # samples ever, before `novel` may speak
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


@dataclass(frozen=True, slots=True)
class Crossing:
    """What one owner did in one family that is or comes to be an episode: its track at the end, and its events."""

    seg: int
    family: fam.Family
    track: Track
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Judged:
    """A run judged: what `Engine` writes back, and what it tells."""

    rows: Rows
    slots: Slots
    sight: Sight
    series: list[Series]
    crossings: list[Crossing]
    samples: tuple[U64, I64, F64]
    sampled: U64
    warm: tuple[U64, I64, F64]


def leak_of(family: fam.Family, model: Model, kind: int) -> Leak:
    """How a family's evidence fades for owners of `kind`."""
    if family is fam.HAMMER:
        return Leak(per_s=float(model.lambda0_per_s[kind]))
    return Leak()


def judge(
    rows: Rows, slots: Slots, c: Columns, memories: Memories, control: Control, model: Model, seen_n: int
) -> Judged:
    """Judge `rows` of owners in `slots`. `seen_n`: samples ever, for the warmth of `novel`."""
    sight = look(rows, slots, c, memories)
    p0, own = _held_to(rows, slots, c, model)
    samples, sampled = _samples(rows, slots, c, memories, sight)
    warm = _warm_samples(rows, slots, c, sight)
    both = tuple(np.concatenate(pair) for pair in zip(samples, warm, strict=True))
    series = [
        s for s in _series(rows, (p0, own), sight, model, control, (both[0], both[1], both[2]), seen_n) if len(s.at)
    ]
    scored = [_accumulate(s, rows, slots, c, model) for s in series]
    crossings = [found for s in scored for found in _crossings(s, rows, slots, c, model, sight)]
    return Judged(rows, slots, sight, scored, crossings, samples, sampled, warm)


def _held_to(rows: Rows, slots: Slots, c: Columns, model: Model) -> tuple[F64, F64]:
    """Nulls (segment, family), and own history of `sweep`, whose null is made by place in life: here only its floor."""
    p0, own = c.p0[slots], c.own[slots, fam.SWEEP.index].astype(np.float64)
    p0[:, fam.SWEEP.index] = 0.0
    if len(model.regulars):
        at = np.minimum(np.searchsorted(model.regulars, rows.owner), len(model.regulars) - 1)
        known = model.regulars[at] == rows.owner
        p0[known] = np.maximum(p0[known], model.regulars_p0[at[known]])
    return p0, own


def _samples(
    rows: Rows, slots: Slots, c: Columns, memories: Memories, sight: Sight
) -> tuple[tuple[U64, I64, F64], U64]:
    """Established clients' opportunities, one a client, route, family and ten seconds; and their keys to remember."""
    known = c.established[slots][rows.seg] & ~c.alarmed[slots][rows.seg]
    f = rows.flows
    plain = np.flatnonzero(known & sight.plain)
    logins = np.flatnonzero(known[sight.logins.at])
    at = np.concatenate([sight.logins.at[logins], plain, plain])
    index = np.concatenate(
        [
            np.full(len(logins), fam.GUESS.index),
            np.full(len(plain), fam.PROBE.index),
            np.full(len(plain), fam.NOVEL.index),
        ]
    )
    mark = np.concatenate([sight.logins.fresh[logins] > 0, (sight.error & sight.new_path)[plain], sight.novel[plain]])
    ten = (f.pane_s[at] // SAMPLE_S).astype(np.uint64)
    key = mix(rows.owner[rows.seg[at]], f.route[at], ten, index.astype(np.uint64))
    some = np.flatnonzero(~memories.sampled.contains(key))
    some = some[firsts(key[some])]
    at = at[some]
    return (_place(f.route[at], index[some]), f.pane_s[at], mark[some].astype(np.float64)), key[some]


def _warm_samples(rows: Rows, slots: Slots, c: Columns, sight: Sight) -> tuple[U64, I64, F64]:
    """Everybody's: an owner's first row of ten seconds, and whether it asked for what nobody ever had."""
    ten = rows.flows.pane_s // SAMPLE_S
    prior = np.concatenate([[0], ten[:-1]])[: len(ten)]
    prior[rows.starts] = c.last_ms[slots] // (1000 * SAMPLE_S)
    prior[rows.starts[slots < 2]] = 0
    at = np.flatnonzero((ten != prior) & sight.plain)
    return np.full(len(at), WARM_KEY), rows.flows.pane_s[at], sight.novel[at].astype(np.float64)


def _place(route: U64, family: NDArray[np.intp] | int) -> U64:
    return mix(route, np.broadcast_to(np.asarray(family, np.uint64), route.shape))


def _series(
    rows: Rows,
    nulls: tuple[F64, F64],
    sight: Sight,
    model: Model,
    control: Control,
    samples: tuple[U64, I64, F64],
    seen_n: int,
) -> list[Series]:
    """Rows and evidence of each family, not yet accumulated."""
    f = rows.flows
    plain = np.flatnonzero(sight.plain)
    new_plain = sight.new_path[plain]
    logins = sight.logins
    error = np.flatnonzero((sight.error & sight.new_path) | (sight.plain & (f.outcome == OK)))
    one, which = distinct(f.route, f.pane_s)
    places = [_place(f.route[one], family.index) for family in (fam.GUESS, fam.PROBE, fam.NOVEL)]
    asked = np.concatenate([*places, np.full(len(one), WARM_KEY)])
    bound = control.bounds(asked, np.tile(f.pane_s[one], 4), samples).reshape(4, len(one))
    at_each = zip(bound, (logins.at, error, plain, plain), strict=True)
    of_guess, of_probe, of_novel, everybody = (of_family[which[at]] for of_family, at in at_each)
    p0, own = nulls
    seg = rows.seg
    out = [
        _marked(
            fam.GUESS,
            logins.at,
            logins.fresh,
            logins.fine,
            np.maximum(p0[seg[logins.at], 0], of_guess),
            repeats=logins.repeats,
        ),
    ]
    mark = sight.error[error].astype(np.int64)
    out.append(_marked(fam.PROBE, error, mark, np.where(mark, 0, f.n[error]), np.maximum(p0[seg[error], 1], of_probe)))
    met_n = seen_n + np.searchsorted(np.sort(samples[1][samples[0] == WARM_KEY]), f.pane_s[plain])
    w = np.flatnonzero((everybody < WARM_SHARE_MAX) & (met_n >= WARM_N))
    at = plain[w]
    mark = sight.novel[at].astype(np.int64)
    out.append(_marked(fam.NOVEL, at, mark, f.n[at] - mark, np.maximum(p0[seg[at], 2], of_novel[w])))
    mark = new_plain.astype(np.int64)
    out.append(
        _marked(
            fam.SWEEP,
            plain,
            mark,
            f.n[plain] - mark,
            np.maximum(sweep_null(f.kind[plain], sight.before[plain], own[seg[plain]], model), p0[seg[plain], 3]),
        )
    )
    again = sight.refusals.again.astype(np.int64)
    out.append(_marked(fam.LIMIT, sight.refusals.at, again, 1 - again, np.full(len(again), fam.LIMIT_P0)))
    refused = np.flatnonzero(f.outcome == LIMITED)
    n = f.n[refused]
    rate = model.lambda0_per_s[f.kind[refused]]
    out.append(Series(fam.HAMMER, refused, n.astype(np.float64) * LN2, n, n, n, rate, np.empty(0)))
    return out


def bucket(before: I64) -> NDArray[np.intp]:
    """Place in an owner's life: two buckets an octave of its requests."""
    out: NDArray[np.intp] = np.minimum((2 * np.log2(before + 1.0)).astype(np.intp), POSITIONS - 1)
    return out


def sweep_null(kind: NDArray[np.uint8], before: I64, own: F64, model: Model) -> F64:
    """How often owners at this place of their life ask for a path new to them; own history added."""
    prior = model.position[kind, bucket(before)]
    return upper(prior[:, 0] + own[:, 0], prior[:, 1] + own[:, 1])


def _marked(
    family: fam.Family, at: NDArray[np.intp], marks: I64, plain: I64, p0: F64, repeats: I64 | None = None
) -> Series:
    p = np.minimum(p0, family.q1)
    x = marks * np.minimum(fam.MARK_MAX, np.log(family.q1 / p)) + plain * np.log((1 - family.q1) / (1 - p))
    distinct = marks
    if repeats is not None:
        x = x + repeats * np.log(fam.REPEAT_Q1 / fam.REPEAT_P0)
        marks = marks + repeats
    return Series(family, at, np.maximum(x, -100.0), marks, marks + plain, distinct, p0, np.empty(0))


def _accumulate(series: Series, rows: Rows, slots: Slots, c: Columns, model: Model) -> Series:
    """The evidence after each row. Owners with nothing standing and no mark stay at 0 and are skipped."""
    i = series.family.index
    seg = rows.seg[series.at]
    matters = c.s[slots, i] > 0
    matters[seg[series.marks > 0]] = True
    s = np.zeros(len(seg))
    some = np.flatnonzero(matters[seg])
    present, dense = _runs(seg[some])
    for kind in (0, 1):
        of_kind = rows.flows.kind[rows.starts[present]] == kind
        chosen = some if of_kind.all() else some[of_kind[dense]]
        if not len(chosen):
            continue
        segs, dense_kind = _runs(seg[chosen])
        slot = slots[segs]
        s[chosen] = cusum.run(
            dense_kind,
            rows.t_ms[series.at[chosen]],
            series.x[chosen],
            c.s[slot, i],
            c.t_ms[slot, i],
            leak_of(series.family, model, kind),
        )
        if of_kind.all():
            break
    s[s < NOTHING] = 0.0
    return Series(series.family, series.at, series.x, series.marks, series.tries, series.distinct, series.p0, s)


def _runs(seg: I64) -> tuple[I64, I64]:
    """The distinct numbers of an ascending column, and for each row which of them it has."""
    heads = np.diff(seg, prepend=-1) != 0
    return seg[heads], np.cumsum(heads) - 1


def _crossings(series: Series, rows: Rows, slots: Slots, c: Columns, model: Model, sight: Sight) -> list[Crossing]:
    """Owners that reach the threshold or stand in an episode, redone step by step."""
    i = series.family.index
    seg = rows.seg[series.at]
    h = model.h[rows.flows.kind[series.at], i]
    active = np.unique(seg[(series.s >= h - 1e-5) | c.episode[slots[seg], i]])
    out = []
    for one in active.tolist():
        begin, end = np.searchsorted(seg, [one, one + 1])
        part = slice(int(begin), int(end))
        kind = int(rows.flows.kind[series.at[begin]])
        track = track_of(c, int(slots[one]), i)
        limit, leak = float(model.h[kind, i]), leak_of(series.family, model, kind)
        locate = partial(_locate, series, rows, sight, one, limit, leak)
        events = cusum.walk(track, _steps(series, part, rows, sight), limit, leak, locate)
        out.append(Crossing(one, series.family, track, events))
    return out


def _locate(
    series: Series, rows: Rows, sight: Sight, seg: int, h: float, leak: Leak, before: Track, row: cusum.Row
) -> tuple[int, int] | None:
    """The request of segment `seg` that crossed in the pane of `row`: its time, and the owner's requests before it."""
    low, high = np.searchsorted(rows.seg, [seg, seg + 1])
    begin, end = (low + np.searchsorted(rows.flows.pane_s[low:high], [row.pane_s, row.pane_s + 1])).tolist()
    part = slice(*np.searchsorted(series.at, [begin, end]).tolist())
    at = series.at[part]
    first, further = moment.shares(
        series.family, series.x[part], series.marks[part], series.distinct[part], series.p0[part], rows.flows.n[at]
    )
    found = moment.crossed(before, rows, slice(begin, end), (at, first, further), h, leak)
    return found and (found[0], int(sight.before[begin]) + found[1])


def _steps(series: Series, part: slice, rows: Rows, sight: Sight) -> list[cusum.Row]:
    at = series.at[part]
    columns = (
        at,
        rows.flows.pane_s[at],
        rows.t_ms[at],
        series.x[part],
        series.marks[part],
        series.tries[part],
        series.distinct[part],
        sight.before[at],
    )
    return [cusum.Row(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def track_of(c: Columns, slot: int, family: int) -> Track:
    """A slot's standing in one family."""
    at = (slot, family)
    return Track(
        s=float(c.s[at]),
        t_ms=int(c.t_ms[at]),
        first_ms=int(c.first_ms[at]),
        marks=int(c.marks[at]),
        tries=int(c.tries[at]),
        distinct=int(c.distinct[at]),
        last_mark_ms=int(c.last_mark_ms[at]),
        episode=bool(c.episode[at]),
        crossed_pane_s=int(c.crossed_pane_s[at]),
        crossed_ms=int(c.crossed_ms[at]),
        crossed_after=int(c.crossed_after[at]),
    )


def write_track(c: Columns, slot: int, family: int, track: Track) -> None:
    """Put a standing back."""
    at = (slot, family)
    c.s[at], c.t_ms[at], c.first_ms[at] = track.s, track.t_ms, track.first_ms
    c.marks[at], c.tries[at], c.distinct[at] = track.marks, track.tries, track.distinct
    c.last_mark_ms[at], c.episode[at] = track.last_mark_ms, track.episode
    c.crossed_pane_s[at], c.crossed_ms[at], c.crossed_after[at] = (
        track.crossed_pane_s,
        track.crossed_ms,
        track.crossed_after,
    )
