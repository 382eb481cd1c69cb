"""What the control group shows of itself: samples of established clients; and of everybody, for how warm we are."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.artifact import Model
from detectors.chances import base, marked, tagged
from detectors.control import SAMPLE_S
from detectors.entities import RESERVED, Columns, Slots
from detectors.families import Each
from detectors.memories import Memories
from detectors.pairs import firsts, mix
from detectors.rows import Rows
from detectors.sight import Sight

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Samples = tuple[U64, I64, F64]  # place, pane, marked
WARM_KEY: Final = np.uint64(7)  # a route of its own in the control sums: everybody's share of novel paths


def samples(
    rows: Rows, slots: Slots, c: Columns, memories: Memories, seen: tuple[Sight, Flag], model: Model
) -> tuple[Samples, U64]:
    """Established clients' opportunities, one a client, route, family and ten seconds; and their keys to remember.

    `seen`: what rows are, and which of them are of accounts with a past, who are established wherever they come from:
    each is one client. What is tried at a door says nothing of whose it is.
    """
    sight, past = seen
    known = c.established[slots][rows.seg] & ~c.alarmed[slots][rows.seg]
    either = known | past
    f = rows.flows
    none = np.empty(0, np.intp)
    at, index, mark = [none], [none], [np.empty(0, np.bool_)]
    for family in model.families:
        if not family.control:
            continue
        if family.each is Each.CREDENTIAL:
            some = np.flatnonzero(known[sight.logins.at])
            at.append(sight.logins.at[some])
            mark.append(sight.logins.fresh[some] > 0)
        else:
            at.append(np.flatnonzero(either & base(family, rows, sight) & tagged(f.tags, family.tag)))
            mark.append(marked(family, rows, sight)[at[-1]])
        index.append(np.full(len(at[-1]), family.index))
    row, family_of, marks = np.concatenate(at), np.concatenate(index), np.concatenate(mark)
    ten = (f.pane_s[row] // SAMPLE_S).astype(np.uint64)
    who = np.where(known[row], rows.owner[rows.seg[row]], f.user[row])
    key = mix(who, f.route[row], ten, family_of.astype(np.uint64))
    some = np.flatnonzero(~memories.sampled.contains(key))
    some = some[firsts(key[some])]
    row = row[some]
    return (place(f.route[row], family_of[some]), f.pane_s[row], marks[some].astype(np.float64)), key[some]


def warm_samples(rows: Rows, slots: Slots, c: Columns, sight: Sight) -> Samples:
    """Everybody's: an owner's first row of ten seconds, and whether it asked for what nobody ever had."""
    ten = rows.flows.pane_s // SAMPLE_S
    prior = np.concatenate([[0], ten[:-1]])[: len(ten)]
    prior[rows.starts] = c.last_ms[slots] // (1000 * SAMPLE_S)
    prior[rows.starts[slots < RESERVED]] = 0
    at = np.flatnonzero((ten != prior) & sight.plain)
    return np.full(len(at), WARM_KEY), rows.flows.pane_s[at], sight.anyone[at].astype(np.float64)


def place(route: U64, family: NDArray[np.intp] | int) -> U64:
    """Where a family's samples of a route are summed."""
    return mix(route, np.broadcast_to(np.asarray(family, np.uint64), route.shape))
