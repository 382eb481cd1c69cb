"""What analysts say of clients, and the one rule by which it moves thresholds.

    base ------ the span's threshold, labelled clients left out
    raised ---- 5 % above what clients labelled a false positive came to (of twenty or more: the 95th percentile)
    limit ----- 5 % below the least that a client labelled a true positive came to, who comes to `base`

A family's threshold is `raised`, never below `base`, never above `limit` (nobody who was rightly found may be lost) nor
twice `base` (labels err as well). Evidence is of the span, by engines that never alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import Owners
from detectors.columns import IP, USER, Flows
from detectors.pairs import mix

FALSE_QUANTILE: Final = 0.95
ENOUGH: Final = 20
"""So many false positives of a family and kind, and the highest of them no longer speaks for itself."""
ABOVE: Final = 1.05
BELOW: Final = 0.95
TIMES_MAX: Final = 2.0
F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Label:
    """What was said of a client: kind (ip, key, user) and hash; of one family, or of all (empty)."""

    kind: int
    entity: int
    family: str
    true: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """A threshold that labels moved, or could not move far enough; `found` of the false, `least` of the true ones."""

    family: str
    kind: int
    base: float
    h: float
    found: float
    least: float | None

    @property
    def enough(self) -> bool:
        """Whether the false positives would be none now."""
        return self.h >= self.found


@dataclass(frozen=True, slots=True)
class Labels:
    """All that was said; of one client and family once."""

    each: tuple[Label, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return bool(self.each)

    def without(self, flows: Flows) -> Flows:
        """Flows of nobody who was labelled."""
        return _without(flows, self.each)

    def without_found(self, flows: Flows) -> Flows:
        """Flows of nobody who was labelled a true positive, of whichever family; nor his, where accounts have them."""
        found = [one for one in self.each if one.true]
        addresses = np.array([one.entity for one in found if one.kind == IP], np.uint64)
        theirs = (flows.kind == USER) & np.isin(flows.ip, addresses)
        return _without(flows.take(~theirs), found)

    def moved(self, base: F64, owners: Owners, families: dict[str, int]) -> tuple[F64, tuple[Moved, ...]]:
        """Thresholds (kind, family) out of `base`, and which are other ones, or should be.

        `owners`: highest evidence in the span by owner and family.
        """
        out, told = base.copy(), []
        for name, index in families.items():
            for kind in range(len(base)):
                here = base[kind, index]
                false = self._evidence(owners, kind, (name, index), true=False)
                if not len(false) or false.max() < here:
                    continue
                true = self._evidence(owners, kind, (name, index), true=True)
                least = min((float(s) for s in true if s >= here), default=None)
                found = float(np.quantile(false, FALSE_QUANTILE)) if len(false) >= ENOUGH else float(false.max())
                limit = TIMES_MAX * here if least is None else min(TIMES_MAX * here, BELOW * least)
                out[kind, index] = max(here, min(ABOVE * found, limit))
                told.append(Moved(name, kind, float(here), float(out[kind, index]), found, least))
        return out, tuple(told)

    def _evidence(self, owners: Owners, kind: int, family: tuple[str, int], *, true: bool) -> F64:
        name, index = family
        who = _owners([one for one in self.each if one.true is true and one.kind == kind and one.family in ("", name)])
        some = (owners.kind == kind) & (owners.family == index) & np.isin(owners.owner, who)
        out: F64 = owners.counts[some, 2]
        return out


def _without(flows: Flows, labels: Sequence[Label]) -> Flows:
    owners = _owners(labels)
    return flows.take(~np.isin(mix(flows.entity, flows.kind.astype(np.uint64)), owners)) if len(owners) else flows


def _owners(labels: Sequence[Label]) -> NDArray[np.uint64]:
    entity = np.array([one.entity for one in labels], np.uint64)
    return mix(entity, np.array([one.kind for one in labels], np.uint64))


NOBODY: Final = Labels()
