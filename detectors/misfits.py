"""Visitors who are like nobody else where they are: what is rare of a visit, trait by trait, added up.

    place (a route, read or written to)   back office: one of 6,000 visits comes here       8.7 nats
    where he comes from                   nobody came here from that operator               5.0
    what he had seen before               all others had signed on                          3.1
    how much he asks there within an hour 75 times; one in twelve does                      2.5    19.3

Each of these befalls good visitors, two at once hardly any, and somebody who abuses a route that few use has three. Two
befall one now and then, hardly some in one place at one time: what is odd of others there counts too. It knows of no
attack in particular. An address with a history is not told of, nor is who was in that place before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import exp
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from detectors import compiled
from detectors.columns import Fact, Finding, Share
from detectors.explain import evidence, few, score, span
from detectors.families import HOUR_S
from detectors.influx_routes import HOP_S
from detectors.influx_visits import WINDOW_S
from detectors.memories import SIZE_MAX
from detectors.misfit_places import ODD, ODD_TEACHES, Places, bucket
from detectors.misfit_visits import ASKED_MAX, VISIT_MS, Asked, Visits, asking, others, places
from detectors.pairs import PairSet, mix
from detectors.rows import Rows
from detectors.table import Table

F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
NAME: Final = "misfit"
H: Final = 12.5  # nats
BESIDE: Final = 9.0  # nats that a visit has to pass, to count for another of the same owner
RARE: Final = 2.5  # nats its place must have then: a walk through what everybody reads is one oddity, not ten
LEAST: Final = 3  # requests
AROUND: Final = 8.0  # nats from which a visit counts for others' in its place, and others' for it
AROUND_MAX: Final = 3.0  # that one may add: no stranger makes the next one odd, it takes some
HELD: Final = -1  # in the place of what was told: it is not
SHOWN: Final = 3  # of a place in an hour, then whenever they have doubled: who come together are looked at together
WARM_S: Final = 5400  # before anybody is told of; as long again, before who is around counts
WARM_N: Final = 1000.0  # visits
PART: Final = 4  # of the pairs that are held: so many visits go on, and are present in ten minutes
_IDS: Final = ("T1078",)
_AVOID: Final = "coming from where others come from, by the pages that lead there, or asking as little as they do"
_TRAITS: Final = ("place", "operator", "way", "amount", "beside", "around")
_SAID: Final = {
    "place": "for what {} of visits are for, with all that is rarer",
    "operator": "{} of who comes for that comes from an operator that is as rare there",
    "way": "{} of who comes for that has not been before where the others have",
    "amount": "{} of who comes for that asks so often in the first hour",
    "beside": "its other visits that go on are as odd",
    "around": "others who are there just now are odd as well",
}


@dataclass(frozen=True, slots=True)
class Present(Table):
    """Who was where from which operator in these ten minutes, and what each counts for."""

    place: U64
    asn: U64
    weight: F64

    @classmethod
    def none(cls) -> Self:
        """Nobody."""
        hashes = np.empty(0, np.uint64)
        return cls(hashes, hashes, np.empty(0))

    def plus(self, other: Self, most: int) -> Self:
        """Both, as long as there is room."""
        both = [np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)]
        return type(self)(*(column[:most] for column in both))


class Misfits:
    """Visits that go on, what is usual of the places they are in, and who was where: at most `pairs_max` pairs."""

    def __init__(self, submits: int = -1, pairs_max: int = SIZE_MAX) -> None:
        self.submits = submits
        self.visits_max = pairs_max // PART
        self.hop = 0
        self.begun_s = 0
        self.places = Places()
        self.visits = Visits.none()
        self.known = PairSet(pairs_max, 7 * 24 * HOUR_S)
        self.here = PairSet(self.visits_max, WINDOW_S)  # owners and places of these ten minutes
        self._open: list[Asked] = []
        self._present = Present.none()
        self._told: dict[int, int] = {}  # by place how many crossed in this hour
        self._out: list[Finding] = []

    def take(self, rows: Rows, established: Flag, kin: Flag) -> None:
        """A run of rows, of whom some are `established` and some a known crawler's kin."""
        at = asking(rows, kin)
        hops = rows.flows.pane_s[at] // HOP_S
        for hop in np.flatnonzero(np.bincount(hops - hops.min())) + hops.min() if len(at) else ():
            self.until(int(hop))
            self.begun_s = self.begun_s or int(hop) * HOP_S
            some = at[hops == hop]
            key, place = places(rows, some, self.submits)
            new = np.flatnonzero(self._counts(key))
            self._open.append(Asked.of(rows, some[new], (key[new], place[new]), established))
            if sum(len(part.key) for part in self._open) > ASKED_MAX:
                self._open = [Asked.merged(self._open)]

    def close(self, until_s: int) -> list[Finding]:
        """What there is to tell of the hops that are complete at `until_s`."""
        self.until(until_s // HOP_S)
        out, self._out = self._out, []
        return sorted(out, key=lambda f: (f.at_s, f.crossed_ms, f.kind, f.entity, f.route))

    def until(self, hop: int) -> None:
        """Every hop before `hop` is complete."""
        if hop <= self.hop:
            return
        if self._open:
            self.add(Asked.merged(self._open))
            self._open = []
        if self.begun_s:
            self._windows(self.hop * HOP_S // WINDOW_S + 1, hop * HOP_S // WINDOW_S)
        self.hop = hop

    def _windows(self, first: int, last: int) -> None:
        """These end. Where that is a leap, no visit goes on after the first few, and the others only fade."""
        busy = min(last, first + VISIT_MS // (WINDOW_S * 1000))
        for window in range(first, busy + 1):
            self._window(window * WINDOW_S)
        if last > busy:
            self.places.fade(last - busy)
            for hour in range(busy * WINDOW_S // HOUR_S + 1, last * WINDOW_S // HOUR_S + 1):
                self._hour(hour * HOUR_S)

    def _counts(self, key: U64) -> Flag:
        """What says anything new: who is at home in a place is there once in ten minutes."""
        return ~(self.known.contains(key) & self.here.contains(key)) | compiled.within(key, self.visits.key)

    def add(self, asked: Asked) -> None:
        """All that was asked in the hop that is now complete."""
        _, there = self.visits.find(asked.key)
        begins = ~there & ~self.known.contains(asked.key)
        self.known.add(asked.key)
        new = asked.take(begins)
        self.places.begin(new.place)
        self.visits = self.visits.plus(Visits.begun(new, self._had(new), len(self.places.leads)), self.visits_max)
        at, there = self.visits.find(asked.key)
        at, came = at[there], asked.take(there)
        v = self.visits
        v.n[at] += came.n
        v.last_ms[at] = np.maximum(v.last_ms[at], came.last_ms)
        self._look(at, came)
        self._be_present(asked)

    def _had(self, new: Asked) -> U64:
        """Which of the places that lead somewhere who begins has been to."""
        leads = self.places.leads
        seen = self.known.contains(mix(np.repeat(new.owner, len(leads)), np.tile(leads, len(new.key))))
        bits = seen.reshape(len(new.key), len(leads)).astype(np.uint64) << np.arange(len(leads), dtype=np.uint64)
        return np.asarray(bits.sum(axis=1, dtype=np.uint64))

    def _look(self, at: NDArray[np.intp], came: Asked) -> None:
        v = self.visits
        n = v.n[at]
        some = v.judged[at] & (n >= LEAST) & (bucket(n) > bucket(n - came.n))
        at, came = at[some], came.take(some)
        if not len(at):
            return
        nats = self.places.odd(v.take(at))
        v.odd[at] = np.maximum(v.odd[at], nats.sum(axis=1))
        rare = np.where(nats[:, 0] >= RARE, nats.sum(axis=1) - BESIDE, 0.0)
        v.beside[at] = np.maximum(v.beside[at], rare)
        beside = others(v.owner, v.beside, at)
        extra = np.stack([beside, self._around(at, nats.sum(axis=1))], axis=1)
        total = nats.sum(axis=1) + extra.sum(axis=1)
        if self.hop * HOP_S - self.begun_s < WARM_S or self.places.came[:, 0].sum() < WARM_N:
            return
        tell = (total >= H) & (v.n[at] >= 2 * v.told_n[at]) & (v.told_n[at] != HELD)
        new = np.flatnonzero(tell & (v.told_n[at] == 0))
        tell[new] = self._shown_in(v.place[at[new]])
        v.told_n[at[new]] = np.where(tell[new], 0, HELD)
        fresh = at[new[tell[new]]]
        v.crossed_ms[fresh], v.crossed_n[fresh] = v.last_ms[fresh], v.n[fresh] - 1
        for row in np.flatnonzero(tell).tolist():
            self._out.append(self._finding(int(at[row]), np.concatenate([nats[row], extra[row]])))
        v.told_n[at[tell]] = v.n[at[tell]]

    def _around(self, at: NDArray[np.intp], odd: F64) -> F64:
        """What others' visits in the place add, as odd as they are by now, beyond what those there usually are."""
        v, out, mine = self.visits, np.zeros(len(at)), np.flatnonzero(odd >= AROUND)
        if not len(mine) or self.hop * HOP_S - self.begun_s < 2 * WARM_S:
            return out
        there = np.flatnonzero((v.odd >= AROUND) & np.isin(v.place, v.place[at[mine]]))
        more = np.zeros(len(v.key))
        more[there] = np.clip(self.places.odd(v.take(there)).sum(axis=1) - AROUND, 0.0, AROUND_MAX)
        beyond = others(v.place, more, at[mine]) - self.places.usual_around(v.place[at[mine]])
        out[mine] = np.clip(beyond, 0.0, H)
        return out

    def _be_present(self, asked: Asked) -> None:
        """Count who was where from which operator, once in ten minutes; who is odd hardly counts."""
        new = ~self.here.contains(asked.key)
        self.here.add(asked.key[new])
        at, there = self.visits.find(asked.key[new])
        odd = np.zeros(len(at), np.bool_)
        odd[there] = self.visits.odd[at[there]] >= ODD
        weight = np.where(odd, ODD_TEACHES, 1.0)
        self._present = self._present.plus(Present(asked.place[new], asked.asn[new], weight), self.visits_max)

    def _window(self, now_s: int) -> None:
        """Ten minutes are over."""
        over = self.visits.over(now_s * 1000)
        if now_s - self.begun_s >= WARM_S:
            odd = np.clip(self.visits.odd - AROUND, 0.0, AROUND_MAX)
            self.places.learn_around(self.visits.place[odd > 0], odd[odd > 0])
        self.places.learn(self.visits.take(over))
        self.visits = self.visits.take(~over)
        some = self._present.asn != 0
        self.places.window(self._present.place[some], self._present.asn[some], self._present.weight[some])
        self._present = Present.none()
        self.here = PairSet(self.visits_max, WINDOW_S)
        if now_s % HOUR_S == 0:
            self._hour(now_s)

    def _hour(self, now_s: int) -> None:
        """An hour is over."""
        self.known.age(now_s)
        self._told = {}

    def _shown_in(self, place: U64) -> Flag:
        """Who of those that cross is told of: of a place the first few of an hour, then one whenever they double."""
        nth = np.zeros(len(place), np.int64)
        for row, one in enumerate(place.tolist()):
            nth[row] = self._told[one] = self._told.get(one, 0) + 1
        return few(nth, SHOWN)

    def _finding(self, i: int, nats: F64) -> Finding:
        v, s = self.visits, float(nats.sum())
        first_ms, last_ms = int(v.first_ms[i]), int(v.last_ms[i])
        added = dict(zip(_TRAITS, nats.tolist(), strict=True))
        said = {name: _SAID[name].format(_percent(exp(-one))) for name, one in added.items()}
        said["place"] = f"{v.n[i]} requests in {span(first_ms, last_ms)} {said['place']}"
        facts = [Fact(name, exp(-one), None, said[name]) for name, one in added.items() if one >= 1 or name == "place"]
        return Finding(
            kind=int(v.kind[i]), entity=int(v.entity[i]), family=NAME, version=1,
            pane_s=int(v.crossed_ms[i]) // 1000, at_s=self.hop * HOP_S + HOP_S - 1, crossed_ms=int(v.crossed_ms[i]),
            crossed_after=int(v.crossed_n[i]), first_ms=first_ms, last_ms=last_ms, score=score(s, H), answer="notice",
            severity="medium", route=int(v.route[i]), facts=(*facts, evidence(s, H)),
            contributions=tuple(
                Share(name, one, one / s, f"{name}: {one:.1f} of {s:.1f} nats")
                for name, one in sorted(added.items(), key=lambda part: -part[1])
                if one > 0
            ),
            ids=_IDS, avoid=_AVOID,
        )  # fmt: skip

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        present = self._present.arrays(f"{name}.present")
        held_open = Asked.merged(self._open) if self._open else Asked.none()
        at: dict[str, NDArray[np.generic]] = {f"{name}.at": np.array([self.hop, self.begun_s])}
        at[f"{name}.told"] = np.array(list(self._told.values()), np.int64)
        at[f"{name}.told_of"] = np.array(list(self._told), np.uint64)
        held = self.places.arrays(f"{name}.places") | self.visits.arrays(f"{name}.visits")
        return (
            at
            | present
            | held
            | self.known.arrays(f"{name}.known")
            | self.here.arrays(f"{name}.here")
            | held_open.arrays(f"{name}.open")
        )

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        told = zip(arrays[f"{name}.told_of"].tolist(), arrays[f"{name}.told"].tolist(), strict=True)
        self._told = dict(told)
        self.hop, self.begun_s = (int(one) for one in arrays[f"{name}.at"])
        self._present = Present.restored(f"{name}.present", arrays)
        self.places.restore(f"{name}.places", arrays)
        self.visits = Visits.restored(f"{name}.visits", arrays)
        self.known.restore(f"{name}.known", arrays)
        self.here.restore(f"{name}.here", arrays)
        self._open = [Asked.restored(f"{name}.open", arrays)]


def _percent(p: float) -> str:
    return f"{100 * p:.2g} %"
