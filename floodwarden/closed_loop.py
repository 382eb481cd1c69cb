"""Decisions through combine, pipeline and planner without services, and what the answers then do to the traffic.

    decisions ─► answers in force change verdicts ─► detector ─► Planner.plan ─► answers in force

The detector is ours (combine and `Pipeline.step`), or another to compare it with. A slice of traffic is judged at
once; an answer counts from `REACTION_MS` after the decision that called for it, also within its own slice. Input is in
time order, so panes close without waiting for late rows and nothing is peeked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.artifact import Model
from detectors.family_file import conditions
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from floodwarden.formats_trace import Labelled
from schemas.action import Action, ActionKind, ActionStatus, TargetKind
from schemas.alert import Alert, Status
from schemas.decision import VERDICTS
from schemas.networks import address, client
from schemas.settings import Settings
from stream.combine import combine
from stream.networks import network
from stream.pipeline import Config, Pipeline
from stream.rule_source import plan_of

REACTION_MS: Final = 500
LIMIT_PER_MINUTE: Final = 120  # what a throttle's factor is taken of: a trace does not say the client's limit
_ABSENT: Final = -1  # the code of no text
_NETWORKS: Final = ("/24", "/48")  # of which a share of bad clients may be answered as one
_NOWHERE: Final = -2  # of a text that is in none of the rows
_COLUMNS: Final = {TargetKind.IP: "ip", TargetKind.KEY: "key_id", TargetKind.USER: "user"}
Effects = NDArray[np.int8]


class Effect(IntEnum):
    """What our answers did to a request, from nothing to the strictest."""

    NONE = 0
    THROTTLED = 1
    CHALLENGED = 2
    DENIED = 3


_EFFECT_OF: Final = {
    ActionKind.THROTTLE: Effect.THROTTLED,
    ActionKind.CHALLENGE: Effect.CHALLENGED,
    ActionKind.DENY: Effect.DENIED,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A slice as it came, what became of each row, and what it gave rise to."""

    slice: Labelled
    effects: Effects
    alerts: list[Alert]
    actions: list[Action]


@dataclass(slots=True)
class InForce:
    """Answers in force on clients, by target."""

    by_target: dict[TargetKind, dict[str, list[Action]]] = field(default_factory=lambda: defaultdict(dict))

    def apply(self, action: Action) -> None:
        """Take in one action: a lift ends what it lifts."""
        if action.kind not in _EFFECT_OF or action.target.kind not in _COLUMNS:
            return
        held = self.by_target[action.target.kind].setdefault(action.target.value, [])
        held[:] = [other for other in held if other.uid != action.uid and other.expires_ms > action.created_ms]
        if action.status is ActionStatus.ACTIVE:
            held.append(action)
        if not held:
            del self.by_target[action.target.kind][action.target.value]

    def effects(self, batch: pa.RecordBatch) -> Effects:
        """What is done to each row of `batch`."""
        done = np.zeros(batch.num_rows, np.int8)
        at_ms = batch.column("ts_ms").to_numpy()
        routes = batch.column("route")
        route_of = {text: code for code, text in enumerate(routes.dictionary.to_pylist())}
        route = routes.indices.fill_null(_ABSENT).to_numpy(zero_copy_only=False)
        for kind, column in _COLUMNS.items():
            for mine, actions in self._answered(kind, batch.column(column)):
                for action in actions:
                    now = mine[(at_ms[mine] >= action.created_ms) & (at_ms[mine] < action.expires_ms)]
                    if action.route is not None:
                        now = now[route[now] == route_of.get(action.route, _NOWHERE)]
                    if action.kind is ActionKind.THROTTLE:
                        now = now[_beyond(at_ms[now], round(LIMIT_PER_MINUTE * (action.factor or 1)))]
                    done[now] = np.maximum(done[now], _EFFECT_OF[action.kind])
        return done

    def _answered(
        self, kind: TargetKind, texts: pa.DictionaryArray
    ) -> Iterator[tuple[NDArray[np.int64], list[Action]]]:
        """Rows, ascending, of each client of a kind that answers are in force on, and the answers."""
        held = self.by_target.get(kind)
        if not held:
            return
        answered: dict[str, list[int]] = defaultdict(list)
        whole = any(name.endswith(_NETWORKS) for name in held)
        for code, value in enumerate(texts.dictionary.to_pylist()):
            for name in _names(kind, value, whole=whole):
                if name in held:
                    answered[name].append(code)
        if not answered:
            return
        codes = texts.indices.fill_null(_ABSENT).to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        wanted = np.array([code for some in answered.values() for code in some])
        begins, ends = (np.searchsorted(codes[order], wanted, side).tolist() for side in ("left", "right"))
        spans = iter(zip(begins, ends, strict=True))
        for name, some in answered.items():
            mine = [order[begin:end] for begin, end in islice(spans, len(some))]
            yield mine[0] if len(mine) == 1 else np.sort(np.concatenate(mine)), held[name]


class Detector(Protocol):
    """Whoever makes alerts of decisions."""

    def step(self, batch: pa.RecordBatch) -> list[Alert]:
        """Take in decisions as the limiters report them, in time order; the alerts they give rise to."""

    def finish(self) -> list[Alert]:
        """There are no more: what was still open."""


class Floodwarden:
    """Our detectors, as the stream runs them."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self.plan: Final = plan_of(settings)
        self._pipeline = Pipeline(model, Config(source_partitions=1, lateness_ms=0, rules=self.plan.rules))
        self._globs = settings.login_globs
        self._conditions = conditions(model.families)
        self._offset = 0

    def step(self, batch: pa.RecordBatch) -> list[Alert]:
        """As `Detector` has it."""
        end = self._offset + batch.num_rows
        blocks = combine(
            batch,
            partition=0,
            start=self._offset,
            end=end,
            ts_ms_max=0,
            usage_partitions=1,
            login_globs=self._globs,
            plan=self.plan,
            conditions=self._conditions,
        )
        self._offset = end
        return self._pipeline.step(blocks, int(batch.column("ts_ms")[-1].as_py()), peek=False)

    def finish(self) -> list[Alert]:
        """As `Detector` has it."""
        return self._pipeline.finish()


class ClosedLoop:
    """One run over one stream of decisions in time order."""

    def __init__(self, detector: Detector, settings: Settings) -> None:
        self._detector = detector
        self._planner = Planner(PlanConfig.of(settings.model_copy(update={"usage_partitions": 1})))
        self._in_force = InForce()
        self._now_ms = 0

    def run(self, slices: Iterable[Labelled]) -> Iterator[Judged]:
        """Judge one slice after the other; the last one given back is empty and carries what closes at the end."""
        nothing: Labelled | None = None
        for part in slices:
            nothing = Labelled(part.batch.slice(0, 0), part.labels[:0])
            yield self.step(part)
        if nothing is not None:
            alerts = self._detector.finish()
            yield Judged(nothing, np.zeros(0, np.int8), alerts, self._answers(alerts))

    def step(self, part: Labelled) -> Judged:
        """Judge one slice; challenges stop rows labelled as attacks and let others pass."""
        before = self._in_force.effects(part.batch)
        alerts = self._detector.step(_with_verdicts(part, before))
        actions = self._answers(alerts)
        effects = np.maximum(before, self._in_force.effects(part.batch)) if actions else before
        return Judged(part, effects, alerts, actions)

    def _answers(self, alerts: list[Alert]) -> list[Action]:
        actions: list[Action] = []
        for alert in sorted(alerts, key=_told_ms):
            self._now_ms = max(self._now_ms, _told_ms(alert) + REACTION_MS)
            for action in (*self._planner.overdue(self._now_ms), *self._planner.plan(alert, self._now_ms)):
                self._in_force.apply(action)
                actions.append(action)
        return actions


def sliced(parts: Iterable[Labelled], *, span_ms: int, rows_max: int) -> Iterator[Labelled]:
    """`parts` cut so that no slice is longer than `span_ms` of event time or than `rows_max` rows."""
    for part in parts:
        at = part.batch.column("ts_ms").to_numpy() // span_ms
        cuts = np.flatnonzero(np.diff(at)) + 1
        edges = np.unique(np.concatenate(([0], cuts, np.arange(0, part.batch.num_rows, rows_max), [len(at)])))
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            yield Labelled(_compact(part.batch.slice(begin, end - begin)), part.labels[begin:end])


def is_attack(labels: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which rows belong to an attack."""
    return np.fromiter((label.startswith("attack/") for label in labels), np.bool_, len(labels))


def _told_ms(alert: Alert) -> int:
    return alert.crossed_ms if alert.status is Status.OPEN else alert.last_ms


def _with_verdicts(part: Labelled, effects: Effects) -> pa.RecordBatch:
    """The batch as the limiters would have reported it with the answers in force."""
    if not effects.any():
        return part.batch
    stopped = (effects == Effect.CHALLENGED) & is_attack(part.labels)
    column = part.batch.column("verdict")
    known = np.array([VERDICTS.index(verdict) for verdict in column.dictionary.to_pylist()])
    codes = known[column.indices.to_numpy(zero_copy_only=False)]
    codes = np.where(effects == Effect.DENIED, VERDICTS.index("deny"), codes)
    codes = np.where(stopped, VERDICTS.index("challenge"), codes)
    codes = np.where(effects == Effect.THROTTLED, VERDICTS.index("limit"), codes)
    verdicts = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(VERDICTS, pa.utf8()))
    at = part.batch.schema.get_field_index("verdict")
    columns = [verdicts if number == at else part.batch.column(number) for number in range(part.batch.num_columns)]
    return pa.RecordBatch.from_arrays(columns, schema=part.batch.schema)


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch` with dictionaries of only the texts it uses: what reads text looks at each of them."""
    columns = [
        column.cast(pa.utf8()).dictionary_encode().cast(field.type) if pa.types.is_dictionary(field.type) else column
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _beyond(at_ms: NDArray[np.int64], per_minute: int) -> NDArray[np.bool_]:
    """Which of a client's rows, in time order, are beyond `per_minute` in their minute."""
    minute = at_ms // 60_000
    return np.asarray(np.arange(len(minute)) - np.searchsorted(minute, minute) >= per_minute)


def _names(kind: TargetKind, value: str | None, *, whole: bool) -> set[str]:
    """As what a target names a client: its address, its /64, and its network where `whole` ones are targets."""
    if kind is not TargetKind.IP or not value:
        return {value or ""}
    around = {network(value) or value} if whole else set()
    if ":" not in value:
        return {value} | around
    try:
        return {str(address(value)), client(value)} | around
    except ValueError:
        return {value}
