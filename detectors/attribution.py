"""From a group in alarm to its members: who of them is part of it, on evidence of his own, and what people are told."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Final

import numpy as np

from detectors import cusum
from detectors.columns import ROUTE, Fact, Finding, Share
from detectors.cusum import Leak, Track
from detectors.entities import Columns
from detectors.explain import score, span
from detectors.families import QUIET_MS
from detectors.groups import Alarm, Cause, H
from detectors.judge import Judged, steps, track_of
from detectors.series import Series

_MEANS: Final = {
    Cause.ATTACK: "they fare well, so it is an attack: a crowd of good newcomers would have the usual share",
    Cause.FAULT: "they fail as well, so it is a fault or a release of yours: nobody is found part of it",
    Cause.UNSURE: "too few to tell it from a fault of yours: whoever is found part of it is challenged at most",
}
ENOUGH: Final = 6.9  # log odds of a thousand to one
ESTABLISHED_MIN: Final = 20
MARKS_MIN: Final = 2  # of his own: denying on one mark hit good clients
_NEVER: Final = 1e9


def told(alarm: Alarm) -> Finding:
    """What people are told of a group. Nobody is answered for it."""
    share, lasted = alarm.marks / max(1, alarm.marks + alarm.plain), span(alarm.first_ms, alarm.last_ms)
    many = f"{alarm.members}{' or more' if alarm.members >= 256 else ''}"
    what = (
        f"{alarm.marks} marks of {alarm.family.name} in {lasted} by {many} clients, {100 * share:.0f} % of the route's "
        f"traffic of that kind; up to {100 * alarm.p0:.0f} % is usual. None of them need stand out by himself"
    )
    marks, plain = alarm.known
    control = f"established clients on the route meanwhile: {marks} of {marks + plain}; {_MEANS[alarm.cause]}"
    facts = (
        Fact("marks", float(alarm.marks), None, what),
        Fact("marked_share", share, alarm.p0, f"{100 * alarm.pi:.0f} % of the marks are beyond what is usual"),
        Fact("control", alarm.control, None, control),
        Fact("members", float(alarm.members), None, f"{many} clients marked since {lasted} ago"),
        Fact("evidence", alarm.evidence, H, f"evidence {alarm.evidence:.1f} nats against a threshold of {H:.1f}"),
    )
    return Finding(
        kind=ROUTE,
        entity=alarm.route,
        family=alarm.family.name,
        version=alarm.family.version,
        pane_s=alarm.crossed_pane_s,
        at_s=alarm.pane_s,
        crossed_ms=alarm.crossed_ms,
        crossed_after=0,
        first_ms=alarm.first_ms,
        last_ms=alarm.last_ms,
        score=score(min(alarm.evidence, H + 10), H) if alarm.evidence >= H else 0.5,
        answer="notice",
        severity="info" if alarm.cause is Cause.FAULT else alarm.family.severity,
        route=alarm.route,
        facts=facts,
        contributions=(Share(alarm.family.name, alarm.evidence, 1.0, f"{alarm.evidence:.1f} of {H:.1f} nats"),),
        behaviour=alarm.family.words.behaviour,
        ids=alarm.family.ids,
        avoid=alarm.family.words.avoid,
    )


def members(judged: Judged, alarms: list[Alarm], c: Columns) -> list[tuple[int, Track, Finding]]:
    """Who is part of groups in alarm: segment, standing as the run leaves it, finding; in the order of panes.

    Whoever crossed by himself is left out. As long as hardly anybody is established nobody is found part of anything:
    an attack could not be told from a failed deploy.
    """
    out: list[tuple[int, Track, Finding]] = []
    if int(c.established.sum()) < ESTABLISHED_MIN:
        return out
    by_family = {alarm.family.index: alarm.family for alarm in alarms}
    for series in judged.series:
        if series.family.index in by_family:
            at = {(a.route, a.pane_s): a for a in alarms if a.family.index == series.family.index}
            out += _of_family(judged, series, at, c)
    return sorted(out, key=lambda one: (one[2].at_s, one[2].kind, one[2].entity))


def _of_family(
    judged: Judged, series: Series, at: dict[tuple[int, int], Alarm], c: Columns
) -> list[tuple[int, Track, Finding]]:
    f, seg = judged.rows.flows, judged.rows.seg[series.at]
    routes = np.array(sorted({route for route, _ in at}), np.uint64)
    marked = (series.distinct > 0) & np.isin(f.route[series.at], routes)
    alone = {crossing.seg for crossing in judged.crossings if crossing.family is series.family and crossing.events}
    out = []
    for one in np.unique(seg[marked]).tolist():
        if one in alone:
            continue
        begin, end = np.searchsorted(seg, [one, one + 1]).tolist()
        track = track_of(c, int(judged.slots[one]), series.family.index)
        stood = replace(track)
        found: dict[int, Finding] = {}
        for row in steps(series, slice(begin, end), judged.rows, judged.sight):
            episode = stood.episode and row.t_ms - stood.last_mark_ms <= QUIET_MS
            cusum.walk(track, [row], _NEVER, Leak())
            alarm = at.get((int(f.route[row.index]), row.pane_s))
            if alarm is None or alarm.cause is Cause.FAULT or not row.distinct or track.distinct < MARKS_MIN:
                continue
            odds = log(alarm.pi / (1 - alarm.pi))
            if odds + track.s < ENOUGH:
                continue
            if not episode:
                stood.crossed_pane_s, stood.crossed_ms, stood.crossed_after = row.pane_s, row.t_ms, row.before
            stood.episode, stood.last_mark_ms = True, row.t_ms
            found[row.pane_s] = _finding(judged, one, (alarm, odds), (replace(track), stood), c)
        out += [(one, stood, finding) for finding in found.values()]
    return out


def _answer(alarm: Alarm, wanted: str) -> str:
    """What is asked for; who may be the victim of a fault is not denied."""
    return "challenge" if wanted == "deny" and alarm.cause is not Cause.ATTACK else wanted


def _finding(judged: Judged, seg: int, of: tuple[Alarm, float], both: tuple[Track, Track], c: Columns) -> Finding:
    (alarm, odds), (track, stood) = of, both
    rows, slot, family = judged.rows, int(judged.slots[seg]), alarm.family
    begin = int(rows.starts[seg])
    kind, established = int(rows.flows.kind[begin]), bool(c.established[slot]) and not bool(c.alarmed[slot])
    total = odds + track.s
    group = (
        f"part of what {alarm.members} clients do on the route: {100 * alarm.pi:.0f} % of its {alarm.marks} marks "
        f"since {span(alarm.first_ms, alarm.last_ms)} ago are beyond what is usual"
    )
    facts = (
        Fact("marks", float(track.distinct), None, f"{track.distinct} marks of {family.name} of its own, {group}"),
        Fact(
            "odds", total, ENOUGH, f"log odds {total:.1f} that it belongs to the attack; {ENOUGH} is a thousand to one"
        ),
    )
    shares = (
        Share("group", odds, odds / total, f"the group: {odds:.1f} nats"),
        Share(family.name, track.s, track.s / total, f"{family.name}: {track.s:.1f} nats of its own"),
    )
    return Finding(
        kind=kind,
        entity=int(rows.flows.entity[begin]),
        family=family.name,
        version=family.version,
        pane_s=stood.crossed_pane_s,
        at_s=stood.last_mark_ms // 1000,
        crossed_ms=stood.crossed_ms,
        crossed_after=stood.crossed_after,
        first_ms=track.first_ms,
        last_ms=stood.last_mark_ms,
        score=score(total, ENOUGH),
        answer=_answer(alarm, family.answer(kind, established=established)),
        severity=family.severity,
        route=alarm.route if family.on_route else 0,
        facts=facts,
        contributions=shares if odds > 0 else shares[1:],
        behaviour=family.words.behaviour,
        ids=family.ids,
        avoid=family.words.avoid,
    )
