"""A run, as groups and their members see it: second by second, whatever the run is long.

    panes of the run   |  .  |  .  | x x |  .  |  x  | ...      x: marks of a family that looks at groups
    stretches          |-----------------|-----------|          each ends with a pane that has some

In each stretch groups go on, those in alarm find members, and whoever crossed by himself is no evidence about groups
from then on. So what is said hangs on the flows alone, and never on how panes came together in runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from detectors.artifact import NEVER, Model
from detectors.attribution import Members, told
from detectors.columns import Finding
from detectors.cusum import Track
from detectors.entities import Columns
from detectors.families import QUIET_MS
from detectors.group_rows import Part, Place
from detectors.group_state import Alarm
from detectors.groups import Groups
from detectors.judge import Judged

Flag = NDArray[np.bool_]
I64 = NDArray[np.int64]
NOT_YET_MS = -(1 << 60)


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of it: who was found part of a group (segment, standing, finding), what people are told of groups.

    `teaches`: by family the rows that show what is usual. `campaigns`: of owners that crossed by themselves, by
    (segment, family, pane).
    """

    members: list[tuple[int, Track, Finding]] = field(default_factory=list)
    told: list[Finding] = field(default_factory=list)
    teaches: dict[int, Flag] = field(default_factory=dict)
    campaigns: dict[tuple[int, int, int], Place] = field(default_factory=dict)

    def told_of(self, judged: Judged, findings: list[Finding]) -> list[Finding]:
        """Findings about who crossed by himself: his campaign, and when he was first found where a group did that."""
        first: dict[tuple[int, int, str], Finding] = {}
        for _, _, finding in self.members:
            first.setdefault((finding.kind, finding.entity, finding.family), finding)
        places = self._by_entity(judged)
        return [_joined(f, first.get((f.kind, f.entity, f.family)), places) for f in findings]

    def _by_entity(self, judged: Judged) -> dict[tuple[int, int, str, int], Place]:
        rows, names = judged.rows, {c.family.index: c.family.name for c in judged.crossings}
        out = {}
        for (seg, family, pane_s), place in self.campaigns.items():
            row = int(rows.starts[seg])
            out[int(rows.flows.kind[row]), int(rows.flows.entity[row]), names[family], pane_s] = place
        return out


def _joined(f: Finding, found: Finding | None, places: dict[tuple[int, int, str, int], Place]) -> Finding:
    campaign = places.get((f.kind, f.entity, f.family, f.at_s), f.campaign)
    if found is not None and found.pane_s < f.pane_s <= found.last_ms // 1000 + QUIET_MS // 1000:
        ms, after = found.crossed_ms, found.crossed_after
        return replace(f, campaign=campaign, pane_s=found.pane_s, crossed_ms=ms, crossed_after=after)
    return replace(f, campaign=campaign) if campaign != f.campaign else f


def follow(groups: Groups, judged: Judged, c: Columns, model: Model) -> Followed:
    """Take a run into the groups (mutated)."""
    heard = [s for s in judged.series if s.family.groups and float(model.h[:, s.family.index].min()) < NEVER]
    out = Followed()
    if not heard:
        return out
    course = _Course(groups, judged, c, model)
    panes = [judged.rows.flows.pane_s[s.at] for s in heard]
    marked = np.unique(np.concatenate([p[s.distinct > 0] for s, p in zip(heard, panes, strict=True)]))
    orders = [np.argsort(p, kind="stable") for p in panes]
    ends_s = [*(marked + 1).tolist(), 1 << 60]
    edges = [np.searchsorted(p[o], [0, *ends_s]) for p, o in zip(panes, orders, strict=True)]
    out.teaches.update({s.family.index: np.ones(len(s.at), np.bool_) for s in heard})
    for number, end_s in enumerate(ends_s):
        parts = [Part(s, np.sort(o[e[number] : e[number + 1]])) for s, o, e in zip(heard, orders, edges, strict=True)]
        course.go(parts, end_s, out)
    return out


class _Course:
    """Where a run stands after some of its stretches."""

    def __init__(self, groups: Groups, judged: Judged, c: Columns, model: Model) -> None:
        self._groups, self._judged, self._c, self._model = groups, judged, c, model
        self._members = Members(judged, c)
        slots = judged.slots
        self._known = c.established[slots] & ~c.alarmed[slots]
        self._last_ms: dict[int, I64] = {}
        for series in judged.series:
            i = series.family.index
            t, at = c.tracks, c.at[slots, i]
            self._last_ms[i] = np.where(t.episode[at] & t.alone[at], t.last_mark_ms[at], NOT_YET_MS)
        self._events = sorted(
            (event.pane_s, crossing.seg, crossing.family.index, event.track.last_mark_ms)
            for crossing in judged.crossings
            for event in crossing.events
        )
        self._next = 0

    def go(self, parts: list[Part], end_s: int, out: Followed) -> None:
        """One stretch, that ends before `end_s`."""
        before = self._known.copy()
        alone = self._crossed(end_s)
        alarms: list[Alarm] = []
        for part in (part for part in parts if len(part.rows)):
            i, at = part.series.family.index, part.series.at[part.rows]
            seg = self._judged.rows.seg[at]
            explained = self._judged.rows.t_ms[at] - self._last_ms[i][seg] <= QUIET_MS
            known = before[seg] | self._judged.accounts.past[at]
            alarms += self._groups.take(self._judged, part, (known, explained), self._model)
            out.teaches[i][part.rows] = self._groups.teach(self._judged, part)
        for pane_s, who, family, _ in alone:
            place = self._groups.campaign_of(family, int(self._judged.rows.owner[who]))
            if place is not None:
                out.campaigns[who, family, pane_s] = place
        found = self._members.found(parts, alarms, {(who, family) for _, who, family, _ in alone}, end_s)
        for _, who, track, finding in found:
            self._known[who] = False
            out.members.append((who, track, finding))
        out.told.extend(told(alarm) for alarm in alarms)

    def _crossed(self, end_s: int) -> list[tuple[int, int, int, int]]:
        """Owners whose own evidence sufficed in the stretch: pane, segment, family, last mark."""
        begin = self._next
        while self._next < len(self._events) and self._events[self._next][0] < end_s:
            _, seg, family, last_ms = self._events[self._next]
            self._last_ms[family][seg] = last_ms
            self._known[seg] = False
            self._next += 1
        return self._events[begin : self._next]
