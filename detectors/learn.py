"""What is learned while running: own histories once an hour, and how clients differ, beside the shipped prior."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors import doubt
from detectors import families as fam
from detectors.artifact import Model
from detectors.columns import KINDS_N
from detectors.entities import ESTABLISHED_MS, ESTABLISHED_N, RESERVED, Entities, established_ms
from detectors.families import Null
from detectors.judge import Judged
from detectors.nulls import Z, blend, commit_own, fit, upper
from detectors.odd import Asked
from detectors.runs import RUN_S

F64 = NDArray[np.float64]
SHIPPED_WEIGHT: Final = 200.0  # entities the shipped prior counts as
RATE_OWN: Final = 0.97  # of the busiest hour is left after another one


class Watch(Protocol):
    """Who is handed each run as it was judged: training learns by it."""

    def take(self, judged: Judged) -> None:
        """A run of flows."""

    def take_asked(self, asked: Asked) -> None:
        """What the forest was, or would have been, asked."""


def early(entities: Entities, pane_s: int) -> int:
    """The moment at which to see who is established already, 0 for none: every ten minutes while we know nobody long.

    Told the first pane of a run (mutates when anybody was first known, and when this was last asked).
    """
    entities.born_s = entities.born_s or pane_s
    now_s = pane_s // RUN_S * RUN_S
    if now_s <= entities.early_s or established_ms((now_s - entities.born_s) * 1000) == ESTABLISHED_MS:
        return 0
    entities.early_s = now_s
    return now_s


def establish(entities: Entities, now_s: int) -> None:
    """Who is established now (mutates)."""
    c, used = entities.c, slice(RESERVED, entities.used)
    least_ms = established_ms((now_s - entities.born_s) * 1000)
    c.established[used] |= (c.good[used] >= ESTABLISHED_N) & (c.last_ms[used] - c.born_ms[used] > least_ms)


def settle(entities: Entities, model: Model, now_ms: int) -> None:
    """The hour ends: who is established now, what the hour taught, and episodes that were quiet are over (mutates)."""
    c, used = entities.c, slice(RESERVED, entities.used)
    establish(entities, now_ms // 1000)
    refresh(entities, model)
    doubt.faded(c, used)
    t, (slot, family, at) = c.tracks, c.standing(entities.used)
    over = t.episode[at] & (t.last_mark_ms[at] <= now_ms - fam.QUIET_MS)
    t.s[at[over]] = np.minimum(t.s[at[over]], model.h[c.kind[slot[over]], family[over]] / 2)
    t.episode[at[over]] = False
    c.alarmed[used] = False
    c.alarmed[slot[t.episode[at]]] = True
    entities.settle()


def refresh(entities: Entities, model: Model) -> F64:
    """Commit the hour's own histories (owners that alarmed are skipped) and set the nulls of the next (mutates).

    What is held to its own history alone learns unless it alarmed for that very thing: else it would never be heard.
    Returns the prior (kind, population, family, 2) the nulls came from.
    """
    c, n = entities.c, entities.used
    calm = ~c.alarmed[:n]
    hour = np.where(calm[:, None, None], c.hour[:n], 0.0).astype(np.float64)
    own = commit_own(c.own[:n].astype(np.float64), hour)
    for i in (family.index for family in model.families if family.null is Null.OWN):
        lesson = np.where(c.tracks.episode[c.at[:n, i], None], 0.0, c.hour[:n, i]).astype(np.float64)
        own[:, i] = commit_own(c.own[:n, i].astype(np.float64), lesson)
    rates = [family.index for family in model.families if family.rate]
    own[:, rates, 0] = np.maximum(c.own[:n][:, rates, 0] * RATE_OWN, hour[:, rates, 0])
    c.own[:n] = own
    c.hour[:n] = 0
    return set_nulls(entities, model)


def set_nulls(entities: Entities, model: Model) -> F64:
    """Set the nulls from own histories as they were last committed (mutates), and return the prior they came from."""
    c, n, shipped = entities.c, entities.used, model.prior
    calm, own = ~c.alarmed[:n], c.own[:n].astype(np.float64)
    rates = [family.index for family in model.families if family.rate]
    known = c.established[:n].astype(np.intp)
    learned = [family for family in model.families if family.null is Null.LEARNED]
    prior = shipped.copy()
    kinds = c.kind[:n].astype(np.intp)
    for kind in range(KINDS_N):
        for population in (0, 1):
            rows = np.flatnonzero((kinds == kind) & (known == population) & calm)
            rows = rows[rows >= RESERVED]
            for family in learned if len(rows) >= 20 else ():
                marks, plain = own[rows, family.index].T
                at = (kind, population, family.index)
                prior[at] = blend(shipped[at], fit(marks, marks + plain), SHIPPED_WEIGHT)
    both = prior[kinds, known] + _excusing(own, prior[kinds, known], model, kinds)
    c.p0[:n] = upper(both[..., 0], both[..., 1])
    busiest = own[:, rates, 0]
    c.p0[:n, rates] = np.maximum(model.rate_per_s[kinds][:, rates], (busiest + Z * np.sqrt(busiest)) / fam.HOUR_S)
    return prior


def _excusing(own: F64, prior: F64, model: Model, kinds: NDArray[np.intp]) -> F64:
    """Own histories without those that would themselves be evidence enough, where answers harm.

    Who fails twice an hour, for a week, is never noticed; it shall not make him usual.
    """
    out = own.copy()
    for family in model.families:
        if family.null is not Null.LEARNED or family.soft:
            continue
        i, q1 = family.index, family.q1
        p = np.minimum(upper(prior[:, i, 0], prior[:, i, 1]), q1)
        evidence = own[:, i, 0] * np.log(q1 / p) + own[:, i, 1] * np.log((1 - q1) / (1 - p))
        out[evidence > model.h[kinds, i], i] = 0.0
    return out
