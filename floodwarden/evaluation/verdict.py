"""All that one run in the closed loop showed, counted slice by slice, and the object of `evaluate --json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from floodwarden.closed_loop import Effect, Judged
from floodwarden.evaluation.bounds import Share
from floodwarden.evaluation.good import ORDINARY, Fate, Good
from floodwarden.evaluation.incidents import Incident, Incidents
from floodwarden.simulate import catalogue
from schemas.action import Action
from schemas.alert import Alert, Status

FLASH_CROWD: Final = "flash_crowd"
SETS: Final = ("tuned", "first_sight")
BIN_MS: Final = 300_000
_DAY_MS: Final = 86_400_000
Record = dict[str, Any]


@dataclass(slots=True)
class Verdict:
    """Counts of one evaluation; `take` each judged slice (of one minute at the most), then `report`."""

    incidents: Incidents = field(default_factory=Incidents)
    good: Good = field(default_factory=Good)
    decisions: int = 0
    first_ms: int = 0
    last_ms: int = 0
    _alerts: dict[str, Alert] = field(default_factory=dict)
    _actions: list[Action] = field(default_factory=list)
    _bins: dict[int, list[int]] = field(default_factory=dict)

    def take(self, judged: Judged) -> None:
        """Count one slice."""
        for alert in judged.alerts:
            if alert.status is Status.WITHDRAWN:
                self._alerts.pop(alert.uid, None)
            else:
                self._alerts.setdefault(alert.uid, alert)
        self._actions += judged.actions
        batch, labels = judged.slice
        if not batch.num_rows:
            return
        at_ms = batch.column("ts_ms").to_numpy()
        self.first_ms, self.last_ms = self.first_ms or int(at_ms[0]), int(at_ms[-1])
        self.decisions += batch.num_rows
        names, codes = np.unique(labels.astype(str), return_inverse=True)
        listed = names.tolist()
        self.incidents.take(judged, codes, listed)
        self.good.take(batch, judged.effects, codes, listed)
        attack = np.array([name.startswith("attack/") for name in listed])[codes]
        hit = judged.effects != Effect.NONE
        cells = np.bincount(attack * 2 + hit, minlength=4).tolist()
        held = self._bins.setdefault(int(at_ms[0]) // BIN_MS, [0, 0, 0, 0])
        for number, count in enumerate(cells):
            held[number] += count

    def report(self) -> Record:
        """The object of `--json`."""
        alerts = list(self._alerts.values())
        astray = self.incidents.attribute(alerts, self._actions)
        days = max((self.last_ms - self.first_ms) / _DAY_MS, 1 / 24)
        attacks = list(self.incidents.by_label.values())
        fate = self.good.all
        kept = catalogue.families(first_sight=True)
        cases = {name: self.good.by_case[name] for name in sorted(self.good.by_case)}
        return {
            **_found(attacks),
            **_spared(fate),
            "flash_crowd_denied": int(self.good.of({FLASH_CROWD}).counts[Effect.DENIED]),
            "by_family": {f: _family(mine) for f, mine in _grouped(attacks, lambda i: i.family).items()},
            "benign_by_case": {name: one.record() for name, one in cases.items()},
            "benign_by_population": {name: one.record() for name, one in self.good.by_population.items()},
            "alerts_per_day": round(len(alerts) / days, 2),
            "false_alerts_per_day": round(len(astray) / days, 2),
            "alerts_by_kind": _by_kind(alerts, astray),
            "sets": {
                "tuned": self._set([i for i in attacks if i.family not in kept], first_sight=False),
                "first_sight": self._set([i for i in attacks if i.family in kept], first_sight=True),
            },
            "decisions": self.decisions,
            "days": round(days, 4),
            "timeline": {"bin_ms": BIN_MS, "first_ms": self.first_ms, "bins": self._timeline()},
        }

    def _set(self, attacks: Sequence[Incident], *, first_sight: bool) -> Record:
        """Tuned: its attacks, ordinary traffic and its cases. First sight: its attacks and its cases alone."""
        kept = catalogue.cases(first_sight=True).keys()
        names = {n for n in self.good.by_case if (n in kept) is first_sight}
        return _found(attacks) | _spared(self.good.of(names)) | {"cases": sorted(names - {ORDINARY})}

    def _timeline(self) -> list[list[int]]:
        """By bin from the first to the last: good untouched, good touched, attack passed, attack stopped."""
        if not self._bins:
            return []
        return [self._bins.get(n, [0, 0, 0, 0]) for n in range(min(self._bins), max(self._bins) + 1)]


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
    for name, effect in (("denied", Effect.DENIED), ("challenged", Effect.CHALLENGED), ("throttled", Effect.THROTTLED)):
        share = fate.share(effect)
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


def _by_kind(alerts: Sequence[Alert], astray: Sequence[Alert]) -> Record:
    every, false = Counter(a.kind for a in alerts), Counter(a.kind for a in astray)
    return {kind: {"alerts": n, "false": false[kind]} for kind, n in sorted(every.items())}


def _grouped(attacks: Iterable[Incident], key: Any) -> dict[str, list[Incident]]:
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


__all__ = ["SETS", "Share", "Verdict"]
