"""`floodwarden rules test`: rules over logs, and for each that fires the very lines that made it; or over the topic."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from detectors.artifact import defaults
from detectors.family_file import conditions
from floodwarden.as_streamed import blocks
from floodwarden.closed_loop import Floodwarden
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects, read
from floodwarden.formats_trace import Labelled
from floodwarden.replay import progress_bar
from floodwarden.traffic import Recorded
from schemas import codec
from schemas.alert import Alert, EntityKind, Status
from schemas.settings import Settings, load
from schemas.usage import Kind
from stream import hits
from stream.decisions import decisions
from stream.pipeline import Config, Pipeline
from stream.plan import Plan
from stream.requests import Requests
from stream.rule_source import plan_of

LINES_MAX: Final = 1000  # kept of one rule and owner
SHOWN_MAX: Final = 10
Asked = tuple[str, int, int]
"""Rule, kind and hash of whose bucket."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired, and where the requests stand that filled its bucket until it did (nowhere: in a topic)."""

    alert: Alert
    places: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As its line of `--json`."""
        kept = {
            "kind", "entity", "first_ms", "crossed_ms", "answer", "severity", "behaviour", "ids", "summary", "rule",
            "established", "tenant",
        }  # fmt: skip
        return {"type": "fired", **self.alert.model_dump(mode="json", include=kept), "lines": list(self.places)}

    def lines(self) -> list[str]:
        """For people."""
        at = datetime.fromtimestamp(self.alert.crossed_ms / 1000, UTC).isoformat(timespec="seconds")
        spans = stretches(self.places)
        more = len(spans) - SHOWN_MAX
        shown = ", ".join(spans[:SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
        where = f"; lines {shown}" if shown else ""
        told = [f"{at}  {self.alert.rule}  {self.alert.summary}", f"    {self.alert.answer.value}{where}"]
        return told + [
            f"    {fact.sentence}" for fact in self.alert.evidence if fact.sentence not in self.alert.summary
        ]


def stretches(places: Sequence[str]) -> list[str]:
    """Places `FILE:LINE` with neighbours made one: `FILE:3-7`."""
    out: list[tuple[str, int, int]] = []
    for place in places:
        file, _, number = place.rpartition(":")
        line = int(number)
        if out and out[-1][0] == file and out[-1][2] == line - 1:
            out[-1] = file, out[-1][1], line
        else:
            out.append((file, line, line))
    return [f"{file}:{low}" if low == high else f"{file}:{low}-{high}" for file, low, high in out]


def run(rules: str, logs: Sequence[Path], *, form: str | None = None) -> list[Fired]:
    """What fires, in the order of time.

    Raises:
        FileError: the rules cannot be taken.
        CommandError: a log cannot be read.
    """
    settings = load(rules=rules)
    trial = _Trial(settings)
    for part in read(logs, form=form, rejects=Rejects(), places=True):
        trial.take(part)
    return trial.finish()


def over(rules: str, recorded: Recorded) -> list[Fired]:
    """What would have fired live on what the topic holds, in the order of time.

    Raises:
        FileError: the rules cannot be taken.
        CommandError: no broker, no such topic, or nothing of that time in it.
    """
    settings = recorded.settings.model_copy(update={"rules": rules})
    model, plan, rows = defaults(), plan_of(settings), 0
    pipeline = Pipeline(model, replace(Config.of(settings), rules=plan.rules))
    alerts: list[Alert] = []
    with progress_bar() as progress:
        bar = progress.add_task("judging", total=None, note="decisions")
        for part in blocks(recorded, plan, conditions(model.families), Rejects()):
            alerts += pipeline.step(part.blocks, part.now_ms, peek=False)
            rows += part.rows
            progress.update(bar, completed=rows)
    if not rows:
        raise CommandError(f"no request in {recorded.name}{recorded.fix}")
    return [Fired(alert, ()) for alert in (*alerts, *pipeline.finish()) if fired(alert, plan)]


def fired(alert: Alert, plan: Plan) -> bool:
    """Whether it is the beginning of what a rule says."""
    return alert.status is Status.OPEN and plan.rules.index(alert.kind) >= 0


class _Trial:
    def __init__(self, settings: Settings) -> None:
        self._detector = Floodwarden(defaults(), settings)
        self._plan, self._globs = self._detector.plan, settings.login_globs
        self._asked: dict[Asked, deque[tuple[int, str]]] = defaultdict(lambda: deque(maxlen=LINES_MAX))
        self._fired: list[Fired] = []

    def take(self, part: Labelled) -> None:
        """Judge rows; their labels are where they stand."""
        rows = Requests.read(part.batch, self._globs)
        asked = decisions(part.batch, rows.classes % 2 == 1)
        for found in hits.find(rows, part.batch, self._plan, hits.expected(rows, self._plan), asked):
            rule = self._plan.rules.rules[found.rule]
            kinds, owners = hits.owners(rule.by, rows, found.row)
            for row, kind, owner in zip(found.row.tolist(), kinds.tolist(), owners.tolist(), strict=True):
                self._asked[rule.name, kind, owner].append((int(rows.ts_ms[row]), part.labels[row]))
        self._tell(self._detector.step(part.batch))

    def finish(self) -> list[Fired]:
        """All that fired."""
        self._tell(self._detector.finish())
        return self._fired

    def _tell(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            if fired(alert, self._plan):
                self._fired.append(Fired(alert, self._places(alert)))

    def _places(self, alert: Alert) -> tuple[str, ...]:
        kind = Kind[EntityKind(alert.entity.kind).name]
        asked = self._asked[alert.kind, kind, codec.text_hash(alert.entity.value)]
        return tuple(dict.fromkeys(place for ms, place in asked if alert.first_ms <= ms <= alert.crossed_ms))
