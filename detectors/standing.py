"""What stands against owners right now, beside what it takes to answer."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors import families as fam
from detectors.artifact import Model
from detectors.compiled import compiled
from detectors.entities import Columns, Slots

I64 = NDArray[np.int64]
DIGITS: Final = 3


def standing(c: Columns, slots: Slots, model: Model, now_ms: int) -> NDArray[np.float64]:
    """The evidence against each owner by `now_ms`, of all families the most, as a share of the threshold.

    In an episode that is not over it is above 1. Rounded, as panes judged together and one by one differ by rounding.
    """
    row, family = _in(slots, c.s)
    at, kind = (slots[row], family), c.kind[slots[row]]
    idle_ms = np.maximum(0, now_ms - c.t_ms[at])
    faded = c.s[at] * np.exp(-idle_ms / fam.LEAK_MS)
    rates = np.array([family.rate for family in model.families])[family]
    faded[rates] = np.maximum(0.0, c.s[at] - c.p0[at] * idle_ms / 1000.0)[rates]
    most = np.zeros(len(slots))
    np.maximum.at(most, row, faded / model.h[kind, family])
    out: NDArray[np.float64] = np.round(most, DIGITS)
    row, family = _in(slots, c.episode)
    alive = row[now_ms - c.last_mark_ms[slots[row], family] <= fam.QUIET_MS]
    out[np.unique(alive)] += 1
    return out


@compiled
def _in(slots: Slots, of: NDArray[Any]) -> tuple[I64, I64]:
    """Where owners (rows of `slots`) have anything at all in families: hardly any has in most."""
    count = 0
    for at in slots:
        for value in of[at]:
            count += value > 0
    row, family = np.empty(count, np.int64), np.empty(count, np.int64)
    count = 0
    for i in range(len(slots)):
        for f in range(of.shape[1]):
            if of[slots[i], f] > 0:
                row[count], family[count] = i, f
                count += 1
    return row, family
