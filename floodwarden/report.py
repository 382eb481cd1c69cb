"""What a replay found, gathered while it runs, bounded however long the log: incidents, answers, clients, timeline."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from enforcer.records import brief
from floodwarden.closed_loop import Judged
from floodwarden.effects import Effect
from floodwarden.formats import Rejects
from schemas.action import Action, ActionKind, ActionStatus
from schemas.alert import SEEN_AT, Alert, Severity, Status

CLIENTS_MAX: Final = 100_000
_STATE_ORDER: Final = {severity: rank for rank, severity in enumerate(reversed(Severity))}
_STRENGTH: Final = {ActionKind.NOTICE: 0, ActionKind.THROTTLE: 1, ActionKind.CHALLENGE: 2, ActionKind.DENY: 3}


@dataclass(frozen=True, slots=True)
class Incident:
    """An alert as it stood at the end, and what was done about it in the order it was done."""

    alert: Alert
    actions: tuple[Action, ...]
    standing: Action | None = None  # where nothing was done: what held the client already, for another alert

    @property
    def answer(self) -> Action | None:
        """The strictest answer that took effect; failing that, the last that was held back."""
        taken = [a for a in self.actions if a.took_effect]
        if taken:
            return max(taken, key=lambda action: _STRENGTH.get(action.kind, -1))
        return self.actions[-1] if self.actions else None


@dataclass(slots=True)
class Client:
    """What one address or key did: requests, those answered 4xx or 5xx, those our answers touch."""

    requests: int = 0
    errors: int = 0
    touched: int = 0


@dataclass(frozen=True, slots=True)
class Bin:
    """A stretch of the timeline: requests, errors among them, and those our answers touch."""

    start_ms: int
    requests: int
    errors: int
    touched: int


@dataclass(slots=True)
class Findings:
    """Everything a report shows. `take` each judged slice; read the rest when all are in."""

    files: tuple[str, ...]
    rejects: Rejects
    model: str = ""
    adapted: bool = False
    seconds: float = 0.0
    decisions: int = 0
    first_ms: int = 0
    last_ms: int = 0
    actions: list[Action] = field(default_factory=list)
    effects: Counter[Effect] = field(default_factory=Counter)
    _alerts: dict[str, Alert] = field(default_factory=dict)
    _clients: dict[str, Client] = field(default_factory=dict)
    _minutes: dict[int, list[int]] = field(default_factory=dict)

    def take(self, judged: Judged) -> None:
        """Count one slice."""
        for alert in judged.alerts:
            known = self._alerts.get(alert.uid)
            if alert.status is Status.WITHDRAWN:
                self._alerts.pop(alert.uid, None)
            elif known is None or alert.last_ms >= known.last_ms:
                self._alerts[alert.uid] = alert if known is None else _seen_at(alert, known)
        self.actions += judged.actions
        if judged.slice.batch.num_rows:
            self._count(judged)

    def _count(self, judged: Judged) -> None:
        batch = judged.slice.batch
        at_ms = batch.column("ts_ms").to_numpy()
        touched = judged.effects > 0
        status = batch.column("status").to_numpy()
        stands_for = batch.column("weight").fill_null(1).to_numpy(zero_copy_only=False)  # of a sample: so many requests
        weights = stands_for, stands_for * (status >= 400), stands_for * touched
        self.first_ms = min(self.first_ms or int(at_ms[0]), int(at_ms[0]))
        self.last_ms = max(self.last_ms, int(at_ms[-1]))
        self.decisions += batch.num_rows
        for effect in Effect:
            self.effects[effect] += int((judged.effects == effect).sum())
        minutes, at = np.unique(at_ms // 60_000, return_inverse=True)
        sums = [np.bincount(at, weights=w, minlength=len(minutes)) for w in weights]
        for minute, *counts in zip(minutes.tolist(), *(s.tolist() for s in sums), strict=True):
            held = self._minutes.setdefault(minute, [0, 0, 0])
            for number, count in enumerate(counts):
                held[number] += int(count)
        for column in ("ip", "key_id"):
            texts = batch.column(column)
            codes = texts.indices.fill_null(len(texts.dictionary)).to_numpy(zero_copy_only=False)
            totals = [np.bincount(codes, weights=w, minlength=len(texts.dictionary) + 1) for w in weights]
            for value, *counts in zip(texts.dictionary.to_pylist(), *(t[:-1].tolist() for t in totals), strict=True):
                client = self._clients.setdefault(value, Client())
                client.requests += int(counts[0])
                client.errors += int(counts[1])
                client.touched += int(counts[2])
        if len(self._clients) > CLIENTS_MAX:
            kept = sorted(self._clients.items(), key=lambda item: -item[1].requests)[: CLIENTS_MAX // 2]
            self._clients = dict(kept)

    @property
    def incidents(self) -> list[Incident]:
        """All incidents, the worst first."""
        by_alert: dict[str, list[Action]] = defaultdict(list)
        for action in self.actions:
            by_alert[action.alert_uid or ""].append(action)
        held = defaultdict(list)
        for action in self.actions:
            if action.took_effect and action.status is ActionStatus.ACTIVE and action.kind is not ActionKind.NOTICE:
                held[action.target.key].append(action)
        found = []
        for uid, alert in self._alerts.items():
            at_ms, whom = alert.crossed_ms, f"{alert.entity.kind}:{alert.entity.value}"
            standing = (a for a in held.get(whom, ()) if a.created_ms <= alert.last_ms and at_ms < a.expires_ms)
            found.append(Incident(alert, tuple(by_alert.get(uid, ())), next(standing, None)))
        return sorted(found, key=lambda i: (_STATE_ORDER[i.alert.severity], -i.alert.score, i.alert.first_ms))

    def top_clients(self, n: int) -> list[tuple[str, Client]]:
        """Those that asked most."""
        return sorted(self._clients.items(), key=lambda item: (-item[1].requests, item[0]))[:n]

    @property
    def clients(self) -> int:
        """How many addresses and keys were seen (exact up to `CLIENTS_MAX`)."""
        return len(self._clients)

    def timeline(self, bins: int) -> list[Bin]:
        """The whole span in at most `bins` equal stretches."""
        if not self._minutes:
            return []
        first, last = min(self._minutes), max(self._minutes)
        width = max(1, -(-(last - first + 1) // bins))
        sums = np.zeros(((last - first) // width + 1, 3), np.int64)
        for minute, counts in self._minutes.items():
            sums[(minute - first) // width] += counts
        return [
            Bin((first + number * width) * 60_000, *map(int, counts)) for number, counts in enumerate(sums.tolist())
        ]


def sentences(alert: Alert) -> list[str]:
    """The sentences of an alert's evidence that its summary does not already say."""
    return [fact.sentence for fact in alert.evidence if fact.sentence not in alert.summary]


def _seen_at(alert: Alert, known: Alert) -> Alert:
    """`alert` with the addresses that were told of before: one that is over tells of none."""
    names = {each.name for each in alert.evidence}
    more = tuple(each for each in known.evidence if each.name == SEEN_AT and each.name not in names)
    return alert.model_copy(update={"evidence": alert.evidence[:1] + more + alert.evidence[1:]}) if more else alert


def printable(text: str) -> str:
    """`text` with what could move a terminal's cursor or reverse the reading shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def incident_record(incident: Incident) -> dict[str, object]:
    """An incident as its line of `--json`."""
    record = incident.alert.model_dump(
        mode="json", exclude={"v", "live_clients", "good_clients", "accounts", "addresses", "established"}
    )
    answer = incident.answer
    done = None
    if answer is not None:
        wanted = {"uid", "kind", "status", "route", "factor", "created_ms", "expires_ms", "reason"}
        done = answer.model_dump(mode="json", include=wanted)
    return {"type": "alert", **record, "action": done}


def summary_record(findings: Findings) -> dict[str, object]:
    """The last line of `--json`."""
    per_second = findings.decisions / findings.seconds if findings.seconds else 0.0
    return {
        "type": "summary",
        "decisions": findings.decisions,
        "rejected": findings.rejects.total,
        "alerts": len(findings.incidents),
        "actions": sum(a.took_effect for a in findings.actions),
        "seconds": round(findings.seconds, 3),
        "decisions_per_second": round(per_second),
        "rejected_by_reason": dict(findings.rejects.by_reason),
        "actions_held_back": sum(a.status is ActionStatus.REFUSED for a in findings.actions),
        "denied": findings.effects[Effect.DENIED],
        "challenged": findings.effects[Effect.CHALLENGED],
        "throttled": findings.effects[Effect.THROTTLED],
        "clients": findings.clients,
        "first_ms": findings.first_ms,
        "last_ms": findings.last_ms,
        "files": list(findings.files),
        "model": findings.model,
        "adapted": findings.adapted,
    }


def action_records(actions: Sequence[Action]) -> list[dict[str, object]]:
    """Actions as their lines of `--json`."""
    told = ({"type": "action", **brief(action)} for action in actions)
    return [{name: value for name, value in one.items() if name not in ("v", "version")} for one in told]
