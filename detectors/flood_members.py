"""Who is part of a flood: newcomers who themselves ask a route for one thing after the other while it is in alarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from math import log
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from detectors.columns import ROUTE, Fact, Finding, Share
from detectors.explain import score
from detectors.families import QUIET_MS
from detectors.influx_routes import HOP_S
from detectors.pairs import mix
from detectors.rows import Rows
from detectors.table import Table

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
NAME: Final = "flood"
IDS: Final = ("OAT-015", "T1498.001", "T1499.002")
TIMES: Final = 3.0  # the alternative: so many times what is usual at its upper end
ENOUGH: Final = log(1000)
PI_MAX: Final = 0.98
MORE_MIN: Final = 3  # things beyond the first of a hop, in all
ASKED_MAX: Final = 1 << 18
MEMBERS_MAX: Final = 8_192
PART: Final = 0.5  # of a route's visitors who ask for a thing, before it is a part of the page that they are shown
PART_MIN: Final = 5  # of them, at least


@dataclass(frozen=True, slots=True)
class Asked(Table):
    """What newcomers asked for in a hop: a row a visitor and path.

    A visitor is an owner's user agent: exits that many share have many.
    """

    visitor: U64
    path: U64
    route: U64
    last_ms: I64
    kind: NDArray[np.uint8]
    entity: U64

    @classmethod
    def none(cls) -> Self:
        """Nobody anything."""
        hashes = np.empty(0, np.uint64)
        return cls(hashes, hashes, hashes, np.empty(0, np.int64), np.empty(0, np.uint8), hashes)

    def plus(self, rows: Rows, at: NDArray[np.intp]) -> Self:
        """With these rows of a run, all of this hop.

        Of more than `ASKED_MAX` those stay whose hashes are lowest, whatever order they come in: they say as much.
        """
        f = rows.flows
        visitor = mix(rows.owner[rows.seg[at]], f.agent[at])
        both = type(self)(
            np.concatenate([self.visitor, visitor]),
            np.concatenate([self.path, f.path[at]]),
            np.concatenate([self.route, f.route[at]]),
            np.concatenate([self.last_ms, rows.t_ms[at]]),
            np.concatenate([self.kind, f.kind[at]]),
            np.concatenate([self.entity, f.entity[at]]),
        )
        _, first, which = np.unique(mix(both.visitor, both.path), return_index=True, return_inverse=True)
        np.maximum.at(both.last_ms, first[which], both.last_ms)
        return both.take(first[:ASKED_MAX])

    def visitors(self) -> Visitors:
        """How many different things each visitor asked for, by route; what most of them ask for counts as one."""
        _, first, which = np.unique(mix(self.visitor, self.route), return_index=True, return_inverse=True)
        last_ms = np.zeros(len(first), np.int64)
        np.maximum.at(last_ms, which, self.last_ms)
        part = self._parts(self.route[first])
        n = (np.bincount(which, ~part) + (np.bincount(which, part) > 0)).astype(np.int64)
        return Visitors(self.visitor[first], self.route[first], n, last_ms, self.kind[first], self.entity[first])

    def _parts(self, of_visitor: U64) -> NDArray[np.bool_]:
        """Rows of what most visitors of its route ask for (a page's scripts, where the cache before us is down)."""
        routes, visitors = np.unique(of_visitor, return_counts=True)
        _, what, askers = np.unique(mix(self.route, self.path), return_inverse=True, return_counts=True)
        among = visitors[np.searchsorted(routes, self.route)]
        return np.asarray((askers[what] >= PART_MIN) & (askers[what] >= PART * among))


@dataclass(frozen=True, slots=True)
class Visitors(Table):
    """A row a visitor and route: how many different things `n` he asked it for in a hop, and when last."""

    visitor: U64
    route: U64
    n: I64
    last_ms: I64
    kind: NDArray[np.uint8]
    entity: U64


@dataclass(frozen=True, slots=True)
class Stand:
    """A route in alarm: what a visitor asks beyond his first, at most; the usual share of its volume; until when."""

    route: int
    usual: float
    share: float
    at_s: int

    @property
    def odds(self) -> float:
        """Log odds that a request there belongs to the flood."""
        pi = min(PI_MAX, max(1 - PI_MAX, 1 - self.share))
        return log(pi / (1 - pi))


@dataclass(slots=True)
class Member:
    """One that may be: things beyond the first of each hop, hops, all of them, when he was first and last seen.

    And where his evidence sufficed (`crossed_s` 0: not).
    """

    more: int
    hops: int
    requests: int
    first_s: int
    last_s: int
    crossed_s: int = 0
    crossed_ms: int = 0
    crossed_after: int = 0


class Members:
    """Newcomers who ask a route in alarm for thing after thing; of more than `MEMBERS_MAX` the latest to begin."""

    def __init__(self) -> None:
        self._held: dict[int, Member] = {}

    def found(self, asked: Visitors, stand: Stand) -> list[Finding]:
        """Those of who asked a route in a hop of whom it is likely enough."""
        self._held = {key: one for key, one in self._held.items() if stand.at_s - one.last_s <= QUIET_MS // 1000}
        out = []
        at = np.flatnonzero(asked.n > 1)
        keys = mix(asked.visitor, asked.route)
        for row in at[np.argsort(keys[at])].tolist():
            one = self._of(int(keys[row]), stand.at_s)
            n = int(asked.n[row])
            one.more, one.hops, one.requests, one.last_s = one.more + n - 1, one.hops + 1, one.requests + n, stand.at_s
            own = one.more * log(TIMES) - (TIMES - 1) * stand.usual * one.hops
            if one.more >= MORE_MIN and own > 0 and own + stand.odds >= ENOUGH:
                if not one.crossed_s:
                    one.crossed_s, one.crossed_ms = int(asked.last_ms[row]) // 1000, int(asked.last_ms[row])
                    one.crossed_after = one.requests - 1
                out.append(_finding(asked, row, one, stand, own))
        return out

    def _of(self, key: int, at_s: int) -> Member:
        one = self._held.get(key)
        if one is None:
            if len(self._held) >= MEMBERS_MAX:
                del self._held[next(iter(self._held))]
            one = self._held[key] = Member(0, 0, 0, at_s - HOP_S + 1, at_s)
        return one

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State, in the order they began in."""
        held = np.array([astuple(one) for one in self._held.values()], np.int64).reshape(-1, len(fields(Member)))
        return {f"{name}.key": np.array(list(self._held), np.uint64), f"{name}.member": held}

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        told = zip(arrays[f"{name}.key"].tolist(), arrays[f"{name}.member"].tolist(), strict=True)
        self._held = {key: Member(*one) for key, one in told}


def _finding(asked: Visitors, row: int, one: Member, stand: Stand, own: float) -> Finding:
    total, span_s = own + stand.odds, HOP_S * one.hops
    what = (
        f"asked this route for {one.requests} different things in {span_s} s, its visitors for {1 + stand.usual:.1f} "
        f"in ten seconds at the most, while all newcomers ask {1 / max(stand.share, 1e-9):,.0f} times as much as usual"
    )
    facts = (
        Fact("requests", float(one.requests), (1 + stand.usual) * one.hops, what),
        Fact("odds", total, ENOUGH, f"log odds {total:.1f} that it belongs to the flood; 6.9 is a thousand to one"),
    )
    shares = (
        Share(NAME, own, own / total, f"{NAME}: {own:.1f} nats of its own"),
        Share("group", stand.odds, stand.odds / total, f"the route: {stand.odds:.1f} nats"),
    )
    return Finding(
        kind=int(asked.kind[row]), entity=int(asked.entity[row]), family=NAME, version=1, pane_s=one.crossed_s,
        at_s=stand.at_s, crossed_ms=one.crossed_ms, crossed_after=one.crossed_after, first_ms=one.first_s * 1000,
        last_ms=int(asked.last_ms[row]), score=score(total, ENOUGH), answer="challenge", severity="high",
        route=stand.route, facts=facts, contributions=shares if stand.odds > 0 else shares[:1],
        campaign=(ROUTE, stand.route), ids=IDS,
        avoid="fewer things of one route within seconds",
    )  # fmt: skip
