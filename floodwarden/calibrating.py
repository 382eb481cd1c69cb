"""`floodwarden calibrate`: thresholds anew from traffic in which nobody bad was; refused where somebody is."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.artifact import Model, save
from detectors.errors import ArtifactError
from enforcer.store.labels import Judged
from floodwarden.cli_output import console, table
from floodwarden.errors import CommandError
from floodwarden.formats import Rejects
from floodwarden.judged import labels_of, named
from floodwarden.model_orders import KINDS
from floodwarden.replay import progress_bar
from floodwarden.traffic import Traffic
from floodwarden.traffic import names as names_of
from floodwarden.training import counted
from schemas.settings import Settings
from stream.calibrate import Calibrated, calibrate
from stream.errors import SpanError
from stream.labels import Moved
from stream.models import configured
from stream.train import gather

_COLUMNS: Final = ("ip", "key_id", "user")  # of `KINDS`
STOPPED: Final = ("deny", "challenge")
NAMED_MAX: Final = 5


def run(
    sources: Traffic,
    out: Path,
    *,
    model: Path | None,
    as_json: bool,
    settings: Settings,
    labels: Sequence[Judged] = (),
) -> int:
    """Calibrate `model` (else the one in force) on `sources`, write it to `out`, say what has changed.

    `labels`: what people say of clients in it.

    Raises:
        CommandError: the model cannot be used, or the span is refused; why, and what to do.
    """
    try:
        old = configured(settings, model)
    except ArtifactError as error:
        raise CommandError(str(error)) from error
    rejects, rows, stopped = Rejects(), [0], [0]
    with progress_bar() as progress:
        batches = counted(progress, sources.batches(rejects), rows)
        flows = gather(_watched(batches, stopped, labels), settings.login_globs, old.families)
        try:
            done = calibrate(old, flows, stopped[0], labels_of(labels))
        except SpanError as error:
            raise CommandError(_refusal(error, sources)) from error
    try:
        save(done.model, out)
    except OSError as error:
        raise CommandError(f"{out}: cannot be written ({error.strerror or error})") from error
    _tell(old, done, out, rows[0], as_json=as_json)
    return 0


def _watched(
    batches: Iterator[pa.RecordBatch], stopped: list[int], labels: Sequence[Judged]
) -> Iterator[pa.RecordBatch]:
    """`batches`; those of their decisions that an answer stopped, but for clients of whom people judged, add up."""
    of: dict[str, set[str | None]] = {kind: set() for kind in KINDS}
    for one in labels:
        kind, _, value = one.entity.partition(":")
        of.get(kind, set()).add(named(kind, value))
    for batch in batches:
        hit = _among(batch, "verdict", set(STOPPED))
        for kind, column in zip(KINDS, _COLUMNS, strict=True):
            if of[kind]:
                hit &= ~_among(batch, column, of[kind])
        stopped[0] += int(hit.sum())
        yield batch


def _among(batch: pa.RecordBatch, column: str, texts: Container[str | None]) -> NDArray[np.bool_]:
    """Which rows have one of these texts."""
    values = batch.column(column)
    of = [code for code, text in enumerate(values.dictionary.to_pylist()) if named(column, text) in texts]
    return np.isin(values.indices.fill_null(-1).to_numpy(zero_copy_only=False), of)


def _refusal(error: SpanError, sources: Traffic) -> str:
    """In words, with those found by name: they are looked for in a second reading."""
    names = names_of({finding.entity for finding in error.found[:NAMED_MAX]}, sources)
    told = [
        f"  {f.family} by {names.get(f.entity, KINDS[f.kind])} from {_at(f.first_ms)}: {f.facts[0].sentence}"
        for f in error.found[:NAMED_MAX]
    ]
    more = [f"  and {len(error.found) - NAMED_MAX} more"] if len(error.found) > NAMED_MAX else []
    advice = "nothing was written: thresholds stay as they are, stated ones if never calibrated; choose another span"
    if error.found:
        advice += ", or label who was rightly or wrongly found and say --labels"
    return "\n".join([str(error), *told, *more, advice])


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _tell(old: Model, done: Calibrated, out: Path, rows: int, *, as_json: bool) -> None:
    new = done.model
    if as_json:
        sys.stdout.write(msgspec.json.encode(_record(old, done, out, rows)).decode() + "\n")
        return
    console().print(f"{out}: model {new.version}, thresholds from {rows:,} decisions over {new.span_s / 3600:.1f} h")
    lines = [
        (family.name, *(f"{old.h[k, family.index]:.1f} > {new.h[k, family.index]:.1f}" for k in range(len(KINDS))))
        for family in new.families
    ]
    table(("family", "threshold ip, was > is", "key", "user (nats)"), lines, "")
    for one in done.moved:
        console().print(_moved(one))
    if done.odd_share is not None:
        verdict = (
            "the forest no longer knows this traffic: train anew" if done.drifted else "as it should be, about 1 %"
        )
        console().print(f"minutes as odd as one in a hundred: {100 * done.odd_share:.1f} %, {verdict}")


def _moved(one: Moved) -> str:
    what = f"{one.family}, {KINDS[one.kind]}: clients labelled false positives came to {one.found:.1f} nats"
    why = "" if one.least is None else f", clients labelled true positives to {one.least:.1f} at the least"
    done = f"threshold {one.base:.1f} > {one.h:.1f}" if one.h > one.base else f"threshold stays {one.base:.1f}"
    rest = "" if one.enough else "; that does not spare all of them: put them on the allowlist"
    return f"{what}{why}: {done}{rest}"


def _record(old: Model, done: Calibrated, out: Path, rows: int) -> dict[str, Any]:
    new = done.model
    return {
        "model": str(out),
        "version": new.version,
        "from_version": old.version,
        "decisions": rows,
        "span_s": new.span_s,
        "odd_share": done.odd_share,
        "drifted": done.drifted,
        "metrics": dict(new.metrics),
        "moved": [asdict(one) | {"kind": KINDS[one.kind], "enough": one.enough} for one in done.moved],
        "thresholds": {
            family.name: {kind: round(float(new.h[k, family.index]), 3) for k, kind in enumerate(KINDS)}
            for family in new.families
        },
    }
