"""Who is part of what newcomers come for: page after page that no other newcomer asks for, on a route in alarm.

    people      item 7, a search, item 7's reviews, the list, item 31 ...    others ask for most of it just then
    a gang      item 4071 | item 88 | item 2930 | ...    a catalogue is read item by item, by all of them together once

A newcomer's requests are held to what newcomers' usually are: which share of them is for a path of the route that
no other of them asked for in ten minutes. All requests count, also those of before the alarm: who looked round is no
part of it. On a route of one path nobody is found: there good newcomers and bad ones come alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.attribution import ENOUGH_FOR_ONE
from detectors.columns import LIMITED, ROUTE, USER, Fact, Finding, Share
from detectors.explain import score
from detectors.families import QUIET_MS
from detectors.influx_routes import HOP_S
from detectors.pairs import PairSet, firsts, mix
from detectors.rows import Rows

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flag = NDArray[np.bool_]
Q1S: Final = (0.5, 0.8)  # of a member's requests, those for pages of his own: he may load scripts beside, or not
MARKS_MIN: Final = 3
ALIKE_MAX: Final = 0.35  # where people do so as well nobody can be told from them
MORE: Final = 1.5  # times what is usual
LEAST: Final = 0.01
PI_MAX: Final = 0.99
MEMBERS_MAX: Final = 50_000
_ASKED: Final = np.uint64(13)


def asked_alone(rows: Rows, newcomers: Flag, seen: PairSet, window_s: int) -> tuple[NDArray[np.intp], Flag]:
    """Newcomers' requests in order of time, and which are for a path that none of them asked for in the window."""
    f = rows.flows
    at = np.flatnonzero((f.kind != USER) & (f.outcome != LIMITED) & newcomers)
    at = at[rows.in_time(at)]
    path = mix(f.path[at], f.route[at], (f.pane_s[at] // window_s).astype(np.uint64) ^ _ASKED)
    own = ~seen.contains(path) & firsts(path)
    seen.add(path[own])
    return at, own


@dataclass(frozen=True, slots=True)
class Stand:
    """What is in alarm from a hop on: routes, with the share of their visits beyond what is usual, and who leads.

    `p`: the usual share of a newcomer's requests that are for pages of his own on these routes, at its upper end.
    """

    hop: int
    p: float
    routes: Mapping[int, tuple[float, int]]

    def odds(self, route: int) -> float:
        """Log odds that a visit there belongs to what the route is in alarm for."""
        pi = self.routes[route][0]
        return log(pi / (1 - pi))


@dataclass(slots=True)
class Member:
    """One that may be: pages of his own on routes in alarm, and where his evidence sufficed (`crossed_s` 0: not)."""

    marks: int
    first_ms: int
    last_ms: int
    crossed_s: int = 0
    crossed_ms: int = 0
    crossed_after: int = 0

    def crosses(self, pane_s: int, t_ms: int, before: int, *, anew: bool) -> None:
        """His evidence suffices, after so many requests `before`; it is the same episode unless `anew`."""
        if not self.crossed_s or anew:
            self.crossed_s, self.crossed_ms, self.crossed_after = pane_s, t_ms, before


class Members:
    """Newcomers with such pages; of more than `MEMBERS_MAX` the latest to begin."""

    def __init__(self) -> None:
        self._held: dict[int, Member] = {}

    def found(self, rows: Rows, at: NDArray[np.intp], before: I64, stands: list[Stand]) -> list[Finding]:
        """Rows `at` which newcomers came for pages of their own, in order of time; requests of each `before` those.

        `stands`: what is in alarm, in order; the last that begins by a row's time holds for it.
        """
        out: dict[tuple[int, int], Finding] = {}
        hops = np.array([stand.hop for stand in stands])
        pane_s = rows.flows.pane_s
        which = np.searchsorted(hops, pane_s[at] // HOP_S, "right") - 1
        for row, n, number in zip(at.tolist(), before.tolist(), which.tolist(), strict=True):
            stand = stands[max(0, number)]
            if int(rows.flows.route[row]) in stand.routes:
                finding = self._came(rows, row, n, stand)
                if finding is not None:
                    out[int(rows.owner[rows.seg[row]]), finding.at_s] = finding
        return list(out.values())

    def _came(self, rows: Rows, row: int, before: int, stand: Stand) -> Finding | None:
        owner, t_ms, pane_s = int(rows.owner[rows.seg[row]]), int(rows.t_ms[row]), int(rows.flows.pane_s[row])
        one, quiet = self.came(owner, t_ms)
        own, total = evidence(one.marks, before + 1, stand.p), stand.odds(int(rows.flows.route[row]))
        if one.marks < MARKS_MIN or own + total < ENOUGH_FOR_ONE:
            return None
        one.crosses(pane_s, t_ms, before, anew=quiet)
        return _finding(rows, row, one, stand, (own, before + 1))

    def came(self, owner: int, t_ms: int) -> tuple[Member, bool]:
        """One more mark of his; whether he had been quiet for long."""
        one = self._held.get(owner)
        if one is None:
            if len(self._held) >= MEMBERS_MAX:
                del self._held[next(iter(self._held))]
            one = self._held[owner] = Member(0, t_ms, t_ms)
        quiet = t_ms - one.last_ms > QUIET_MS
        one.marks, one.last_ms = one.marks + 1, t_ms
        return one, quiet

    def forget(self, before_ms: int) -> None:
        """Those whose last such page is older go."""
        self._held = {owner: one for owner, one in self._held.items() if one.last_ms >= before_ms}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """State, in the order they began in."""
        held = np.array([astuple(one) for one in self._held.values()], np.int64).reshape(-1, 6)
        return {"owner": np.array(list(self._held), np.uint64), "member": held}

    def restore(self, owner: NDArray[np.generic], member: NDArray[np.generic]) -> None:
        """The inverse of `arrays`."""
        self._held = {one: Member(*told) for one, told in zip(owner.tolist(), member.tolist(), strict=True)}


def evidence(marks: int, requests: int, p: float) -> float:
    """Log likelihood of so many pages of his own among a newcomer's requests, were he part of it and not."""
    others = max(0, requests - marks)
    return max(marks * log(q1 / p) + others * log((1 - q1) / (1 - p)) for q1 in Q1S)


def _finding(rows: Rows, row: int, one: Member, stand: Stand, told: tuple[float, int]) -> Finding:
    own, requests = told
    route, pane_s = int(rows.flows.route[row]), int(rows.flows.pane_s[row])
    group = stand.odds(route)
    total = own + group
    what = (
        f"{one.marks} of its {requests} requests were for pages of this route that no other newcomer asked for in ten "
        f"minutes, up to {100 * stand.p:.0f} % usually: part of what newcomers begin to come for there"
    )
    facts = (
        Fact("pages", float(one.marks), None, what),
        Fact("share", one.marks / max(1, requests), stand.p, f"it had made {requests} requests in all"),
        Fact("odds", total, ENOUGH_FOR_ONE, f"log odds {total:.1f} that it belongs to it; 3.9 is fifty to one"),
    )
    shares = (
        Share("influx", own, own / total, f"influx: {own:.1f} nats of its own"),
        Share("group", group, group / total, f"the route: {group:.1f} nats"),
    )
    return Finding(
        kind=int(rows.flows.kind[row]),
        entity=int(rows.flows.entity[row]),
        family="influx",
        version=1,
        pane_s=one.crossed_s,
        at_s=pane_s,
        crossed_ms=one.crossed_ms,
        crossed_after=one.crossed_after,
        first_ms=one.first_ms,
        last_ms=one.last_ms,
        score=score(total, ENOUGH_FOR_ONE),
        answer="challenge",
        severity="low",
        route=route,
        facts=facts,
        contributions=shares if group > 0 else shares[:1],
        campaign=(ROUTE, stand.routes[route][1]),
        avoid="asking for what others ask for as well, or looking round first",
    )
