"""What a run gave is written back: each owner's standing in a family, and what the hour has shown of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors import credential, doubt, waits
from detectors import families as fam
from detectors.cardinality import STRANGER_MS
from detectors.columns import LIMITED, OK
from detectors.compiled import compiled
from detectors.cusum import Track
from detectors.entities import Columns, Slots
from detectors.judge import Crossing, Judged, write_track
from detectors.memories import Memories
from detectors.pairs import mix
from detectors.rows import Rows
from detectors.series import NOTHING, Series
from detectors.sight import MEMORY, settled_key
from detectors.tracks import without

Flag = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


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
    slot, t_ms = slots[rows.seg[series.at]], rows.t_ms[series.at]
    lesson = np.ones(0, np.bool_) if teaches is None else teaches
    _taught(i, slot, series.marks, series.tries, lesson, c.hour)
    anew = series.s - series.x <= NOTHING if series.family.rate else fresh(c, (slot, i), t_ms, series.s)
    write_standing(c, (slot, i), (t_ms, series.s, anew), (series.marks, series.tries, series.distinct))


def write_standing(
    c: Columns, at: tuple[Slots, int], course: tuple[I64, F64, Flag], counts: tuple[I64, I64, I64]
) -> None:
    """Standing of owners in a family after rows, by owner and time; `at` their slots, by row.

    `course`: when rows were, the evidence after them, and before which nothing stood. `counts`: marks, tries and
    distinct marks of rows; those since evidence left 0 are kept.
    """
    slot, i = at
    _make(c, i, *without(i, slot, course[1], c.at))
    t = c.tracks
    _stood(i, slot, course, counts, c.at, (t.marks, t.tries, t.distinct), (t.first_ms, t.t_ms), (t.s, t.most))


def _make(c: Columns, family: int, slots: Slots, high: F64) -> None:
    """Rows for owners that come to have evidence, `high` at the most; where there are too many, of the highest."""
    if not len(slots):
        return
    left = c.tracks.left()
    if len(slots) > left:
        slots = slots[np.lexsort((c.key[slots], -high))[:left]]
    c.at[slots, family] = c.tracks.make(len(slots))


@compiled
def _taught(family: int, slot: Slots, marks: I64, tries: I64, teaches: Flag, hour: F32) -> None:
    """Marks and other tries of rows, those of an owner together, into the hour (mutated). No `teaches`: all of them."""
    begin = 0
    while begin < len(slot):
        i, own, others = begin, 0, 0
        while i < len(slot) and slot[i] == slot[begin]:
            if len(teaches) == 0 or teaches[i]:
                own += marks[i]
                others += tries[i] - marks[i]
            i += 1
        at = slot[begin]
        hour[at, family, 0] = np.float64(hour[at, family, 0]) + own
        hour[at, family, 1] = np.float64(hour[at, family, 1]) + others
        begin = i


@compiled
def _stood(
    family: int,
    slot: Slots,
    course: tuple[I64, F64, Flag],
    counts: tuple[I64, I64, I64],
    held: I32,
    kept: tuple[I32, I32, I32],
    times: tuple[I64, I64],
    evidence: tuple[F64, F32],
) -> None:
    """`write_standing`: an owner's rows gone through once, all that is kept of him (mutated) written once.

    Of whom no row of `tracks` is `held` there never was any evidence.
    """
    (t_ms, s, anew), (first_ms, last_ms), (stands, most) = course, times, evidence
    (marks, tries, distinct), (n_marks, n_tries, n_distinct) = kept, counts
    begin = 0
    while begin < len(slot):
        at, i, since, high = slot[begin], begin, -1, s[begin]
        while i < len(slot) and slot[i] == at:
            since = i if anew[i] else since
            high = max(high, s[i])
            i += 1
        first, begin, at = begin, i, held[at, family]
        if at == 0:
            continue
        if since >= 0:
            marks[at] = tries[at] = distinct[at] = 0
            first_ms[at] = t_ms[since]
        for row in range(max(since, first), i):
            marks[at] += n_marks[row]
            tries[at] += n_tries[row]
            distinct[at] += n_distinct[row]
        stands[at], last_ms[at] = s[i - 1], t_ms[i - 1]
        most[at] = max(np.float64(most[at]), high)


def write_crossing(c: Columns, crossing: Crossing, slots: Slots) -> None:
    """The exact standing of an owner that crossed, or stands in an episode."""
    slot = int(slots[crossing.seg])
    write_track(c, slot, crossing.family.index, crossing.track)
    if crossing.events:
        at = c.track(slot, crossing.family.index)
        c.tracks.alone[at] = True
    if crossing.events or crossing.track.episode:
        c.alarmed[slot] = True


def write_member(c: Columns, slot: int, family: int, track: Track) -> None:
    """Who was found part of a group stands in an episode, as if he had crossed by himself."""
    at, t = c.track(slot, family), c.tracks
    if t.crossed_pane_s[at] != track.crossed_pane_s:
        t.alone[at] = False
    t.episode[at], t.last_mark_ms[at], c.alarmed[slot] = True, track.last_mark_ms, True
    t.crossed_pane_s[at], t.crossed_ms[at] = track.crossed_pane_s, track.crossed_ms
    t.crossed_after[at] = track.crossed_after


def write_memories(memories: Memories, c: Columns, judged: Judged, slots: Slots) -> None:
    """What a run has shown to be there: paths, pairs, failures; and where its owners were last, and refused."""
    rows, sight = judged.rows, judged.sight
    logins = sight.logins
    stranger = rows.flows.pane_s - c.born_ms[slots[rows.seg]] // 1000 < STRANGER_MS // 1000
    memories.paths.add(sight.pair[sight.new_path], stranger[sight.new_path])
    memories.anyone.add(mix(rows.flows.path[sight.anyone]), stranger[sight.anyone])
    for name, (keys, at) in sight.seen.items():
        memories.by_owner(name).add(keys, stranger[at])
    for thing in fam.UNTIL_THE_HOUR:
        _, arrived = sight.seen[MEMORY[thing]]
        memories.arrived.add(settled_key(rows.owner[rows.seg[arrived]], thing), stranger[arrived])
    memories.failed.add(logins.failed_pairs, stranger[logins.failed_at])
    memories.good.add(logins.good_pairs, stranger[logins.good_at])
    here = judged.accounts.here
    memories.present.add(rows.flows.user[here], stranger[here])
    memories.sampled.add(judged.sampled)
    memories.sampled.add(judged.company.keys)
    memories.sampled.add(sight.waits.keys)
    memories.sampled.add(judged.senders.keys)
    c.turned[slots] = judged.senders.turned
    doubt.counted(c, slots, rows, judged.company)
    waits.counted(c, slots, rows, sight.waits)
    failed = logins.at[logins.failed]
    np.maximum.at(c.fail_ms, slots[rows.seg[failed]], rows.t_ms[failed])
    ends = np.append(rows.starts[1:], len(rows)) - 1
    c.route[slots], c.last[slots], c.agent[slots] = (
        column[ends] for column in (rows.flows.route, rows.flows.path, rows.flows.agent)
    )
    refused = np.flatnonzero(rows.flows.outcome == LIMITED)
    np.maximum.at(c.refused_s, slots[rows.seg[refused]], rows.flows.pane_s[refused])


def fresh(c: Columns, at: tuple[Slots, int], t_ms: I64, s: F64) -> Flag:
    """Rows before which nothing stood of evidence that fades by a factor; `at` their slots, owner by owner."""
    slot, i = at
    out = np.concatenate([[False], s[:-1] <= NOTHING])
    heads = np.flatnonzero(np.diff(slot, prepend=-1))
    at = c.at[slot[heads], i]
    idle_ms = (t_ms[heads] - c.tracks.t_ms[at]).astype(np.float64)
    out[heads] = c.tracks.s[at] * np.exp(-idle_ms / fam.LEAK_MS) <= NOTHING
    return out
