"""Newcomers who have something that hardly anybody has, all for one thing.

    operators of newcomers   home 310  home 280  mobile 190  hosting 3          what is usual of each
    on one route             a dozen rare ones within minutes, a visit each     people are told, and of some clients

Each does what people do, once, signed in nowhere, and each may well be the only one from there, with that browser, at
that address of a page. That befalls good newcomers now and then; but a dozen of them on one route, where hardly any is,
within minutes, have something in common. `afar` looks at operators, `guise` at user agents, `unheard` at paths that
nobody ever asked for. Of each rare operator or agent one visit in ten minutes counts on a route, so that it takes many
of them: a crawler's hosters, a relay, an event abroad are one each. Nobody is answered: a page may be spoken of abroad,
a mailing's links may each have a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.columns import IP, ROUTE, Fact, Finding, Flows, Share
from detectors.compiled import within
from detectors.elsewhere import CALM, ENOUGH, P_ONE, RARE, WARM
from detectors.explain import ODDS, few, odds_fact, score
from detectors.families import HOUR_S
from detectors.influx_routes import HOP_S, Said
from detectors.influx_shares import Shares, summed
from detectors.influx_visits import WINDOW_S
from detectors.pairs import firsts, mix
from detectors.rows import Rows

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Index = NDArray[np.intp]
SHOWN: Final = 8  # clients of a route's alarm that people are told of, to look at; then one whenever they have doubled
COUNTED_MAX: Final = 1 << 16  # values and routes of one window
EARLY_S: Final = HOUR_S  # in which hardly anything was heard of
_IDS: Final = ("OAT-011", "OAT-015", "OAT-016", "T1583.005")
_OF: Final = "of newcomers' visits just now"


@dataclass(frozen=True, slots=True)
class Rarity:
    """What newcomers may have that hardly anybody has, and what is `told` of a route and of `one` of them.

    It is the value of a `column` of flows that few newcomers have; without a column what the caller says is rare.
    Nothing is before `known` visits say what is usual.
    """

    told: Said
    one: str
    column: str = ""
    known: float = 0.0


AFAR: Final = Rarity(
    Said(
        ROUTE, "afar", "operators", "that hardly anybody comes from sent newcomers for this", _OF,
        "of each of these operators one in ten minutes counts: it takes many",
        "coming from an operator that people come from, or for what is asked for from everywhere", _IDS,
    ),
    "a newcomer from an operator that hardly anybody comes from, for what newcomers of many such operators want",
    "asn",
)  # fmt: skip
GUISE: Final = Rarity(
    Said(
        ROUTE, "guise", "user agents", "that hardly anybody has came for this with newcomers", _OF,
        "of each of these user agents one in ten minutes counts: it takes many",
        "a user agent that other people have, or coming for what is asked for with all sorts of them", _IDS,
    ),
    "a newcomer with a user agent that hardly anybody has, for what newcomers with many such names want",
    "agent",
    4 / RARE,  # names have a long tail: with fewer visits most are rare only because few people came
)  # fmt: skip
UNHEARD: Final = Rarity(
    Said(
        ROUTE, "unheard", "newcomers", "came each with a path that nobody ever asked for", _OF,
        "each path counts once: no link that goes round, unless each has a number of its own, as a mailing's may",
        "asking for what is there, by links that others follow as well", _IDS,
    ),
    "a newcomer who asked for a path that nobody ever asked for, where many do so just now, each for another",
)  # fmt: skip


class Gathered(Shares):
    """Visits that bring something rare by route, among all visits of newcomers."""

    apart = False

    def _visits(self, came: F64) -> F64:
        return came[:, 1].copy()


class Rarities:
    """What is usual of `what` newcomers have, and for what those come that have what hardly anybody has."""

    def __init__(self, what: Rarity) -> None:
        self.what = what
        self.values = Shares(what.told, least=P_ONE, warm=WARM, enough=ENOUGH, calm=CALM)  # counted, never told of
        self.routes = Gathered(what.told, least=P_ONE, warm=WARM, enough=ENOUGH, calm=CALM)
        self._begun_s = 0
        self._window = 0
        self._counted: U64 = np.empty(0, np.uint64)  # value and route, of this window
        self._shown: dict[int, tuple[int, int]] = {}  # by route since when it is in alarm, and who came
        self._out: list[Finding] = []

    def take(self, rows: Rows, visits: Index, requests: I64, rare: Flag) -> None:
        """Newcomers' `visits` of a run of one window, in order of time, and what each owner asked before.

        `rare`: rows that the caller says are; looked at where that is no column's.
        """
        f = rows.flows
        at = visits[f.kind[visits] == IP]
        at = at[(self._values(f, at) != 0) & self._late(f.pane_s[at])]
        if not len(at):
            return
        values, hop = self._values(f, at), f.pane_s[at] // HOP_S
        strange, new = self._rare(values, hop, rare[at]), np.zeros(len(at), np.bool_)
        new[strange] = self._anew(mix(values[strange], f.route[at[strange]]), int(hop[0]))
        self.routes.until(first := int(hop.min()))
        places = self.routes.places(f.route[at])
        came = summed(places, hop - first, np.stack([~strange | new, new]), len(self.routes.all.route))
        for which in np.flatnonzero(np.bincount(hop - first)).tolist():
            self.routes.until(first + which)
            here = hop == first + which
            self._show(rows, at[strange & here], requests)
            self.routes.all.now[:, :2] += came[which]
            self._teach(values[here], f.route[at[here]], first + which)

    def close(self, until_s: int) -> list[Finding]:
        """What there is to tell of what is complete at `until_s`."""
        out, self._out = self._out, []
        self.values.close(until_s)
        return out + self.routes.close(until_s)

    def _values(self, f: Flows, at: Index) -> U64:
        found: U64 = getattr(f, self.what.column or "path")[at]
        return found

    def _late(self, pane_s: I64) -> Flag:
        """What is late enough: at first nobody has asked for anything yet."""
        if self.what.column or not len(pane_s):
            return np.ones(len(pane_s), np.bool_)
        self._begun_s = self._begun_s or int(pane_s.min())
        return np.asarray(pane_s >= self._begun_s + EARLY_S)

    def _rare(self, values: U64, hop: I64, said: Flag) -> Flag:
        """Which are rare, as windows before this one have it."""
        if not self.what.column:
            return said
        self.values.until(int(hop.min()))
        if self.values.weight < self.what.known:
            return np.zeros(len(values), np.bool_)
        return self.values.rare(values, RARE)

    def _teach(self, values: U64, route: U64, hop: int) -> None:
        """What is usual is learned of this hop, but of who comes for what is in alarm: a botnet's homes stay rare."""
        if self.what.column:
            calm = ~within(route, self.routes.all.route[self.routes.all.crossed_s > 0])
            self.values.count(values[calm], np.full(int(calm.sum()), hop))

    def _anew(self, key: U64, hop: int) -> Flag:
        """Visits with a value that did not come for that route in this window."""
        window = hop * HOP_S // WINDOW_S
        if window != self._window:
            self._window, self._counted = window, np.empty(0, np.uint64)
        new = firsts(key) & ~within(key, self._counted)
        self._counted = np.sort(np.concatenate([self._counted, key[new]]))[:COUNTED_MAX]
        return new

    def _show(self, rows: Rows, at: Index, requests: I64) -> None:
        """Some of the newcomers with something rare on routes in alarm, to look at."""
        a, f = self.routes.all, rows.flows
        alarmed = np.flatnonzero(a.crossed_s > 0)
        since = dict(zip(a.route[alarmed].tolist(), a.crossed_s[alarmed].tolist(), strict=True))
        self._shown = {route: one for route, one in self._shown.items() if since.get(route) == one[0]}
        before = rows.before(requests) if since else requests
        for place, (route, crossed_s) in zip(alarmed.tolist(), since.items(), strict=True):
            odds = self.routes.odds(place)
            _, came = self._shown.get(route, (crossed_s, 0))
            here = at[f.route[at] == np.uint64(route)] if odds >= ODDS else at[:0]
            self._shown[route] = crossed_s, came + len(here)
            here = here[few(np.arange(came, came + len(here)) + 1, SHOWN)]
            leader = int(a.leader[place])
            self._out += [self._finding(f, row, (int(rows.t_ms[row]), int(before[row])), odds, leader) for row in here]

    def _finding(self, f: Flows, row: int, when: tuple[int, int], odds: float, leader: int) -> Finding:
        t_ms, before = when
        name, what = self.what.told.family, self.what.one
        return Finding(
            kind=IP,
            entity=int(f.entity[row]),
            family=name,
            version=1,
            pane_s=int(f.pane_s[row]),
            at_s=int(f.pane_s[row]),
            crossed_ms=t_ms,
            crossed_after=before,
            first_ms=t_ms,
            last_ms=t_ms,
            score=score(odds, ODDS),
            answer="notice",
            severity="low",
            route=int(f.route[row]),
            facts=(Fact("newcomer", 1.0, None, what), odds_fact(odds)),
            contributions=(Share(name, odds, 1.0, f"all such newcomers together: {odds:.1f} nats"),),
            examples=(int(f.path[row]),),
            campaign=(ROUTE, leader),
            ids=self.what.told.ids,
            avoid=self.what.told.avoid,
        )

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        out: dict[str, NDArray[np.generic]] = {
            f"{name}.window": np.array([self._window, self._begun_s]),
            f"{name}.counted": self._counted,
            f"{name}.shown": np.array(list(self._shown.values()), np.int64).reshape(-1, 2),
            f"{name}.shown_of": np.array(list(self._shown), np.uint64),
        }
        return out | self.values.arrays(f"{name}.values") | self.routes.arrays(f"{name}.routes")

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self._window, self._begun_s = (int(one) for one in arrays[f"{name}.window"])
        self._counted = arrays[f"{name}.counted"].astype(np.uint64)
        of, shown = arrays[f"{name}.shown_of"].tolist(), arrays[f"{name}.shown"].tolist()
        self._shown = {int(route): (int(since), int(n)) for route, (since, n) in zip(of, shown, strict=True)}
        self.values.restore(f"{name}.values", arrays)
        self.routes.restore(f"{name}.routes", arrays)
