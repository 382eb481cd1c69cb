"""What people are told of drift: which families, by how much, of whom, since when. Nobody is answered for it."""

from __future__ import annotations

from typing import Final

from detectors.artifact import Model
from detectors.columns import EVERYBODY, GLOBAL, IP, KEY, USER, Fact, Finding, Share
from detectors.drift import Drift
from detectors.entities import Entities
from detectors.explain import score, span
from detectors.families import HOUR_S
from detectors.groups import Groups

WHO: Final = {IP: "addresses", KEY: "keys", USER: "accounts"}
AVOID: Final = "`floodwarden calibrate` with a day in which nobody bad was, or `train` anew"


def found(drift: Drift, entities: Entities, groups: Groups, model: Model, now_s: int) -> list[Finding]:
    """The hour ends at `now_s`: the finding where families were found to drift that were not told today (mutates)."""
    since_ms = (now_s - HOUR_S) * 1000
    alarmed = any(group.alarmed and group.last_mark_ms >= since_ms for group in groups.held.values())
    cells = drift.take(entities, model, now_s, group_alarmed=alarmed)
    return [_finding(drift, model, cells, now_s)] if cells else []


def _finding(drift: Drift, model: Model, cells: list[tuple[int, int]], now_s: int) -> Finding:
    by_much = sorted(cells, key=lambda cell: (-_times(drift, model, cell), cell))
    times = [_times(drift, model, cell) for cell in by_much]
    facts = tuple(_fact(drift, model, cell) for cell in by_much)
    since_s = min(int(drift.since_s[cell]) for cell in cells)
    return Finding(
        kind=GLOBAL,
        entity=EVERYBODY,
        family="drift",
        version=1,
        pane_s=now_s - 1,
        at_s=now_s - 1,
        crossed_ms=now_s * 1000 - 1,
        crossed_after=0,
        first_ms=since_s * 1000,
        last_ms=now_s * 1000 - 1,
        score=score(times[0], 1.0),
        answer="notice",
        severity="info",
        route=0,
        facts=facts,
        contributions=tuple(
            Share(model.families[cell[1]].name, much, much / sum(times), f"{model.families[cell[1]].name}: {much:.2f}")
            for cell, much in zip(by_much, times, strict=True)
        ),
        avoid=AVOID,
    )


def _times(drift: Drift, model: Model, cell: tuple[int, int]) -> float:
    return float(drift.slope[cell]) / max(float(model.beta[cell]), 1.0)


def _fact(drift: Drift, model: Model, cell: tuple[int, int]) -> Fact:
    day, name = drift.day, model.families[cell[1]].name
    marks, others = day.counts[cell].tolist()
    slope, usual = float(drift.slope[cell]), max(float(model.beta[cell]), 1.0)
    much = f"evidence against good clients rises {slope / usual:.2f} times as high as the model says"
    lasted = span(int(drift.since_s[cell]) * 1000, day.until_s * 1000)
    sentence = (
        f"{name} of {WHO[cell[0]]}: {much} (slope {slope:.2f} against {usual:.2f}, {day.n[cell]:,} of them in "
        f"{day.hours} h of the last {lasted}, marks {100 * marks / max(marks + others, 1.0):.2g} %)"
    )
    return Fact(f"{name}_{WHO[cell[0]]}", slope, usual, sentence)
