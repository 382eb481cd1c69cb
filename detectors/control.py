"""The control group: what established clients do on a route right now. It spares flash crowds, deploys, releases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import compiled
from detectors.nulls import Z

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
TAU_S: Final = 120.0
SAMPLE_S: Final = 10  # one sample a client and route in so many seconds
NEVER: Final = 1 << 40
SHRINK_N: Final = 3.0  # a bound that rests on few clients weighs little


class Control:
    """Damped counts by route: samples and, of them, marked ones. A pane sees the samples of earlier panes only.

    Prefix sums are taken in scaled time: a run may last a few `TAU_S`, not an hour, or digits are lost.
    """

    def __init__(self, routes_max: int = 65_536) -> None:
        self.routes_max = routes_max
        self.at_s = 0
        self.route: U64 = np.empty(0, np.uint64)
        self.sums: F64 = np.zeros((0, 2))

    def bounds(self, route: U64, pane_s: I64, samples: tuple[U64, I64, F64]) -> F64:
        """Upper bound of established clients' share of marks, for each (route, pane); 0 where nothing is known.

        `samples` are (route, pane, marked) of this run.
        """
        n, marks = self.counts(route, pane_s, samples)
        m = np.divide(marks, n, out=np.zeros(len(n)), where=n > 1e-6)
        m = np.clip(m, 0.0, 1.0)
        out: F64 = np.minimum((m + Z * np.sqrt(m * (1 - m) / (n + 1))) * n / (n + SHRINK_N), 0.999)
        return out

    def counts(self, route: U64, pane_s: I64, samples: tuple[U64, I64, F64]) -> tuple[F64, F64]:
        """Samples, and marked ones, that stand for each (route, pane), faded. `samples` as in `bounds`."""
        s_route, s_pane, s_mark = samples
        routes, at = compiled.unique(np.concatenate([self.route, s_route]))
        if not len(routes):
            return np.zeros(len(route)), np.zeros(len(route))
        base = int(min(pane_s.min(initial=NEVER), s_pane.min(initial=NEVER)))
        carried = self.sums * np.exp(min(self.at_s - base, 0) / TAU_S)
        kept, fresh = at[: len(self.route)], at[len(self.route) :]
        order = np.lexsort((s_pane, fresh))
        group = np.concatenate([kept, fresh[order]])
        pane = np.concatenate([np.full(len(kept), base - 1), s_pane[order]])
        weight = np.exp((s_pane[order] - base) / TAU_S)
        value = np.concatenate([carried, np.stack([weight, weight * s_mark[order]], axis=1)])
        # Routes first, in each the carried sum and then its samples by pane: prefix sums, less what stood before.
        order = np.lexsort((pane, group))
        group, pane, value = group[order], pane[order], value[order]
        sums = np.zeros((len(group) + 1, 2))
        np.cumsum(value, axis=0, out=sums[1:])
        return self._at(route, pane_s, routes, (group, pane, sums), base)

    @staticmethod
    def _at(route: U64, pane_s: I64, routes: U64, prefix: tuple[I64, I64, F64], base: int) -> tuple[F64, F64]:
        group, pane, sums = prefix
        place = compiled.searched(routes, np.ascontiguousarray(route))
        place[place == len(routes)] = 0
        known = routes[place] == route
        span = NEVER
        key = group * span + pane
        end = np.searchsorted(key, place * span + pane_s)
        start = np.searchsorted(group, place)
        fade = np.exp((base - pane_s) / TAU_S)[:, None]
        n, marks = np.where(known[:, None], np.maximum(sums[end] - sums[start], 0.0) * fade, 0.0).T
        return n, marks

    def advance(self, samples: tuple[U64, I64, F64], until_s: int) -> None:
        """Take in the samples of a run that ended at `until_s`."""
        s_route, s_pane, s_mark = samples
        routes, at = compiled.unique(np.concatenate([self.route, s_route]))
        sums = np.zeros((len(routes), 2))
        kept = len(self.route)
        sums[at[:kept]] = self.sums * np.exp((self.at_s - until_s) / TAU_S)
        weight = np.exp((s_pane - until_s) / TAU_S)
        np.add.at(sums, at[kept:], np.stack([weight, weight * s_mark], axis=1))
        keep = sums[:, 0] > 1e-3
        if keep.sum() > self.routes_max:
            keep[np.lexsort((routes, -sums[:, 0]))[self.routes_max :]] = False
        self.route, self.sums, self.at_s = routes[keep], sums[keep], until_s

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        return {f"{name}.route": self.route, f"{name}.sums": self.sums, f"{name}.at_s": np.array(self.at_s)}

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.route, self.sums = arrays[f"{name}.route"].astype(np.uint64), arrays[f"{name}.sums"].astype(np.float64)
        self.at_s = int(arrays[f"{name}.at_s"])


def distinct(route: U64, pane_s: I64) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """A row of each (route, pane), and for each row which of these it is: there are few beside the rows."""
    routes = np.sort(route[compiled.firsts(route)])
    first_s = int(pane_s.min(initial=NEVER))
    panes = int(pane_s.max(initial=0)) - first_s + 1
    if len(routes) * panes > len(route):
        return np.arange(len(route)), np.arange(len(route))
    key = np.searchsorted(routes, route) * panes + (pane_s - first_s)
    last = np.full(len(routes) * panes, -1)
    last[key] = np.arange(len(key))
    used = np.flatnonzero(last >= 0)
    number = np.empty(len(last), np.intp)
    number[used] = np.arange(len(used))
    return last[used], number[key]
