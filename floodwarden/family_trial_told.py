"""How a trial of families is told: what became of each family of the file, and who would have been hit or spared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from detectors.family_file import ANSWERS
from floodwarden.cli_output import console, safe, table
from floodwarden.family_trial import FamilyTrial, Told, Tried
from floodwarden.model_told import span_of, when

SHOWN_MAX: Final = 20
"""Incidents told by name of those that would be hit, and as many of others; --json has more."""
TENANTS_MAX: Final = 10


def tell(trial: FamilyTrial) -> None:
    """For people."""
    out = console()
    span = span_of(trial.from_ms, trial.until_ms)
    out.print(
        f"{safe(trial.file)}, enforced, on {trial.decisions:,} decisions of {span} from {safe(trial.source)}, "
        f"beside today's families; model {trial.model}"
    )
    table(_COLUMNS, [_row(one) for one in trial.families], "the file has no family")
    for one in trial.families:
        if any(one.tenants):
            out.print(f"{safe(one.name)}, by tenant: {_tenants(one.tenants)}")
    for name, of in trial.others.items():
        out.print(
            f"beside it {safe(name)}, which the file does not name: {of.only_tried} more, {of.only_live} no more, "
            f"{of.otherwise} answered otherwise"
        )
    shown: dict[str, int] = {}
    for case in trial.incidents:
        what = _what(case)
        shown[what] = shown.get(what, 0) + 1
        if shown[what] <= SHOWN_MAX:
            out.print(f"{what}: {_incident(case)}")
    for what, count in shown.items():
        if count > SHOWN_MAX:
            out.print(f"{what}: {count - SHOWN_MAX} more; --json has them")


_COLUMNS: Final = (
    "family", "today", "both", "answered otherwise", "only it", "no more", "newcomers", "established", "groups",
    "asks for",
)  # fmt: skip


def _row(one: Tried) -> tuple[str, ...]:
    counts, of = one.counts, one.populations
    numbers = (counts.both, counts.otherwise, counts.only_tried, counts.only_live)
    asks = ", ".join(f"{answer} {n}" for answer, n in one.answers.items()) or "-"
    whom = (of.get(population, 0) for population in ("newcomer", "established", "group"))
    return f"{one.name}/{one.revision}", one.against or "-", *map(str, (*numbers, *whom)), asks


def _tenants(of: Mapping[str, int]) -> str:
    told = [f"{safe(name) or 'none or several'} {n}" for name, n in list(of.items())[:TENANTS_MAX]]
    more = len(of) - TENANTS_MAX
    return ", ".join(told) + (f" and {more} more tenants" if more > 0 else "")


def _what(case: Told) -> str:
    was, now = (ANSWERS.index(answer) if answer else -1 for answer in (case.live, case.tried))
    if now > was:
        return "would be hit" if now else "would be told of"
    return "would be spared" if case.tried is None else "would be answered more mildly"


def _incident(case: Told) -> str:
    whose = f", of {safe(case.tenant)}" if case.tenant else ""
    asked = (case.tried or f"no more {case.live}") + (f", was {case.live}" if case.live and case.tried else "")
    such = f"; for example {safe(', '.join(case.examples))}" if case.examples else ""
    return (
        f"{case.kind} {safe(case.entity)}, {case.population}{whose}, {case.family}, {asked}, {when(case.crossed_ms)}: "
        f"{safe(case.sentence)}{such}"
    )
