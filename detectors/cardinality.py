"""A flood of identities: many who come, ask once and are never seen again, as only made-up ones do.

    pane        |  p  |  p+1  | ...          |  p+10  |
                 came                          judged: of those who came in p, how many have not come back
    a crowd      many  back for more             few
    a flood      many                            all

It wants our memory, or to hide in it. Nobody is answered for it: the bounds hold (`eviction`), and people are told.
A second is a mark when more such strangers came than three times what is usual at its upper end, and than would fill
the table of owners within the hour. Evidence adds up: four such seconds suffice, or one four times as bad.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import EVERYBODY, GLOBAL, KEY, Fact, Finding, Flows, Share
from detectors.compiled import compiled
from detectors.explain import evidence, score, span
from detectors.families import HOUR_S, MARK_MAX, OVER, QUIET_MS
from detectors.nulls import Z
from detectors.rows import Rows

I64 = NDArray[np.int64]
STRANGER_MS: Final = 10_000  # so long after their first request owners are strangers
_GRACE_S: Final = STRANGER_MS // 1000
WARM_S: Final = 600  # in which only what is usual is learned: to whom has seen nobody everybody is new
TAU_S: Final = 3600.0
GAP_S_MAX: Final = 4 * HOUR_S  # after so long a silence what was usual is forgotten
TIMES: Final = 3.0
H: Final = 4 * MARK_MAX
CALM: Final = 1.0  # nats a second without a mark takes off
SHARE_MIN: Final = 1 - exp(-1 / TAU_S)  # of a second in what is usual


class Cardinality:
    """How many strangers come a second, what is usual, and the evidence of a flood of them."""

    def __init__(self, entities_max: int) -> None:
        self.floor = entities_max / HOUR_S
        self.came: dict[int, list[int]] = {}  # pane -> addresses, keys that came in it and have not come back
        self.next_s = 0  # the pane that is judged next
        self.since_s = 0
        self.last_s = -GAP_S_MAX  # the last one that had strangers
        self.mean = 0.0
        self.square = 0.0
        self.s = 0.0
        self.first_s = 0  # of the marks that `s` stands for
        self.strangers = [0, 0]  # since then
        self.most = 0
        self.crossed_s = 0  # 0: no episode
        self.last_mark_s = 0

    def take(self, rows: Rows, seen: I64, born_ms: I64) -> None:
        """A run of rows, and what each of its owners had asked before, and when it first did."""
        if not len(rows):
            return
        n, starts, kind = rows.flows.n, rows.starts, rows.flows.kind[rows.starts]
        born_s = born_ms // 1000
        new = seen == 0
        self._add(born_s[new], kind[new], 1)
        total = np.cumsum(n)
        total += (seen - (total - n)[starts])[rows.seg]
        second = np.flatnonzero((total >= 2) & (total - n < 2))
        seg = rows.seg[second]
        back = (rows.flows.pane_s[second] - born_s[seg] < _GRACE_S) & (seen[seg] < 2)
        self._add(born_s[seg[back]], kind[seg[back]], -1)

    def missed(self, flows: Flows) -> None:
        """Flows that nobody had room for: of strangers, one each, for whoever is more is held."""
        self._add(flows.pane_s, flows.kind, 1)

    def _add(self, pane_s: I64, kind: NDArray[np.uint8], sign: int) -> None:
        if not len(pane_s):
            return
        places, counts = np.unique(pane_s * 2 + (kind == KEY), return_counts=True)
        for place, count in zip(places.tolist(), counts.tolist(), strict=True):
            if place // 2 >= self.next_s:  # what came late is not judged again
                self.came.setdefault(place // 2, [0, 0])[place % 2] += sign * count

    def close(self, until_s: int) -> list[Finding]:
        """Judge the seconds whose strangers have had their time by `until_s`."""
        out: list[Finding] = []
        end_s = until_s - _GRACE_S
        for pane_s in sorted(p for p in self.came if p < end_s):
            if pane_s - self.last_s > GAP_S_MAX:
                self.mean = self.square = self.s = 0.0
                self.since_s = self.next_s = pane_s
            self.last_s = pane_s
            self._silent(pane_s)
            if self._judge(pane_s, [max(0, n) for n in self.came.pop(pane_s)]):
                out.append(self._finding(pane_s))
            self.next_s = pane_s + 1
        return out

    @property
    def bound(self) -> float:
        """Strangers a second above which one is a mark."""
        spread = sqrt(max(0.0, self.square - self.mean * self.mean))
        return TIMES * max(self.floor, self.mean + Z * spread)

    def _judge(self, pane_s: int, came: list[int]) -> bool:
        """Whether this second crosses, or is a mark in an episode."""
        n, bound = sum(came), self.bound
        quiet = pane_s - self.last_mark_s > QUIET_MS // 1000
        warm = pane_s - self.since_s >= WARM_S
        if not (self.crossed_s and not quiet):
            self.crossed_s = 0
            self._learn(min(n, bound) if warm else n, pane_s)
        if not warm or n <= bound:
            self.s = max(0.0, self.s - CALM)
            return False
        if self.s <= 0.0:
            self.first_s, self.strangers, self.most = pane_s, [0, 0], 0
        self.s = min(self.s + MARK_MAX * min(4.0, n / bound), H + OVER)
        self.strangers = [a + b for a, b in zip(self.strangers, came, strict=True)]
        self.most, self.last_mark_s = max(self.most, n), pane_s
        if self.s < H:
            return False
        self.crossed_s = self.crossed_s or pane_s
        return True

    def _silent(self, until_s: int) -> None:
        """No strangers from the next pane on until this one: `_judge` of each of these seconds, at once."""
        clock = self.next_s, until_s, self.since_s, self.last_mark_s
        level = self.mean, self.square, self.s
        self.crossed_s, self.mean, self.square, self.s = silence(*clock, self.crossed_s, *level)

    def _learn(self, n: float, pane_s: int) -> None:
        """Evenly at first, later with what is long ago fading."""
        share = max(1.0 / (pane_s - self.since_s + 1), SHARE_MIN)
        self.mean += share * (n - self.mean)
        self.square += share * (n * n - self.square)

    def _finding(self, pane_s: int) -> Finding:
        addresses, keys = self.strangers
        who = " and ".join(f"{n:,} {what}" for n, what in ((addresses, "addresses"), (keys, "keys")) if n)
        lasted = span(self.first_s * 1000, pane_s * 1000 + 999)
        usual = self.bound / TIMES
        what = f"{who} came in {lasted}, asked once and did not come back"
        rate = f"up to {self.most:,} a second; {usual:,.0f} are not rare"
        facts = (
            Fact("strangers", float(addresses + keys), None, what),
            Fact("strangers_per_s", float(self.most), usual, rate),
            evidence(self.s, H),
        )
        return Finding(
            kind=GLOBAL,
            entity=EVERYBODY,
            family="cardinality",
            version=1,
            pane_s=self.crossed_s,
            at_s=pane_s,
            crossed_ms=self.crossed_s * 1000 + 999,
            crossed_after=0,
            first_ms=self.first_s * 1000,
            last_ms=pane_s * 1000 + 999,
            score=score(self.s, H),
            answer="notice",
            severity="high",
            route=0,
            facts=facts,
            contributions=(Share("cardinality", self.s, 1.0, f"cardinality: {self.s:.1f} of {H:.1f} nats"),),
        )

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        came = [(pane_s, *counts) for pane_s, counts in sorted(self.came.items())]
        whole = [self.next_s, self.since_s, self.first_s, *self.strangers, self.most, self.crossed_s, self.last_mark_s]
        whole.append(self.last_s)
        return {
            f"{name}.came": np.array(came, np.int64).reshape(-1, 3),
            f"{name}.whole": np.array(whole, np.int64),
            f"{name}.level": np.array([self.mean, self.square, self.s]),
        }

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.came = {int(p): [int(ips), int(keys)] for p, ips, keys in arrays[f"{name}.came"]}
        whole = [int(v) for v in arrays[f"{name}.whole"]]
        self.next_s, self.since_s, self.first_s = whole[:3]
        self.strangers, self.most, self.crossed_s, self.last_mark_s = whole[3:5], whole[5], whole[6], whole[7]
        self.last_s = whole[8]
        self.mean, self.square, self.s = (float(v) for v in arrays[f"{name}.level"])


@compiled
def silence(
    pane_s: int,
    until_s: int,
    since_s: int,
    last_mark_s: int,
    crossed_s: int,
    mean: float,
    square: float,
    s: float,
) -> tuple[int, float, float, float]:
    """Seconds without strangers, one after the other as they are judged: up to four hours of them in a gap.

    Gives the episode's beginning, what is usual (mean, square) and the evidence after them.
    """
    for at_s in range(pane_s, until_s):
        if crossed_s == 0 or at_s - last_mark_s > QUIET_MS // 1000:
            crossed_s = 0
            share = max(1.0 / (at_s - since_s + 1), SHARE_MIN)
            mean += share * (0 - mean)
            square += share * (0 - square)
        s = max(0.0, s - CALM)
    return crossed_s, mean, square, s
