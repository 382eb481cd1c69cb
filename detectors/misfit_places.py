"""What visits of a place are usually like: who comes, from where, by way of what, and how much is asked there."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.families import HOUR_S
from detectors.influx_visits import WINDOW_S
from detectors.misfit_visits import Visits
from detectors.pairs import mix

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
PLACES_MAX: Final = 1_024
OPERATORS_MAX: Final = 1 << 14
BUCKETS: Final = 28  # half octaves of requests
LEADS: Final = 64  # places that are looked for before others, bits of `Visits.had`
LEAD_N: Final = 20.0  # visits of a place that is looked for, and of one by which others lead to it
ONCE: Final = 0.5  # of a visit that is fading: it was there
PRIOR: Final = 2.0  # visits that what is usual anywhere counts for
ODD_MAX: Final = np.array([9.0, 5.0, 5.0, 8.0])  # nats a trait may add: one in 8,000, one in 150, one in 3,000
MUCH_MAX: Final = 5.0  # nats of amounts that somebody came near to
BEYOND: Final = 4  # half octaves: what is four times as much as anybody ever asked there is rarer the more it is
ODD: Final = 8.0  # nats from which a visit hardly teaches what is usual
ODD_TEACHES: Final = 0.1
_PARTS: Final = ("place", "came", "much", "led", "leads", "pair_place", "pair_asn", "pair_n", "around")
FADE: Final = exp(-WINDOW_S / (72 * HOUR_S))
FADE_NOW: Final = exp(-WINDOW_S / HOUR_S)


class Places:
    """By place how many visits began, how much was asked in those that are over, and what their owners had seen."""

    def __init__(self) -> None:
        self.place: U64 = np.empty(0, np.uint64)
        self.came: F64 = np.empty((0, 2))  # fading over days, and within the hour
        self.much: F64 = np.empty((0, BUCKETS))
        self.led: F64 = np.empty((0, LEADS, 2))  # visits that had been to the place that leads, and all
        self.leads: U64 = np.empty(0, np.uint64)
        self.pair_place: U64 = np.empty(0, np.uint64)
        self.pair_asn: U64 = np.empty(0, np.uint64)
        self.pair_n: F64 = np.empty(0)  # clients there from this operator in ten minutes
        self.around: F64 = np.empty((0, 2))  # how odd those who are there are together, summed over windows; windows
        self._reckon()

    def find(self, place: U64) -> NDArray[np.intp]:
        """Where places stand, -1 where they do not."""
        if not len(self.place):
            return np.full(len(place), -1, np.intp)
        at = np.minimum(np.searchsorted(self.place, place), len(self.place) - 1)
        return np.where(self.place[at] == place, at, -1)

    def begin(self, place: U64) -> None:
        """Visits begin in these places."""
        new = np.setdiff1d(place, self.place)[: PLACES_MAX - len(self.place)]
        if len(new):
            order = np.argsort(np.concatenate([self.place, new]))
            self.place = np.concatenate([self.place, new])[order]
            self.came = np.concatenate([self.came, np.zeros((len(new), 2))])[order]
            self.much = np.concatenate([self.much, np.zeros((len(new), BUCKETS))])[order]
            self.led = np.concatenate([self.led, np.zeros((len(new), LEADS, 2))])[order]
            self.around = np.concatenate([self.around, np.zeros((len(new), 2))])[order]
        at = self.find(place)
        self.came += np.bincount(at[at >= 0], minlength=len(self.place))[:, None]

    def learn(self, over: Visits) -> None:
        """Visits are over; odd ones teach little."""
        at = self.find(over.place)
        over, at = over.take(at >= 0), at[at >= 0]
        weight = np.where(over.odd >= ODD, ODD_TEACHES, 1.0)
        np.add.at(self.much, (at, bucket(over.n)), weight)
        bits = (over.had[:, None] >> np.arange(LEADS, dtype=np.uint64)) & np.uint64(1)
        known = np.arange(LEADS) < over.leads[:, None]
        np.add.at(self.led, at, np.stack([bits != 0, known], axis=2) * weight[:, None, None])

    def window(self, place: U64, asn: U64, weight: F64) -> None:
        """Ten minutes are over, in which clients were in places, from operators."""
        self._fade(1)
        held = self.find(place) >= 0
        where, whence = np.concatenate([self.pair_place, place[held]]), np.concatenate([self.pair_asn, asn[held]])
        _, first, which = np.unique(mix(where, whence), return_index=True, return_inverse=True)
        n = np.bincount(which, np.concatenate([self.pair_n, weight[held]])).astype(np.float64)
        most = np.sort(np.argsort(-n, kind="stable")[:OPERATORS_MAX])
        self.pair_place, self.pair_asn, self.pair_n = where[first][most], whence[first][most], n[most]
        ripe = self.place[self.came[:, 0] >= LEAD_N]
        self.leads = np.concatenate([self.leads, ripe[~np.isin(ripe, self.leads)]])[:LEADS]
        self._reckon()

    def fade(self, windows: int) -> None:
        """So many windows in which nobody came."""
        self._fade(windows)
        self.around[:, 1] += FADE * (1 - FADE**windows) / (1 - FADE)
        self._reckon()

    def _fade(self, windows: int) -> None:
        self.pair_n = self.pair_n * FADE**windows
        self.came *= (FADE**windows, FADE_NOW**windows)
        self.much *= FADE**windows
        self.led *= FADE**windows
        self.around *= FADE**windows

    def usual_around(self, place: U64) -> F64:
        """How odd those who are in places are together, at the upper end, in nats."""
        at = self.find(place)
        mean = self.around[:, 0] / np.maximum(self.around[:, 1], 1.0)
        return np.asarray(np.where(at >= 0, (mean + 2 * np.sqrt(2 * mean))[at], 0.0))

    def learn_around(self, place: U64, odd: F64) -> None:
        """Ten minutes are over; visits that go on in these places are so odd. Many at once teach little."""
        at = self.find(place)
        now = np.bincount(at[at >= 0], odd[at >= 0], len(self.place))
        self.around += np.stack([np.minimum(now, self.usual_around(self.place) + 1), np.ones(len(now))], axis=1)

    def _reckon(self) -> None:
        """How rare each operator is: how many come from one that sends no more, by place and of all."""
        self._pair, self._rare = mix(self.pair_place, self.pair_asn), _rarity(self.pair_place, self.pair_n)
        order = np.argsort(self._pair)
        self._pair, self._rare = self._pair[order], self._rare[order]
        self._asn, which = np.unique(self.pair_asn, return_inverse=True)
        n = np.bincount(which, self.pair_n, len(self._asn)).astype(np.float64)
        self._rare_asn = _rarity(np.zeros(len(n), np.uint64), n)
        self._in_place, which = np.unique(self.pair_place, return_inverse=True)
        once = np.where(self.pair_n <= 1, self.pair_n, 0.0)
        sums = [np.bincount(which, some, len(self._in_place)).astype(np.float64) for some in (self.pair_n, once)]
        self._in, self._in_once = sums
        self._any = np.array([n.sum(), n[n <= 1].sum()])

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        return {f"{name}.{part}": getattr(self, part).copy() for part in _PARTS}

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        for part in _PARTS:
            setattr(self, part, arrays[f"{name}.{part}"].copy())
        self._reckon()

    def odd(self, visits: Visits) -> F64:
        """By visit and trait, in nats, how rare it is: that somebody comes here, from there, like that, for so much."""
        at = self.find(visits.place)
        rare = [self._of_place(at), self._of_operator(visits, at), np.ones(len(at)), self._of_much(visits, at)]
        nats = np.minimum(-np.log(np.clip(np.column_stack(rare), 1e-9, 1.0)), ODD_MAX)
        some = np.flatnonzero(
            nats.sum(axis=1) >= ODD - ODD_MAX[2]
        )  # the way is dear, and of the others it adds nothing
        way = self._of_way(visits.take(some), at[some])
        nats[some, 2] = np.minimum(-np.log(np.clip(way, 1e-9, 1.0)), ODD_MAX[2])
        return np.asarray(nats)

    def _of_place(self, at: NDArray[np.intp]) -> F64:
        return np.maximum(*(_upto(came)[at] for came in self.came.T))

    def _of_operator(self, visits: Visits, at: NDArray[np.intp]) -> F64:
        anywhere = _looked_up(self._asn, visits.asn, self._rare_asn, np.full(len(at), self._any[1]))
        anywhere = (anywhere + 1) / (self._any[0] + 1)
        nothing = np.zeros(len(at))
        inside = _looked_up(self._in_place, visits.place, self._in, nothing)
        once = _looked_up(self._in_place, visits.place, self._in_once, nothing)
        rare = _looked_up(self._pair, mix(visits.place, visits.asn), self._rare, once)
        return np.asarray((rare + PRIOR * anywhere) / (inside + PRIOR))

    def _of_way(self, visits: Visits, at: NDArray[np.intp]) -> F64:
        led, known = self.led[at, :, 0], self.led[at, :, 1]
        had = ((visits.had[:, None] >> np.arange(LEADS, dtype=np.uint64)) & np.uint64(1)) != 0
        share = (known - led + PRIOR) / (known + PRIOR)
        looked_for = ~had & (known >= LEAD_N) & (np.arange(LEADS) < visits.leads[:, None])
        return np.asarray(np.where(looked_for, share, 1.0).min(axis=1, initial=1.0))

    def _of_much(self, visits: Visits, at: NDArray[np.intp]) -> F64:
        tails = np.cumsum(self.much[:, ::-1], axis=1)[:, ::-1]
        place, b = tails[at], bucket(visits.n)
        row = np.arange(len(at))
        all_of = tails.sum(axis=0)
        anywhere = (all_of[b] + 1) / (all_of[0] + 1)
        share = np.maximum((place[row, b] + PRIOR * anywhere) / (place[:, 0] + PRIOR), exp(-MUCH_MAX))
        most = ((self.much[at] >= ONCE) * np.arange(BUCKETS)).max(axis=1, initial=0)
        beyond = np.where(place[:, 0] >= LEAD_N, np.maximum(b - most - BEYOND, 0), 0)
        return np.asarray(share * 0.5 ** (beyond / 2))


def _upto(came: F64) -> F64:
    """By place the share of visits to places that have no more of them."""
    ordered = np.sort(came)
    upto = np.cumsum(ordered)
    return np.asarray(upto[np.searchsorted(ordered, came, side="right") - 1] / max(1.0, upto[-1]))


def bucket(n: I64) -> NDArray[np.intp]:
    """The half octave of a count."""
    return np.asarray(np.minimum(2 * np.log2(np.maximum(n, 1)), BUCKETS - 1).astype(np.intp))


def _rarity(place: U64, n: F64) -> F64:
    """By place and operator the sum over operators of the place that sent no more; of one sent once those sent once."""
    count = np.maximum(n, 1.0)
    order = np.lexsort((count, place))
    where, ordered = place[order], count[order]
    upto = np.cumsum(n[order])
    begins = np.searchsorted(where, where)
    upto = upto - np.where(begins > 0, upto[begins - 1], 0.0)
    last = np.flatnonzero(np.append((where[1:] != where[:-1]) | (ordered[1:] != ordered[:-1]), True)[: len(where)])
    out = np.empty(len(n))
    out[order] = upto[last[np.searchsorted(last, np.arange(len(where)))]]
    return out


def _looked_up(keys: U64, asked: U64, values: F64, otherwise: F64) -> F64:
    """The value of each key that stands among sorted `keys`, `otherwise` of the others."""
    if not len(keys):
        return otherwise
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.asarray(np.where(keys[at] == asked, values[at], otherwise))
