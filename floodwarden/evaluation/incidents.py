"""Attacks as their rows tell them, and which alert and which answer belongs to which.

An alert belongs to an incident when it is about an address, key or account the incident uses, or about a group (a
route, a network, everybody) of whose traffic the incident was a tenth or more meanwhile; and when the incident was
under way, or had ended less than a minute before: later evidence is not of its requests.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from floodwarden.closed_loop import Judged
from floodwarden.effects import Effect
from schemas.action import Action, ActionKind, ActionStatus
from schemas.alert import Alert
from schemas.networks import client
from stream.networks import networks

AFTER_MS: Final = 60_000
GROUP_SHARE: Final = 0.1
GROUP_MINUTES: Final = 10  # an alert about a group rests on so long
_COLUMNS: Final = {"ip": "ip", "key": "key_id", "user": "user"}
_GROUPS: Final = {"route": "route", "asn": "asn", "country": "country", "tenant": "tenant"}
EVERYBODY: Final = ("global", "*")
Who = tuple[str, str]  # kind and value of an entity
Cell = tuple[str, str, int]  # of a group: kind, value, minute


@dataclass(slots=True)
class Incident:
    """One attack: its rows, by whom, and when it was first noticed and first answered (event time)."""

    family: str
    strength: str
    first_ms: int
    last_ms: int = 0
    stopped: int = 0
    passed: int = 0
    alerted_ms: int | None = None
    answered_ms: int | None = None
    members: set[Who] = field(default_factory=set)
    _at_ms: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many requests it made."""
        return self.stopped + self.passed

    def requests_until(self, at_ms: int | None) -> int | None:
        """How many requests it had made by then."""
        if at_ms is None:
            return None
        return sum(int(np.searchsorted(part, at_ms, side="right")) for part in self._at_ms)

    def take(self, at_ms: NDArray[np.int64], stopped: int) -> None:
        """Count rows of one slice, in time order."""
        self.last_ms = int(at_ms[-1])
        self.stopped += stopped
        self.passed += len(at_ms) - stopped
        self._at_ms.append(at_ms)

    def is_under_way(self, at_ms: int) -> bool:
        """Whether it goes on at that time, or has just ended."""
        return self.first_ms <= at_ms <= self.last_ms + AFTER_MS


@dataclass(slots=True)
class Incidents:
    """All attacks of a trace. `take` each slice; when all are in, `attribute`."""

    by_label: dict[str, Incident] = field(default_factory=dict)
    _groups: Counter[Cell] = field(default_factory=Counter)
    _theirs: dict[str, Counter[Cell]] = field(default_factory=lambda: defaultdict(Counter))

    def take(self, judged: Judged, codes: NDArray[np.intp], labels: list[str]) -> None:
        """Count a slice's rows, all of one minute; `codes` are their positions in `labels`."""
        batch = judged.slice.batch
        at_ms = batch.column("ts_ms").to_numpy()
        minute = int(at_ms[0]) // 60_000
        attacks = [(n, label) for n, label in enumerate(labels) if label.startswith("attack/")]
        groups = {kind: _texts(batch.column(column)) for kind, column in _GROUPS.items()}
        groups["network"] = _networks(*_texts(batch.column("ip")))
        for kind, (values, of_row) in groups.items():
            self._groups.update(_counted(kind, values, of_row, minute))
        self._groups[(*EVERYBODY, minute)] += len(at_ms)
        if not attacks:
            return
        whom = {kind: _texts(batch.column(column)) for kind, column in _COLUMNS.items()}
        for number, label in attacks:
            at = np.flatnonzero(codes == number)
            incident = self.by_label.get(label)
            if incident is None:
                incident = self.by_label[label] = Incident(*family_of(label), int(at_ms[at[0]]))
            incident.take(at_ms[at], int((judged.effects[at] != Effect.NONE).sum()))
            for kind, (values, of_row) in whom.items():
                mine = [values[code] for code in np.unique(of_row[at]).tolist() if code >= 0]
                incident.members |= {(kind, value) for value in mine}
                if kind == "ip":
                    incident.members |= {(kind, client(value)) for value in mine if ":" in value}
            names, of_row = groups["network"]  # whose denial is that of all in it
            incident.members |= {("ip", names[code]) for code in np.unique(of_row[at]).tolist() if code >= 0}
            theirs = self._theirs[label]
            for kind, (values, of_row) in groups.items():
                theirs.update(_counted(kind, values, of_row[at], minute))
            theirs[(*EVERYBODY, minute)] += len(at)

    def attribute(self, alerts: Iterable[Alert], actions: Iterable[Action]) -> list[Alert]:
        """Give each incident its first alert and first answer; the alerts that belong to none."""
        members: dict[Who, list[Incident]] = defaultdict(list)
        for incident in self.by_label.values():
            for who in incident.members:
                members[who].append(incident)
        astray = []
        for alert in alerts:
            mine = list(self._concerned(alert, members))
            if not mine:
                astray.append(alert)
            for incident in mine:
                incident.alerted_ms = min(incident.alerted_ms or alert.crossed_ms, alert.crossed_ms)
        for action in actions:
            if action.kind is ActionKind.NOTICE or action.status is not ActionStatus.ACTIVE:
                continue
            for incident in members.get((str(action.target.kind), action.target.value), ()):
                if incident.is_under_way(action.created_ms):
                    incident.answered_ms = min(incident.answered_ms or action.created_ms, action.created_ms)
        return astray

    def _concerned(self, alert: Alert, members: dict[Who, list[Incident]]) -> Iterator[Incident]:
        who = (str(alert.entity.kind), alert.entity.value)
        if who[0] in _COLUMNS:
            yield from (one for one in members.get(who, ()) if one.is_under_way(alert.crossed_ms))
            return
        last = alert.crossed_ms // 60_000
        cells = [(*who, minute) for minute in range(last - GROUP_MINUTES, last + 1)]
        everybody = sum(self._groups[cell] for cell in cells)
        for label, incident in self.by_label.items():
            share = sum(self._theirs[label][cell] for cell in cells) / everybody if everybody else 0.0
            if share >= GROUP_SHARE and incident.is_under_way(alert.crossed_ms):
                yield incident


def family_of(label: str) -> tuple[str, str]:
    """Family and strength of an attack's label."""
    _, family, strength, *_ = [*label.split("/"), "", ""]
    return family, strength


def _texts(column: pa.Array) -> tuple[list[str], NDArray[np.intp]]:
    """Distinct values of a column as texts, and each row's position among them, -1 where absent."""
    encoded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    return [str(value) for value in encoded.dictionary.to_pylist()], codes


def _networks(addresses: list[str], of_row: NDArray[np.intp]) -> tuple[list[str], NDArray[np.intp]]:
    """The same of the networks that addresses are in."""
    codes, names = networks(pa.array(addresses, pa.utf8()))
    return names.to_pylist(), np.append(codes, -1)[of_row].astype(np.intp)


def _counted(kind: str, values: list[str], of_row: NDArray[np.intp], minute: int) -> dict[Cell, int]:
    counts = np.bincount(of_row[of_row >= 0], minlength=len(values)).tolist()
    return {(kind, value, minute): count for value, count in zip(values, counts, strict=True) if count}
