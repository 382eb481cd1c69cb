"""Decisions through combine, pipeline and planner without services, and what the answers then do to the traffic.

    decisions ─► answers in force change verdicts ─► detector ─► Planner.plan ─► answers in force

The detector is ours (combine and `Pipeline.step`), or another to compare it with. A slice of traffic is judged at
once; an answer counts from `REACTION_MS` after the decision that called for it, also within its own slice. What comes
of the rest of that slice is then no sign that an answer does not help. An attacker whose login an answer stopped has no
session, so what he did signed in does not come (`sessions`); who means well passes a challenge with a browser, and
with nothing else (`passing`). Input is in time order, so panes close without
waiting for late rows and nothing is peeked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from detectors.artifact import Model
from detectors.family_file import conditions
from enforcer.drafts import aimed
from enforcer.history import History
from enforcer.plan import Planner
from enforcer.plan_config import PlanConfig
from floodwarden.effects import Effect, Effects, InForce
from floodwarden.formats_trace import Labelled, is_attack
from floodwarden.passing import Passing
from floodwarden.sessions import Sessions
from schemas import history
from schemas.action import Action
from schemas.alert import Alert, Status
from schemas.decision import VERDICTS
from schemas.settings import Settings
from stream.combine import combine
from stream.pipeline import Config, Pipeline
from stream.plan import Plan
from stream.rule_source import plan_of

REACTION_MS: Final = 500


@dataclass(frozen=True, slots=True)
class Judged:
    """A slice as it came, what became of each row, and what it gave rise to."""

    slice: Labelled
    effects: Effects
    alerts: list[Alert]
    actions: list[Action]


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
        self._pipeline = Pipeline(model, _config(self.plan, settings))
        self.history: Final = History(settings.history_seconds, settings.history_bytes_max, 1)
        self._history_s = settings.history_every_seconds
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
        alerts = self._pipeline.step(blocks, int(batch.column("ts_ms")[-1].as_py()), peek=False)
        for part, sights in self._pipeline.history.told(self._history_s):
            self.history.fold(history.record_key(0, part), history.encode(sights))
        return alerts

    def finish(self) -> list[Alert]:
        """As `Detector` has it."""
        return self._pipeline.finish()


def _config(plan: Plan, settings: Settings) -> Config:
    return Config(source_partitions=1, lateness_ms=0, rules=plan.rules, history_s=settings.history_seconds)


class ClosedLoop:
    """One run over one stream of decisions in time order."""

    def __init__(self, detector: Detector, settings: Settings, passing: Passing | None = None) -> None:
        """Without `passing` every challenged request but an attacker's passes, and counts."""
        self._detector, self._passing = detector, passing
        config = PlanConfig.of(settings.model_copy(update={"usage_partitions": 1}))
        self._planner = Planner(config, detector.history if isinstance(detector, Floodwarden) else None)
        self._in_force = InForce()
        self._sessions = Sessions(settings.login_globs)
        self._untried: dict[str, tuple[int, int]] = {}  # target of an answer that spares: since when, judged up to
        self._now_ms = self._judged_ms = 0

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
        """Judge one slice; challenges stop rows labelled as attacks, and others as `passing` has it."""
        done = self._in_force.effects(part.batch)
        effects, go_on = self._came_of(part, done)
        alerts = self._detector.step(_with_verdicts(part, effects))
        self._judged_ms = int(part.batch.column("ts_ms")[-1].as_py())
        actions = self._answers(alerts)
        if actions:
            effects, go_on = self._came_of(part, np.maximum(done, self._in_force.effects(part.batch)))
        go_on()
        return Judged(part, effects, alerts, actions)

    def _came_of(self, part: Labelled, done: Effects) -> tuple[Effects, Callable[[], None]]:
        """What becomes of each row by what answers do to it; and how to go on from there."""
        effects, stopped = self._sessions.after(part, done)
        effects, passed = self._passing.after(part, effects) if self._passing else (effects, {})

        def go_on() -> None:
            self._sessions.take(stopped)
            if self._passing:
                self._passing.take(passed)

        return effects, go_on

    def _answers(self, alerts: list[Alert]) -> list[Action]:
        actions: list[Action] = []
        for alert in sorted(alerts, key=_told_ms):
            self._now_ms = max(self._now_ms, _told_ms(alert) + REACTION_MS)
            due = self._planner.overdue(self._now_ms)
            for action in (*due, *self._planner.plan(self._tried(alert), self._now_ms)):
                self._in_force.apply(action)
                if action.exempt is not None:
                    self._untried[action.target.key] = action.created_ms, self._judged_ms
                actions.append(action)
        return actions

    def _tried(self, alert: Alert) -> Alert:
        """`alert` without what was judged before the answer to it could keep it away."""
        since_ms, until_ms = self._untried.get(aimed(alert).key, (0, 0))
        blind = since_ms < alert.last_ms <= until_ms
        return alert.model_copy(update={"last_ms": since_ms}) if blind else alert


def sliced(parts: Iterable[Labelled], *, span_ms: int, rows_max: int) -> Iterator[Labelled]:
    """`parts` cut so that no slice is longer than `span_ms` of event time or than `rows_max` rows."""
    for part in parts:
        at = part.batch.column("ts_ms").to_numpy() // span_ms
        cuts = np.flatnonzero(np.diff(at)) + 1
        edges = np.unique(np.concatenate(([0], cuts, np.arange(0, part.batch.num_rows, rows_max), [len(at)])))
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            yield Labelled(_compact(part.batch.slice(begin, end - begin)), part.labels[begin:end])


def _told_ms(alert: Alert) -> int:
    return alert.crossed_ms if alert.status is Status.OPEN else alert.last_ms


def _with_verdicts(part: Labelled, effects: Effects) -> pa.RecordBatch:
    """The batch as the limiters would have reported it with the answers in force."""
    if not effects.any():
        return part.batch
    stopped = ((effects == Effect.CHALLENGED) & is_attack(part.labels)) | (effects == Effect.BARRED)
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
