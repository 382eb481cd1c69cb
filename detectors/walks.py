"""Walks that people are told of, and nobody is asked about: those of many who work at one address.

    one     3 things a minute, nothing twice, one account: he walks
    many    30 a minute by 25 accounts signed in at the address: each of them as fast as people work

Evidence of a walk (what is new to the owner, or to anybody) is about one who walks. Where accounts are signed in at an
address it is divided among them; as long as each reads no faster than a person who works through orders, a challenge
would ask all of them, all day. Requests that name no account are nobody's there, and judged as ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import IP, OK, Fact
from detectors.cusum import Track
from detectors.families import HOUR_S, Each, Family, New
from detectors.pairs import PairSet, firsts, mix
from detectors.rows import Rows

U64 = NDArray[np.uint64]
Index = NDArray[np.intp]
Flag = NDArray[np.bool_]
AT_WORK_MIN: Final = 5  # accounts signed in at an address, before it is a place where many work
AT_HOME_MIN: Final = 2  # where the address has a past
READS: Final = 40  # new things an account may begin with
READS_HOURLY: Final = 150  # and go on with
_SLOTS: Final = 64  # accounts of an address by their hash: so many bits count up to a few hundred
_DESK: Final = np.uint64(59)


def keys(rows: Rows, signed_in: Index) -> U64:
    """What to remember of rows of accounts `signed_in` at an address: its owner, and where each stands by its hash.

    Of all such rows, not of those that are new: who goes on is remembered when the memory turns over.
    """
    slot = rows.flows.user[signed_in] % np.uint64(_SLOTS)
    found = mix(rows.owner[rows.seg[signed_in]], slot, np.full(len(signed_in), _DESK))
    return found[firsts(found)]


def desks(rows: Rows, segs: Iterable[int], sampled: PairSet) -> dict[int, Flag]:
    """By segment which of its places are taken by accounts that were signed in in earlier runs."""
    slot, what = np.arange(_SLOTS, dtype=np.uint64), np.full(_SLOTS, _DESK)
    return {one: sampled.contains(mix(np.full(_SLOTS, rows.owner[one]), slot, what)) for one in segs}


def accounts(desk: Flag, rows: Rows, came: Index, seg: int, row: int) -> int:
    """How many accounts are signed in at the address of a segment until a row of it (linear counting)."""
    begin, end = np.searchsorted(came, [rows.starts[seg], row + 1])
    taken = desk.copy()
    taken[(rows.flows.user[came[begin:end]] % np.uint64(_SLOTS)).astype(np.intp)] = True
    return round(float(-_SLOTS * np.log(1 - min(int(taken.sum()), _SLOTS - 0.5) / _SLOTS)))


def is_walk(family: Family) -> bool:
    """Whether its marks are things asked for the first time, however they are answered."""
    return family.each is Each.REQUEST and family.mark.new is New.PATH and OK in family.mark.outcomes


def speaks(family: Family, at: Index, track: Track, rows: Rows, signed_in: int, *, past: bool) -> tuple[Fact, ...]:
    """Why a walk is told of and not answered, empty for nothing. `at`: its last marks; `past`: of the address."""
    if not is_walk(family) or not len(at) or signed_in < (AT_HOME_MIN if past else AT_WORK_MIN):
        return ()
    f = rows.flows
    if not ((f.kind[at] == IP) & (f.user[at] != 0)).all():
        return ()
    hours = max(0, int(rows.t_ms[at].max()) - track.first_ms) / (HOUR_S * 1000)
    each, most = track.marks / signed_in, READS + READS_HOURLY * hours
    if each > most:
        return ()
    what = (
        f"{signed_in} accounts are signed in at the address, {each:.0f} new things each: as people work, so it is told"
    )
    return (Fact("desks", each, most, what),)
