"""Accounts with a past: who is signed in as a member is no newcomer, wherever he comes from.

    18:00  412 people press the button until they have a place (409): from home, signed in, most for the first time
           today; their addresses are newcomers, and nobody is in the control group
    now    a third of the accounts were here in hours that are over: what they meet is what good clients meet just then

An account was answered well in an hour that is over, as whoever holds its session; what it is named in a sign-on says
nothing. It counts at operators that people come from (`elsewhere`), for stolen sessions are mostly used from others,
and never at an address that an alert is about. Each account is one client, at however many addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import AUTH_FAILED, IP, LIMITED, OK, Flows
from detectors.entities import Columns, Slots
from detectors.memories import Memories
from detectors.rows import Rows

U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Common = Callable[[U64, float], Flag]  # which operators have that share of accounts at least
COMMON: Final = 0.02  # of accounts at one operator, before it is one that people come from


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who is signed in, in a run: `past`, rows of accounts with a past; `here`, rows that show an account is one."""

    past: Flag
    here: NDArray[np.intp]


def look(rows: Rows, slots: Slots, c: Columns, memories: Memories, common: Common) -> Accounts:
    """Who is signed in, as `memories` have it. `slots` is by segment."""
    calm = ~c.alarmed[slots][rows.seg]
    here = np.flatnonzero(_signed_in(rows.flows) & (rows.flows.outcome == OK) & calm)
    return Accounts(with_past(rows.flows, memories, common) & calm, here)


def with_past(flows: Flows, memories: Memories, common: Common) -> Flag:
    """Rows of accounts with a past, at operators that people come from."""
    out = np.zeros(len(flows), np.bool_)
    at = np.flatnonzero(_signed_in(flows))
    at = at[memories.accounts.contains(flows.user[at])]
    out[at] = common(flows.asn[at], COMMON)
    return out


def _signed_in(flows: Flows) -> Flag:
    refused = (flows.outcome == AUTH_FAILED) | (flows.outcome == LIMITED)
    return np.asarray((flows.kind == IP) & (flows.user != 0) & ~flows.login & ~refused)
