"""Whether all that a client was refused came with one and the same credential: it is set up wrongly, and seeks nothing.

An address whose key is not accepted yet, or no longer, is refused at every path it asks for. Who searches is told of
paths that are not there as well, or tries more than one key, or none.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import AUTH_FAILED, CLIENT_ERROR, OK, Flows
from detectors.families import Family
from detectors.filters import Filter, Text

U64 = NDArray[np.uint64]
NEVER: Final = np.uint64(0)  # refused
SEVERAL: Final = np.uint64(1)  # or none that is named
KEYED: Final = 62  # the bit of a flow's `tags` that says that it came with a key
HAS_KEY: Final[Filter] = Text("key", ())
"""Requests that came with one, accepted or not."""
_MOST: Final = np.uint64(np.iinfo(np.uint64).max)


def refused_with(flows: Flows) -> U64:
    """By row the credential that was refused; `SEVERAL` of other errors and of logins, `NEVER` of what was none."""
    failed = flows.outcome == AUTH_FAILED
    named = failed & ~flows.login & (flows.user != 0)
    one = np.where(named, np.maximum(flows.user, SEVERAL), SEVERAL)
    return np.where(failed | (flows.outcome == CLIENT_ERROR), one, NEVER)


def joined(before: U64, refused: U64, starts: NDArray[np.intp]) -> U64:
    """What clients were refused with `before` and in their rows, which begin at `starts`."""
    most = np.maximum.reduceat(refused, starts)
    least = np.minimum.reduceat(np.where(refused == NEVER, _MOST, refused), starts)
    one = np.where(least == most, most, SEVERAL)
    known = np.where((before == NEVER) | (before == one), one, SEVERAL)
    return np.where(most == NEVER, before, known)


def spares(family: Family, before: np.uint64, flows: Flows) -> bool:
    """Whether a family of refusals has one credential to go by: of a client's rows so far, and of those before."""
    if AUTH_FAILED not in family.mark.outcomes or OK in family.mark.outcomes:
        return False
    (one,) = joined(np.array([before]), refused_with(flows), np.zeros(1, np.intp))
    return bool(one > SEVERAL)
