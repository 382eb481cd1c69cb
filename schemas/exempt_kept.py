"""Marks of what the stream keeps, many at once: accounts where they are known. Apart, for it needs numpy."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from schemas.exempt import Exempt, ExemptBy, in_order
from schemas.scrambled import FIRST, SECOND


def exempt_kept(users: NDArray[np.uint64], subscribers: NDArray[np.uint64]) -> Exempt:
    """Accounts, each at a subscriber, by `schemas.exempt.pair_mark`; at most `MARKS_MAX`, else a ValueError."""
    marks = np.unique((scrambled(users ^ scrambled(subscribers)) >> np.uint64(32)).astype(np.uint32))
    return Exempt(by=ExemptBy.PAIR, marks=in_order(array("I", marks.tobytes())))


def scrambled(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`schemas.scrambled.scrambled` of many."""
    words = (words ^ (words >> np.uint64(33))) * np.uint64(FIRST)
    words = (words ^ (words >> np.uint64(33))) * np.uint64(SECOND)
    return words ^ (words >> np.uint64(33))
