"""From a group in alarm to its members: who of them is part of it, on evidence of his own, and what people are told."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Final

import numpy as np

from detectors import browsers, cusum, doors, doubt
from detectors.columns import ASN, IP, NETWORK, ROUTE, TENANT, Fact, Finding, Share
from detectors.cusum import Leak, Track
from detectors.entities import Columns
from detectors.explain import evidence, score, span, spared
from detectors.families import QUIET_MS
from detectors.group_rows import Part, value_of
from detectors.group_state import HISTORY_MIN, Alarm, Cause
from detectors.groups import MEMBERS_MAX, H
from detectors.judge import Judged, steps, track_of
from detectors.series import Series

_MEANS: Final = {
    Cause.ATTACK: "they fare well, so it is an attack: a crowd of good newcomers would have the usual share, and a "
    "fault of yours or an expired token would strike who was good here before",
    Cause.FAULT: "they fail as well, whatever they come with, so it is a fault or a release of yours: nobody is found "
    "part of it",
    Cause.CLIENT: "they fail as well, and nearly all with one user agent: an expired token or a bad update of that "
    "client, so nobody is found part of it",
    Cause.UNSURE: "too few to tell it from a fault of yours: whoever is found part of it is challenged at most",
}
_WORDS: Final = {ROUTE: "route", TENANT: "tenant", ASN: "autonomous system", NETWORK: "network"}
ENOUGH: Final = 6.9  # log odds of a thousand to one
ENOUGH_FOR_ONE: Final = 3.9  # of fifty to one: what a newcomer's single mark may be challenged for
PI_FOR_ONE: Final = 0.9
PI_MIN: Final = 0.5  # of a group's marks beyond what is usual, before anybody is part of it
ESTABLISHED_MIN: Final = 20
MARKS_MIN: Final = 2  # of his own: denying on one mark hit good clients
OWN_MIN: Final = 2.0  # nats of his own: where many sign in, successes take failures back, and two failures are nothing
BAD_SHARE: Final = 0.8  # of a network's clients, before it is answered as one
_NEVER: Final = 1e9


def told(alarm: Alarm) -> Finding:
    """What people are told of a group. Nobody is answered for it but a network that is bad throughout."""
    kind, value = alarm.place
    word = _WORDS[kind]
    share, lasted = alarm.marks / max(1, alarm.marks + alarm.plain), span(alarm.first_ms, alarm.last_ms)
    many = f"{alarm.members}{' or more' if alarm.members >= MEMBERS_MAX else ''}"
    what = (
        f"{alarm.marks} marks of {alarm.family.name} in {lasted} by {many} clients, {100 * share:.0f} % of the {word}'s"
        f" traffic of that kind; up to {100 * alarm.p0:.0f} % is usual. None of them need stand out by himself"
    )
    marks, plain = alarm.known
    control = f"established clients on the {word} meanwhile: {marks} of {marks + plain}; {_MEANS[alarm.cause]}"
    facts = (
        Fact("marks", float(alarm.marks), None, what),
        Fact("marked_share", share, alarm.p0, f"{100 * alarm.pi:.0f} % of the marks are beyond what is usual"),
        Fact("control", alarm.control, None, control),
        Fact("members", float(alarm.members), None, f"{many} clients marked since {lasted} ago{_of(alarm)}"),
        evidence(alarm.evidence, H),
    )
    return Finding(
        kind=kind,
        entity=value,
        family=alarm.family.name,
        version=alarm.family.version,
        pane_s=alarm.crossed_pane_s,
        at_s=alarm.pane_s,
        crossed_ms=alarm.crossed_ms,
        crossed_after=0,
        first_ms=alarm.first_ms,
        last_ms=alarm.last_ms,
        score=score(min(alarm.evidence, H + 10), H) if alarm.evidence >= H else 0.5,
        answer=_escalated(alarm),
        severity="info" if alarm.cause.spares else alarm.family.severity,
        route=value if kind == ROUTE else 0,
        facts=facts,
        contributions=(Share(alarm.family.name, alarm.evidence, 1.0, f"{alarm.evidence:.1f} of {H:.1f} nats"),),
        examples=alarm.examples,
        behaviour=alarm.family.words.behaviour,
        ids=alarm.family.ids,
        avoid=alarm.family.words.avoid,
        campaign=(0, 0) if alarm.cause.spares else alarm.leader,
    )


def _of(alarm: Alarm) -> str:
    return f", of {alarm.seen} that came from there" if alarm.place[0] == NETWORK else ""


def _escalated(alarm: Alarm) -> str:
    """What is asked for of a network: a challenge where nearly all of it is bad and nobody known; of others nothing.

    A play must say so before anything is done: plays are for clients unless they name networks.
    """
    bad = alarm.place[0] == NETWORK and alarm.members >= BAD_SHARE * alarm.seen
    return "challenge" if bad and not alarm.cause.spares and not sum(alarm.known) else "notice"


class Members:
    """Who of a run is part of groups in alarm, found stretch by stretch.

    As long as hardly anybody is established nobody is found part of anything: an attack could not be told from a
    failed deploy.
    """

    def __init__(self, judged: Judged, c: Columns) -> None:
        self._judged, self._c = judged, c
        self._enough = int(c.established.sum()) >= ESTABLISHED_MIN
        self._tracks: dict[tuple[int, int], tuple[int, Track, Track]] = {}  # next row, evidence, what it stands at

    def found(
        self, parts: list[Part], alarms: list[Alarm], alone: set[tuple[int, int]], end_s: int
    ) -> list[tuple[int, int, Track, Finding]]:
        """Family, segment, standing and finding of those found before `end_s`.

        Who crossed `alone` (segment, family) is left out.
        """
        out = []
        for part in parts if alarms and self._enough else ():
            family = part.series.family.index
            at = {(*a.place, a.pane_s): a for a in alarms if a.family.index == family}
            concerned = _concerned(self._judged, part, at) if at else {}
            seg = self._judged.rows.seg[part.series.at]
            for one in sorted({int(seg[number]) for number in concerned} - {s for s, f in alone if f == family}):
                out += self._of_one(part.series, one, concerned, end_s)
        return sorted(out, key=lambda one: (one[3].at_s, one[3].kind, one[3].entity))

    def _of_one(
        self, series: Series, one: int, concerned: dict[int, Alarm], end_s: int
    ) -> list[tuple[int, int, Track, Finding]]:
        judged, c, family = self._judged, self._c, series.family.index
        rows = judged.rows
        begin, end = np.searchsorted(series.at, rows.places(one)).tolist()
        fresh = track_of(c, int(judged.slots[one]), family)
        begin, track, stood = self._tracks.get((one, family), (begin, fresh, replace(fresh)))
        end = begin + int(np.searchsorted(rows.flows.pane_s[series.at[begin:end]], end_s))
        found: dict[int, Finding] = {}
        for number, row in enumerate(steps(series, slice(begin, end), rows, judged.sight), start=begin):
            episode = stood.episode and row.t_ms - stood.last_mark_ms <= QUIET_MS
            cusum.walk(track, [row], _NEVER, Leak())
            alarm = concerned.get(number)
            newcomer = not (c.established[judged.slots[one]] or judged.accounts.past[row.index])
            by_one = newcomer and not judged.waiting[row.index]  # by the next one it is seen whether it is a poll
            if alarm is None or not is_part(alarm, track, row.before, newcomer=newcomer, by_one=by_one):
                continue
            if not episode:
                stood.crossed_pane_s, stood.crossed_ms, stood.crossed_after = row.pane_s, row.t_ms, row.before
            stood.episode, stood.last_mark_ms = True, row.t_ms
            route = int(rows.flows.route[row.index]) if series.family.on_route else 0
            why = spared(judged, series.family, series.at[[number]], track) or self._for_others(series, number, track)
            asked = why or self._asked(series, number, track)
            told_of = _finding(judged, one, alarm, (replace(track), stood), c, (odds(alarm, newcomer=newcomer), asked))
            browser = browsers.mostly(rows.flows.tags[[row.index]])
            answer = "notice" if why else told_of.answer
            found[row.pane_s] = replace(told_of, route=route, answer=answer, browser=browser)
        self._tracks[one, family] = end, track, stood
        return [(family, one, replace(stood), finding) for finding in found.values()]

    def _asked(self, series: Series, number: int, track: Track) -> tuple[Fact, ...]:
        """Why whoever made a mark is not denied for it, empty where nothing speaks against it."""
        judged, at = self._judged, series.at[[number]]
        if series.shut[number]:
            return doors.SHUT
        if judged.rows.flows.kind[at[0]] != IP:
            return ()
        return doubt.speaks(series.family, track, self._beside(int(at[0])), at, judged.rows, judged.company)

    def _for_others(self, series: Series, number: int, track: Track) -> tuple[Fact, ...]:
        """Why a mark of a program that asks for people is only told of, empty where nothing speaks for it."""
        f, at = self._judged.rows.flows, int(series.at[number])
        if f.kind[at] != IP:
            return ()
        return doubt.for_others(series.family, track, self._beside(at), f.tags[[at]], alone=False)

    def _beside(self, row: int) -> doubt.Beside:
        judged = self._judged
        return doubt.beside(self._c, int(judged.slots[judged.rows.seg[row]]), judged.rows, judged.company, row)


def _concerned(judged: Judged, part: Part, at: dict[tuple[int, int, int], Alarm]) -> dict[int, Alarm]:
    """By place of a marked row in the series the alarm of its groups that says most; none where one spares it."""
    series = part.series
    marked = part.rows[series.distinct[part.rows] > 0]
    pane_s = judged.rows.flows.pane_s[series.at[marked]].tolist()
    out: dict[int, Alarm] = {}
    spared: set[int] = set()
    for kind in sorted({kind for kind, _, _ in at}):
        values = value_of(judged, kind)[series.at[marked]].tolist()
        for number, value, pane in zip(marked.tolist(), values, pane_s, strict=True):
            alarm = at.get((kind, value, pane))
            if alarm is None:
                continue
            if alarm.cause.spares:
                spared.add(number)
            elif number not in out or _says(alarm) > _says(out[number]):
                out[number] = alarm
    return {number: alarm for number, alarm in out.items() if number not in spared}


def _says(alarm: Alarm) -> tuple[bool, float]:
    return alarm.cause is Cause.ATTACK, alarm.pi


def odds(alarm: Alarm, *, newcomer: bool) -> float:
    """Log odds that a mark in the group belongs to what it is in alarm for, by who made it."""
    pi = alarm.pi if newcomer else alarm.pi_known
    return log(pi / (1 - pi))


def is_part(alarm: Alarm, track: Track, before: int, *, newcomer: bool, by_one: bool) -> bool:
    """Whether evidence of his own suffices; `before`: his requests until now.

    One mark, where that may do (`by_one`), must come as the others' do. Where most of the group's marks are usual by
    now, as the control group has them too, nobody is: what he did before that was known does not count against him.
    """
    if alarm.pi < PI_MIN:
        return False
    total = odds(alarm, newcomer=newcomer) + track.s
    if track.distinct >= MARKS_MIN and total >= ENOUGH:
        return True
    sure = alarm.cause is Cause.ATTACK or alarm.history >= HISTORY_MIN
    if not (sure and by_one and alarm.pi >= PI_FOR_ONE and track.distinct >= 1):
        return False
    return total + alarm.is_like(before) >= ENOUGH_FOR_ONE


def _answer(alarm: Alarm, wanted: str, track: Track, total: float, *, spared: bool) -> str:
    """What is asked for. Who may be the victim of a fault, or has next to nothing of his own, is not denied."""
    own = track.distinct >= MARKS_MIN and track.s >= OWN_MIN
    sure = alarm.cause is Cause.ATTACK and own and total >= ENOUGH and not spared
    return "challenge" if wanted == "deny" and not sure else wanted


def _finding(
    judged: Judged,
    seg: int,
    alarm: Alarm,
    both: tuple[Track, Track],
    c: Columns,
    of: tuple[float, tuple[Fact, ...]],
) -> Finding:
    (track, stood), (own, asked) = both, of
    rows, slot, family = judged.rows, int(judged.slots[seg]), alarm.family
    begin = int(rows.starts[seg])
    kind, established = int(rows.flows.kind[begin]), bool(c.established[slot]) and not bool(c.alarmed[slot])
    total = own + track.s
    group = (
        f"part of what {alarm.members} clients do on its {_WORDS[alarm.place[0]]}: {100 * alarm.pi:.0f} % of the "
        f"{alarm.marks} marks there since {span(alarm.first_ms, alarm.last_ms)} ago are beyond what is usual"
    )
    facts = (
        Fact("marks", float(track.distinct), None, f"{track.distinct} marks of {family.name} of its own, {group}"),
        Fact(
            "odds", total, ENOUGH, f"log odds {total:.1f} that it belongs to the attack; {ENOUGH} is a thousand to one"
        ),
    )
    shares = (
        Share("group", own, own / total, f"the group: {own:.1f} nats"),
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
        answer=_answer(alarm, family.answer(kind, established=established), track, total, spared=bool(asked)),
        severity=family.severity,
        route=0,
        facts=facts + asked,
        contributions=shares if own > 0 else shares[1:],
        behaviour=family.words.behaviour,
        ids=family.ids,
        avoid=family.words.avoid,
        campaign=alarm.leader,
    )
