"""Floods: newcomers who ask one route for thing after thing, all at once, where its visitors ask for one or two.

    hop of 10 s      newcomers    things beyond the first of each     usual of a visitor
    on /search              8                                   3     .4
    a flood               380                               5,900     .4

A crowd comes as people do: there are many of them, and each asks for as much as anybody; who reloads a page asks for
nothing else. So a route's volume alone says nothing. Evidence is that its visitors each ask for several times as many
things as its visitors do, that many of them do, and that it has several times its volume. What is usual is the route's
own past. The route is not answered for it: people are told, and newcomers who themselves ask so are found part of it.
Keys are left out: jobs begin on the minute, all at once, and have limits of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import log
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from detectors.columns import IP, LIMITED, ROUTE, Fact, Finding, Share
from detectors.explain import evidence, score
from detectors.families import OVER, QUIET_MS
from detectors.flood_members import IDS, NAME, TIMES, Asked, Members, Stand, Visitors
from detectors.groups import H
from detectors.influx_routes import HOP_S
from detectors.rows import Rows

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
UPPER: Final = 2.0  # of the mean
OVERDISPERSED: Final = 4.0  # one visitor's requests come together
USUAL: Final = (0.5, 20.0)  # of a visitor beyond his first, and of how many visitors that counts as known
WARM: Final = (100.0, 30.0)  # visitors and hops, before what is usual is known
PAST_MAX: Final = 20_000.0  # visitors that the past counts as, at most
VOLUME: Final = 3.0  # times the upper end of a hop's requests
BEARERS: Final = 10  # newcomers who each ask as the alternative has it
ENOUGH: Final = 40  # of them one hop is enough, of fewer two
TAU_HOPS: Final = 180
ROUTES_MAX: Final = 1_024
TELL_S: Final = 60


@dataclass(slots=True)
class Past:
    """A row a route, sorted by its hash."""

    route: U64
    usual: F64  # (route, 5) of hops without suspicion: visitors, requests beyond their first, hops, requests, squared
    s: F64
    clients: I64  # since evidence left 0, the most in a hop
    requests: I64  # since then
    first_s: I64
    last_s: I64
    crossed_s: I64  # 0: no alarm
    told_s: I64
    hop: I64  # to which evidence has faded

    @classmethod
    def blank(cls, n: int) -> Self:
        """`n` routes of which nothing is known."""
        whole = [np.zeros(n, np.int64) for _ in range(7)]
        return cls(np.zeros(n, np.uint64), np.zeros((n, 5)), np.zeros(n), *whole)

    def with_new(self, route: U64) -> Self:
        """With routes that are not there yet."""
        fresh = self.blank(len(route))
        fresh.route = route
        both = [np.concatenate([getattr(self, f.name), getattr(fresh, f.name)]) for f in fields(self)]
        order = np.argsort(both[0])
        return type(self)(*(column[order] for column in both))


class Flood:
    """What newcomers ask of each route in ten seconds, held to what its visitors usually do."""

    def __init__(self) -> None:
        self.hop = 0
        self.past = Past.blank(0)
        self.members = Members()
        self._open = Asked.none()
        self._out: list[Finding] = []

    def take(self, rows: Rows, newcomers: Flag) -> None:
        """A run of rows, those of `newcomers` among them (whoever was refused by a limit asked for nothing)."""
        f = rows.flows
        at = np.flatnonzero(newcomers & (f.kind == IP) & (f.outcome != LIMITED))
        hops = f.pane_s[at] // HOP_S
        for hop in np.flatnonzero(np.bincount(hops - hops.min())) + hops.min() if len(at) else ():
            self.until(int(hop))
            self._open = self._open.plus(rows, at[hops == hop])

    def close(self, until_s: int) -> list[Finding]:
        """What there is to tell of the hops that are complete at `until_s`."""
        self.until(until_s // HOP_S)
        out, self._out = self._out, []
        return sorted(out, key=lambda f: (f.at_s, f.crossed_ms, f.kind, f.entity))

    def until(self, hop: int) -> None:
        """Every hop before `hop` is complete."""
        if len(self._open.path) and hop > self.hop:
            self._judge(self._open.visitors())
            self._open = Asked.none()
        self.hop = max(self.hop, hop)

    def _judge(self, asked: Visitors) -> None:
        place, p = self._places(asked.route), self.past
        held, place = place >= 0, place[place >= 0]
        asked = asked.take(np.flatnonzero(held))
        here, which = np.unique(place, return_inverse=True)
        n = np.bincount(which, asked.n).astype(np.float64)
        clients = np.bincount(which).astype(np.float64)
        usual = UPPER * _mean(p.usual[here])
        more = np.minimum(asked.n - 1.0, 8 * usual[which] + 8)
        beyond = np.bincount(which, more)
        bearers = np.bincount(which, more >= np.maximum(2.0, TIMES * usual[which]))
        gain = (beyond * log(TIMES) - (TIMES - 1) * usual * clients) / OVERDISPERSED
        fade = np.exp(-(self.hop - p.hop[here]) / TAU_HOPS)
        p.s[here] = np.clip(p.s[here] * fade + np.minimum(gain, H * np.maximum(0.5, bearers / ENOUGH)), 0, H + OVER)
        p.hop[here] = self.hop
        at_s = self.hop * HOP_S + HOP_S - 1
        p.first_s[here] = np.where(p.requests[here] == 0, self.hop * HOP_S, p.first_s[here])
        calm = p.s[here] == 0
        p.clients[here] = np.where(calm, 0, np.maximum(p.clients[here], clients.astype(np.int64)))
        p.requests[here] = np.where(calm, 0, p.requests[here] + n.astype(np.int64))
        known = (p.usual[here, 0] >= WARM[0]) & (p.usual[here, 2] >= WARM[1])
        much = n >= VOLUME * _volume(p.usual[here])
        self._alarms(here, known & much & (bearers >= BEARERS), at_s)
        quiet = (p.crossed_s[here] == 0) & (p.s[here] < H / 2)
        _learn(p.usual, here[quiet], np.stack([clients, beyond, np.ones(len(n)), n, n * n], axis=1)[quiet])
        self._tell(asked, here, which, (n, usual), at_s)

    def _alarms(self, here: NDArray[np.intp], grave: Flag, at_s: int) -> None:
        p = self.past
        enough = (p.s[here] >= H) & grave
        p.last_s[here[enough]] = at_s
        over = (p.crossed_s[here] > 0) & ((p.s[here] < H / 2) | (at_s - p.last_s[here] > QUIET_MS // 1000))
        p.crossed_s[here[over]], p.s[here[over]] = 0, np.minimum(p.s[here[over]], H / 2)
        p.crossed_s[here[enough & (p.crossed_s[here] == 0)]] = at_s

    def _tell(
        self, asked: Visitors, here: NDArray[np.intp], which: NDArray[np.intp], of: tuple[F64, F64], at_s: int
    ) -> None:
        p, (n, usual) = self.past, of
        for i in np.flatnonzero((p.crossed_s[here] > 0) & (p.last_s[here] == at_s)).tolist():
            route = int(here[i])
            share = float(_volume(p.usual[[route]])[0]) / float(n[i])
            stand = Stand(int(p.route[route]), float(usual[i]), share, at_s)
            self._out += self.members.found(asked.take(np.flatnonzero(which == i)), stand)
            if at_s - p.told_s[route] >= TELL_S:
                p.told_s[route] = at_s
                self._out.append(self._told(route, float(n[i]), at_s))

    def _told(self, i: int, n: float, at_s: int) -> Finding:
        p, route, s = self.past, int(self.past.route[i]), float(self.past.s[i])
        mean, volume = float(_mean(p.usual[[i]])[0]), float(_volume(p.usual[[i]])[0])
        what = (
            f"{n:,.0f} things asked for within 10 s by newcomers, up to {p.clients[i]:,} at once, each several; "
            f"its visitors ask for {1 + mean:.1f} in ten seconds, and all newcomers for up to {volume:,.0f}"
        )
        facts = (
            Fact("requests", n, volume, what),
            Fact("newcomers", float(p.clients[i]), None, "a crowd asks as often as anybody, however many they are"),
            evidence(s, H),
        )
        crossed_s = int(p.crossed_s[i])
        return Finding(
            kind=ROUTE, entity=route, family=NAME, version=1, pane_s=crossed_s, at_s=at_s,
            crossed_ms=crossed_s * 1000 + 999, crossed_after=0, first_ms=int(p.first_s[i]) * 1000,
            last_ms=at_s * 1000 + 999, score=score(s, H), answer="notice", severity="high", route=route, facts=facts,
            contributions=(Share(NAME, s, 1.0, f"{NAME}: {s:.1f} of {H:.1f} nats"),), campaign=(ROUTE, route), ids=IDS,
            avoid="fewer clients that ask for it over and over at the same time",
        )  # fmt: skip

    def _places(self, route: U64) -> NDArray[np.intp]:
        """Where routes stand, made where there is room; -1 where there is none."""
        new = np.setdiff1d(route, self.past.route)[: ROUTES_MAX - len(self.past.route)]
        self.past = self.past.with_new(new) if len(new) else self.past
        place = np.minimum(np.searchsorted(self.past.route, route), len(self.past.route) - 1)
        return np.where(self.past.route[place] == route, place, -1)

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        past = {f"{name}.{f.name}": getattr(self.past, f.name).copy() for f in fields(self.past)}
        return past | self._open.arrays(f"{name}.open") | self.members.arrays(f"{name}.members") | {
            f"{name}.at": np.array([self.hop])
        }  # fmt: skip

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.hop = int(arrays[f"{name}.at"][0])
        self.past = Past.blank(len(arrays[f"{name}.route"]))
        for f in fields(Past):
            getattr(self.past, f.name)[:] = arrays[f"{name}.{f.name}"]
        self._open = Asked.restored(f"{name}.open", arrays)
        self.members.restore(f"{name}.members", arrays)


def _mean(usual: F64) -> F64:
    """Requests of a visitor beyond his first, in ten seconds."""
    mean, visitors = USUAL
    return np.asarray((usual[:, 1] + mean * visitors) / (usual[:, 0] + visitors))


def _volume(usual: F64) -> F64:
    """Upper end of a hop's requests by newcomers."""
    hops = np.maximum(usual[:, 2], 1.0)
    mean = usual[:, 3] / hops
    return np.asarray(mean + 2 * np.sqrt(np.maximum(usual[:, 4] / hops - mean * mean, mean)) + 1)


def _learn(usual: F64, at: NDArray[np.intp], counts: F64) -> None:
    """Routes `at` have had such a hop (mutates `usual`)."""
    usual[at] += counts
    usual[at] *= np.minimum(1.0, PAST_MAX / np.maximum(usual[at, 0], 1.0))[:, None]
