"""`floodwarden evaluate`: a labelled trace through the real pipeline and enforcement, and through others'."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

from detectors.artifact import Model
from detectors.family_file import with_own
from floodwarden.closed_loop import ClosedLoop, Detector, Floodwarden, is_attack, sliced
from floodwarden.errors import CommandError
from floodwarden.evaluation.adaptive import Adapt, Attackers, adapted
from floodwarden.evaluation.page import page
from floodwarden.evaluation.peers import PEERS
from floodwarden.evaluation.text import show
from floodwarden.evaluation.verdict import Verdict
from floodwarden.formats import Rejects, read
from floodwarden.formats_trace import Labelled
from floodwarden.replay import load_model, progress_bar
from schemas.settings import Settings, load
from stream import train as training

SLICE_MS: Final = 10_000
SLICE_ROWS: Final = 5_000
OnRows = Callable[[int], None]
_ANSWERED_BY: Final = "floodwarden"


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How to judge: with `model`, or one learned from the trace `train` (its attacks left out); else the shipped one.

    `against` names peers to run as well; they need `train` to be set up. `adapt`: what attackers do about refusals.
    """

    train: str | Path | None = None
    model: Path | None = None
    against: tuple[str, ...] = ()
    adapt: Adapt = Adapt.NOTHING


def evaluate(
    trace: Iterable[Labelled],
    detector: Detector,
    settings: Settings,
    *,
    adapt: Adapt = Adapt.NOTHING,
    on_rows: OnRows = lambda _: None,
) -> dict[str, Any]:
    """Judge a labelled trace (in time order) in the closed loop; the object that `--json` prints."""
    verdict, attackers = Verdict(), Attackers(adapt)
    slices = sliced(trace, span_ms=SLICE_MS, rows_max=SLICE_ROWS)
    coming = adapted(slices, attackers) if adapt else slices
    for judged in ClosedLoop(detector, settings).run(coming):
        verdict.take(judged)
        if adapt:
            attackers.told(judged)
        on_rows(judged.slice.batch.num_rows)
    return verdict.report()


def learn(trace: str | Path, settings: Settings) -> Model:
    """A model of what is normal in `trace`, its attacks left out."""
    batches = (part.batch for part in clean_of(trace))
    return training.train(
        batches,
        login_globs=settings.login_globs,
        clean=True,
        made_from=Path(trace).name,
        families=with_own(settings.families),
    )


def clean_of(trace: str | Path) -> Iterator[Labelled]:
    """A trace without its attacks."""
    for part in read([trace], rejects=Rejects()):
        keep = ~is_attack(part.labels)
        yield part if keep.all() else Labelled(part.batch.filter(keep), part.labels[keep])


def run(
    trace: str | Path,
    *,
    options: EvaluationOptions | None = None,
    as_json: bool = False,
    html: Path | None = None,
    fail_on_denied: bool = False,
    settings: Settings | None = None,
) -> int:
    """Evaluate `trace`, print tables or the object, write the page, and give back the exit code.

    `fail_on_denied`: 1 when any good request was denied.

    Raises:
        CommandError: a trace cannot be read, the model not used, the page not written, or a peer not be run.
    """
    settings, options = settings or load(), options or EvaluationOptions()
    result = judged(trace, options, settings)
    if html is not None:
        try:
            html.write_text(page(result), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{html}: cannot be written ({error.strerror or error})") from error
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()
    else:
        show(result, Console())
        if html is not None:
            Console().print(f"The whole report: {html}", style="dim", markup=False, soft_wrap=True)
    return 1 if fail_on_denied and result["benign_denied"] else 0


def judged(trace: str | Path, options: EvaluationOptions, settings: Settings) -> dict[str, Any]:
    """The object of `--json`: our verdict, and peers' under `against`.

    Raises:
        CommandError: as `run`.
    """
    if options.against and options.train is None:
        raise CommandError("--against needs --train: the others are set up on the same clean traffic")
    rejects = Rejects()
    with progress_bar() as progress:
        learning = progress.add_task("learning", total=None, note="")
        model = learn(options.train, settings) if options.train is not None else load_model(options.model, settings)
        progress.remove_task(learning)

        def tried(name: str, detector: Detector, rejects: Rejects) -> dict[str, Any]:
            bar = progress.add_task(f"judging: {name}", total=None, note="decisions")
            parts = read([trace], rejects=rejects)
            return evaluate(parts, detector, settings, adapt=options.adapt, on_rows=lambda n: progress.advance(bar, n))

        result = tried(_ANSWERED_BY, Floodwarden(model, settings), rejects)
        if not result["decisions"]:
            raise CommandError(f"{trace}: no decisions in it; make one with `floodwarden simulate`")
        others = {}
        if options.train is not None:
            clean = partial(_clean_slices, options.train)
            for name in options.against:
                others[name] = tried(name, PEERS[name](clean, model, settings), Rejects())
    about = {"trace": Path(trace).name, "rejected": rejects.total, "model": model.version, "made_from": model.made_from}
    adapt = [one.name.lower() for one in options.adapt if one.name]
    return result | about | {"adapt": adapt, "against": others}


def _clean_slices(train: str | Path) -> Iterator[Labelled]:
    return sliced(clean_of(train), span_ms=SLICE_MS, rows_max=SLICE_ROWS)
