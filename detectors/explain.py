"""Findings in plain words and numbers: what was seen, what is usual, what it was held against."""

from __future__ import annotations

from math import ceil, exp, log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import browsers, credential, doors, doubt, fleet, senders, waits, walks
from detectors import families as fam
from detectors.artifact import Model
from detectors.columns import IP, KEY, OK, Fact, Finding, Share
from detectors.cusum import Event, Track
from detectors.entities import YOUNG_MS, Columns, had_past
from detectors.families import HOUR_S, Each, New
from detectors.judge import Crossing, Judged
from detectors.series import Series

Index = NDArray[np.intp]
EXAMPLES_MAX: Final = 5
ODDS: Final = log(10)  # ten to one that somebody belongs to what is in alarm
NEARLY_ALL: Final = 0.9999
Z_9999: Final = 3.72  # standard deviations
EXACT_MAX: Final = 200.0  # marks expected; of more, the normal distribution's
_WRONG: Final = (
    Fact("credential", 1.0, None, "all of it was refused with one and the same key: set up wrongly, or expired"),
)
_USUAL: Final = (
    Fact(
        "again", 1.0, None, "a key with a history, refused where it has asked before: it tries again what does not work"
    ),
)
_FLEET: Final = "its addresses are refused {:.1f} times each in a second: many that come at once, and none that runs on"
_SHOWN: Final = {
    Each.CREDENTIAL: "user",
    New.USER: "user",
    New.IP: "ip",
    New.ASN: "ip",
    New.PLACE: "ip",
    New.HOME: "ip",
}


def score(s: float, h: float) -> float:
    """Evidence as 0..1, higher is worse: .5 at the threshold, .82 four nats above it, .96 at the cap."""
    return 1 - 0.5 * exp(-(s - h) / 4) if s >= h else 0.5 * s / h


def odds_fact(odds: float) -> Fact:
    """Log odds, in nats, that somebody belongs to those in alarm, against `ODDS`."""
    return Fact("odds", odds, ODDS, f"log odds {odds:.1f} that it belongs to them; {ODDS:.1f} is ten to one")


def few(nth: NDArray[np.int64], first: int) -> NDArray[np.bool_]:
    """Of so many alike, counted from one, who is told of: the `first`, then one whenever they have doubled."""
    return np.asarray((nth <= first) | (nth & (nth - 1) == 0))


def findings(judged: Judged, c: Columns, model: Model) -> list[Finding]:
    """All that a run gives to tell, in the order of panes; then owners and families."""
    out = [_finding(judged, crossing, event, c, model) for crossing in judged.crossings for event in crossing.events]
    return sorted(out, key=lambda f: (f.at_s, f.crossed_ms, f.kind, f.entity, f.family))


def _finding(judged: Judged, crossing: Crossing, event: Event, c: Columns, model: Model) -> Finding:
    rows, family, track = judged.rows, crossing.family, event.track
    slot = int(judged.slots[crossing.seg])
    kind = int(rows.flows.kind[event.index])
    h = float(model.h[kind, family.index])
    series = next(s for s in judged.series if s.family is family)
    at, of_pane = _rows_of(series, judged, crossing.seg, event)
    established = bool(c.established[slot]) and not bool(c.alarmed[slot])
    examples = getattr(rows.flows, _SHOWN.get(family.mark.new or family.each, "path"))
    route = _route(rows.flows.route[at], rows.flows.n[at])
    so_far = rows.flows.take(slice(int(rows.starts[crossing.seg]), event.index + 1))
    wrong = kind == IP and credential.spares(family, c.credential[slot], so_far)
    many = fleet.is_fleet(family, kind, track)
    past = had_past(c, slot, track.crossed_pane_s)
    known = established or wrong or past
    usual = kind == KEY and past and _where_it_always_goes(family, judged, at)
    shut = bool(series.shut[of_pane[-1]])
    seen = doubt.beside(c, slot, rows, judged.company, event.index)
    asked = doubt.speaks(family, track, seen, at, rows, judged.company) if kind == IP else ()
    alone = _alone(family, track, seen, rows.flows.tags[at], known=known) if kind == IP else ()
    why = spared(judged, family, at, track) or _at_work(judged, crossing, event, at, c) or alone
    why = why or (doubt.unfelt(track) if wrong else ())
    return Finding(
        kind=kind,
        entity=int(rows.flows.entity[event.index]),
        family=family.name,
        version=family.version,
        pane_s=track.crossed_pane_s,
        at_s=event.pane_s,
        crossed_ms=track.crossed_ms,
        crossed_after=track.crossed_after,
        first_ms=track.first_ms,
        last_ms=int(rows.flows.last_ms[at].max()),
        score=score(track.s, h),
        answer="notice" if many or usual or why else _answer(family, kind, known=known, spared=shut or bool(asked)),
        severity=family.severity,
        route=route if family.on_route else 0,
        facts=_facts(family, event, float(series.p0[of_pane[-1]]), h, kind=kind, established=established)
        + _control(family, float(series.control[of_pane[-1]]))
        + (_WRONG if wrong else ())
        + (_many(track) if many else ())
        + (_USUAL if usual else ())
        + (why or (doors.SHUT if shut else asked)),
        contributions=_contributions(judged, crossing, event, model, kind),
        examples=tuple(int(e) for e in np.unique(examples[at]) if e)[:EXAMPLES_MAX],
        behaviour=family.words.behaviour,
        ids=family.ids,
        avoid=family.words.avoid,
        browser=browsers.mostly(rows.flows.tags[at]),
    )


def _alone(
    family: fam.Family, track: Track, seen: doubt.Beside, tags: NDArray[np.uint64], *, known: bool
) -> tuple[Fact, ...]:
    """Why people are told of an address that is found by itself, and nobody is answered; empty for nothing."""
    told = doubt.slow(family, track) or doubt.ended(family, track, seen)
    told = told or doubt.for_others(family, track, seen, tags, alone=True)
    return told or (() if known else doubt.follows(family, seen))


def spared(judged: Judged, family: fam.Family, at: Index, track: Track) -> tuple[Fact, ...]:
    """Why people are told of marks, of which rows `at` are the last, and nobody is answered; empty for nothing."""
    if family.each is Each.CREDENTIAL:
        return waits.speaks(judged.waiting, judged.sight.waits, int(at[-1]), track.marks)
    return senders.speaks(family, judged.senders, at, track)


def _at_work(judged: Judged, crossing: Crossing, event: Event, at: Index, c: Columns) -> tuple[Fact, ...]:
    """Why a walk at an address is that of many who work there, empty where it is not."""
    desk = judged.desks.get(crossing.seg)
    if desk is None:
        return ()
    rows, came, slot = judged.rows, judged.company.came, int(judged.slots[crossing.seg])
    past = bool(c.established[slot]) and event.track.crossed_ms - int(c.born_ms[slot]) > YOUNG_MS
    signed_in = walks.accounts(desk, rows, came, crossing.seg, event.index)
    return walks.speaks(crossing.family, at, event.track, rows, signed_in, past=past)


def _answer(family: fam.Family, kind: int, *, known: bool, spared: bool) -> str:
    """What to ask for; `known`: it had a past when it crossed; `spared`: something speaks against a denial."""
    asked = family.answer(kind, established=known)
    return "challenge" if spared and asked == "deny" else asked


def _where_it_always_goes(family: fam.Family, judged: Judged, at: Index) -> bool:
    """Whether marked rows `at` are refusals of what the owner had asked for before: a retry, and no search."""
    refusal = family.each is Each.REQUEST and family.mark.new is None and OK not in family.mark.outcomes
    return refusal and not judged.sight.new_path[at].any()


def _rows_of(series: Series, judged: Judged, seg: int, event: Event) -> tuple[Index, Index]:
    """Marked rows of the owner in the event's pane: their places in the run, and in the series."""
    begin, end = np.searchsorted(series.at, judged.rows.places(seg)).tolist()
    here = judged.rows.flows.pane_s[series.at[begin:end]] == event.pane_s
    marked = begin + np.flatnonzero(here & (series.marks[begin:end] > 0))
    return series.at[marked], marked


def _route(route: NDArray[np.uint64], n: NDArray[np.int64]) -> int:
    """The one route all marks are on, 0 when there are several."""
    return int(route[0]) if len(route) and (route == route[0]).all() and n.sum() else 0


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.02 else f"{100 * share:.1f} %"


def span(first_ms: int, last_ms: int) -> str:
    """A time as people say it."""
    seconds = max(1, round((last_ms - first_ms) / 1000))
    if seconds < 120:
        return f"{seconds} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def percentile(n: int, p: float) -> int:
    """The 99.99th percentile of how many of `n` opportunities are marked, each with chance `p`."""
    p = min(p, 0.999)
    if n * p > EXACT_MAX:
        return min(n, ceil(n * p + Z_9999 * sqrt(n * p * (1 - p))))
    k, one = 0, (1 - p) ** n
    total = one
    while total < NEARLY_ALL and k < n:
        one *= (n - k) / (k + 1) * p / (1 - p)
        k += 1
        total += one
    return k


def _facts(family: fam.Family, event: Event, p0: float, h: float, *, kind: int, established: bool) -> tuple[Fact, ...]:
    track, words = event.track, family.words
    seconds = max(1.0, (track.last_mark_ms - track.first_ms) / 1000)
    what, usual, share = track.marks, p0, track.marks / max(track.tries, 1)
    again = what - track.distinct
    repeating = bool(words.repeated) and 2 * track.distinct < what  # then that is the evidence: say what is usual of it
    if repeating:
        usual, share = fam.REPEAT_P0, again / what
    said = (words.repeated if repeating else words.sentence).format(
        marks=what,
        tries=track.tries,
        span=span(track.first_ms, track.last_mark_ms),
        usual=f"{usual * HOUR_S:,.0f}" if family.rate else _percent(usual),
        whom=f" against {track.distinct} accounts" if track.distinct < what else "",
        again=again,
    )
    facts = [Fact("marks", float(what), None, said)]
    if family.rate:
        rate = what / seconds
        each, unit = (rate, "a second") if family.burst_s < HOUR_S else (rate * HOUR_S, "an hour")
        most = p0 if family.burst_s < HOUR_S else p0 * HOUR_S
        facts.append(Fact("rate", each, most, f"{each:.1f} {unit}; good clients' bursts stay below {most:.1f}"))
    else:
        most = percentile(what if repeating else track.tries, usual)
        told = f"{_percent(share)} of its opportunities, up to {_percent(usual)} is usual: "
        told += f"the 99.99th percentile of good clients with as many is {most:,} at most"
        facts.append(Fact("marked_share", share, usual, told))
    facts.append(evidence(track.s, h))
    if family.shadow:
        wanted = family.wanted(kind, established=established)
        facts.append(Fact("shadow", 0.0, None, f"in shadow: it would have asked for {wanted}"))
    return tuple(facts)


def _control(family: fam.Family, bound: float) -> tuple[Fact, ...]:
    if not family.control:
        return ()
    what = f"established clients on this route, just then: up to {_percent(bound)}"
    return (Fact("control", bound, None, what if bound else "no established client on this route just then"),)


def _many(track: Track) -> tuple[Fact, ...]:
    each = track.marks / track.distinct
    return (Fact("each_address", each, fleet.EACH_MAX, _FLEET.format(each)),)


def evidence(s: float, h: float) -> Fact:
    """Evidence as it stands; after the crossing it may fall below the threshold `h` again, and the alert goes on."""
    if round(s, 1) >= round(h, 1):
        return Fact("evidence", s, h, f"evidence {s:.1f} nats against a threshold of {h:.1f}")
    return Fact("evidence", s, h, f"evidence went past its threshold of {h:.1f} nats, {s:.1f} now")


def _contributions(judged: Judged, crossing: Crossing, event: Event, model: Model, kind: int) -> tuple[Share, ...]:
    """Evidence standing in each family when the pane ended, and its share of the sum; of those that alarm alone."""
    values: list[tuple[fam.Family, float]] = [(crossing.family, event.track.s)]
    first, _ = judged.rows.places(crossing.seg)
    for series in judged.series:
        if series.family is crossing.family or not series.family.alone:
            continue
        begin, end = np.searchsorted(series.at, [first, event.index + 1]).tolist()
        if begin < end:
            limit = float(model.h[kind, series.family.index]) + fam.OVER
            values.append((series.family, min(float(series.s[end - 1]), limit)))
    ordered = sorted(((f, v) for f, v in values if v > 0.01), key=lambda fv: -fv[1])
    total = sum(v for _, v in ordered)
    return tuple(
        Share(f.name, v, v / total, _share(f.name, v, total, float(model.h[kind, f.index]))) for f, v in ordered
    )


def _share(name: str, v: float, total: float, h: float) -> str:
    return f"{name}: {v:.1f} of the {h:.1f} nats that suffice, {v / total:.0%} of all evidence"
