"""Evidence that accumulates: the leaky CUSUM, for all entities at once and, as its oracle, for one step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import exp

import numpy as np
from numpy.typing import NDArray

from detectors.families import LEAK_MS, OVER, QUIET_MS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leak:
    """How evidence fades: by the factor e every `LEAK_MS` (marks per opportunity), or by `per_s` nats (Poisson)."""

    per_s: float = 0.0


def run(seg: I64, t_ms: I64, x: F64, s0: F64, t0_ms: I64, per_s: F64 | None = None) -> F64:
    """Evidence after each row: S <- max(0, faded S + x), uncapped; within about 1e-7 of stepping.

    It fades by the factor e every `LEAK_MS`; where `per_s` is given, by so many nats, each entity's own.

    `seg` numbers the entity of each row from 0, ascending; rows of one entity stand in time order. `s0` and `t0_ms`
    are what each entity starts from. Reflection at 0 is the running minimum of the plain sum, taken in scaled time.
    """
    if not len(seg):
        return np.empty(0)
    starts = np.flatnonzero(np.diff(seg, prepend=-1))
    at_ms = t_ms[starts]
    since_ms = np.maximum(0, at_ms - t0_ms)
    if per_s is not None:
        start = np.maximum(0.0, s0 - per_s * since_ms / 1000.0)
        fade = per_s[seg] * (t_ms - at_ms[seg]) / 1000.0
        total = _sums(x, seg, starts) + start[seg] - fade
        linear: F64 = total - np.minimum(0.0, _lowest(total - x, seg))
        return linear
    base = int(t_ms.min())
    scale = np.exp((t_ms - base) / LEAK_MS)
    start = s0 * np.exp(-since_ms / LEAK_MS)
    total = _sums(x * scale, seg, starts) + (start * scale[starts])[seg]
    out: F64 = (total - np.minimum(0.0, _lowest(total, seg))) / scale
    return out


def _sums(x: F64, seg: I64, starts: NDArray[np.intp]) -> F64:
    total = np.cumsum(x)
    out: F64 = total - (total[starts] - x[starts])[seg]
    return out


def _lowest(value: F64, seg: I64) -> F64:
    """Running minimum within segments: each segment is set below all earlier ones, so one accumulate does."""
    step = float(value.max() - value.min()) + 1.0 if len(value) else 1.0
    shift = seg * step
    out: F64 = np.minimum.accumulate(value - shift) + shift
    return out


@dataclass(slots=True)
class Track:
    """Where one entity stands in one family; `marks`, `tries`, `distinct` count since `first_ms`, when S left 0."""

    s: float = 0.0
    t_ms: int = 0
    first_ms: int = 0
    marks: int = 0
    tries: int = 0
    distinct: int = 0
    last_mark_ms: int = 0
    episode: bool = False
    crossed_pane_s: int = 0
    crossed_ms: int = 0
    crossed_after: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One flow as a family sees it; `x` its evidence, `index` its place in the run, `before` requests before it."""

    index: int
    pane_s: int
    t_ms: int
    x: float
    marks: int
    tries: int
    distinct: int
    before: int


@dataclass(frozen=True, slots=True)
class Event:
    """A pane in which an entity crossed, or had further marks in its episode: its track then, and the row of it."""

    pane_s: int
    index: int
    track: Track


Locate = Callable[[Track, Row], tuple[int, int] | None]
"""When within its pane a track crossed, and after how many requests: told the track before the pane, and the row."""


def walk(track: Track, rows: list[Row], h: float, leak: Leak, locate: Locate | None = None) -> list[Event]:
    """Step `track` (mutated) through `rows`: the exact rule, with the cap, episodes and what they show.

    An episode that was quiet for 20 minutes is over and leaves half of the threshold standing. A crossing is told to
    the row, or closer where `locate` knows.
    """
    events: list[Event] = []
    touched = False
    before = replace(track)
    for i, row in enumerate(rows):
        if locate is not None and (i == 0 or rows[i - 1].pane_s != row.pane_s):
            before = replace(track)
        stood = track.episode and row.t_ms - track.last_mark_ms <= QUIET_MS
        touched = _step(track, row, h, leak) or touched
        if track.episode and not stood and locate is not None and (found := locate(before, row)):
            track.crossed_ms, track.crossed_after = found
        if touched and (i + 1 == len(rows) or rows[i + 1].pane_s != row.pane_s):
            events.append(Event(row.pane_s, row.index, replace(track)))
            touched = False
    return events


def first_crossing(track: Track, rows: Iterable[Row], h: float, leak: Leak) -> tuple[int, int] | None:
    """Time of the first of `rows` with which `track` (not mutated) crosses, and the requests before it."""
    now = replace(track)
    for row in rows:
        stood = now.episode and row.t_ms - now.last_mark_ms <= QUIET_MS
        _step(now, row, h, leak)
        if now.episode and not stood:
            return now.crossed_ms, now.crossed_after
    return None


def _step(track: Track, row: Row, h: float, leak: Leak) -> bool:
    """One row. Whether it crossed or added a mark to a standing episode."""
    if track.episode and row.t_ms - track.last_mark_ms > QUIET_MS:
        track.episode = False
        track.s = min(track.s, h / 2)
    elapsed_ms = max(0, row.t_ms - track.t_ms)
    lost = leak.per_s * elapsed_ms / 1000.0
    faded = max(0.0, track.s - lost) if leak.per_s else track.s * exp(-elapsed_ms / LEAK_MS)
    if faded <= 1e-7:
        track.marks, track.tries, track.distinct, track.first_ms = 0, 0, 0, row.t_ms
    track.s = min(max(0.0, faded + row.x), h + OVER)
    track.t_ms = row.t_ms
    track.marks += row.marks
    track.tries += row.tries
    track.distinct += row.distinct
    if track.s < h or row.marks == 0:
        return False
    track.last_mark_ms = row.t_ms
    if not track.episode:
        track.episode = True
        track.crossed_pane_s, track.crossed_ms, track.crossed_after = row.pane_s, row.t_ms, row.before
    return True
