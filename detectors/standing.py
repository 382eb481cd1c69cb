"""What stands against owners right now, beside what it takes to answer."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import families as fam
from detectors.artifact import Model
from detectors.compiled import compiled
from detectors.entities import Columns, Slots
from detectors.judge import Judged

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
DIGITS: Final = 3


def standing(c: Columns, slots: Slots, model: Model, now_ms: int) -> NDArray[np.float64]:
    """The evidence against each owner by `now_ms`, of all families the most, as a share of the threshold.

    In an episode that is not over it is above 1. Rounded, as panes judged together and one by one differ by rounding.
    """
    row, family = _in(slots, c.at)
    share, alive = _shares(c, slots[row], family, model, now_ms)
    most = np.zeros(len(slots))
    np.maximum.at(most, row, share)
    out: NDArray[np.float64] = np.round(most, DIGITS)
    out[np.unique(row[alive])] += 1
    return out


def apart(c: Columns, used: int, model: Model, now_ms: int) -> tuple[Slots, Slots, NDArray[np.float64]]:
    """Slot, family and evidence of all that stands against the first `used` slots, each family by itself."""
    slot, family, _ = c.standing(used)
    share, alive = _shares(c, slot, family, model, now_ms)
    return slot, family, np.round(share, DIGITS) + alive


def _shares(
    c: Columns, slot: Slots, family: Slots, model: Model, now_ms: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Evidence by `now_ms` as a share of the threshold, and whether it is of an episode that is not over."""
    t, at = c.tracks, c.at[slot, family]
    s, idle_ms = t.s[at], np.maximum(0, now_ms - t.t_ms[at])
    faded = s * np.exp(-idle_ms / fam.LEAK_MS)
    rates = np.array([family.rate for family in model.families])[family]
    faded[rates] = np.maximum(0.0, s - c.p0[slot, family] * idle_ms / 1000.0)[rates]
    alive = t.episode[at] & (now_ms - t.last_mark_ms[at] <= fam.QUIET_MS)
    return faded / model.h[c.kind[slot], family], alive


def has_room(c: Columns, used: int, judged: Judged) -> bool:
    """Whether all that these rows may bring to stand, by themselves and by the forest's word, surely finds room."""
    coming = len(judged.slots) + int(np.count_nonzero(~c.asked[:used]))
    if len(c.tracks) + coming + len(judged.slots) * len(judged.series) <= c.tracks.room:
        return True
    for series in judged.series:
        marked = int(np.count_nonzero((series.marks > 0) | (series.s > 0)))
        coming += min(marked, int(np.count_nonzero(c.at[judged.slots, series.family.index] == 0)))
    return len(c.tracks) + coming <= c.tracks.room


@compiled
def _in(slots: Slots, at: I32) -> tuple[I64, I64]:
    """Where anything at all stands against owners (rows of `slots`) in families: hardly any has in most."""
    count = 0
    for i in range(len(slots)):
        for f in range(at.shape[1]):
            count += at[slots[i], f] > 0
    row, family = np.empty(count, np.int64), np.empty(count, np.int64)
    count = 0
    for i in range(len(slots)):
        for f in range(at.shape[1]):
            if at[slots[i], f] > 0:
                row[count], family[count] = i, f
                count += 1
    return row, family
