"""`floodwarden replay`: logs and traces through the real pipeline and planner, offline: what would have been done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from detectors import artifact
from detectors.artifact import Model
from detectors.errors import ArtifactError
from detectors.family_file import with_own
from floodwarden.closed_loop import ClosedLoop, Floodwarden, sliced
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects, read
from floodwarden.formats_trace import Labelled
from floodwarden.report import Findings, action_records, incident_record, summary_record
from floodwarden.report_html import page
from floodwarden.report_text import show
from floodwarden.traffic import at_places
from schemas.settings import Settings, load
from stream import train
from stream.models import budgeted

ADAPT_ROWS_MIN: Final = 2_000
ADAPT_ROWS_MAX: Final = 3_000_000  # held in memory while the model is fitted; a longer log is fitted by its beginning
ADAPT_SPAN_MS_MIN: Final = 3_600_000
SLICE_MS: Final = 600_000
SLICE_ROWS: Final = 250  # small enough that what we deny soon stops being evidence


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay with. `model` is used as it is; without one the shipped model is fitted to a log long enough."""

    form: str | None = None
    model: Path | None = None
    adapt: bool = True


def replay(
    files: Sequence[str | Path], options: ReplayOptions, settings: Settings, progress: Progress | None = None
) -> Findings:
    """Judge all of `files`, merged by time, and give back what was found.

    Raises:
        CommandError: a file cannot be read or the model cannot be used.
    """
    begun_s = time.perf_counter()
    rejects = Rejects()
    findings = Findings(tuple(map(str, files)), rejects)
    bar = progress.add_task("reading", total=_bytes(files), note="bytes") if progress else None

    def on_bytes(n: int) -> None:
        if progress and bar is not None:
            progress.advance(bar, n)

    parts = at_places(read(files, form=options.form, rejects=rejects, on_bytes=on_bytes), settings.geoip)
    model, parts, findings.adapted = _fitted(load_model(options.model, settings), parts, options, settings)
    findings.model = model.version
    judging = progress.add_task("judging", total=None, note="") if progress else None
    loop = ClosedLoop(Floodwarden(model, settings), settings)
    for judged in loop.run(sliced(parts, span_ms=SLICE_MS, rows_max=SLICE_ROWS)):
        findings.take(judged)
        if progress and judging is not None:
            progress.update(judging, advance=judged.slice.batch.num_rows, note=f"{len(findings.actions)} answers")
    findings.seconds = time.perf_counter() - begun_s
    return findings


def run(
    files: Sequence[str | Path],
    *,
    options: ReplayOptions | None = None,
    as_json: bool = False,
    html: Path | None = None,
    fail_on_alert: bool = False,
    settings: Settings | None = None,
) -> int:
    """Replay `files`, print the report (or JSON lines), write the page, and give back the exit code.

    Raises:
        CommandError: a file cannot be read, the page not written, or the model not used.
    """
    with progress_bar() as progress:
        findings = replay(files, options or ReplayOptions(), settings or load(), progress)
    if html is not None:
        try:
            html.write_text(page(findings), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{html}: cannot be written ({error.strerror or error})") from error
    if as_json:
        for record in records(findings):
            sys.stdout.buffer.write(msgspec.json.encode(record) + b"\n")
        sys.stdout.buffer.flush()
    else:
        console = Console()
        show(findings, console)
        if html is not None:
            console.print(f"The whole report: {html}", style="dim", markup=False, soft_wrap=True)
    return 1 if fail_on_alert and findings.incidents else 0


def records(findings: Findings) -> Iterator[dict[str, object]]:
    """The lines of `--json`: each alert in its final state, each action, the summary."""
    yield from map(incident_record, findings.incidents)
    yield from action_records(findings.actions)
    yield summary_record(findings)


def load_model(path: Path | None, settings: Settings) -> Model:
    """The model at `path`, the shipped one without.

    Raises:
        CommandError: it cannot be used; the message says what to do.
    """
    try:
        return budgeted(artifact.load(path, with_own(settings.families)), settings)
    except ArtifactError as error:
        raise CommandError(str(error)) from error


def progress_bar() -> Progress:
    """A bar on standard error that leaves no trace; silent where nobody watches."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _fitted(
    model: Model, parts: Iterator[Labelled], options: ReplayOptions, settings: Settings
) -> tuple[Model, Iterator[Labelled], bool]:
    """The model to judge with and the traffic still whole; whether the model was fitted to it."""
    if options.model is not None or not options.adapt:
        return model, parts, False
    head: list[Labelled] = []
    rows = 0
    for part in parts:
        head.append(part)
        rows += part.batch.num_rows
        if rows >= ADAPT_ROWS_MAX:
            break
    whole = chain(head, parts)
    if rows < ADAPT_ROWS_MIN or _span_ms(head) < ADAPT_SPAN_MS_MIN:
        return model, whole, False
    adapted = train.adapt(model, (part.batch for part in head), settings.login_globs)
    return budgeted(adapted, settings), whole, True


def _span_ms(parts: Sequence[Labelled]) -> int:
    first, last = parts[0].batch.column("ts_ms"), parts[-1].batch.column("ts_ms")
    return int(last[-1].as_py() - first[0].as_py())


def _bytes(files: Iterable[str | Path]) -> int | None:
    try:
        return sum(Path(file).stat().st_size for file in files)
    except OSError:
        return None  # standard input, or a file that reading will say more about
