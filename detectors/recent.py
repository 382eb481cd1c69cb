"""Counts that fade: what each owner did lately, and the ten seconds at whose end the forest is asked about him."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import AUTH_FAILED, CLIENT_ERROR, LIMITED, SERVER_ERROR
from detectors.compiled import compiled
from detectors.entities import RESERVED, Columns, Entities, Slots
from detectors.families import New
from detectors.features import COUNTS, GAP_S_MAX, HABIT_S, HOP_S, MARKS, REQUESTS_MIN, TAUS_S
from detectors.judge import Judged

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
State = tuple[F64, F64, I64, U64, Flag, I64]  # of owners: counts, habit, where they stand, whether and when asked
Told = tuple[Slots, I64, F64, F64, U64]  # `Complete`, to be filled
_TAUS: Final = np.array(TAUS_S)
_MINUTE_HOPS: Final = 60 // HOP_S
_ANSWERED: Final = (LIMITED, AUTH_FAILED, CLIENT_ERROR, SERVER_ERROR)


@dataclass(frozen=True, slots=True)
class Complete:
    """Owners to ask about, a row an owner and minute, by owner and time.

    `recent` is (row, count, time constant) at the end of the ten seconds `hop`, `habit` requests of hours, `route` the
    last one asked for.
    """

    slot: Slots
    hop: I64
    recent: F64
    habit: F64
    route: U64


def advance(entities: Entities, judged: Judged | None, slots: Slots, until_s: int) -> Complete:
    """Take a run into the fading counts (mutates), and give whom to ask about at every ten seconds now complete."""
    c = entities.c
    waiting = np.flatnonzero(~c.asked[: entities.used])
    waiting = waiting[waiting >= RESERVED]
    at, counts = (judged and _at(judged)) or _NOWHERE, _counts(judged, c, slots) if judged else _NOTHING
    groups = int(np.count_nonzero((np.diff(at[0], prepend=-1) != 0) | (np.diff(at[1], prepend=-1) != 0)))
    size = groups + len(waiting)
    slot, hop, recent = np.empty(size, np.intp), np.empty(size, np.int64), np.empty((size, len(COUNTS), len(TAUS_S)))
    habit, route = np.empty(size), np.empty(size, np.uint64)
    state = (c.recent, c.habit, c.hop, c.hop_route, c.asked, c.odd_minute)
    n = _taken(at, counts, slots, state, _TAUS, waiting, until_s // HOP_S, (slot, hop, recent, habit, route))
    if judged:
        ends = np.append(judged.rows.starts[1:], len(judged.rows)) - 1
        c.gap_ms[slots], c.path[slots] = judged.rows.t_ms[ends], judged.rows.flows.path[ends]
    order = np.lexsort((hop[:n], slot[:n]))
    return Complete(slot[order], hop[order], recent[order], habit[order], route[order])


def _at(judged: Judged) -> tuple[I64, I64, U64]:
    flows = judged.rows.flows
    return judged.rows.seg, flows.pane_s // HOP_S, flows.route


_NOWHERE: Final = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint64))
_NOTHING: Final = np.empty((0, len(COUNTS)))


def _counts(judged: Judged, c: Columns, slots: Slots) -> F64:
    """`COUNTS` of each row."""
    rows, sight = judged.rows, judged.sight
    f, n = rows.flows, rows.flows.n
    out = np.zeros((len(COUNTS), len(rows)))
    at = {name: i for i, name in enumerate(COUNTS)}
    out[0] = n
    for name, outcome in zip(MARKS, _ANSWERED, strict=False):
        out[at[name]] = np.where(f.outcome == outcome, n, 0)
    out[at["login"]] = np.where(f.login, n, 0)
    out[at["new_path"]], out[at["novel_path"]] = sight.new_path, sight.anyone
    out[at["new_account"], sight.logins.at] = sight.logins.fresh
    for name, thing in (("new_agent", New.AGENT), ("new_address", New.IP), ("new_user", New.USER)):
        out[at[name]] = sight.new[thing]
    # Like requests of a second are one row: all but its first are like the one before.
    out[at["same_route"]] = n - 1 + sight.same_route
    same = np.concatenate([[False], f.path[1:] == f.path[:-1]])[: len(rows)]
    same[rows.starts] = f.path[rows.starts] == c.path[slots]
    out[at["same_path"]] = np.where(f.path != 0, n - 1 + same, 0)
    before = np.concatenate([[0], rows.t_ms[:-1]])[: len(rows)]
    before[rows.starts] = c.gap_ms[slots]
    gap_s = np.where(before > 0, np.minimum((rows.t_ms - before) / 1000.0, GAP_S_MAX), 0.0)
    within_s = np.where(n > 1, (f.last_ms - f.first_ms) / 1000.0, 0.0)
    out[at["gap_s"]] = gap_s + within_s
    out[at["gap_s2"]] = gap_s**2 + within_s**2 / np.maximum(n - 1, 1)
    return np.ascontiguousarray(out.T)  # a count at a time is written, a row at a time is read


@compiled
def _taken(
    at: tuple[I64, I64, U64],
    counts: F64,
    slots: Slots,
    state: State,
    taus: F64,
    waiting: Slots,
    until_hop: int,
    out: Told,
) -> int:
    """Rows (segment, ten seconds, route) into the standing counts, one by one; whom to ask about goes to `out`.

    Those in `slots` and `waiting` whose ten seconds are over by `until_hop` come last. The answer is how many.
    """
    seg, hop, route = at
    recent, habit, at_hop, at_route, asked, _ = state
    made = 0
    for i in range(len(seg)):
        s = slots[seg[i]]
        if hop[i] != at_hop[s]:
            if not asked[s]:  # a later ten seconds has begun: the one before is complete
                made = _told(s, state, out, made)
            steps = (hop[i] - at_hop[s]) * 10.0
            for k in range(len(taus)):
                fade = np.exp(-steps / taus[k])
                for j in range(recent.shape[1]):
                    recent[s, j, k] *= fade
            habit[s] *= np.exp(-steps / HABIT_S)
            at_hop[s] = hop[i]
            asked[s] = False
        for j in range(recent.shape[1]):
            for k in range(len(taus)):
                recent[s, j, k] += counts[i, j]
        habit[s] += counts[i, 0]
        at_route[s] = route[i]
    for s in np.concatenate((waiting, slots)):
        due = not asked[s] and at_hop[s] < until_hop
        asked[s] |= due
        if due and recent[s, 0, 1] >= REQUESTS_MIN:  # hardly any did so much, and a call counts references to arrays
            made = _told(s, state, out, made)
    return made


@compiled
def _told(s: int, state: State, out: Told, made: int) -> int:
    """One more to ask about, unless he did too little or was asked about in this minute."""
    recent, habit, at_hop, at_route, _, minute = state
    now = at_hop[s] // _MINUTE_HOPS
    if recent[s, 0, 1] < REQUESTS_MIN or now == minute[s]:
        return made
    minute[s] = now
    out[0][made], out[1][made], out[2][made] = s, at_hop[s], recent[s]
    out[3][made], out[4][made] = habit[s], at_route[s]
    return made + 1
