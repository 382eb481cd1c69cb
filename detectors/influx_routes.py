"""What is kept about the routes that newcomers come for, and what is told of one that too many come for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import ROUTE, Fact, Finding, Share
from detectors.explain import evidence, score, span
from detectors.families import QUIET_MS
from detectors.groups import H

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
HOP_S: Final = 10
TIMES: Final = (1.5, 3.0, 10.0)  # alternatives: so many times what is usual at its upper end
Z: Final = 2.0
VISITS_MIN: Final = 8
TELL_S: Final = 60
TOGETHER_S: Final = 900
SPREAD_MIN: Final = 0.2  # of a share, at least


@dataclass(slots=True)
class Routes:
    """A row a route, sorted by its hash. Visits: of newcomers, of these for paths of their own, of the established."""

    route: U64
    now: F64  # (route, 3) visits of this hop
    window: F64  # of this window
    past: F64  # of ever, fading over a day: newcomers' visits, paths, windows that had some
    known: F64  # visits of established clients, fading over half an hour
    share: F64  # newcomers' share, its spread beyond chance, the established clients' share: (route, 3)
    prior: F64  # the same, as the model has it
    s: F64  # evidence, by alternative
    visits: I64  # since evidence left 0
    among: F64  # visits to all routes meanwhile
    asks: F64  # (route, 2) newcomers' requests of this window: for paths no other of them asked for, all
    own: F64  # (route, 2) of windows without suspicion, fading over a day: the first of these, requests to all routes
    first_s: I64
    last_s: I64
    crossed_s: I64  # 0: no alarm
    told_s: I64
    leader: U64  # of those that newcomers began to come for within a quarter of an hour the first

    @staticmethod
    def blank(n: int) -> Routes:
        """`n` routes of which nothing is known."""
        return Routes(
            route=np.zeros(n, np.uint64),
            now=np.zeros((n, 3)),
            window=np.zeros((n, 3)),
            past=np.zeros((n, 3)),
            known=np.zeros(n),
            share=np.zeros((n, 3)),
            prior=np.zeros((n, 3)),
            s=np.zeros((n, len(TIMES))),
            visits=np.zeros(n, np.int64),
            among=np.zeros(n),
            asks=np.zeros((n, 2)),
            own=np.zeros((n, 2)),
            first_s=np.zeros(n, np.int64),
            last_s=np.zeros(n, np.int64),
            crossed_s=np.zeros(n, np.int64),
            told_s=np.zeros(n, np.int64),
            leader=np.zeros(n, np.uint64),
        )

    def take(self, rows: NDArray[np.intp]) -> Routes:
        """The given rows."""
        return Routes(*(getattr(self, f.name)[rows] for f in fields(self)))

    def with_new(self, route: U64) -> Routes:
        """With routes that are not there yet."""
        fresh = Routes.blank(len(route))
        fresh.route = route
        both = Routes(*(np.concatenate([getattr(self, f.name), getattr(fresh, f.name)]) for f in fields(self)))
        return both.take(np.argsort(both.route))

    @property
    def evidence(self) -> F64:
        """Of the alternative that explains each best."""
        best: F64 = self.s.max(axis=1, initial=0.0)
        return best


def upper(shares: F64, windows: float) -> F64:
    """Upper end of what is usual, given shares that rest on so many windows."""
    spread = np.maximum(shares[:, 1], (SPREAD_MIN * shares[:, 0]) ** 2)
    return np.asarray(shares[:, 0] + Z * np.sqrt(spread * (1 + 2 / max(1.0, windows))))


def gain(k: F64, n: F64, p0: F64, q: F64) -> F64:
    """Log likelihood of `k` visits among `n`, were their share `q` and not `p0`."""
    return np.asarray(k * np.log(q / p0) + (n - k) * np.log((1 - q) / (1 - p0)))


def crossing(a: Routes, k: F64, at_s: int) -> list[int]:
    """Routes to tell of: that cross, or stand in alarm and were not told of for a while (mutates alarms)."""
    enough = (a.evidence >= H) & (k > 0)
    a.last_s[enough] = at_s
    over = (a.crossed_s > 0) & ((a.evidence < H / 2) | (at_s - a.last_s > QUIET_MS // 1000))
    a.crossed_s[over] = 0
    a.s[over] = np.minimum(a.s[over], H / 2)
    crosses = enough & (a.visits >= VISITS_MIN) & (a.crossed_s == 0) & ~over
    a.crossed_s[crosses] = at_s
    for i in np.flatnonzero(crosses).tolist():
        near = np.flatnonzero((a.crossed_s > 0) & (at_s - a.crossed_s <= TOGETHER_S))
        a.leader[i] = a.route[near[np.argmin(a.crossed_s[near])]]
    again = enough & (a.crossed_s > 0) & (at_s - a.told_s >= TELL_S)
    found: list[int] = np.flatnonzero(crosses | again).tolist()
    return found


@dataclass(frozen=True, slots=True)
class Said:
    """What is told of places of one sort: so many of `who` `came`, a share `of` what, and what `control` says."""

    kind: int
    family: str
    who: str
    came: str
    of: str
    control: str
    avoid: str
    ids: tuple[str, ...] = ()


_NEWCOMERS: Final = "of what newcomers come for just now"
_AVOID: Final = "coming for what newcomers come for usually, or when established clients come for it as well"
VISITS: Final = Said(
    ROUTE,
    "influx",
    "newcomers",
    "came for this",
    _NEWCOMERS,
    "established clients do not come for it more often than usual, nor is it one page that all ask for",
    _AVOID,
)
SAME: Final = Said(
    ROUTE,
    "influx",
    "newcomers",
    "submitted something where others just had",
    _NEWCOMERS,
    "established clients do so no more often than usual, and here people usually submit each something else",
    _AVOID,
)


def told(a: Routes, i: int, at_s: int, share: float, p0: float, said: Said) -> Finding:
    """What people are told of place `i` when the hop that ends with `at_s` is over. No place is answered."""
    place, s, last_ms = int(a.route[i]), float(a.s[i].max()), at_s * 1000 + 999
    visits, first_ms = int(a.visits[i]), int(a.first_s[i]) * 1000
    what = (
        f"{visits} {said.who} {said.came} within {span(first_ms, last_ms)}: {100 * share:.0f} % {said.of}, "
        f"up to {100 * p0:.1f} % usually"
    )
    facts = (
        Fact(said.who, float(visits), None, what),
        Fact("share", share, p0, said.control),
        evidence(s, H),
    )
    return Finding(
        kind=said.kind,
        entity=place,
        family=said.family,
        version=1,
        pane_s=int(a.crossed_s[i]),
        at_s=at_s,
        crossed_ms=int(a.crossed_s[i]) * 1000 + 999,
        crossed_after=0,
        first_ms=first_ms,
        last_ms=last_ms,
        score=score(s, H),
        answer="notice",
        severity="low",
        route=place if said.kind == ROUTE else 0,
        facts=facts,
        contributions=(Share(said.family, s, 1.0, f"{said.family}: {s:.1f} of {H:.1f} nats"),),
        campaign=(said.kind, int(a.leader[i])),
        ids=said.ids,
        avoid=said.avoid,
    )
