"""Visits: a client on a route, once an hour, and whether another was at that path before."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.chances import tagged
from detectors.columns import LIMITED, USER
from detectors.families import HOUR_S
from detectors.pairs import PairSet, firsts, mix
from detectors.rows import Rows

Flag = NDArray[np.bool_]
WINDOW_S: Final = 600
_PATHS: Final = np.uint64(11)
_THINGS: Final = np.uint64(17)


def visits(rows: Rows, seen: PairSet, newcomers: Flag, submits: int) -> tuple[NDArray[np.intp], Flag, Flag]:
    """Rows of visits in order of time; which count on routes of many paths, and which are the first at their path.

    What is read counts where no newcomer read it within ten minutes (a link that goes round is one visit), what is
    submitted (the bit `submits` of `tags`, -1: nothing is) always; and is the first where nobody submitted anything
    there for an hour, or two. `seen` is mutated.
    """
    f = rows.flows
    at = np.flatnonzero((f.kind != USER) & (f.outcome != LIMITED))
    key = mix(rows.owner[rows.seg[at]], f.route[at], (f.pane_s[at] // HOUR_S).astype(np.uint64))
    new = ~seen.contains(key)
    at, key = at[new], key[new]
    one = np.flatnonzero(firsts(key))
    one = one[rows.in_time(at[one])]
    at, key = at[one], key[one]
    submitted = tagged(f.tags[at], submits) if submits >= 0 else np.zeros(len(at), np.bool_)
    counts = newcomers[at] & ~submitted
    period = np.where(submitted, _THINGS, (f.pane_s[at] // WINDOW_S).astype(np.uint64) ^ _PATHS)
    path = mix(f.path[at], f.route[at], period)
    first, some = np.ones(len(at), np.bool_), np.flatnonzero(counts | submitted)
    first[some] = ~seen.contains(path[some]) & firsts(path[some])
    seen.add(np.concatenate([key, path[some[first[some]]]]))
    return at, first | submitted, first | ~submitted
