"""Evidence about groups: attacks spread so thin that no member's own evidence suffices. A group is never acted on.

    group       ..|..x.|.xx.|xxxx|xxxx|     two alternatives: most of its traffic is bad, or three times the usual
                 ^ since here   ^ crosses
    members     whose next mark comes then, by logit(pi) + own evidence (`attribution`)

A group is a route, an autonomous system, a network or a tenant. Many clients must bear its evidence: of one, three
marks in ten minutes count, and none once his own evidence has sufficed. `pi` is the share of its marks that its usual
share does not account for (Bayes: prior odds of a member). What it is, established clients say (`group_state`). Groups
are judged pane by pane, from what closed panes say. What happens in a group in alarm teaches nobody what is usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.artifact import Model
from detectors.columns import ASN, IP, NETWORK, ROUTE, TENANT
from detectors.doors import BROKEN_P0
from detectors.families import MARK_MAX, OVER, QUIET_MS, Each, Family
from detectors.group_rows import Cell, Part, Place, cells, value_of
from detectors.group_state import HISTORY_MIN, PLACES, Alarm, Group, Key, alarm_of, arrays_of, groups_of, place_of
from detectors.judge import Judged

Flag = NDArray[np.bool_]
GROUPS_MAX: Final = 4_096
MEMBERS_MAX: Final = 256  # told apart in a group; more are as many
MEMBERS_MIN: Final = 5
MEMBER_MARKS_MAX: Final = 3  # of one, in `MEMBER_MS`: more is evidence against him, not for a group
MEMBER_MS: Final = 600_000
AGENTS_MAX: Final = 16
TAU_MS: Final = 30 * 60_000
H: Final = 1.5 * log(1_000 / 0.02)  # stated: the slope and budget of defaults, for a thousand groups
Q1_STRONG: Final = 0.9
WEAK_TIMES: Final = 3.0
Z_GROUP: Final = 3.0
SPREAD_N: Final = 30.0  # how far hours of one group differ: as shares of so many requests would
PRIOR_N: Final = 10.0
OWN_MAX: Final = 300.0


class Groups:
    """All groups of one engine."""

    def __init__(self) -> None:
        self.held: dict[Key, Group] = {}
        self.alarmed: set[Key] = set()  # those that stand in alarm

    def take(self, judged: Judged, part: Part, of: tuple[Flag, Flag], model: Model) -> list[Alarm]:
        """Rows of a family in a stretch: its groups go on; those in alarm are told where a mark came.

        What a route in alarm explains is no evidence about networks and tenants: one attack, one group. `of`: as
        `group_rows.cells` has it.
        """
        family, (known, explained) = part.series.family, of
        self._calm(int(judged.rows.t_ms[part.series.at[part.rows]].min()))
        out: list[Alarm] = []
        for kinds in ((ROUTE,), (TENANT, ASN, NETWORK)):
            left_out = explained if kinds == (ROUTE,) else explained | ~self.teach(judged, part)
            for cell in cells(
                judged, part, kinds, (known, left_out), lambda place: (family.index, *place) in self.held
            ):
                out += self._walk(family, cell, model)
        self._bound()
        return sorted(out, key=lambda alarm: (alarm.pane_s, alarm.place))

    def campaign_of(self, family: int, owner: int) -> Place | None:
        """The campaign in which an owner's marks counted, of groups in alarm."""
        attacks = [self.held[key] for key in self.alarmed if key[0] == family and not self.held[key].spared]
        near = [(group.crossed_ms, group.leader) for group in attacks if owner in group.members]
        return min(near)[1] if near else None

    def teach(self, judged: Judged, part: Part) -> Flag:
        """Rows of a family that show what is usual: of no group in alarm."""
        at = part.series.at[part.rows]
        out = np.ones(len(at), np.bool_)
        alarmed = [key for key in self.alarmed if key[0] == part.series.family.index]
        for kind in {key[1] for key in alarmed}:
            values = np.array([key[2] for key in alarmed if key[1] == kind], np.uint64)
            out &= ~np.isin(value_of(judged, kind)[at], values)
        return out

    def commit(self) -> None:
        """The hour ends: what it taught, but of groups that alarmed."""
        for group in self.held.values():
            if not group.alarmed:
                size = sum(group.own) + sum(group.hour)
                share = min(1.0, OWN_MAX / size) if size else 1.0
                group.own = [(a + b) * share for a, b in zip(group.own, group.hour, strict=True)]
                share = min(1.0, OWN_MAX / max(1.0, sum(group.usual) + sum(group.came)))
                group.usual = [(a + b) * share for a, b in zip(group.usual, group.came, strict=True)]
            group.hour, group.came, group.alarmed = [0.0, 0.0], [0.0] * PLACES, bool(group.crossed_pane_s)

    def _walk(self, family: Family, cell: Cell, model: Model) -> list[Alarm]:
        key = (family.index, *cell.place)
        group = self.held.setdefault(key, Group())
        if family.each is not Each.CREDENTIAL or cell.control < BROKEN_P0:  # an outage is no habit of a door
            group.hour[0] += sum(cell.marks.values())
            group.hour[1] += cell.plain
        p0 = min(max(_usual(group, family, model), cell.control), 0.95)
        marks = _step(group, cell, p0)
        if not group.crossed_pane_s:
            self.alarmed.discard(key)
        crosses = group.evidence >= H and marks > 0 and not group.crossed_pane_s
        known = family.alone or sum(group.own) >= HISTORY_MIN  # else it may be the first day of something new
        if crosses and known and len(group.members) >= MEMBERS_MIN:
            self.alarmed.add(key)
            group.crossed_pane_s, group.crossed_ms, group.alarmed = cell.pane_s, cell.t_ms, True
            group.leader = self._leader(family, cell.place, group)
        if not (cell.marks and group.crossed_pane_s):
            return []
        alarm = alarm_of(family, group, cell, p0)
        group.spared = alarm.cause.spares
        return [alarm]

    def _leader(self, family: Family, place: Place, group: Group) -> Place:
        """Of groups in alarm that share half of the members with this one, the first to cross leads; else it itself."""
        near = [
            (other.crossed_ms, other.leader)
            for other in (self.held[key] for key in self.alarmed if key[0] == family.index)
            if other is not group
            and 2 * len(group.members.keys() & other.members.keys()) >= min(len(group.members), len(other.members))
        ]
        return min(near)[1] if near else place

    def _bound(self) -> None:
        if len(self.held) <= GROUPS_MAX:
            return
        by_worth = sorted(self.held, key=lambda k: (-self.held[k].evidence, -self.held[k].t_ms, k))
        self.held = {key: self.held[key] for key in by_worth[: GROUPS_MAX * 3 // 4]}
        self.alarmed &= self.held.keys()

    def _calm(self, now_ms: int) -> None:
        """Alarms that were quiet for long enough are over."""
        for key in [key for key in self.alarmed if now_ms - self.held[key].last_mark_ms > QUIET_MS]:
            _end(self.held[key])
            self.alarmed.discard(key)

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """State under names that begin with `name`."""
        return arrays_of(self.held, name)

    def restore(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave."""
        self.held = groups_of(name, arrays)
        self.alarmed = {key for key, group in self.held.items() if group.crossed_pane_s}


def _usual(group: Group, family: Family, model: Model) -> float:
    """Upper end of what the group's traffic marks: the population's newcomers, and the group's own hours."""
    a, b = model.prior[IP, 0, family.index]
    share = PRIOR_N / (a + b)
    marks, plain = a * share + group.own[0], b * share + group.own[1]
    m = float(marks / (marks + plain))
    return min(0.95, m + Z_GROUP * sqrt(m * (1 - m) / (SPREAD_N + 1)))


def _end(group: Group) -> None:
    group.crossed_pane_s, group.leader = 0, (0, 0)
    group.s = [min(s, H / 2) for s in group.s]


def _step(group: Group, cell: Cell, p0: float) -> int:
    """One pane. How many of its marks counted."""
    if group.crossed_pane_s and (cell.t_ms - group.last_mark_ms > QUIET_MS or group.evidence < H / 2):
        _end(group)
    fade = exp(-max(0, cell.t_ms - group.t_ms) / TAU_MS)
    before = [s * fade for s in group.s]
    if max(before) < 1e-6:
        group.first_ms, group.marks, group.plain, group.known = cell.t_ms, 0, 0, [0, 0]
        group.members, group.agents, group.seen, group.places = {}, {}, set(), [0.0] * PLACES
    marks = _counted(group, cell)
    q1s = (max(Q1_STRONG, p0), min(Q1_STRONG, WEAK_TIMES * p0))
    group.s = [
        min(H + OVER, max(0.0, s + marks * min(MARK_MAX, log(q1 / p0)) + cell.plain * log((1 - q1) / (1 - p0))))
        if q1 > p0
        else 0.0
        for s, q1 in zip(before, q1s, strict=True)
    ]
    group.t_ms = cell.t_ms
    if len(group.seen) < MEMBERS_MAX:
        group.seen |= cell.seen
    group.known = [a + b for a, b in zip(group.known, cell.known, strict=True)]
    group.marks += marks
    group.plain += cell.plain
    if cell.marks:
        group.last_mark_ms = cell.t_ms
        for agent, n in cell.agents.items():
            if agent in group.agents or len(group.agents) < AGENTS_MAX:
                group.agents[agent] = group.agents.get(agent, 0) + n
    return marks


def _counted(group: Group, cell: Cell) -> int:
    """Marks of a pane, of each member no more than count; beyond those told apart one each."""
    total = 0
    for owner, n in sorted(cell.marks.items()):
        had, since_ms = group.members.get(owner, (0, cell.t_ms))
        if cell.t_ms - since_ms > MEMBER_MS:
            had, since_ms = 0, cell.t_ms
        told_apart = owner in group.members or len(group.members) < MEMBERS_MAX
        counts = min(n, MEMBER_MARKS_MAX - had) if told_apart else 1
        if told_apart:
            if owner not in group.members and owner in cell.before:
                place = place_of(cell.before[owner])
                group.places[place] += 1
                group.came[place] += 1
            group.members[owner] = (had + counts, since_ms)
        total += counts
    return total
