"""What is learned while running: own histories once an hour, and how clients differ, beside the shipped prior."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors import families as fam
from detectors.artifact import Model
from detectors.entities import ESTABLISHED_MS, ESTABLISHED_N, RESERVED, Entities
from detectors.judge import Judged
from detectors.nulls import blend, commit_own, fit, upper
from detectors.odd import Asked

F64 = NDArray[np.float64]
SHIPPED_WEIGHT: Final = 200.0  # entities the shipped prior counts as
LEARNED: Final = (fam.GUESS, fam.PROBE, fam.NOVEL, fam.ODD)


class Watch(Protocol):
    """Who is handed each run as it was judged: training learns by it."""

    def take(self, judged: Judged) -> None:
        """A run of flows."""

    def take_asked(self, asked: Asked) -> None:
        """What the forest was, or would have been, asked."""


def settle(entities: Entities, model: Model, now_ms: int) -> None:
    """The hour ends: who is established now, what the hour taught, and episodes that were quiet are over (mutates)."""
    c, used = entities.c, slice(RESERVED, entities.used)
    c.established[used] |= (c.good[used] >= ESTABLISHED_N) & (c.last_ms[used] - c.born_ms[used] > ESTABLISHED_MS)
    refresh(entities, model.prior)
    over = c.episode[used] & (c.last_mark_ms[used] <= now_ms - fam.QUIET_MS)
    c.s[used] = np.where(over, np.minimum(c.s[used], model.h[c.kind[used]] / 2), c.s[used])
    c.episode[used] &= ~over
    c.alarmed[used] = c.episode[used].any(axis=1)


def refresh(entities: Entities, shipped: F64) -> F64:
    """Commit the hour's own histories (owners that alarmed are skipped) and set the nulls of the next (mutates).

    Returns the prior (kind, population, family, 2) the nulls came from.
    """
    c, n = entities.c, entities.used
    calm = ~c.alarmed[:n]
    own = commit_own(c.own[:n].astype(np.float64), np.where(calm[:, None, None], c.hour[:n], 0.0).astype(np.float64))
    c.own[:n] = own
    c.hour[:n] = 0
    known = c.established[:n].astype(np.intp)
    prior = shipped.copy()
    kinds = c.kind[:n].astype(np.intp)
    for kind in (0, 1):
        for population in (0, 1):
            rows = np.flatnonzero((kinds == kind) & (known == population) & calm)
            rows = rows[rows >= RESERVED]
            for family in LEARNED if len(rows) >= 20 else ():
                marks, plain = own[rows, family.index].T
                at = (kind, population, family.index)
                prior[at] = blend(shipped[at], fit(marks, marks + plain), SHIPPED_WEIGHT)
    both = prior[kinds, known] + own
    c.p0[:n] = upper(both[..., 0], both[..., 1])
    return prior
