"""`floodwarden evaluate`: labelled traces through the real pipeline and enforcement, and through others'."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import Progress

from detectors.artifact import Model
from detectors.errors import ArtifactError
from detectors.family_file import with_own
from floodwarden.closed_loop import Floodwarden, sliced
from floodwarden.errors import CommandError
from floodwarden.evaluation import markdown
from floodwarden.evaluation.adaptive import Adapt
from floodwarden.evaluation.contest import SLICE_MS, SLICE_ROWS, Contest, Fresh
from floodwarden.evaluation.material import Material
from floodwarden.evaluation.page import page
from floodwarden.evaluation.peers import PEERS, CleanDay
from floodwarden.evaluation.processes import Judged, jobs_of, judge
from floodwarden.evaluation.said import read
from floodwarden.evaluation.summary import summary
from floodwarden.evaluation.text import show
from floodwarden.formats_trace import Labelled
from floodwarden.replay import load_model, progress_bar
from schemas.settings import Settings, load
from stream import train as training
from stream.models import budgeted

OURS: Final = "floodwarden"
FILE_COLUMNS: Final = 120  # of tables that go into a file or a pipe


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How to judge: with `model`, else with one learned from the clean trace, without either with the shipped one.

    `against` names peers to run as well, set up on the clean trace. `adapt`: what attackers do about refusals. `jobs`:
    how many traces at once, as many as there are processors and memory for where it is not said. `labels`: a file of
    what people said of clients (`said`).
    """

    model: Path | None = None
    against: tuple[str, ...] = ()
    adapt: Adapt = Adapt.NOTHING
    jobs: int | None = None
    labels: Path | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """How to tell it: the object (`as_json`), the documents' tables (`as_markdown`) or tables; and the page."""

    as_json: bool = False
    as_markdown: bool = False
    html: Path | None = None


def run(
    material: Material,
    options: EvaluationOptions | None = None,
    output: Output | None = None,
    *,
    fail_on_denied: bool = False,
    settings: Settings | None = None,
) -> int:
    """Evaluate, tell it as `output` asks, and give back the exit code.

    `fail_on_denied`: 1 when any good request was denied.

    Raises:
        CommandError: a trace or labels cannot be read, the model not used, the page not written, a peer not be run.
    """
    output = output or Output()
    result = judged(material, options or EvaluationOptions(), settings or load())
    if output.html is not None:
        try:
            output.html.write_text(page(result), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{output.html}: cannot be written ({error.strerror or error})") from error
    if output.as_json:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()
    elif output.as_markdown:
        sys.stdout.write(markdown.tables(result))
    else:
        show(result, Console(width=None if sys.stdout.isatty() else FILE_COLUMNS))
        if output.html is not None:
            Console().print(f"The whole report: {output.html}", style="dim", markup=False, soft_wrap=True)
    return 1 if fail_on_denied and result["benign_denied"] else 0


def judged(material: Material, options: EvaluationOptions, settings: Settings) -> dict[str, Any]:
    """The object of `--json`: our verdict, and peers' under `against`.

    Raises:
        CommandError: as `run`.
    """
    if options.against and material.clean is None:
        raise CommandError("--against needs --train: the others are set up on the same clean traffic")
    words = read(options.labels) if options.labels is not None else {}
    allowed = ",".join(filter(None, (settings.allowlist, material.allowlist)))
    settings = settings.model_copy(update={"allowlist": allowed})
    with progress_bar() as progress:
        model = _model(material, options, settings, progress)
        fresh: dict[str, Fresh] = {OURS: partial(Floodwarden, model, settings)}
        if material.clean is not None and options.against:
            fresh |= _set_up(material.clean, options, model, settings, progress)
        judged = _tried(material, Contest(fresh, settings, options.adapt, words), options, progress)
    told = {name: summary([one.outcomes[name] for one in judged]) for name in fresh}
    ours = told.pop(OURS)
    if not ours["decisions"]:
        raise CommandError(f"{material.name}: no decisions in it; make one with `floodwarden simulate`")
    rejected = sum(one.rejected for one in judged)
    about = {"trace": material.name, "rejected": rejected, "model": model.version, "made_from": model.made_from}
    return ours | about | {"adapt": [one.name.lower() for one in options.adapt if one.name], "against": told}


def _set_up(
    clean: Callable[[], Iterable[Labelled]],
    options: EvaluationOptions,
    model: Model,
    settings: Settings,
    progress: Progress,
) -> dict[str, Fresh]:
    bar = progress.add_task("setting others up", total=len(options.against), note="others")
    day = CleanDay(lambda: sliced(clean(), span_ms=SLICE_MS, rows_max=SLICE_ROWS), settings.login_globs)
    fresh = {}
    for name in options.against:
        fresh[name] = PEERS[name](day, model, settings)
        progress.advance(bar)
    return fresh


def _tried(material: Material, contest: Contest, options: EvaluationOptions, progress: Progress) -> list[Judged]:
    jobs = jobs_of(len(material.traces), options.jobs)
    bar = progress.add_task("judging", total=len(material.traces), note=f"traces, {jobs} at once")
    rows = progress.add_task("of them", total=None, note="decisions, all detectors together", visible=jobs == 1)
    return judge(material.traces, contest, jobs, lambda n: progress.advance(rows, n), lambda: progress.advance(bar))


def _model(material: Material, options: EvaluationOptions, settings: Settings, progress: Progress) -> Model:
    if options.model is not None or material.clean is None:
        return load_model(options.model, settings)
    bar = progress.add_task("learning", total=None, note="decisions")

    def counted() -> Iterable[Any]:
        for part in material.clean() if material.clean is not None else ():
            progress.advance(bar, part.batch.num_rows)
            yield part.batch

    learned = training.train(
        counted(),
        login_globs=settings.login_globs,
        clean=True,
        made_from=material.clean_name,
        families=with_own(settings.families),
    )
    try:
        return budgeted(learned, settings)
    except ArtifactError as error:
        raise CommandError(str(error)) from error
