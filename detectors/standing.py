"""What stands against owners right now, beside what it takes to answer."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import families as fam
from detectors.artifact import Model
from detectors.entities import Columns, Slots

DIGITS: Final = 3


def standing(c: Columns, slots: Slots, model: Model, now_ms: int) -> NDArray[np.float64]:
    """The evidence against each owner by `now_ms`, of all families the most, as a share of the threshold.

    In an episode that is not over it is above 1. Rounded, as panes judged together and one by one differ by rounding.
    """
    kind = c.kind[slots]
    idle_ms = np.maximum(0, now_ms - c.t_ms[slots])
    faded = c.s[slots] * np.exp(-idle_ms / fam.LEAK_MS)
    rates = np.array([family.rate for family in model.families])
    faded[:, rates] = np.maximum(0.0, c.s[slots][:, rates] - c.p0[slots][:, rates] * idle_ms[:, rates] / 1000.0)
    alive = (c.episode[slots] & (now_ms - c.last_mark_ms[slots] <= fam.QUIET_MS)).any(axis=1)
    out: NDArray[np.float64] = np.round((faded / model.h[kind]).max(axis=1), DIGITS) + alive
    return out
