"""Devices that wait to be let in: a television asks every five seconds whether somebody has typed its code in by now.

    18:02:06  POST /api/token  400        not yet: no account is named, and it asks no sooner than it was told to
    18:02:11  POST /api/token  400        (RFC 8628, 3.5: five seconds where nothing else was said)
    18:04:41  POST /api/token  200        typed in

To a door these are failures. What tells them from guesses is their pace, and that most who wait there get in: where
that is so lately, they are no evidence. Before anybody knows, who waits at an operator that people come from is told
of and not answered, for as long as a code lasts; for a denial keeps him from the very thing that would speak for him.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import AUTH_FAILED, IP, OK, Fact
from detectors.entities import Columns, Slots
from detectors.families import HOUR_S
from detectors.pairs import PairSet, mix
from detectors.rows import Rows

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Flag = NDArray[np.bool_]
Index = NDArray[np.intp]
Common = Callable[[U64, float], Flag]  # which operators have that share of accounts at least
LEAST_MS: Final = 4_000  # between two polls: five seconds, less what the way takes off
MOST_MS: Final = 16_000  # told to slow down, or one that was lost
ANEW_MS: Final = HOUR_S * 1000  # after so long it is another wait
LASTS: Final = 360  # polls: half an hour at five seconds, as long as codes last
GOT_IN: Final = 3  # who waited at a door and got in lately, before it is one where devices wait
GOT_IN_SHARE: Final = 0.5  # of those who failed there without a name
COMMON: Final = 0.02  # of accounts at one operator, before it is one that people come from
PART: Final = 0.75  # of a client's failures that are polls, before he is one who waits
_SLOTS: Final = 64  # clients of a door by their hash: so many bits count up to a few hundred
_NEVER: Final = np.iinfo(np.int64).max
_BEGAN, _ENDED = np.uint64(41), np.uint64(43)


@dataclass(frozen=True, slots=True)
class Waits:
    """Failures without a name in a run (`at`, their rows), as polls.

    `polls`: by row of the run how many of its owner's came at a device's pace until it, 0 of other rows. `usual`: rows
    that are no evidence, as most who wait there get in. `keys`: what to remember of doors.
    """

    at: Index
    polls: I64
    usual: Flag
    keys: U64


def look(rows: Rows, slots: Slots, c: Columns, sampled: PairSet) -> Waits:
    """Who waits in `rows`. `slots` is by segment; `sampled` remembers doors. Only earlier panes speak for a door."""
    f = rows.flows
    polls, usual = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
    asked = f.login & (f.kind == IP)
    at = np.flatnonzero(asked & (f.outcome == AUTH_FAILED) & (f.user == 0))
    gap_ms, polls[at] = _polls(rows, at, slots, c)
    ended = _ended(rows, np.flatnonzero(asked & (f.outcome == OK)), at, polls, (slots, c))
    if len(at):
        paced = (gap_ms >= LEAST_MS) & (gap_ms <= MOST_MS) | (gap_ms > ANEW_MS)
        some = at[paced & (f.n[at] == 1) & (polls[at] <= LASTS)]
        usual[some] = _let_in(rows, some, at, ended, sampled)
    return Waits(at, polls, usual, np.concatenate([_key(rows, at, _BEGAN), _key(rows, ended, _ENDED)]))


def _polls(rows: Rows, at: Index, slots: Slots, c: Columns) -> tuple[I64, I64]:
    """By failure the time since its owner's last one, and how many came at a device's pace until then."""
    seg, t_ms, place = rows.seg[at], rows.t_ms[at], np.arange(len(at))
    heads = np.diff(seg, prepend=-1) != 0
    slot = slots[seg]
    gap_ms = t_ms - np.where(heads, c.polled_ms[slot], np.concatenate([[0], t_ms])[: len(at)])
    paced = (gap_ms >= LEAST_MS) & (gap_ms <= MOST_MS) & (rows.flows.n[at] == 1)
    begins = heads | (gap_ms > ANEW_MS)
    total = np.cumsum(paced)
    first = np.maximum.accumulate(np.where(begins, place, 0))
    carried = np.where(heads & (gap_ms <= ANEW_MS), c.polls[slot], 0)
    return gap_ms, (total - (total - paced)[first] + carried[first]).astype(np.int64)


def _ended(rows: Rows, let_in: Index, at: Index, polls: I64, held: tuple[Slots, Columns]) -> Index:
    """Of logins that succeeded those that ended a wait: two polls at least, the last one just before."""
    slots, c = held
    slot = slots[rows.seg[let_in]]
    if not len(at):
        waited, last_ms = c.polls[slot], c.polled_ms[slot]
    else:
        before = at[np.maximum(np.searchsorted(at, let_in) - 1, 0)]
        mine = (before < let_in) & (rows.seg[before] == rows.seg[let_in])
        waited = np.where(mine, polls[before], c.polls[slot])
        last_ms = np.where(mine, rows.t_ms[before], c.polled_ms[slot])
    found: Index = let_in[(waited > 1) & (rows.t_ms[let_in] - last_ms <= MOST_MS)]
    return found


def _let_in(rows: Rows, some: Index, at: Index, ended: Index, sampled: PairSet) -> Flag:
    """By row of `some` whether most of those who failed at its door without a name before its pane got in later."""
    f = rows.flows
    out = np.zeros(len(some), np.bool_)
    for route in np.unique(f.route[some]).tolist():
        here = np.flatnonzero(f.route[some] == np.uint64(route))
        began, got_in = (
            _clients(rows, of[f.route[of] == np.uint64(route)], route, what, sampled, f.pane_s[some[here]])
            for of, what in ((at, _BEGAN), (ended, _ENDED))
        )
        out[here] = (got_in >= GOT_IN - 0.5) & (got_in >= GOT_IN_SHARE * began)
    return out


def _clients(rows: Rows, of: Index, route: int, what: np.uint64, sampled: PairSet, pane_s: I64) -> NDArray[np.float64]:
    """How many clients did `what` at a door before each pane, by which of its slots are taken (linear counting)."""
    slot = np.arange(_SLOTS, dtype=np.uint64)
    known = sampled.contains(mix(np.full(_SLOTS, route, np.uint64), np.full(_SLOTS, what), slot))
    since_s = np.where(known, 0, _NEVER)
    np.minimum.at(since_s, _slot(rows, of).astype(np.intp), rows.flows.pane_s[of])
    taken = np.searchsorted(np.sort(since_s), pane_s)
    return np.asarray(-_SLOTS * np.log(1 - np.minimum(taken, _SLOTS - 0.5) / _SLOTS))


def _slot(rows: Rows, at: Index) -> U64:
    return np.asarray(rows.owner[rows.seg[at]] % np.uint64(_SLOTS))


def _key(rows: Rows, at: Index, what: np.uint64) -> U64:
    return mix(rows.flows.route[at], np.full(len(at), what), _slot(rows, at))


def after_a_while(rows: Rows, slots: Slots, c: Columns, submitted: int) -> Flag:
    """Rows of one request that reads, is answered well, and comes as long after its owner's last one as a poll does.

    Where he asked for it before, and for nothing else in between, it is a look whether that is there by now: a report,
    a build, a payment. `submitted`: the bit of `tags` that says something is.
    """
    f = rows.flows
    last_ms = np.concatenate([[0], rows.t_ms])[: len(rows)]
    last_ms[rows.starts] = c.last_ms[slots]
    writes = (f.tags >> np.uint64(max(0, submitted))) & np.uint64(submitted >= 0) != 0
    out: Flag = (f.n == 1) & (f.outcome == OK) & ~writes & (rows.t_ms - last_ms >= LEAST_MS)
    return out


def waiting(rows: Rows, waits: Waits, common: Common) -> Flag:
    """Failures of who may be a device, not longer than a code lasts, at an operator that people come from."""
    out = np.zeros(len(rows), np.bool_)
    at = waits.at[waits.polls[waits.at] <= LASTS]
    out[at] = common(rows.flows.asn[at], COMMON)
    return out


def counted(c: Columns, slots: Slots, rows: Rows, waits: Waits) -> None:
    """Polls into their owners' columns (mutates)."""
    seg = rows.seg[waits.at]
    last = np.flatnonzero(np.diff(seg, append=-1) != 0)
    slot, at = slots[seg[last]], waits.at[last]
    c.polls[slot], c.polled_ms[slot] = waits.polls[at], rows.t_ms[at]


def speaks(waiting: Flag, waits: Waits, row: int, marks: int) -> tuple[Fact, ...]:
    """Why nobody is answered for failures, empty where they are no wait. `row`: the last of them."""
    polls = int(waits.polls[row])
    if not waiting[row] or not polls or polls + 1 < PART * marks:
        return ()
    what = f"it asks as devices do that wait until somebody lets them in: {polls} times four seconds apart or more, "
    return (Fact("waits", float(polls), float(LASTS), f"{what}with no name, from an operator that people come from"),)
