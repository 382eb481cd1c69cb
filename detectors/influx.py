"""What newcomers come for: a route that takes a share of them it never had, whatever each of them does there.

    hop of 10 s   newcomers by route     login 2   items 9   orders 0   ...     each once an hour and route
    usually                              .03       .24       .004               shares of ten minutes, and their spread
    an attack     thousands of homes, a request or two each, all answered well: the share of what they come for grows

An attack that is spread thin enough has no bad client and no failure; it comes for one thing, though. A crowd comes as
people do: the shares stay, however many they are. On routes with more than one path only a path's first request in ten
minutes counts, so that a link that goes round is one visit (nobody submits a form by a link: there each client counts,
whatever the path); what established clients come for more often as well (a
release, a sale) makes it usual. The route is not answered for it: people are told, and who reads page after page there
that no other newcomer asks for is found part of it (`influx_members`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Finding
from detectors.families import HOUR_S, OVER
from detectors.groups import H
from detectors.influx_members import ALIKE_MAX, LEAST, MORE, PI_MAX, Members, Stand, asked_alone
from detectors.influx_routes import HOP_S, TIMES, Routes, crossing, gain, told, upper
from detectors.influx_visits import WINDOW_S, visits
from detectors.pairs import PairSet, firsts
from detectors.rows import Rows

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[np.generic]]
ROUTES_MAX: Final = 1_024
WARM: Final = 3  # windows, before what is usual is known
WINDOW_N: Final = 100  # visits in one that teaches
PRIOR_WINDOWS: Final = 18.0  # what the model learned counts as three hours
EARLY: Final = 12  # windows in which nearly everybody is a newcomer: the model's shares alone say too little
OFF_MAX: Final = 3.0  # standard deviations that one window may teach
TAU_HOPS: Final = 180  # half an hour
ALPHA_MIN: Final = 1 - exp(-WINDOW_S / (24 * HOUR_S))
P_MIN: Final = 0.004
P_SAME: Final = 0.0005  # of visits for what others came for: where there are many things hardly any is
P_MAX: Final = 0.9
STEP_MAX: Final = 8.5  # nats a hop: two of them at least
VARIED: Final = 1.5  # paths in a window that has visits: a route with more than one
ONE_THING: Final = 0.3  # of visits those for what others came for: a route of few paths


class Influx:
    """Shares of newcomers by route, what is usual of them, and the evidence that one is not."""

    def __init__(self, routes_max: int = ROUTES_MAX, *, same: bool = False) -> None:
        self.routes_max = routes_max
        self.same = same
        self.again = None if same else Influx(routes_max, same=True)
        self.submits = -1
        self.hop = 0
        self.windows = 0  # that taught
        self.trained = False
        self.weight = 0.0  # visits that what was seen here rests on
        self.all = Routes.blank(0)
        self.members = Members()
        self._stands: list[Stand] = []
        self._out: list[Finding] = []

    def learned(self) -> dict[str, NDArray[np.generic]]:
        """What a model keeps: routes, their shares, whether they have many paths; nothing of too short a time."""
        enough = (self.all.past.sum(axis=1) > 0) & (self.windows >= EARLY)
        a = self.all.take(np.flatnonzero(enough))
        return {"route": a.route, "share": a.share, "past": a.past / np.maximum(a.past[:, 2:], 1.0)}

    def begin(self, learned: Arrays, submits: int = -1) -> None:
        """Begin with what a model has `learned`, if anything; `submits`: the bit of `tags` that says so."""
        self.submits = submits
        self.trained = bool(len(learned.get("route", ())))
        if self.trained:
            self.all = Routes.blank(len(learned["route"]))
            self.all.route, self.all.prior = learned["route"].astype(np.uint64), learned["share"].astype(np.float64)
            self.all.past = WARM * learned["past"].astype(np.float64)

    def take(self, rows: Rows, established: Flag, requests: I64, seen: PairSet) -> None:
        """A run of rows, which owners are established, what each asked before, and the visits that were (mutated)."""
        f = rows.flows
        self._stands = self._stands[-1:] or [self._stand()]
        asks, own = asked_alone(rows, established, seen, WINDOW_S)
        at, alone, anew = visits(rows, seen, ~established, self.submits)
        newcomer = ~established[rows.seg[at]]
        came = np.zeros((8, len(at) + len(asks)))
        came[0, : len(at)], came[1, : len(at)], came[2, : len(at)] = newcomer, newcomer & alone, ~newcomer
        came[3, len(at) :], came[4, len(at) :] = own, f.n[asks]
        came[5, : len(at)], came[6, : len(at)], came[7, : len(at)] = newcomer, newcomer & ~anew, ~newcomer & ~anew
        both = np.concatenate([at, asks])
        if len(both):
            self._count(f.route[both], f.pane_s[both] // HOP_S, came)
        if any(stand.routes for stand in self._stands):
            asked = np.cumsum(f.n) - f.n
            before = requests[rows.seg] + asked - asked[rows.starts][rows.seg]
            self._out += self.members.found(rows, asks[own], before[asks[own]], self._stands)

    def close(self, until_s: int) -> list[Finding]:
        """What there is to tell of the hops that are complete at `until_s`."""
        if self.hop and until_s // HOP_S > self.hop:
            self.until(until_s // HOP_S)
        out, self._out = self._out, []
        return out

    def _count(self, route: U64, hop: I64, visits: F64) -> None:
        self.until(first := int(hop.min()))
        own = _summed(self.places(route), hop - first, visits[:5], len(self.all.route))  # windows end with runs
        again = self.again
        if again is not None:
            same = _summed(again.places(route), hop - first, visits[5:], len(again.all.route))
        for at in np.flatnonzero(np.bincount(hop - first)).tolist():
            self.until(first + at)
            self.all.now, self.all.asks = self.all.now + own[at, :, :3], self.all.asks + own[at, :, 3:]
            if again is not None:
                again.all.now = again.all.now + same[at]

    def places(self, route: U64) -> NDArray[np.intp]:
        """Where routes stand, made where there is room."""
        new = np.setdiff1d(route[firsts(route)], self.all.route)[: self.routes_max - len(self.all.route)]
        if len(new):
            self.all = self.all.with_new(new)
        a = self.all
        at = np.minimum(np.searchsorted(a.route, route), len(a.route) - 1)
        return np.where(a.route[at] == route, at, -1)

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
            self.members.forget(hop * HOP_S * 1000 - HOUR_S * 1000)
        self.hop = hop
        if self._stands and (self._stands[-1].routes or self.all.crossed_s.any()):
            self._stands.append(self._stand())
        if self.again is not None:
            self.again.until(hop)
            alarmed = set(self.all.route[self.all.crossed_s > 0].tolist())  # of these it is told once
            self._out += [one for one in self.again.close(0) if one.entity not in alarmed]

    def _stand(self) -> Stand:
        """What is in alarm from this hop on, of routes of many paths that have a past."""
        a = self.all
        known = a.own[:, 1] >= WARM * WINDOW_N
        at = np.flatnonzero((a.crossed_s > 0) & known & self._varied() & (a.visits > 0))
        p = MORE * float((a.own[at, 0] / a.own[at, 1]).sum()) + LEAST
        if not len(at) or p > ALIKE_MAX:
            return Stand(self.hop, LEAST, {})
        usual = self._usual()[at] * a.among[at] / a.visits[at]
        pi = np.clip(1 - usual, 1 - PI_MAX, PI_MAX)
        told = zip(a.route[at].tolist(), pi.tolist(), a.leader[at].tolist(), strict=True)
        return Stand(self.hop, p, {route: (share, leader) for route, share, leader in told})

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
        if self.windows < (EARLY if self.same else WARM) or not k.any():
            a.s *= fade
            return
        p0 = self._usual()
        x = np.stack([gain(k, n, p0, np.minimum(p0 * times, (1 + p0) / 2)) for times in TIMES], axis=1)
        begins = a.evidence < 1e-6
        a.s = np.clip(a.s * fade + np.minimum(x, STEP_MAX), 0.0, H + OVER)
        at_s = (self.hop + 1) * HOP_S - 1  # the pane that completes it
        a.first_s[begins], a.visits[begins], a.among[begins] = self.hop * HOP_S, 0, 0
        a.visits += k.astype(np.int64)
        a.among += n
        for i in crossing(a, k, at_s):
            a.told_s[i] = at_s
            self._out.append(told(a, i, at_s, float(k[i] / n[i]), float(p0[i]), same=self.same))

    def _counted(self, came: F64, apart: Flag) -> tuple[F64, F64]:
        """Visits by route, and among how many: those to routes `apart`, in alarm, make no other one's share less."""
        if self.same:
            few = self.all.past[:, 1] > ONE_THING * self.all.past[:, 0]
            return np.where(few & (self.all.past[:, 0] > 0), 0.0, came[:, 1]), np.full(len(came), came[:, 0].sum())
        k = np.where(self._varied(), came[:, 1], came[:, 0])
        return k, k[~apart].sum() + np.where(apart, k, 0.0)

    def _varied(self) -> Flag:
        past = self.all.past
        paths = np.where(past[:, 2] > 0, past[:, 1] / np.maximum(past[:, 2], 1e-9), self.all.window[:, 1])
        return np.asarray(paths > VARIED)

    def _usual(self) -> F64:
        """Upper end of newcomers' share of each route; what the established come for more often now is usual."""
        a = self.all
        shares = self._blended()
        p0 = upper(shares, self.windows + (PRIOR_WINDOWS if self.trained else 0))
        if self.windows < EARLY:
            p0 = np.maximum(p0, upper(a.share, self.windows))
        more = (a.known + 1) / (a.known.sum() * shares[:, 2] + 1)
        least = P_SAME if self.same else P_MIN
        return np.asarray(np.clip(p0 * np.maximum(1.0, more), least, P_MAX))

    def _blended(self) -> F64:
        """Shares as the model has them and as they were seen here."""
        if not self.trained:
            return self.all.share
        both = PRIOR_WINDOWS * self.all.prior + self.windows * self.all.share
        return np.asarray(both / (PRIOR_WINDOWS + self.windows))

    def _learn(self, windows: int) -> None:
        """A window is over: what it taught, but of routes under suspicion. All but the first of `windows` are empty."""
        a = self.all
        calm = a.evidence < H / 2
        k, n = self._counted(a.window, ~calm)
        if len(n) and n.min() >= WINDOW_N:
            self._teach(a, np.where(calm, k / np.maximum(n, 1.0), 0.0), n, calm)
        came = np.stack([a.window[:, 0], a.window[:, 1], (a.window[:, 0] > 0).astype(np.float64)], axis=1)
        came[~calm] = 0.0  # paths made up in an attack make no route one of many
        a.past = (a.past * (1 - ALPHA_MIN) + came) * (1 - ALPHA_MIN) ** (windows - 1)
        a.window[:], a.asks[:] = 0, 0
        keep = (a.past[:, 0] > 0.5) | ~calm | (a.crossed_s > 0) | (a.prior[:, 0] > 0)
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
        again = {} if self.again is None else self.again.arrays(f"{name}.again")
        return (
            again
            | {f"{name}.clock": clock, f"{name}.weight": np.array(self.weight)}
            | {f"{name}.{f.name}": getattr(self.all, f.name).copy() for f in fields(Routes)}
            | {f"{name}.members.{part}": array for part, array in self.members.arrays().items()}
        )

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.hop, self.windows, trained = (int(v) for v in arrays[f"{name}.clock"])
        self.trained, self.weight = bool(trained), float(arrays[f"{name}.weight"])
        self.all = Routes.blank(len(arrays[f"{name}.route"]))
        for f in fields(Routes):
            getattr(self.all, f.name)[:] = arrays[f"{name}.{f.name}"]
        self.members.restore(arrays[f"{name}.members.owner"], arrays[f"{name}.members.member"])
        if self.again is not None:
            self.again.restore(f"{name}.again", arrays)
            self._stands = [self._stand()]


def _summed(place: NDArray[np.intp], hop: I64, visits: F64, routes: int) -> F64:
    """What there is of visits (kind, row) by hop, route and kind; of a `place` below 0 nothing."""
    hops, some = int(hop.max()) + 1, np.flatnonzero(place >= 0)
    cell = hop[some] * routes + place[some]
    sums = [np.bincount(cell, each[some], hops * routes).reshape(hops, routes) for each in visits]
    return np.stack(sums, axis=2)
