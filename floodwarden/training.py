"""`floodwarden train`: what is normal, learned from recorded traffic; the shipped model from a simulated day."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from rich.progress import Progress

from detectors.artifact import Model, save
from detectors.family_file import with_own
from enforcer.store.labels import Judged
from floodwarden.cli_output import console, table
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects
from floodwarden.judged import labels_of
from floodwarden.model_orders import KINDS
from floodwarden.model_told import quality
from floodwarden.replay import progress_bar
from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.generate import simulate
from floodwarden.traffic import Traffic
from schemas.settings import Settings
from stream import train

_HOUR_S: Final = 3600


def run(
    sources: Traffic,
    out: Path,
    *,
    clean: bool,
    seed: int,
    as_json: bool,
    settings: Settings,
    labels: Sequence[Judged] = (),
) -> int:
    """Learn a model from `sources`, write it to `out`, say what it holds. `labels`: what people say of clients in it.

    Raises:
        CommandError: they cannot be read, the model not be written, or there is nothing to learn from.
    """
    rejects, rows = Rejects(), [0]
    with progress_bar() as progress:
        batches = counted(progress, sources.batches(rejects), rows)
        model = train.train(
            batches,
            login_globs=settings.login_globs,
            clean=clean,
            seed=seed,
            made_from=sources.name,
            families=with_own(settings.families),
            measure=True,
            labels=labels_of(labels),
        )
    if not rows[0]:
        raise CommandError(f"no request in {sources.name}: {rejects.total} lines were read as none{sources.fix}")
    try:
        save(model, out)
    except OSError as error:
        raise CommandError(f"{out}: cannot be written ({error.strerror or error})") from error
    _tell(model, out, rows[0], rejects.total, as_json=as_json)
    return 0


def rebuild_default(*, as_json: bool) -> int:
    """Make the shipped model anew: the same bytes every time."""
    rows = [0]
    with progress_bar() as progress:
        config = SimulationConfig(seed=train.DEFAULT_SEED, batch_rows=50_000)
        batches = counted(progress, (part.batch for part in simulate(config)), rows)
        # The stated login routes, whatever the environment says.
        model = train.rebuild_default(batches, Settings.model_construct().login_globs)
    _tell(model, train.DEFAULT_PATH, rows[0], 0, as_json=as_json)
    return 0


def counted(progress: Progress, batches: Iterator[pa.RecordBatch], rows: list[int]) -> Iterator[pa.RecordBatch]:
    """`batches`, with a bar that goes on and their rows added up in `rows`."""
    bar = progress.add_task("learning", total=None, note="decisions")
    for batch in batches:
        rows[0] += batch.num_rows
        progress.advance(bar, batch.num_rows)
        yield batch


def _tell(model: Model, out: Path, rows: int, rejected: int, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(_record(model, out, rows, rejected)).decode() + "\n")
        return
    short = "" if model.span_s >= train.SPAN_S_MIN else "; shorter than 2 h, so thresholds keep the stated slopes"
    console().print(f"{out}: model {model.version} from {rows:,} decisions over {model.span_s / _HOUR_S:.1f} h{short}")
    for line in quality(model.metrics):
        console().print(line)
    if rejected:
        console().print(f"{rejected:,} lines were no requests and were left out")
    lines = [
        (
            family.name,
            *(f"{model.h[k, family.index]:.1f}" for k in range(len(KINDS))),
            *(f"{model.entities[k, family.index]:,}" for k in range(len(KINDS))),
            family.wanted(min(family.about), established=False),
        )
        for family in model.families
    ]
    table(("family", "threshold ip", "key", "user (nats)", "clients: ip", "key", "user", "answer"), lines, "")
    console().print(f"Judge a log with it: floodwarden replay --model {out} access.log")
    console().print(f"Have workers take it: floodwarden model add {out}, then try, shadow, promote (docs/models.md)")


def _record(model: Model, out: Path, rows: int, rejected: int) -> dict[str, Any]:
    thresholds = {
        family.name: {kind: round(float(model.h[k, family.index]), 3) for k, kind in enumerate(KINDS)}
        for family in model.families
    }
    return {
        "model": str(out),
        "version": model.version,
        "decisions": rows,
        "span_s": model.span_s,
        "rejected": rejected,
        "thresholds": thresholds,
        "regulars": len(model.regulars),
        "metrics": dict(model.metrics),
    }
