"""Evidence about groups: attacks spread so thin that no member's own evidence suffices. A group is never acted on.

    route    ..|..x.|.xx.|xxxx|xxxx|     two alternatives: most of its traffic is bad, or three times what is usual is
                 ^ since here   ^ crosses
    members     whose next mark comes then, with two marks or more of their own: logit(pi) + own evidence >= 6.9

`pi` is the share of its marks that its usual share does not account for (Bayes: prior odds of a member). A flash crowd
has the usual share of marks; a failed deploy or a release marks established clients as well, in the control group, and
since the change: then it is a fault and nobody's doing; an expired token is one member's. Groups are judged pane by
pane, from what closed panes say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import exp, log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.artifact import NEVER, Model
from detectors.columns import IP
from detectors.entities import Columns
from detectors.families import MARK_MAX, OVER, QUIET_MS, Family, GroupBy
from detectors.judge import Judged
from detectors.series import Series

GROUPS_MAX: Final = 4_096
MEMBERS_MAX: Final = 256  # told apart in a group; more are as many
MEMBERS_MIN: Final = 3
KNOWN_MIN: Final = 3  # results of established clients, before they say what it is
TAU_MS: Final = 30 * 60_000
H: Final = 1.5 * log(1_000 / 0.02)  # stated: the slope and budget of defaults, for a thousand groups
Q1_STRONG: Final = 0.9
WEAK_TIMES: Final = 3.0
Z_GROUP: Final = 3.0
SPREAD_N: Final = 30.0  # how far hours of one route differ: as shares of so many requests would
PRIOR_N: Final = 10.0
OWN_MAX: Final = 300.0


class Cause(StrEnum):
    """Why so many fail: an attack spares established clients, a fault of ours does not."""

    ATTACK = "attack"
    FAULT = "fault"
    UNSURE = "unsure"


@dataclass(slots=True)
class Group:
    """One route in one family. `marks`, `plain`, `members` count since `first_ms`, when evidence left 0."""

    own: list[float] = field(default_factory=lambda: [0.0, 0.0])
    hour: list[float] = field(default_factory=lambda: [0.0, 0.0])
    s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    t_ms: int = 0
    first_ms: int = 0
    marks: int = 0
    plain: int = 0
    members: set[int] = field(default_factory=set)
    known: list[int] = field(default_factory=lambda: [0, 0])  # marks and others of established clients among them
    last_mark_ms: int = 0
    crossed_pane_s: int = 0  # 0: no alarm
    crossed_ms: int = 0
    alarmed: bool = False  # since the last commit

    @property
    def evidence(self) -> float:
        """Of the alternative that explains it best."""
        return max(self.s)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A group in alarm, as one pane leaves it: what members are held to, and what people are told."""

    family: Family
    route: int
    pane_s: int
    crossed_pane_s: int
    crossed_ms: int
    first_ms: int
    last_ms: int
    marks: int
    plain: int
    members: int
    p0: float
    control: float
    evidence: float
    known: tuple[int, int]  # marks of established clients since `first_ms`, and what they did without one

    @property
    def cause(self) -> Cause:
        """What established clients say of it."""
        marks, plain = self.known
        if marks + plain < KNOWN_MIN:
            return Cause.UNSURE
        return Cause.FAULT if marks / (marks + plain) > max(0.5, self.p0) else Cause.ATTACK

    @property
    def pi(self) -> float:
        """The share of its marks that is not usual."""
        usual = self.p0 * self.plain / (1 - self.p0)
        return min(0.999, max(0.001, 1 - (usual + 1) / max(self.marks, 2)))


@dataclass(frozen=True, slots=True)
class _Cell:
    """What a group did in a pane."""

    pane_s: int
    t_ms: int
    marks: int
    plain: int
    members: list[int]
    control: float
    known: tuple[int, int]


class Groups:
    """All groups of one engine."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], Group] = {}  # family, route

    def take(self, judged: Judged, c: Columns, model: Model) -> list[Alarm]:
        """A run: its groups go on, and those in alarm are told pane by pane (where a mark came), in that order."""
        out: list[Alarm] = []
        for series in judged.series:
            heard = float(model.h[:, series.family.index].min()) < NEVER
            if series.family.group is GroupBy.ROUTE and heard:
                for route, cells in _cells(series, judged, c).items():
                    out += self._walk((series.family, route), cells, model)
        self._bound()
        return sorted(out, key=lambda alarm: (alarm.pane_s, alarm.family.index, alarm.route))

    def commit(self) -> None:
        """The hour ends: what it taught, but of groups that alarmed."""
        for group in self.held.values():
            if not group.alarmed:
                size = sum(group.own) + sum(group.hour)
                share = min(1.0, OWN_MAX / size) if size else 1.0
                group.own = [(a + b) * share for a, b in zip(group.own, group.hour, strict=True)]
            group.hour, group.alarmed = [0.0, 0.0], bool(group.crossed_pane_s)

    def _walk(self, of: tuple[Family, int], cells: list[_Cell], model: Model) -> list[Alarm]:
        family, route = of
        group = self.held.setdefault((family.index, route), Group())
        usual = _usual(group, family, model)
        out = []
        for cell in cells:
            group.hour[0] += cell.marks
            group.hour[1] += cell.plain
            p0 = min(max(usual, cell.control), 0.95)
            _step(group, cell, p0)
            if cell.marks and group.crossed_pane_s:
                out.append(_alarm(of, group, cell, p0))
        return out

    def _bound(self) -> None:
        if len(self.held) <= GROUPS_MAX:
            return
        by_worth = sorted(self.held, key=lambda k: (-self.held[k].evidence, -self.held[k].t_ms, k))
        self.held = {key: self.held[key] for key in by_worth[: GROUPS_MAX * 3 // 4]}

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        keys = sorted(self.held)
        groups = [self.held[key] for key in keys]
        floats = [[*g.own, *g.hour, *g.s] for g in groups]
        whole = [
            (g.t_ms, g.first_ms, g.marks, g.plain, *g.known, g.last_mark_ms, g.crossed_pane_s, g.crossed_ms, g.alarmed)
            for g in groups
        ]
        members = [member for g in groups for member in sorted(g.members)]
        return {
            f"{name}.family": np.array([family for family, _ in keys], np.int64),
            f"{name}.route": np.array([route for _, route in keys], np.uint64),
            f"{name}.sums": np.array(floats, np.float64).reshape(-1, 6),
            f"{name}.counts": np.array(whole, np.int64).reshape(-1, 10),
            f"{name}.members": np.array(members, np.uint64),
            f"{name}.members_n": np.array([len(g.members) for g in groups], np.int64),
        }

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        keys = zip(arrays[f"{name}.family"].tolist(), arrays[f"{name}.route"].tolist(), strict=True)
        ends = np.cumsum(arrays[f"{name}.members_n"].astype(np.int64)).tolist()
        members = arrays[f"{name}.members"].tolist()
        rows = zip(keys, arrays[f"{name}.sums"].tolist(), arrays[f"{name}.counts"].tolist(), ends, strict=True)
        self.held, begin = {}, 0
        for key, sums, counts, end in rows:
            t_ms, first_ms, marks, plain, known, known_plain, last_ms, crossed_s, crossed_ms, alarmed = counts
            held = Group(sums[:2], sums[2:4], sums[4:], t_ms, first_ms, marks, plain, set(members[begin:end]))
            held.last_mark_ms, held.crossed_pane_s, held.crossed_ms = last_ms, crossed_s, crossed_ms
            held.known, held.alarmed = [known, known_plain], bool(alarmed)
            self.held[key], begin = held, end


def _usual(group: Group, family: Family, model: Model) -> float:
    """Upper end of what the route's traffic marks: the population's newcomers, and the route's own hours."""
    a, b = model.prior[IP, 0, family.index]
    share = PRIOR_N / (a + b)
    marks, plain = a * share + group.own[0], b * share + group.own[1]
    m = float(marks / (marks + plain))
    return min(0.95, m + Z_GROUP * sqrt(m * (1 - m) / (SPREAD_N + 1)))


def _step(group: Group, cell: _Cell, p0: float) -> None:
    if group.crossed_pane_s and (cell.t_ms - group.last_mark_ms > QUIET_MS or group.evidence < H / 2):
        group.crossed_pane_s = 0
        group.s = [min(s, H / 2) for s in group.s]
    fade = exp(-max(0, cell.t_ms - group.t_ms) / TAU_MS)
    q1s = (max(Q1_STRONG, p0), min(Q1_STRONG, WEAK_TIMES * p0))
    before = [s * fade for s in group.s]
    group.s = [
        min(H + OVER, max(0.0, s + cell.marks * min(MARK_MAX, log(q1 / p0)) + cell.plain * log((1 - q1) / (1 - p0))))
        if q1 > p0
        else 0.0
        for s, q1 in zip(before, q1s, strict=True)
    ]
    group.t_ms = cell.t_ms
    if max(before) < 1e-6:
        group.first_ms, group.marks, group.plain, group.members, group.known = cell.t_ms, 0, 0, set(), [0, 0]
    group.known = [a + b for a, b in zip(group.known, cell.known, strict=True)]
    group.marks += cell.marks
    group.plain += cell.plain
    if cell.marks:
        group.members |= set(cell.members[: MEMBERS_MAX - len(group.members)])
        group.last_mark_ms = cell.t_ms
    if group.evidence >= H and cell.marks and not group.crossed_pane_s and len(group.members) >= MEMBERS_MIN:
        group.crossed_pane_s, group.crossed_ms, group.alarmed = cell.pane_s, cell.t_ms, True


def _alarm(of: tuple[Family, int], group: Group, cell: _Cell, p0: float) -> Alarm:
    return Alarm(
        family=of[0],
        route=of[1],
        pane_s=cell.pane_s,
        crossed_pane_s=group.crossed_pane_s,
        crossed_ms=group.crossed_ms,
        first_ms=group.first_ms,
        last_ms=cell.t_ms,
        marks=group.marks,
        plain=group.plain,
        members=len(group.members),
        p0=p0,
        control=cell.control,
        evidence=group.evidence,
        known=(group.known[0], group.known[1]),
    )


def _cells(series: Series, judged: Judged, c: Columns) -> dict[int, list[_Cell]]:
    """By route what the family's rows say of it, pane by pane."""
    rows, at, seg = judged.rows, series.at, judged.rows.seg[series.at]
    new, plain = series.distinct, series.tries - series.marks
    known = c.established[judged.slots][seg] & ~c.alarmed[judged.slots][seg]
    counted = ~known if series.family.newcomers_only else np.ones(len(at), np.bool_)
    route, pane_s = rows.flows.route[at], rows.flows.pane_s[at]
    order = np.lexsort((pane_s, route))
    out: dict[int, list[_Cell]] = {}
    if not len(order):
        return out
    ordered = route[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    heads = np.flatnonzero(begins | (np.diff(pane_s[order], prepend=-1) != 0))
    ends = np.append(heads[1:], len(order))
    columns = (
        np.where(counted, new, 0),
        np.where(counted, plain, 0),
        np.where(known, new, 0),
        np.where(known, plain, 0),
    )
    sums = np.stack([np.add.reduceat(column[order], heads) for column in columns], axis=1).tolist()
    control = np.maximum.reduceat(series.control[order], heads)
    last_ms = np.maximum.reduceat(rows.t_ms[at][order], heads)
    owner = rows.owner[seg]
    for i, (begin, end) in enumerate(zip(heads.tolist(), ends.tolist(), strict=True)):
        here = order[begin:end]
        marks, others, known_marks, known_others = sums[i]
        who = np.unique(owner[here[columns[0][here] > 0]]).tolist() if marks else []
        cell = _Cell(
            pane_s=int(pane_s[here[0]]),
            t_ms=int(last_ms[i]),
            marks=marks,
            plain=others,
            members=who,
            control=round(float(control[i]), 9),
            known=(known_marks, known_others),
        )
        out.setdefault(int(route[here[0]]), []).append(cell)
    return out
