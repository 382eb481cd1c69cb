"""How often good traffic makes a mark: Beta priors fitted by moments, an entity's own history, upper bounds."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Z: Final = 2.5  # how many standard deviations above the mean a null stands
OWN_MAX: Final = 300.0  # pseudo-counts own history may weigh
STRENGTH_MIN: Final = 2.0
STRENGTH_MAX: Final = 200.0
P0_MIN: Final = 1e-3
TRIM: Final = 0.01  # share of the worst entities left out of a fit


def upper(a: F64, b: F64) -> F64:
    """Upper end of Beta(a, b): mean + 2.5 sd, within [1e-3, 1)."""
    m = a / (a + b)
    return np.clip(m + Z * np.sqrt(m * (1 - m) / (a + b + 1)), P0_MIN, 0.999)


def fit(marks: F64, opportunities: F64) -> tuple[float, float, int]:
    """Beta (a, b) of how clients differ, by weighted moments over entities, and how many entities it rests on.

    The worst `TRIM` by share of marks are left out, so that a few bad entities in the file do not teach us.
    """
    some = opportunities > 0
    k, n = marks[some], opportunities[some]
    if len(k) >= 1 / TRIM:
        # An entity with one opportunity cannot be told from bad luck: rank by evidence, not by share.
        rank = (k + 0.5) / (n + 1) * np.minimum(n, 20)
        keep = np.argsort(rank, kind="stable")[: len(k) - int(len(k) * TRIM)]
        k, n = k[keep], n[keep]
    if not len(k):
        return 0.0, 0.0, 0
    w = np.minimum(n, 50.0)
    m = float((w * k / n).sum() / w.sum())
    m = min(max(m, P0_MIN / 2), 0.98)
    spread = float((w * (k / n - m) ** 2).sum() / w.sum())
    noise = m * (1 - m) * float((w / n).sum() / w.sum())
    strength = m * (1 - m) / max(spread - noise, 1e-6) - 1
    strength = min(max(strength, STRENGTH_MIN), STRENGTH_MAX)
    return m * strength, (1 - m) * strength, len(k)


def blend(shipped: F64, live: tuple[float, float, int], weight: float) -> F64:
    """Prior (a, b) between the shipped one, that counts as `weight` entities, and a live fit."""
    a, b, entities = live
    share = entities / (entities + weight)
    return shipped * (1 - share) + np.array([a, b]) * share


def commit_own(own: F64, hour: F64) -> F64:
    """Own history (entities, families, 2) with an hour's (marks, non-marks) added, at most `OWN_MAX` in all."""
    total = own + hour
    size = total.sum(axis=-1, keepdims=True)
    out: F64 = total * np.minimum(1.0, OWN_MAX / np.maximum(size, 1e-9))
    return out
