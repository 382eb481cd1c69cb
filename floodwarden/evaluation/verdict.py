"""All that one run in the closed loop showed, counted slice by slice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from enforcer.incidents import GAP_MS, topic
from floodwarden.closed_loop import Judged
from floodwarden.effects import Effect
from floodwarden.evaluation.good import Good
from floodwarden.evaluation.incidents import Incident, Incidents
from floodwarden.evaluation.said import Said
from schemas.action import Action, ActionStatus
from schemas.alert import Alert, Status

BIN_MS: Final = 300_000
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one trace came to. `timeline` by bin: good untouched, good touched, attack passed, attack stopped.

    `false_incidents` by kind: what people see of the false alerts, those of one cause together. `held_back` counts
    answers that a guardrail refused; `cpu_ns` is the processor time of detecting, planning and enforcing.
    """

    incidents: tuple[Incident, ...]
    good: Good
    alerts: Counter[str]
    false_alerts: Counter[str]
    false_incidents: Counter[str]
    held_back: int
    decisions: int
    first_ms: int
    days: float
    timeline: list[list[int]]
    cpu_ns: int = 0
    said: dict[str, dict[str, int]] = field(default_factory=dict)  # empty where nobody said anything


@dataclass(slots=True)
class Verdict:
    """Counts of one evaluation; `take` each judged slice (of one minute at the most), then `outcome`."""

    said: Said = field(default_factory=Said)
    _incidents: Incidents = field(default_factory=Incidents)
    _good: Good = field(default_factory=Good)
    _decisions: int = 0
    _first_ms: int = 0
    _last_ms: int = 0
    _alerts: dict[str, Alert] = field(default_factory=dict)
    _ended_ms: dict[str, int] = field(default_factory=dict)
    _actions: list[Action] = field(default_factory=list)
    _bins: dict[int, list[int]] = field(default_factory=dict)

    def take(self, judged: Judged) -> None:
        """Count one slice."""
        for alert in judged.alerts:
            if alert.status is Status.WITHDRAWN:
                self._alerts.pop(alert.uid, None)
            else:
                self._alerts.setdefault(alert.uid, alert)
                self._ended_ms[alert.uid] = alert.last_ms
        self._actions += judged.actions
        batch, labels = judged.slice
        if not batch.num_rows:
            return
        at_ms = batch.column("ts_ms").to_numpy()
        self._first_ms, self._last_ms = self._first_ms or int(at_ms[0]), int(at_ms[-1])
        self._decisions += batch.num_rows
        names, codes = np.unique(labels.astype(str), return_inverse=True)
        listed = names.tolist()
        self._incidents.take(judged, codes, listed)
        self._good.take(batch, judged.effects, codes, listed)
        if self.said.words:
            self.said.take(batch, judged.effects)
        attack = np.array([name.startswith("attack/") for name in listed])[codes]
        hit = judged.effects != Effect.NONE
        cells = np.bincount(attack * 2 + hit, minlength=4).tolist()
        held = self._bins.setdefault(int(at_ms[0]) // BIN_MS, [0, 0, 0, 0])
        for number, count in enumerate(cells):
            held[number] += count

    def outcome(self) -> Outcome:
        """What it came to, when all slices are in."""
        alerts = list(self._alerts.values())
        astray = self._incidents.attribute(alerts, self._actions)
        return Outcome(
            incidents=tuple(self._incidents.by_label.values()),
            good=self._good,
            alerts=Counter(alert.kind for alert in alerts),
            false_alerts=Counter(alert.kind for alert in astray),
            false_incidents=self._false_incidents({alert.uid for alert in astray}),
            held_back=sum(action.status is ActionStatus.REFUSED for action in self._actions),
            decisions=self._decisions,
            first_ms=self._first_ms,
            days=max(self._last_ms - self._first_ms, 1) / _DAY_MS,
            timeline=self._timeline(),
            said=self.said.record(alerts, self._actions) if self.said.words else {},
        )

    def _false_incidents(self, astray: set[str]) -> Counter[str]:
        """Of incidents as the enforcer makes them of alerts those none of whose alerts belongs to an attack.

        What has neither campaign nor route it puts with all of its kind; here each entity is an incident of its own, or
        attacks would cover up what is false beside them.
        """
        by_topic: dict[str, list[Alert]] = {}
        for alert in sorted(self._alerts.values(), key=lambda each: (each.first_ms, each.uid)):
            one = topic(alert) if alert.campaign or alert.route else f"{alert.kind} {alert.entity.value}"
            by_topic.setdefault(one, []).append(alert)
        out: Counter[str] = Counter()
        for alerts in by_topic.values():
            ended_ms, false = -GAP_MS, False
            for alert in alerts:
                if alert.first_ms > ended_ms + GAP_MS:
                    out[alert.kind] += false
                    false = True
                false &= alert.uid in astray
                ended_ms = max(ended_ms, self._ended_ms[alert.uid])
            out[alerts[0].kind] += false
        return +out

    def _timeline(self) -> list[list[int]]:
        if not self._bins:
            return []
        return [self._bins.get(n, [0, 0, 0, 0]) for n in range(min(self._bins), max(self._bins) + 1)]
