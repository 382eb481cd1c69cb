"""What a run gave is written back: each owner's standing in a family, and what the hour has shown of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors import credential
from detectors import families as fam
from detectors.cardinality import STRANGER_MS
from detectors.columns import LIMITED, OK
from detectors.cusum import Track
from detectors.entities import Columns, Slots
from detectors.judge import Crossing, Judged, write_track
from detectors.pairs import mix
from detectors.rows import Rows
from detectors.series import NOTHING, Series
from detectors.sight import Memories

Flag = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Index = NDArray[np.intp]


def write_requests(c: Columns, rows: Rows, slots: Slots) -> None:
    """How many requests owners made, how many were good, when the last one was, and what they were refused with."""
    f = rows.flows
    n = np.add.reduceat(f.n, rows.starts)
    c.seen[slots] += n
    c.weight[slots] += n
    c.good[slots] += np.add.reduceat(np.where(f.outcome == OK, f.n, 0), rows.starts)
    c.last_ms[slots] = np.maximum(c.last_ms[slots], np.maximum.reduceat(rows.t_ms, rows.starts))
    c.credential[slots] = credential.joined(c.credential[slots], credential.refused_with(f), rows.starts)


def write_series(c: Columns, series: Series, rows: Rows, slots: Slots, teaches: Flag | None = None) -> None:
    """Standing and hour counts of all owners in one family (those that crossed are written over after).

    Only rows that `teaches`, if given, go into the hour.
    """
    i = series.family.index
    seg = rows.seg[series.at]
    heads = np.flatnonzero(np.diff(seg, prepend=-1))
    slot = slots[seg[heads]]
    counts = np.stack([series.marks, series.tries - series.marks], axis=1)
    counts = counts if teaches is None else counts * teaches[:, None]
    c.hour[slot, i] += np.add.reduceat(counts, heads, axis=0)
    t_ms = rows.t_ms[series.at]
    anew = series.s - series.x <= NOTHING if series.family.rate else fresh(c, (slot, i), heads, t_ms, series.s)
    write_standing(c, (slot, i), (heads, t_ms, series.s, anew), (series.marks, series.tries, series.distinct))


def write_standing(
    c: Columns, at: tuple[Slots, int], course: tuple[Index, I64, F64, Flag], counts: tuple[I64, I64, I64]
) -> None:
    """Standing of owners `at` their slots in a family after rows, by owner and time.

    `course`: each owner's first row, when rows were, the evidence after them, and before which nothing stood. `counts`:
    marks, tries and distinct marks of rows; those since evidence left 0 are kept.
    """
    heads, t_ms, s, anew_at = course
    slot, i = at
    ends = np.append(heads[1:], len(t_ms)) - 1
    begun = np.maximum.reduceat(np.where(anew_at, np.arange(len(t_ms)), -1), heads)
    anew = begun >= 0
    since = np.where(anew, begun, heads)
    for column, value in zip((c.marks, c.tries, c.distinct), counts, strict=True):
        total = np.cumsum(value)
        column[slot, i] = total[ends] - (total - value)[since] + np.where(anew, 0, column[slot, i])
    c.first_ms[slot, i] = np.where(anew, t_ms[since], c.first_ms[slot, i])
    c.s[slot, i], c.t_ms[slot, i] = s[ends], t_ms[ends]
    c.most[slot, i] = np.maximum(c.most[slot, i], np.maximum.reduceat(s, heads))


def write_crossing(c: Columns, crossing: Crossing, slots: Slots) -> None:
    """The exact standing of an owner that crossed, or stands in an episode."""
    slot = int(slots[crossing.seg])
    write_track(c, slot, crossing.family.index, crossing.track)
    if crossing.events:
        c.alone[slot, crossing.family.index] = True
    if crossing.events or crossing.track.episode:
        c.alarmed[slot] = True


def write_member(c: Columns, slot: int, family: int, track: Track) -> None:
    """Who was found part of a group stands in an episode, as if he had crossed by himself."""
    at = (slot, family)
    if c.crossed_pane_s[at] != track.crossed_pane_s:
        c.alone[at] = False
    c.episode[at], c.last_mark_ms[at], c.alarmed[slot] = True, track.last_mark_ms, True
    c.crossed_pane_s[at], c.crossed_ms[at] = track.crossed_pane_s, track.crossed_ms
    c.crossed_after[at] = track.crossed_after


def write_memories(memories: Memories, c: Columns, judged: Judged, slots: Slots) -> None:
    """What a run has shown to be there: paths, pairs, failures; and where its owners were last, and refused."""
    rows, sight = judged.rows, judged.sight
    logins = sight.logins
    stranger = rows.flows.pane_s - c.born_ms[slots[rows.seg]] // 1000 < STRANGER_MS // 1000
    memories.paths.add(sight.pair[sight.new_path], stranger[sight.new_path])
    memories.anyone.add(mix(rows.flows.path[sight.anyone]), stranger[sight.anyone])
    for name, (keys, at) in sight.seen.items():
        memories.by_owner(name).add(keys, stranger[at])
    memories.failed.add(logins.failed_pairs, stranger[logins.failed_at])
    memories.good.add(logins.good_pairs, stranger[logins.good_at])
    memories.sampled.add(judged.sampled)
    failed = logins.at[logins.failed]
    np.maximum.at(c.fail_ms, slots[rows.seg[failed]], rows.t_ms[failed])
    c.route[slots] = rows.flows.route[np.append(rows.starts[1:], len(rows)) - 1]
    refused = np.flatnonzero(rows.flows.outcome == LIMITED)
    np.maximum.at(c.refused_s, slots[rows.seg[refused]], rows.flows.pane_s[refused])


def fresh(c: Columns, at: tuple[Slots, int], heads: Index, t_ms: I64, s: F64) -> Flag:
    """Rows before which nothing stood of evidence that fades by a factor."""
    out = np.concatenate([[False], s[:-1] <= NOTHING])
    idle_ms = (t_ms[heads] - c.t_ms[at]).astype(np.float64)
    out[heads] = c.s[at] * np.exp(-idle_ms / fam.LEAK_MS) <= NOTHING
    return out
