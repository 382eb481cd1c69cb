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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.families import HOUR_S
from detectors.influx_members import ALIKE_MAX, LEAST, MORE, PI_MAX, Members, Stand, asked_alone
from detectors.influx_routes import HOP_S, SAME, VISITS, Routes
from detectors.influx_shares import EARLY, PLACES_MAX, WARM, WINDOW_N, Shares, summed
from detectors.influx_visits import WINDOW_S, visits
from detectors.pairs import PairSet
from detectors.rows import Rows

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[np.generic]]
P_SAME: Final = 0.0005  # of visits for what others came for: where there are many things hardly any is
VARIED: Final = 1.5  # paths in a window that has visits: a route with more than one
ONE_THING: Final = 0.3  # of visits those for what others came for: a route of few paths


class Again(Shares):
    """Of newcomers' submissions those where others just had, by route."""

    apart = False

    def _visits(self, came: F64) -> F64:
        few = self.all.past[:, 1] > ONE_THING * self.all.past[:, 0]
        return np.where(few & (self.all.past[:, 0] > 0), 0.0, came[:, 1])


class Influx(Shares):
    """Shares of newcomers by route, what is usual of them, and the evidence that one is not."""

    def __init__(self, routes_max: int = PLACES_MAX) -> None:
        super().__init__(VISITS, routes_max)
        self.again = Again(SAME, routes_max, least=P_SAME, warm=EARLY)
        self.submits = -1
        self.members = Members()
        self._stands: list[Stand] = []

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

    def take(self, rows: Rows, of: tuple[Flag, Flag], requests: I64, seen: PairSet) -> NDArray[np.intp]:
        """A run of rows, which are `of` newcomers and of the established, what owners asked before, visits (mutated).

        Rows of neither say nothing of what people come for. Gives newcomers' visits, in order of time.
        """
        newcomers, established = of
        f = rows.flows
        self._stands = self._stands[-1:] or [self._stand()]
        asks, own = asked_alone(rows, newcomers, seen, WINDOW_S)
        at, alone, anew = visits(rows, seen, newcomers, self.submits)
        newcomer, known = newcomers[at], established[at]
        came = np.zeros((8, len(at) + len(asks)))
        came[0, : len(at)], came[1, : len(at)], came[2, : len(at)] = newcomer, newcomer & alone, known
        came[3, len(at) :], came[4, len(at) :] = own, f.n[asks]
        came[5, : len(at)], came[6, : len(at)], came[7, : len(at)] = newcomer, newcomer & ~anew, known & ~anew
        both = np.concatenate([at, asks])
        if len(both):
            self._count(f.route[both], f.pane_s[both] // HOP_S, came)
        if any(stand.routes for stand in self._stands):
            before = rows.before(requests)
            self._out += self.members.found(rows, asks[own], before[asks[own]], self._stands)
        came_anew: NDArray[np.intp] = at[newcomer]
        return came_anew

    def _count(self, route: U64, hop: I64, visits: F64) -> None:
        self.until(first := int(hop.min()))
        own = summed(self.places(route), hop - first, visits[:5], len(self.all.route))  # windows end with runs
        same = summed(self.again.places(route), hop - first, visits[5:], len(self.again.all.route))
        for at in np.flatnonzero(np.bincount(hop - first)).tolist():
            self.until(first + at)
            self.all.now, self.all.asks = self.all.now + own[at, :, :3], self.all.asks + own[at, :, 3:]
            self.again.all.now = self.again.all.now + same[at]

    def until(self, hop: int) -> None:
        """Every hop before `hop` is complete."""
        begun = self.hop
        super().until(hop)
        if not begun or hop <= begun:
            return
        per = WINDOW_S // HOP_S
        if hop // per > begun // per:
            self.members.forget(hop * HOP_S * 1000 - HOUR_S * 1000)
        if self._stands and (self._stands[-1].routes or self.all.crossed_s.any()):
            self._stands.append(self._stand())
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

    def _varied(self) -> Flag:
        past = self.all.past
        paths = np.where(past[:, 2] > 0, past[:, 1] / np.maximum(past[:, 2], 1e-9), self.all.window[:, 1])
        return np.asarray(paths > VARIED)

    def _visits(self, came: F64) -> F64:
        return np.where(self._varied(), came[:, 1], came[:, 0])

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        members = {f"{name}.members.{part}": array for part, array in self.members.arrays().items()}
        return super().arrays(name) | self.again.arrays(f"{name}.again") | members

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        super().restore(name, arrays)
        self.members.restore(arrays[f"{name}.members.owner"], arrays[f"{name}.members.member"])
        self.again.restore(f"{name}.again", arrays)
        self._stands = [self._stand()]
