"""Shares of visits by place (a route, an operator), what is usual of them, and the evidence that one is not.

Visits come in hops of ten seconds; what is usual is learned of windows of ten minutes, but of places under suspicion.
`influx` counts what newcomers come for, `elsewhere` where accounts turn up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import exp, log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Finding
from detectors.compiled import searched
from detectors.families import HOUR_S, OVER
from detectors.groups import H
from detectors.influx_routes import HOP_S, TIMES, Routes, Said, crossing, gain, told, upper
from detectors.influx_visits import WINDOW_S
from detectors.pairs import firsts

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
PLACES_MAX: Final = 1_024
WARM: Final = 3  # windows, before what is usual is known
WINDOW_N: Final = 100  # visits in one that teaches
PRIOR_WINDOWS: Final = 18.0  # what the model learned counts as three hours
EARLY: Final = 12  # windows in which nearly everybody is a newcomer: the model's shares alone say too little
OFF_MAX: Final = 3.0  # standard deviations that one window may teach
TAU_HOPS: Final = 180  # half an hour
ALPHA_MIN: Final = 1 - exp(-WINDOW_S / (24 * HOUR_S))
P_MIN: Final = 0.004
P_MAX: Final = 0.9
STEP_MAX: Final = 8.5  # nats a hop: two of them at least
REST_MIN: Final = 0.02  # of usual visits: where nearly all is in alarm, the rest is held to no less


class Shares:
    """Visits by place. `least`: of what is usual, at least; `warm`: windows of `enough` visits before any is told of.

    A place with more evidence than `calm` teaches nothing.

    Counts are of newcomers (`now[:, 0]`), of these some that count apart, and of the established (`now[:, 2]`).
    """

    apart = True  # visits to places in alarm make no other one's share less; else all are among all

    def __init__(
        self,
        said: Said,
        places_max: int = PLACES_MAX,
        *,
        least: float = P_MIN,
        warm: int = WARM,
        enough: int = WINDOW_N,
        calm: float = H / 2,
    ) -> None:
        self.said, self.places_max, self.least, self.warm = said, places_max, least, warm
        self.enough, self.calm = enough, calm
        self.hop = 0
        self.windows = 0  # that taught
        self.trained = False
        self.weight = 0.0  # visits that what was seen here rests on
        self.all = Routes.blank(0)
        self._out: list[Finding] = []

    def close(self, until_s: int) -> list[Finding]:
        """What there is to tell of the hops that are complete at `until_s`."""
        if self.hop and until_s // HOP_S > self.hop:
            self.until(until_s // HOP_S)
        out, self._out = self._out, []
        return out

    def rare(self, place: U64, below: float) -> Flag:
        """Places with less than a share `below`, as windows before this one have it; none until these are enough."""
        if self.windows < self.warm or not len(self.all.route):
            return np.zeros(len(place), np.bool_)
        at = np.minimum(np.searchsorted(self.all.route, place), len(self.all.route) - 1)
        return np.asarray((self.all.route[at] != place) | (self.all.share[at, 0] < below))

    def common(self, place: U64, least: float) -> Flag:
        """Places with at least that share, as windows before this one have it; none until these are enough."""
        if self.windows < self.warm or not len(self.all.route):
            return np.zeros(len(place), np.bool_)
        return ~self.rare(place, least)

    def odds(self, i: int) -> float:
        """Log odds that a visit to the `i`th place belongs to what is in alarm there."""
        a = self.all
        share = float(a.share[i, 0] / self._rest(a.crossed_s > 0, a.share[:, 0])[i])
        usual = (share * float(a.among[i]) + 1) / max(2.0, float(a.visits[i]))
        return log(max(1.0, 1 / usual - 1))

    def places(self, route: U64) -> NDArray[np.intp]:
        """Where places stand, made where there is room."""
        new = np.setdiff1d(route[firsts(route)], self.all.route)[: self.places_max - len(self.all.route)]
        if len(new):
            self.all = self.all.with_new(new)
        a = self.all
        at = np.minimum(searched(a.route, route), len(a.route) - 1)
        return np.where(a.route[at] == route, at, -1)

    def count(self, place: U64, hop: I64) -> None:
        """Visits, one a row; what hops before the last say is judged."""
        if not len(hop):
            return
        self.until(first := int(hop.min()))
        came = summed(self.places(place), hop - first, np.ones((1, len(hop))), len(self.all.route))
        for at in np.flatnonzero(np.bincount(hop - first)).tolist():
            self.until(first + at)
            self.all.now[:, 0] += came[at, :, 0]

    def until(self, hop: int) -> None:
        """Every hop before `hop` is complete."""
        if not self.hop:
            self.hop = hop
        if hop <= self.hop:
            return
        self._step()
        per = WINDOW_S // HOP_S
        end = (self.hop // per + 1) * per  # of its window
        self._idle(min(hop, end) - self.hop - 1)
        if hop >= end:
            self._learn(hop // per - self.hop // per)
            self._idle(hop - end)
        self.hop = hop

    def _idle(self, hops: int) -> None:
        """So many hops in which nobody came."""
        self.all.s *= exp(-hops / TAU_HOPS)
        self.all.known *= exp(-hops / TAU_HOPS)

    def _step(self) -> None:
        """The hop that is complete as evidence."""
        a = self.all
        alarmed = a.crossed_s > 0
        k, n = self._counted(a.now, alarmed)
        fade = exp(-1 / TAU_HOPS)
        a.known = a.known * fade + a.now[:, 2]
        a.window += a.now
        a.now[:] = 0
        if self.windows < self.warm or not k.any():
            a.s *= fade
            return
        p0 = self._usual()
        x = np.stack([gain(k, n, p0, np.minimum(p0 * times, (1 + p0) / 2)) for times in TIMES], axis=1)
        x[p0 >= P_MAX] = 0.0  # nearly all are there anyway
        begins = a.evidence < 1e-6
        a.s = np.clip(a.s * fade + np.minimum(x, STEP_MAX), 0.0, H + OVER)
        at_s = (self.hop + 1) * HOP_S - 1  # the pane that completes it
        a.first_s[begins], a.visits[begins], a.among[begins] = self.hop * HOP_S, 0, 0
        a.visits += k.astype(np.int64)
        a.among += n
        for i in crossing(a, k, at_s):
            a.told_s[i] = at_s
            self._out.append(told(a, i, at_s, float(k[i] / n[i]), float(p0[i]), self.said))

    def _counted(self, came: F64, apart: Flag) -> tuple[F64, F64]:
        """Visits by place, and among how many; those to places `apart`, in alarm, make no other one's share less."""
        k = self._visits(came)
        if not self.apart:
            return k, np.full(len(came), came[:, 0].sum())
        return k, k[~apart].sum() + np.where(apart, k, 0.0)

    def _visits(self, came: F64) -> F64:
        """What is counted of visits."""
        return came[:, 0].copy()

    def _usual(self) -> F64:
        """Upper end of newcomers' share of each place; what the established come for more often now is usual.

        It is a share of what is counted with it: where other places are in alarm and count apart, of the rest.
        """
        a = self.all
        shares = self._blended()
        p0 = upper(shares, self.windows + (PRIOR_WINDOWS if self.trained else 0))
        if self.windows < EARLY:
            p0 = np.maximum(p0, upper(a.share, self.windows))
        more = (a.known + 1) / (a.known.sum() * shares[:, 2] + 1)
        p0 = p0 * np.maximum(1.0, more) / self._rest(a.crossed_s > 0, shares[:, 0])
        return np.asarray(np.clip(p0, self.least, P_MAX))

    def _rest(self, apart: Flag, share: F64) -> F64:
        """By place, of usual visits the share of those it is counted among, when others of them count `apart`."""
        if not self.apart:
            return np.ones(len(share))
        others = share[apart].sum() - np.where(apart, share, 0.0)
        return np.asarray(np.clip(1.0 - others, REST_MIN, 1.0))

    def _blended(self) -> F64:
        """Shares as the model has them and as they were seen here."""
        if not self.trained:
            return self.all.share
        both = PRIOR_WINDOWS * self.all.prior + self.windows * self.all.share
        return np.asarray(both / (PRIOR_WINDOWS + self.windows))

    def _learn(self, windows: int) -> None:
        """A window is over: what it taught, but of routes under suspicion. All but the first of `windows` are empty."""
        a = self.all
        calm = a.evidence < self.calm
        k, n = self._counted(a.window, ~calm)
        if len(n) and n.min() >= self.enough:
            share = k / np.maximum(n, 1.0) * self._rest(~calm, a.share[:, 0])
            self._teach(a, np.where(calm, share, 0.0), n, calm)
        came = np.stack([a.window[:, 0], a.window[:, 1], (a.window[:, 0] > 0).astype(np.float64)], axis=1)
        came[~calm] = 0.0  # paths made up in an attack make no route one of many
        a.past = (a.past * (1 - ALPHA_MIN) + came) * (1 - ALPHA_MIN) ** (windows - 1)
        a.window[:], a.asks[:] = 0, 0
        gone = 0.5 if len(a.route) <= self.places_max // 2 else 1.5  # where it is crowded, who came once goes
        keep = (a.past[:, 0] > gone) | ~calm | (a.crossed_s > 0) | (a.prior[:, 0] > 0)
        if not keep.all():
            self.all = a.take(np.flatnonzero(keep))

    def _teach(self, a: Routes, share: F64, n: F64, calm: Flag) -> None:
        """One window's shares of `n` visits each; the spread is what chance does not account for."""
        self.windows += 1
        mine = float(n.min())
        self.weight = min(self.weight * (1 - ALPHA_MIN) + mine, mine / ALPHA_MIN)
        alpha = mine / self.weight
        chance = np.maximum(share, P_MIN) / np.maximum(n, 1.0)
        off = share - a.share[:, 0]
        if self.windows > WARM:
            most = OFF_MAX * np.sqrt(a.share[:, 1] + chance)
            off = np.clip(off, -most, most)
        off[~calm] = 0.0
        spread = (1 - alpha) * (a.share[:, 1] + alpha * np.maximum(off**2 - chance, 0.0))
        a.share[:, 1] = np.where(calm, spread, a.share[:, 1])
        a.share[:, 0] += alpha * off
        known = a.window[:, 2] / max(1.0, a.window[:, 2].sum())
        a.share[:, 2] += np.where(calm, alpha * (known - a.share[:, 2]), 0.0)
        asks = np.stack([a.asks[:, 0], np.full(len(calm), a.asks[calm, 1].sum())], axis=1)
        a.own = np.where(calm[:, None], a.own * (1 - ALPHA_MIN) + asks, a.own)

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        clock = np.array([self.hop, self.windows, self.trained], np.int64)
        return {f"{name}.clock": clock, f"{name}.weight": np.array(self.weight)} | {
            f"{name}.{f.name}": getattr(self.all, f.name).copy() for f in fields(Routes)
        }

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.hop, self.windows, trained = (int(v) for v in arrays[f"{name}.clock"])
        self.trained, self.weight = bool(trained), float(arrays[f"{name}.weight"])
        self.all = Routes.blank(len(arrays[f"{name}.route"]))
        for f in fields(Routes):
            getattr(self.all, f.name)[:] = arrays[f"{name}.{f.name}"]


def summed(place: NDArray[np.intp], hop: I64, visits: F64, places: int) -> F64:
    """What there is of visits (kind, row) by hop, route and kind; of a `place` below 0 nothing."""
    hops, some = int(hop.max()) + 1, np.flatnonzero(place >= 0)
    cell = hop[some] * places + place[some]
    sums = [np.bincount(cell, each[some], hops * places).reshape(hops, places) for each in visits]
    return np.stack(sums, axis=2)
