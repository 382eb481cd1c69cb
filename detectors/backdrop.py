"""What established clients look like on a route right now: subtracted, so that what befalls all is nobody's oddity.

A flash crowd, a failed deploy, an expired token make everybody on a route unlike a calm day. What is left of an owner's
surprises beyond those of the established clients there is his own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import trees
from detectors.features import FEATURES, HOP_S
from detectors.pairs import mix

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
TAU_S: Final = 120.0
FADE: Final = float(np.exp(-HOP_S / TAU_S))
SHRINK_N: Final = 3.0  # a control group of few weighs little
ROUTES_MAX: Final = 4_096  # 940 bytes each; what is on others has no control group
WEIGHT_MIN: Final = 1e-3


class Backdrop:
    """Fading samples of established clients' surprises by kind and route; a client is a sample once a minute."""

    def __init__(self, routes_max: int = ROUTES_MAX) -> None:
        self.routes_max = routes_max
        self.place: U64 = np.empty(0, np.uint64)
        self.sums: F64 = np.zeros((0, 1 + 2 * len(FEATURES)))
        self.hop: I64 = np.empty(0, np.int64)

    def left_of(self, t: F64, kind: NDArray[np.uint8], route: U64, hop: I64, weight: F64, own: F64) -> F64:
        """What is left of surprises (mutates: established clients, of `weight` 1, become samples).

        `own` is what an owner's earlier samples still weigh (`owned`). Hops must not be earlier than those of calls
        before.
        """
        at = mix(route, kind.astype(np.uint64))
        self._reserve(np.unique(at[weight > 0]))
        place = np.searchsorted(self.place, at)
        place[place == len(self.place)] = 0
        known = self.place[place] == at if len(self.place) else np.zeros(len(at), np.bool_)
        order = np.argsort(hop, kind="stable")
        out = np.empty_like(t)
        out[order] = trees.residuals(
            np.ascontiguousarray(t[order]),
            np.where(known, place, -1)[order],
            hop[order],
            weight[order],
            own[order],
            (self.sums, self.hop),
            FADE,
            SHRINK_N,
        )
        return out

    def forget(self, hop: int) -> None:
        """On the hour: routes on which nobody established was seen lately."""
        keep = self.sums[:, 0] * FADE ** np.maximum(hop - self.hop, 0) > WEIGHT_MIN
        self.place, self.sums, self.hop = self.place[keep], self.sums[keep], self.hop[keep]

    def _reserve(self, places: U64) -> None:
        new = np.setdiff1d(places, self.place, assume_unique=True)[: self.routes_max - len(self.place)]
        if not len(new):
            return
        at = np.searchsorted(self.place, new)
        self.place = np.insert(self.place, at, new)
        self.sums = np.insert(self.sums, at, 0.0, axis=0)
        self.hop = np.insert(self.hop, at, 0)

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        return {f"{name}.place": self.place, f"{name}.sums": self.sums, f"{name}.hop": self.hop}

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.place, self.hop = arrays[f"{name}.place"].astype(np.uint64), arrays[f"{name}.hop"].astype(np.int64)
        self.sums = arrays[f"{name}.sums"].astype(np.float64)
