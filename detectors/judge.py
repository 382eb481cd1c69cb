"""One run of closed (or open) panes judged against what is remembered. Reads everything, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from detectors import accounts, cusum, doors, doubt, moment, senders, waits, walks
from detectors import families as fam
from detectors.artifact import Model
from detectors.chances import chances
from detectors.control import Control
from detectors.cusum import Event, Leak, Track
from detectors.entities import Columns, Slots
from detectors.kin import Kin
from detectors.memories import Memories
from detectors.rows import Rows
from detectors.sampling import samples, warm_samples
from detectors.series import NOTHING, Held, Series
from detectors.sight import Sight, look

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


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
    kin: NDArray[np.bool_]  # rows of addresses like a machine that is known (`kin`)
    waiting: NDArray[np.bool_]  # failures of who may be a device that waits to be let in (`waits`)
    senders: senders.Senders  # machines that send here, and who is like them
    accounts: accounts.Accounts  # who is signed in, and since when he is known
    company: doubt.Company  # who else was there: what speaks for whom evidence would deny
    desks: dict[int, NDArray[np.bool_]]  # by segment that walks, which accounts work there (`walks`)


def leak_of(family: fam.Family, rate: float) -> Leak:
    """How a family's evidence fades for an owner with this null."""
    return Leak(per_s=rate) if family.rate else Leak()


def judge(
    rows: Rows,
    slots: Slots,
    c: Columns,
    memories: Memories,
    by: tuple[Control, Kin, waits.Common],
    model: Model,
    seen_n: int,
) -> Judged:
    """Judge `rows` of owners in `slots`. `seen_n`: samples ever, for the warmth of `novel`."""
    control, kin, common = by
    sight = look(rows, slots, c, memories, model.families)
    like = kin.like(rows, slots, c, sight)
    all_of = chances(model.families, rows, sight)
    found = doubt.company(rows, sight, memories)
    signed_in = accounts.look(rows, slots, c, memories, common)
    at_doors = doors.samples(rows, memories.sampled, sight.waits.usual)
    known, sampled = _all(samples(rows, slots, c, memories, (sight, signed_in.past), model), at_doors)
    warm = warm_samples(rows, slots, c, sight)
    both = tuple(np.concatenate(pair) for pair in zip(known, warm, strict=True))
    held = Held(rows, slots, c, sight, model, control, (both[0], both[1], both[2]), seen_n, like)
    series = [s for s in held.series(all_of) if len(s.at)]
    scored = [_accumulate(s, rows, slots, c) for s in series]
    crossings = [one for s in scored if s.family.alone for one in _crossings(s, rows, slots, c, model, sight)]
    sending = senders.look(rows, slots, c, memories.sampled, fam.submissions(model.families))
    waiting = waits.waiting(rows, sight.waits, common)
    walk = sorted({one.seg for one in crossings if walks.is_walk(one.family)})
    at_work = walks.desks(rows, walk, memories.sampled)
    told = known, sampled, warm, like, waiting, sending, signed_in, found, at_work
    return Judged(rows, slots, sight, scored, crossings, *told)


def _all(*some: tuple[tuple[U64, I64, F64], U64]) -> tuple[tuple[U64, I64, F64], U64]:
    """Samples of several sorts, and the keys they are remembered by, as one."""
    routes, panes, marks = (np.concatenate(part) for part in zip(*(found for found, _ in some), strict=True))
    return (routes, panes, marks), np.concatenate([keys for _, keys in some])


def _accumulate(series: Series, rows: Rows, slots: Slots, c: Columns) -> Series:
    """The evidence after each row. Owners with nothing standing and no mark stay at 0 and are skipped."""
    i = series.family.index
    seg = rows.seg[series.at]
    at = c.at[slots, i]
    matters = c.tracks.s[at] > 0
    matters[seg[series.marks > 0]] = True
    s = np.zeros(len(seg))
    some = np.flatnonzero(matters[seg])
    present, dense = _runs(seg[some])
    at = at[present]
    per_s = c.p0[slots[present], i] if series.family.rate else None
    t_ms, x = rows.t_ms[series.at[some]], series.x[some]
    s[some] = cusum.run(dense, t_ms, x, c.tracks.s[at], c.tracks.t_ms[at], per_s)
    s[s < NOTHING] = 0.0
    return replace(series, s=s)


def _runs(seg: I64) -> tuple[I64, I64]:
    """The distinct numbers of an ascending column, and for each row which of them it has."""
    heads = np.diff(seg, prepend=-1) != 0
    return seg[heads], np.cumsum(heads) - 1


def _crossings(series: Series, rows: Rows, slots: Slots, c: Columns, model: Model, sight: Sight) -> list[Crossing]:
    """Owners that reach the threshold or stand in an episode, redone step by step."""
    i = series.family.index
    seg = rows.seg[series.at]
    h = model.h[rows.flows.kind[series.at], i]
    active = np.unique(seg[(series.s >= h - 1e-5) | c.tracks.episode[c.at[slots[seg], i]]])
    out = []
    for one in active.tolist():
        begin, end = np.searchsorted(seg, [one, one + 1])
        part = slice(int(begin), int(end))
        kind = int(rows.flows.kind[series.at[begin]])
        track = track_of(c, int(slots[one]), i)
        limit, leak = float(model.h[kind, i]), leak_of(series.family, float(c.p0[slots[one], i]))
        locate = partial(_locate, series, rows, sight, one, limit, leak)
        events = cusum.walk(track, steps(series, part, rows, sight), limit, leak, locate)
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


def steps(series: Series, part: slice, rows: Rows, sight: Sight) -> list[cusum.Row]:
    """Rows of one owner, as `cusum.walk` takes them."""
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
    t, at = c.tracks, int(c.at[slot, family])
    return Track(
        s=float(t.s[at]),
        t_ms=int(t.t_ms[at]),
        first_ms=int(t.first_ms[at]),
        marks=int(t.marks[at]),
        tries=int(t.tries[at]),
        distinct=int(t.distinct[at]),
        last_mark_ms=int(t.last_mark_ms[at]),
        episode=bool(t.episode[at]),
        crossed_pane_s=int(t.crossed_pane_s[at]),
        crossed_ms=int(t.crossed_ms[at]),
        crossed_after=int(t.crossed_after[at]),
    )


def write_track(c: Columns, slot: int, family: int, track: Track) -> None:
    """Put a standing back."""
    at, t = c.track(slot, family), c.tracks
    t.s[at], t.t_ms[at], t.first_ms[at] = track.s, track.t_ms, track.first_ms
    t.marks[at], t.tries[at], t.distinct[at] = track.marks, track.tries, track.distinct
    t.last_mark_ms[at], t.episode[at] = track.last_mark_ms, track.episode
    t.crossed_pane_s[at], t.crossed_ms[at], t.crossed_after[at] = (
        track.crossed_pane_s,
        track.crossed_ms,
        track.crossed_after,
    )
