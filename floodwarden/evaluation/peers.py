"""What others would do with the same traffic, in the same closed loop: their alerts go through our planner as ours do.

Each peer is set up on the same clean day as we are. The foreign ones deny whom they flag for as long as we would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from detectors.artifact import Model
from detectors.families import forests_family
from floodwarden.closed_loop import Floodwarden
from floodwarden.errors import CommandError
from floodwarden.evaluation.contest import Fresh
from floodwarden.evaluation.windows import KINDS, WINDOW_MS, Minutes, Window, windows
from floodwarden.formats_trace import Labelled
from schemas.alert import Alert, Answer, Entity, EntityKind, Severity, Status
from schemas.settings import Settings

NEVER: Final = 1e9
FLAGGED_SHARE: Final = 1e-3  # of the clean day's windows: what a forest with `contamination=0.001` flags
RATE_SHARE: Final = 1e-4
TREES: Final = 100
HALF_SPACE_ROWS_MAX: Final = 60_000  # of the clean day, evenly: it learns and scores one row at a time
_EPISODE_MS: Final = 1_200_000
F64 = NDArray[np.float64]


class CleanDay:
    """Minutes of the clean day, gathered once for whoever is set up on them; `slices` gives its slices anew."""

    def __init__(self, slices: Callable[[], Iterable[Labelled]], globs: tuple[str, ...]) -> None:
        self._slices = slices
        self.globs: Final = globs

    @cached_property
    def requests(self) -> dict[str, F64]:
        """By kind of entity, requests of each minute."""
        return {kind: np.concatenate([w.requests for w in mine]).astype(float) for kind, mine in self._windows.items()}

    @cached_property
    def features(self) -> dict[str, F64]:
        """By kind of entity, a row of `FEATURES` a minute."""
        return {kind: np.concatenate([w.features for w in mine]) for kind, mine in self._windows.items()}

    @cached_property
    def _windows(self) -> dict[str, list[Window]]:
        made: dict[str, list[Window]] = {}
        for window in windows(self._slices(), self.globs):
            made.setdefault(window.kind, []).append(replace(window, who=[]))
        return made


class Score(Protocol):
    """How odd windows are, higher is odder."""

    def __call__(self, window: Window) -> F64:
        """A score a row."""


class Flags:
    """A detector that denies whoever's minute scores above a limit."""

    def __init__(self, name: str, score: Score, above: dict[str, float], globs: tuple[str, ...]) -> None:
        self._name, self._score, self._above = name, score, above
        self._minutes = Minutes(globs)
        self._live = 0

    def step(self, batch: pa.RecordBatch) -> list[Alert]:
        """As `Detector` has it."""
        return self._judged(self._minutes.add(batch))

    def finish(self) -> list[Alert]:
        """As `Detector` has it."""
        return self._judged(self._minutes.close())

    def _judged(self, over: list[Window]) -> list[Alert]:
        alerts: list[Alert] = []
        self._live = max(self._live, sum(len(window.who) for window in over))
        for window in over:
            scores = self._score(window)
            flagged = np.flatnonzero(scores > self._above.get(window.kind, np.inf)).tolist()
            alerts += [self._alert(window, at, float(scores[at])) for at in flagged]
        return alerts

    def _alert(self, window: Window, at: int, score: float) -> Alert:
        who, from_ms = window.who[at], window.end_ms - WINDOW_MS
        about = f"{self._name}\0{window.kind}\0{who}\0{window.end_ms // _EPISODE_MS}"
        return Alert(
            uid=xxhash.xxh3_128_hexdigest(about.encode("utf-8", "surrogatepass")),
            status=Status.OPEN,
            kind=self._name,
            severity=Severity.MEDIUM,
            answer=Answer.DENY,
            entity=Entity(kind=EntityKind(window.kind), value=who),
            first_ms=from_ms,
            last_ms=window.end_ms,
            crossed_ms=window.end_ms,
            score=1.0,
            rule=self._name,
            live_clients=self._live,
            summary=f"{self._name}: {score:.4g} above {self._above[window.kind]:.4g} in a minute",
        )


def rate(day: CleanDay, _: Model, __: Settings) -> Fresh:
    """Requests a minute beyond what 9,999 of 10,000 minutes of clean clients have."""
    above = {kind: _quantile(day.requests.get(kind, np.zeros(1)), RATE_SHARE) for kind in KINDS}
    return partial(Flags, "rate", _requests, above, day.globs)


def plain_forest(day: CleanDay, _: Model, __: Settings) -> Fresh:
    """scikit-learn's isolation forest on the minutes' counts and shares, flagging one clean minute in a thousand."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - seconds to import

    scores = {
        kind: _Forest(IsolationForest(n_estimators=TREES, random_state=1).fit(rows))
        for kind, rows in day.features.items()
    }
    above = {kind: _quantile(scores[kind](rows), FLAGGED_SHARE) for kind, rows in day.features.items()}
    return partial(Flags, "plain forest", _ByKind(scores), above, day.globs)


def half_space(day: CleanDay, _: Model, __: Settings) -> Fresh:
    """HalfSpaceTrees of river on the same rows, learning as it goes from what it does not flag."""
    try:
        from river.anomaly import HalfSpaceTrees  # noqa: PLC0415 - optional
    except ImportError as error:
        raise CommandError("half-space needs river: pip install 'floodwarden[peers]'") from error
    learned = {kind: _HalfSpace(HalfSpaceTrees(seed=1), rows) for kind, rows in day.features.items()}
    return partial(_half_space_flags, learned, day.globs)


def _half_space_flags(learned: dict[str, _HalfSpace], globs: tuple[str, ...]) -> Flags:
    above = {kind: one.above for kind, one in learned.items()}
    return Flags("half-space trees", _ByKind(deepcopy(learned)), above, globs)


def _requests(window: Window) -> F64:
    return window.requests.astype(np.float64)


@dataclass(frozen=True, slots=True)
class _ByKind:
    """Scores each kind of entity by its own."""

    scores: Mapping[str, Callable[[F64], F64]]

    def __call__(self, window: Window) -> F64:
        mine = self.scores.get(window.kind)
        return mine(window.features) if mine else np.zeros(len(window.who))  # none of its kind on the clean day


@dataclass(frozen=True, slots=True)
class _Forest:
    forest: Any

    def __call__(self, rows: F64) -> F64:
        return np.asarray(-self.forest.score_samples(rows))


class _HalfSpace:
    """Half-space trees of one kind, which learn every row they do not flag."""

    def __init__(self, trees: Any, day: F64) -> None:
        rows = day[:: max(1, len(day) // HALF_SPACE_ROWS_MAX)]
        self._trees, self._low = trees, rows.min(axis=0)
        self._span = np.maximum(rows.max(axis=0) - self._low, 1e-9)
        self.above = np.inf
        scores = self(rows)
        self.above = _quantile(scores[len(rows) // 4 :], FLAGGED_SHARE)  # the first are scored by empty trees

    def __call__(self, rows: F64) -> F64:
        out = np.empty(len(rows))
        for number, row in enumerate(np.clip((rows - self._low) / self._span, 0, 1).tolist()):
            named = dict(enumerate(row))
            out[number] = self._trees.score_one(named)
            if out[number] <= self.above:
                self._trees.learn_one(named)
        return out


def families_alone(_: CleanDay, model: Model, settings: Settings) -> Fresh:
    """Our families without the forest and without rules."""
    return _ours(_deaf(model, {forests_family(model.families).name}), settings, "none")


def forest_alone(_: CleanDay, model: Model, settings: Settings) -> Fresh:
    """Our forest (`odd`) without the other families and without rules."""
    others = {family.name for family in model.families} - {forests_family(model.families).name}
    return _ours(_deaf(model, others), settings, "none")


def crowdsec(_: CleanDay, model: Model, settings: Settings) -> Fresh:
    """CrowdSec's published thresholds as simple rules, and nothing else."""
    return _ours(_deaf(model, {family.name for family in model.families}), settings, "crowdsec")


def _ours(model: Model, settings: Settings, rules: str) -> Fresh:
    return partial(Floodwarden, model, settings.model_copy(update={"rules": rules}))


PEERS: Final = {
    "rate": rate,
    "plain-forest": plain_forest,
    "half-space": half_space,
    "crowdsec": crowdsec,
    "families": families_alone,
    "odd": forest_alone,
}


def peers_of(text: str) -> tuple[str, ...]:
    """Names of peers by comma, `all`, or none.

    Raises:
        CommandError: one is none of them.
    """
    names = tuple(PEERS) if text == "all" else tuple(filter(None, map(str.strip, text.split(","))))
    for name in names:
        if name not in PEERS:
            raise CommandError(f"no peer is called {name!r}; there are {', '.join(PEERS)}")
    return names


def _deaf(model: Model, names: set[str]) -> Model:
    """`model` with thresholds that these families never reach."""
    h = model.h.copy()
    h[:, [family.index for family in model.families if family.name in names]] = NEVER
    return replace(model, h=h)


def _quantile(values: F64, share: float) -> float:
    return float(np.quantile(values, 1 - share, method="higher"))
