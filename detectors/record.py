"""What a run gave is written back: each owner's standing in a family, and what the hour has shown of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors import families as fam
from detectors.cusum import Track
from detectors.entities import Columns, Slots
from detectors.judge import Crossing, write_track
from detectors.rows import Rows
from detectors.series import NOTHING, Series

Flag = NDArray[np.bool_]


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
    ends = np.append(heads[1:], len(seg)) - 1
    t_ms = rows.t_ms[series.at]
    begun = _begun(c, series, slot, heads, t_ms)
    anew = begun >= 0
    at = np.where(anew, begun, heads)
    for column, value in ((c.marks, series.marks), (c.tries, series.tries), (c.distinct, series.distinct)):
        total = np.cumsum(value)
        column[slot, i] = total[ends] - (total - value)[at] + np.where(anew, 0, column[slot, i])
    c.first_ms[slot, i] = np.where(anew, t_ms[at], c.first_ms[slot, i])
    c.s[slot, i], c.t_ms[slot, i] = series.s[ends], t_ms[ends]


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


def _begun(
    c: Columns, series: Series, slot: Slots, heads: NDArray[np.intp], t_ms: NDArray[np.int64]
) -> NDArray[np.intp]:
    """For each owner the last row before which nothing was standing, -1 when something stood all along."""
    i = series.family.index
    if series.family.rate:
        alone = series.s - series.x <= NOTHING
    else:
        alone = np.concatenate([[False], series.s[:-1] <= NOTHING])
        idle_ms = (t_ms[heads] - c.t_ms[slot, i]).astype(np.float64)
        alone[heads] = c.s[slot, i] * np.exp(-idle_ms / fam.LEAK_MS) <= NOTHING
    return np.maximum.reduceat(np.where(alone, np.arange(len(t_ms)), -1), heads)
