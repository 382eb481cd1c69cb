"""`floodwarden evaluate`: labelled traces through the real pipeline and enforcement, and through others'."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import Progress

from detectors.artifact import Model
from detectors.family_file import with_own
from floodwarden.closed_loop import ClosedLoop, Detector, Floodwarden, sliced
from floodwarden.errors import CommandError
from floodwarden.evaluation import markdown
from floodwarden.evaluation.adaptive import Adapt, Attackers, adapted
from floodwarden.evaluation.material import Material
from floodwarden.evaluation.page import page
from floodwarden.evaluation.peers import PEERS
from floodwarden.evaluation.summary import summary
from floodwarden.evaluation.text import show
from floodwarden.evaluation.verdict import Outcome, Verdict
from floodwarden.formats import Rejects
from floodwarden.formats_trace import Labelled
from floodwarden.replay import load_model, progress_bar
from schemas.settings import Settings, load
from stream import train as training

SLICE_MS: Final = 10_000
SLICE_ROWS: Final = 5_000
OURS: Final = "floodwarden"
OnRows = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How to judge: with `model`, else with one learned from the clean trace, without either with the shipped one.

    `against` names peers to run as well, set up on the clean trace. `adapt`: what attackers do about refusals.
    """

    model: Path | None = None
    against: tuple[str, ...] = ()
    adapt: Adapt = Adapt.NOTHING


@dataclass(frozen=True, slots=True)
class Output:
    """How to tell it: the object (`as_json`), the documents' tables (`as_markdown`) or tables; and the page."""

    as_json: bool = False
    as_markdown: bool = False
    html: Path | None = None


def evaluate(
    trace: Iterable[Labelled],
    detector: Detector,
    settings: Settings,
    *,
    adapt: Adapt = Adapt.NOTHING,
    on_rows: OnRows = lambda _: None,
) -> Outcome:
    """Judge a labelled trace (in time order) in the closed loop."""
    verdict, attackers = Verdict(), Attackers(adapt)
    slices = sliced(trace, span_ms=SLICE_MS, rows_max=SLICE_ROWS)
    coming = adapted(slices, attackers) if adapt else slices
    for judged in ClosedLoop(detector, settings).run(coming):
        verdict.take(judged)
        if adapt:
            attackers.told(judged)
        on_rows(judged.slice.batch.num_rows)
    return verdict.outcome()


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
        CommandError: a trace cannot be read, the model not used, the page not written, or a peer not be run.
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
        show(result, Console())
        if output.html is not None:
            Console().print(f"The whole report: {output.html}", style="dim", markup=False, soft_wrap=True)
    return 1 if fail_on_denied and result["benign_denied"] else 0


def judged(material: Material, options: EvaluationOptions, settings: Settings) -> dict[str, Any]:
    """The object of `--json`: our verdict, and peers' under `against`.

    Raises:
        CommandError: as `run`.
    """
    rejects = Rejects()
    with progress_bar() as progress:
        model = _model(material, options, settings, progress)
        ours = _tried(OURS, lambda: Floodwarden(model, settings), material, options, (settings, progress, rejects))
        if not ours["decisions"]:
            raise CommandError(f"{material.name}: no decisions in it; make one with `floodwarden simulate`")
        others = _others(material, options, model, settings, progress)
    about = {"trace": material.name, "rejected": rejects.total, "model": model.version, "made_from": model.made_from}
    return ours | about | {"adapt": [one.name.lower() for one in options.adapt if one.name], "against": others}


def _others(
    material: Material, options: EvaluationOptions, model: Model, settings: Settings, progress: Progress
) -> dict[str, Any]:
    clean = material.clean
    if not options.against:
        return {}
    if clean is None:
        raise CommandError("--against needs --train: the others are set up on the same clean traffic")

    def slices() -> Iterable[Labelled]:
        return sliced(clean(), span_ms=SLICE_MS, rows_max=SLICE_ROWS)

    rest = (settings, progress, Rejects())
    return {
        name: _tried(name, PEERS[name](slices, model, settings), material, options, rest) for name in options.against
    }


def _tried(
    name: str,
    fresh: Callable[[], Detector],
    material: Material,
    options: EvaluationOptions,
    rest: tuple[Settings, Progress, Rejects],
) -> dict[str, Any]:
    settings, progress, rejects = rest
    bar = progress.add_task(name, total=None, note="decisions")
    outcomes = []
    for number, trace in enumerate(material.traces, start=1):
        progress.update(bar, description=f"{name}, {number} of {len(material.traces)}")
        parts = trace(rejects)
        outcomes.append(
            evaluate(parts, fresh(), settings, adapt=options.adapt, on_rows=lambda n: progress.advance(bar, n))
        )
    return summary(outcomes)


def _model(material: Material, options: EvaluationOptions, settings: Settings, progress: Progress) -> Model:
    if options.model is not None or material.clean is None:
        return load_model(options.model, settings)
    bar = progress.add_task("learning", total=None, note="decisions")

    def counted() -> Iterable[Any]:
        for part in material.clean() if material.clean is not None else ():
            progress.advance(bar, part.batch.num_rows)
            yield part.batch

    return training.train(
        counted(),
        login_globs=settings.login_globs,
        clean=True,
        made_from=material.clean_name,
        families=with_own(settings.families),
    )
