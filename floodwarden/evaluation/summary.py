"""Outcomes of one trace or several as the object of `evaluate --json`. Fields are only ever added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from floodwarden.evaluation.good import HARMS, ORDINARY, POPULATIONS, Fate
from floodwarden.evaluation.incidents import Incident
from floodwarden.evaluation.said import summed
from floodwarden.evaluation.verdict import BIN_MS, Outcome
from floodwarden.simulate import catalogue

FLASH_CROWD: Final = "flash_crowd"
Record = dict[str, Any]


def summary(outcomes: Sequence[Outcome]) -> Record:
    """One or more traces together; the timeline is the first one's."""
    attacks = [incident for outcome in outcomes for incident in outcome.incidents]
    days = sum(outcome.days for outcome in outcomes)
    decisions = sum(outcome.decisions for outcome in outcomes)
    alerts: Counter[str] = sum((outcome.alerts for outcome in outcomes), Counter())
    false: Counter[str] = sum((outcome.false_alerts for outcome in outcomes), Counter())
    incidents: Counter[str] = sum((outcome.false_incidents for outcome in outcomes), Counter())
    cases = _cases(outcomes)
    flash = cases.get(FLASH_CROWD, Fate())
    return {
        **_found(attacks),
        **_spared(_all(cases.values())),
        "flash_crowd_denied": flash.hit("denied"),
        "by_family": {name: _family(mine) for name, mine in _grouped(attacks, lambda i: i.family).items()},
        "benign_by_case": {name: cases[name].record() for name in sorted(cases)},
        "benign_by_population": {
            name: _all(outcome.good.by_population[name] for outcome in outcomes).record() for name in POPULATIONS
        },
        "alerts_per_day": round(alerts.total() / days, 2),
        "false_alerts_per_day": round(false.total() / days, 2),
        "false_incidents_per_day": round(incidents.total() / days, 2),
        "alerts_by_kind": {
            kind: {"alerts": n, "false": false[kind], "false_incidents": incidents[kind]}
            for kind, n in sorted(alerts.items())
        },
        "answers_held_back": sum(outcome.held_back for outcome in outcomes),
        "sets": {
            "tuned": _set(attacks, cases, first_sight=False),
            "first_sight": _set(attacks, cases, first_sight=True),
        },
        "labelled": bool(attacks or cases.keys() - {ORDINARY}),
        "decisions": decisions,
        "cpu_us_per_decision": round(sum(outcome.cpu_ns for outcome in outcomes) / 1000 / max(1, decisions), 2),
        "days": round(days, 6),
        "traces": len(outcomes),
        "said": summed([outcome.said for outcome in outcomes]) if outcomes[0].said else None,
        "timeline": {"bin_ms": BIN_MS, "first_ms": outcomes[0].first_ms, "bins": outcomes[0].timeline},
    }


def _set(attacks: Sequence[Incident], cases: dict[str, Fate], *, first_sight: bool) -> Record:
    """Tuned: its attacks, ordinary traffic and its cases. First sight: its attacks and its cases alone."""
    families, kept = catalogue.families(first_sight=True), catalogue.cases(first_sight=True)
    names = {name for name in cases if (name in kept) is first_sight}
    mine = [incident for incident in attacks if (incident.family in families) is first_sight]
    good = _all(cases[name] for name in names)
    return _found(mine) | _spared(good) | {"cases": sorted(names - {ORDINARY}), "good": good.record()}


def _cases(outcomes: Sequence[Outcome]) -> dict[str, Fate]:
    together: dict[str, Fate] = {}
    for outcome in outcomes:
        for name, fate in outcome.good.by_case.items():
            together.setdefault(name, Fate()).add(fate)
    return together


def _all(fates: Iterable[Fate]) -> Fate:
    whole = Fate()
    for fate in fates:
        whole.add(fate)
    return whole


def _found(attacks: Sequence[Incident]) -> Record:
    rows, stopped = sum(i.rows for i in attacks), sum(i.stopped for i in attacks)
    return {
        "incidents": len(attacks),
        "found": sum(i.alerted_ms is not None for i in attacks),
        "answered": sum(i.answered_ms is not None for i in attacks),
        "time_to_alert_ms": _spread(i.alerted_ms - i.first_ms for i in attacks if i.alerted_ms is not None),
        "time_to_action_ms": _spread(i.answered_ms - i.first_ms for i in attacks if i.answered_ms is not None),
        "requests_to_alert": _spread(i.requests_until(i.alerted_ms) for i in attacks),
        "requests_to_action": _spread(i.requests_until(i.answered_ms) for i in attacks),
        "attack_decisions": rows,
        "attack_stopped_share": stopped / rows if rows else 0.0,
    }


def _spared(fate: Fate) -> Record:
    told: Record = {"benign_decisions": fate.decisions}
    for name in HARMS:
        share = fate.share(name)
        told |= {
            f"benign_{name}": share.hit,
            f"benign_{name}_share": share.value,
            f"benign_{name}_upper_95": share.upper,
        }
    return told


def _family(attacks: Sequence[Incident]) -> Record:
    strengths = _grouped(attacks, lambda i: i.strength)
    by_strength = {s: _found(strengths[s]) for s in ("weak", "medium", "strong", *strengths) if s in strengths}
    for told in by_strength.values():
        told["time_to_alert"] = told["time_to_alert_ms"]
        told["time_to_alert_ms"] = told["time_to_alert_ms"]["max"]
    rows, stopped = sum(i.rows for i in attacks), sum(i.stopped for i in attacks)
    declared = catalogue.families().get(attacks[0].family)
    return {
        "incidents": len(attacks),
        "found": sum(i.alerted_ms is not None for i in attacks),
        "answered": sum(i.answered_ms is not None for i in attacks),
        "decisions": rows,
        "stopped": stopped,
        "stopped_share": stopped / rows if rows else 0.0,
        "first_sight": declared.first_sight if declared else False,
        "by_strength": by_strength,
    }


def _grouped(attacks: Iterable[Incident], key: Callable[[Incident], str]) -> dict[str, list[Incident]]:
    out: dict[str, list[Incident]] = {}
    for incident in attacks:
        out.setdefault(key(incident), []).append(incident)
    return dict(sorted(out.items()))


def _spread(values: Iterable[int | None]) -> Record:
    some = [value for value in values if value is not None]
    if not some:
        return {"p50": None, "p99": None, "max": None}
    p50, p99 = (int(np.quantile(some, q, method="higher")) for q in (0.5, 0.99))
    return {"p50": p50, "p99": p99, "max": max(some)}
