"""`floodwarden evaluate`: a labelled trace in a closed loop: what was found, how soon, who was hit by mistake."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from detectors.artifact import Model
from floodwarden.closed_loop import ClosedLoop, Effect, Judged, sliced
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects, read
from floodwarden.formats_trace import Labelled
from floodwarden.replay import load_model, progress_bar
from floodwarden.report import printable
from schemas.alert import Alert, Status
from schemas.settings import Settings, load
from stream import train as training

SLICE_MS: Final = 10_000
SLICE_ROWS: Final = 5_000
FLASH_CROWD: Final = "benign/flash_crowd"
ORDINARY: Final = "ordinary"
_ENTITY_COLUMNS: Final = {"ip": "ip", "key": "key_id"}
_DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class _Incident:
    """One attack as its rows tell it."""

    family: str
    strength: str
    first_ms: int
    last_ms: int = 0
    rows: int = 0
    stopped: int = 0
    sources: set[tuple[str, str]] = field(default_factory=set)
    alerted_ms: int | None = None


@dataclass(slots=True)
class Verdict:
    """Counts of one evaluation; `take` each judged slice, then `report`."""

    incidents: dict[str, _Incident] = field(default_factory=dict)
    good: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * (len(Effect) + 1)))
    alerts: dict[str, Alert] = field(default_factory=dict)
    first_ms: int = 0
    last_ms: int = 0
    decisions: int = 0

    def take(self, judged: Judged) -> None:
        """Count one slice."""
        for alert in judged.alerts:
            if alert.status is Status.WITHDRAWN:
                self.alerts.pop(alert.uid, None)
            else:
                self.alerts.setdefault(alert.uid, alert)
        batch, labels = judged.slice
        if not batch.num_rows:
            return
        at_ms = batch.column("ts_ms").to_numpy()
        self.first_ms, self.last_ms = self.first_ms or int(at_ms[0]), int(at_ms[-1])
        self.decisions += batch.num_rows
        for label in set(labels.tolist()):
            mine = labels == label
            if label.startswith("attack/"):
                self._attacked(label, mine, judged)
            else:
                counts = self.good[label]
                counts[-1] += int(mine.sum())
                for effect in Effect:
                    counts[effect] += int((judged.effects[mine] == effect).sum())

    def _attacked(self, label: str, mine: np.ndarray[tuple[int], np.dtype[np.bool_]], judged: Judged) -> None:
        batch = judged.slice.batch
        at_ms = batch.column("ts_ms").to_numpy()[mine]
        family, strength = _split(label)
        incident = self.incidents.setdefault(label, _Incident(family, strength, int(at_ms[0])))
        incident.last_ms = int(at_ms[-1])
        incident.rows += len(at_ms)
        incident.stopped += int((judged.effects[mine] != Effect.NONE).sum())
        for kind, column in _ENTITY_COLUMNS.items():
            texts = batch.column(column)
            codes = texts.indices.fill_null(-1).to_numpy(zero_copy_only=False)[mine]
            values = texts.dictionary.to_pylist()
            incident.sources |= {(kind, values[code]) for code in np.unique(codes[codes >= 0])}

    def report(self) -> dict[str, Any]:
        """The object of `--json`."""
        false_alerts = self._attribute()
        good = sum(counts[-1] for counts in self.good.values())
        denied = sum(counts[Effect.DENIED] for counts in self.good.values())
        delays = [i.alerted_ms - i.first_ms for i in self.incidents.values() if i.alerted_ms is not None]
        days = max((self.last_ms - self.first_ms) / _DAY_MS, 1 / 24)
        attacks = sum(i.rows for i in self.incidents.values())
        return {
            "incidents": len(self.incidents),
            "found": len(delays),
            "benign_decisions": good,
            "benign_denied": denied,
            "benign_denied_share": denied / good if good else 0.0,
            "flash_crowd_denied": self.good[FLASH_CROWD][Effect.DENIED] if FLASH_CROWD in self.good else 0,
            "time_to_alert_ms": {"p50": _quantile(delays, 0.5), "p99": _quantile(delays, 0.99)},
            "by_family": self._by_family(),
            "benign_by_case": {_case(label): _case_record(self.good[label]) for label in sorted(self.good)},
            "alerts_per_day": round(len(self.alerts) / days, 2),
            "false_alerts_per_day": round(false_alerts / days, 2),
            "benign_challenged": sum(counts[Effect.CHALLENGED] for counts in self.good.values()),
            "benign_throttled": sum(counts[Effect.THROTTLED] for counts in self.good.values()),
            "attack_decisions": attacks,
            "attack_stopped_share": sum(i.stopped for i in self.incidents.values()) / attacks if attacks else 0.0,
            "decisions": self.decisions,
        }

    def _attribute(self) -> int:
        """Give each incident its first alert; how many alerts belong to none."""
        owners: dict[tuple[str, str], list[_Incident]] = defaultdict(list)
        for incident in self.incidents.values():
            for source in incident.sources:
                owners[source].append(incident)
        astray = 0
        for alert in self.alerts.values():
            mine = [
                incident
                for incident in owners.get((str(alert.entity.kind), alert.entity.value), ())
                if alert.crossed_ms >= incident.first_ms
            ]
            astray += not mine
            for incident in mine:
                incident.alerted_ms = min(incident.alerted_ms or alert.crossed_ms, alert.crossed_ms)
        return astray

    def _by_family(self) -> dict[str, Any]:
        families: dict[str, dict[str, Any]] = {}
        for incident in self.incidents.values():
            family = families.setdefault(
                incident.family, {"incidents": 0, "found": 0, "decisions": 0, "stopped": 0, "by_strength": {}}
            )
            strength = family["by_strength"].setdefault(
                incident.strength, {"incidents": 0, "found": 0, "time_to_alert_ms": None}
            )
            for counts in (family, strength):
                counts["incidents"] += 1
                counts["found"] += incident.alerted_ms is not None
            if incident.alerted_ms is not None:
                delay_ms = incident.alerted_ms - incident.first_ms
                strength["time_to_alert_ms"] = max(strength["time_to_alert_ms"] or 0, delay_ms)
            family["decisions"] += incident.rows
            family["stopped"] += incident.stopped
        return families


def evaluate(trace: Iterable[Labelled], model: Model, settings: Settings, *, on_rows: Any = None) -> dict[str, Any]:
    """Judge a labelled trace (in time order) in the closed loop; the object that `--json` prints."""
    verdict = Verdict()
    for judged in ClosedLoop(model, settings).run(sliced(trace, span_ms=SLICE_MS, rows_max=SLICE_ROWS)):
        verdict.take(judged)
        if on_rows is not None:
            on_rows(judged.slice.batch.num_rows)
    return verdict.report()


def run(
    trace: str | Path,
    *,
    train: str | Path | None = None,
    model: Path | None = None,
    as_json: bool = False,
    fail_on_denied: bool = False,
    settings: Settings | None = None,
) -> int:
    """Evaluate `trace`, print the table or the object, and give back the exit code.

    `train` names a second trace to learn from what is normal (its attacks left out). `fail_on_denied`: 1 when any
    good request was denied.

    Raises:
        CommandError: a trace cannot be read, or the model not used.
    """
    rejects, settings = Rejects(), settings or load()
    with progress_bar() as progress:
        learning = progress.add_task("learning", total=None, note="") if train is not None else None
        judge_with = _learned(train, settings.login_globs) if train is not None else load_model(model)
        if learning is not None:
            progress.remove_task(learning)
        bar = progress.add_task("judging", total=None, note="decisions")
        parts = read([trace], rejects=rejects)
        result = evaluate(parts, judge_with, settings, on_rows=lambda n: progress.advance(bar, n))
    if not result["decisions"]:
        raise CommandError(f"{trace}: no decisions in it; make one with `floodwarden simulate`")
    result |= {"rejected": rejects.total, "model": judge_with.version}
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()
    else:
        show(result, Console())
    return 1 if fail_on_denied and result["benign_denied"] else 0


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print an evaluation as tables."""
    when = result["time_to_alert_ms"]
    told = Text()
    told.append(f"{result['found']} of {result['incidents']}", style="bold")
    told.append(" incidents found; ")
    told.append(f"{result['benign_denied']:,}", style="bold red" if result["benign_denied"] else "bold green")
    told.append(f" of {result['benign_decisions']:,} good decisions denied ({result['benign_denied_share']:.2g}), ")
    told.append(f"{result['benign_challenged']:,} challenged, {result['benign_throttled']:,} throttled\n")
    told.append(f"{result['attack_stopped_share']:.1%} of {result['attack_decisions']:,} attack decisions stopped; ")
    told.append(f"alert after {_seconds(when['p50'])} (p50), {_seconds(when['p99'])} (p99); ")
    told.append(f"{result['alerts_per_day']} alerts a day, {result['false_alerts_per_day']} of them false")
    console.print(told)
    families = Table("attack", "strength", "found", "alert after", title="Attacks", title_justify="left")
    for family, counts in sorted(result["by_family"].items()):
        for strength, each in counts["by_strength"].items():
            missed = each["found"] < each["incidents"]
            found = Text(f"{each['found']} of {each['incidents']}", style="red" if missed else "green")
            families.add_row(printable(family), printable(strength), found, _seconds(each["time_to_alert_ms"]))
    console.print(families)
    cases = Table("good traffic", title="Good traffic", title_justify="left")
    for name in ("decisions", "denied", "challenged", "throttled"):
        cases.add_column(name, justify="right")
    for case, each in result["benign_by_case"].items():
        hit = Text(f"{each['denied']:,}", style="red" if each["denied"] else "")
        cases.add_row(
            printable(case), f"{each['decisions']:,}", hit, f"{each['challenged']:,}", f"{each['throttled']:,}"
        )
    console.print(cases)


def _learned(trace: str | Path, login_globs: tuple[str, ...]) -> Model:
    rejects = Rejects()
    batches = (_good(part).batch for part in read([trace], rejects=rejects))
    return training.train(batches, login_globs=login_globs, clean=True, made_from=Path(trace).name)


def _good(part: Labelled) -> Labelled:
    keep = np.fromiter((not label.startswith("attack/") for label in part.labels), np.bool_, len(part.labels))
    return part if keep.all() else Labelled(part.batch.filter(keep), part.labels[keep])


def _split(label: str) -> tuple[str, str]:
    _, family, strength, *_ = [*label.split("/"), "", ""]
    return family, strength


def _case(label: str) -> str:
    return label.removeprefix("benign/") or ORDINARY


def _case_record(counts: list[int]) -> dict[str, int]:
    return {
        "decisions": counts[-1],
        "denied": counts[Effect.DENIED],
        "challenged": counts[Effect.CHALLENGED],
        "throttled": counts[Effect.THROTTLED],
    }


def _quantile(values: list[int], q: float) -> int | None:
    return int(np.quantile(values, q, method="higher")) if values else None


def _seconds(ms: int | None) -> str:
    return "-" if ms is None else f"{ms / 1000:.1f} s"
