"""Accounts that turn up at operators where hardly any are: sessions stolen, passwords that fit, lists that are tried.

    accounts by operator    home 310  home 280  mobile 190  hosting 3   an account that was not there for an hour
    one operator            hosting 21: a share it never had                people are told, nobody is answered
    many operators          eleven rare ones, an account or two each        who comes signed in from one is challenged

All of it is answered well and each address does what people do; what is odd is where they are. A new office, a stadium
are one operator with many accounts: told of, and left alone. Accounts that all at once are at a dozen operators that
nobody comes from are not a crowd in one place; of each operator one visit in ten minutes counts, so that it takes many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.chances import tagged
from detectors.columns import ASN, AUTH_FAILED, EVERYBODY, GLOBAL, IP, OK, Fact, Finding, Flows, Share
from detectors.explain import ODDS, odds_fact, score
from detectors.families import HOUR_S
from detectors.groups import H
from detectors.influx_members import Member, Members
from detectors.influx_routes import HOP_S, Said
from detectors.influx_shares import Shares
from detectors.influx_visits import WINDOW_S
from detectors.pairs import PairSet, firsts, mix
from detectors.rows import Rows

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]
Index = NDArray[np.intp]
NAME: Final = "elsewhere"
P_ONE: Final = 0.0005  # of visits those at one operator, at its upper end, at the least
P_MANY: Final = 0.004  # and those at all rare ones together
RARE: Final = 0.002  # of visits: an operator with fewer is rare
ENOUGH: Final = 30  # visits in a window that teaches
WARM: Final = 6  # windows of ten minutes, before anything is told
CALM: Final = H / 4  # two visits where there never were any teach nothing
_RARE, _COMMON = np.uint64(EVERYBODY), np.uint64(1)  # the two places of `spread`
_PARTS: Final = ("accounts", "spread")
_AVOID: Final = "coming from an operator that people come from, or in which accounts were before"
_IDS: Final = ("OAT-008", "OAT-020", "T1078.004", "T1550.004")
ACCOUNTS: Final = Said(
    ASN, NAME, "accounts", "turned up in this autonomous system", "of accounts seen just now",
    "a network of an operator: an office, an event, a relay, or somebody who has their passwords or sessions",
    _AVOID, _IDS,
)  # fmt: skip
SPREAD: Final = Said(
    GLOBAL, NAME, "accounts", "turned up at operators that hardly any account comes from", "of accounts seen just now",
    "of each of these operators one in ten minutes counts: it takes many", _AVOID, _IDS,
)  # fmt: skip


class Spread(Shares):
    """Accounts at rare operators, among all of them."""

    apart = False

    def _visits(self, came: F64) -> F64:
        return np.where(self.all.route == _RARE, came[:, 0], 0.0)


class Elsewhere:
    """Where accounts are, by operator, and who comes while they turn up where they never are."""

    def __init__(self, refused_keys: int = -1) -> None:
        """`refused_keys`: the bit of `tags` of requests that come with a key and name no account; -1: nobody knows."""
        self.refused_keys = refused_keys
        self.accounts = Shares(ACCOUNTS, least=P_ONE, warm=WARM, enough=ENOUGH, calm=CALM)
        self.spread = Spread(SPREAD, least=P_MANY, warm=WARM, enough=ENOUGH, calm=CALM)
        self.members = Members()
        self._counted: set[int] = set()  # rare operators of this window
        self._window = 0
        self._out: list[Finding] = []

    def take(self, rows: Rows, established: Flag, requests: I64, seen: PairSet) -> None:
        """A run of rows of one window, who is established, what each asked before, what was `seen` (mutated)."""
        f = rows.flows
        self.members.forget(int(f.pane_s.min()) * 1000 - HOUR_S * 1000)
        tried = f.login & (f.outcome == AUTH_FAILED)
        if self.refused_keys >= 0:
            tried &= ~tagged(f.tags, self.refused_keys)  # a key is where its programs run: no account turns up there
        signed_in = (f.outcome == OK) | tried
        at = np.flatnonzero((f.kind == IP) & (f.user != 0) & (f.asn != 0) & signed_in)
        at = _new(rows, at, mix(f.user[at], f.asn[at]), seen)
        if not len(at):
            return
        asn, hop = f.asn[at], f.pane_s[at] // HOP_S
        self.accounts.until(int(hop.min()))
        rare = self.accounts.rare(asn, RARE)
        self.accounts.count(asn, hop)
        alarms = self._spread(asn, hop, rare)
        if alarms:
            self._members(rows, at[rare], alarms, established, requests)

    def close(self, until_s: int) -> list[Finding]:
        """What there is to tell of what is complete at `until_s`."""
        out, self._out = self._out, []
        return out + self.accounts.close(until_s) + self.spread.close(until_s)

    def _spread(self, asn: U64, hop: I64, rare: Flag) -> list[tuple[int, float]]:
        """Count what is at rare operators; from which hop on there is an alarm, with the odds of who comes then."""
        window = int(hop[0]) * HOP_S // WINDOW_S
        if window != self._window:
            self._window, self._counted = window, set()
        one = np.flatnonzero(rare)
        one = one[firsts(asn[one])]
        one = one[[int(which) not in self._counted for which in asn[one]]]
        self._counted |= {int(which) for which in asn[one]}
        some = np.sort(np.concatenate([np.flatnonzero(~rare), one]))
        place = np.where(rare[some], _RARE, _COMMON)
        alarms: list[tuple[int, float]] = []
        for at in np.unique(hop):
            self.spread.until(int(at))
            alarms += [(int(at), odds)] if (odds := self._odds()) >= ODDS else []
            here = hop[some] == at
            self.spread.count(place[here], hop[some][here])
        return alarms

    def _odds(self) -> float:
        """Log odds that an account at a rare operator belongs to what is in alarm; 0 where nothing is."""
        a = self.spread.all
        at = np.flatnonzero((a.route == _RARE) & (a.crossed_s > 0))
        return self.spread.odds(int(at[0])) if len(at) else 0.0

    def _members(
        self, rows: Rows, at: Index, alarms: list[tuple[int, float]], established: Flag, requests: I64
    ) -> None:
        f = rows.flows
        odds = dict(alarms)
        before = rows.before(requests)
        told: dict[tuple[int, int], Finding] = {}
        for row in at[~established[rows.seg[at]]].tolist():
            pane_s, owner = int(f.pane_s[row]), int(rows.owner[rows.seg[row]])
            if pane_s // HOP_S in odds:
                one, quiet = self.members.came(owner, int(rows.t_ms[row]))
                one.crosses(pane_s, int(rows.t_ms[row]), int(before[row]), anew=quiet)
                told[owner, pane_s] = _finding(f, row, one, odds[pane_s // HOP_S])
        self._out += told.values()

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        out: dict[str, NDArray[np.generic]] = {
            f"{name}.counted": np.array(sorted(self._counted), np.uint64),
            f"{name}.window": np.array(self._window),
        }
        out |= {f"{name}.members.{part}": array for part, array in self.members.arrays().items()}
        for part in _PARTS:
            out |= getattr(self, part).arrays(f"{name}.{part}")
        return out

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self._counted = set(arrays[f"{name}.counted"].tolist())
        self._window = int(arrays[f"{name}.window"])
        self.members.restore(arrays[f"{name}.members.owner"], arrays[f"{name}.members.member"])
        for part in _PARTS:
            getattr(self, part).restore(f"{name}.{part}", arrays)


def _new(rows: Rows, at: Index, key: U64, seen: PairSet) -> Index:
    """Rows in order of time whose keys were not `seen` for an hour, each once; who stays is seen all the time."""
    order = rows.in_time(at)
    at, key = at[order], key[order]
    new = np.flatnonzero(~seen.contains(key) & firsts(key))
    seen.add(key)
    out: Index = at[new]
    return out


def _finding(f: Flows, row: int, one: Member, odds: float) -> Finding:
    what = (
        "an account turned up at an operator that hardly any account comes from, while accounts turn up at many such "
        "operators"
    )
    facts = (
        Fact("accounts", float(one.marks), None, what),
        odds_fact(odds),
    )
    return Finding(
        kind=IP,
        entity=int(f.entity[row]),
        family=NAME,
        version=1,
        pane_s=one.crossed_s,
        at_s=int(f.pane_s[row]),
        crossed_ms=one.crossed_ms,
        crossed_after=one.crossed_after,
        first_ms=one.first_ms,
        last_ms=one.last_ms,
        score=score(odds, ODDS),
        answer="challenge",
        severity="medium",
        route=0,
        facts=facts,
        contributions=(Share(NAME, odds, 1.0, f"all operators together: {odds:.1f} nats"),),
        examples=(int(f.user[row]),),
        campaign=(GLOBAL, EVERYBODY),
        ids=_IDS,
        avoid=_AVOID,
    )
