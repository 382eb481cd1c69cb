"""The command that learns what is normal from recorded traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from detectors import artifact
from floodwarden.cli_output import Json, console, write_json
from floodwarden.errors import CommandError
from floodwarden.formats import FORMATS, Rejects, read
from floodwarden.replay import progress_bar
from schemas import settings as settings_of
from stream import train as training


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command("train")(train)


def train(
    files: Annotated[list[str], typer.Argument(help="logs or traces of a day or more; - reads standard input")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="where the model goes")] = Path("model.npz"),
    form: Annotated[str | None, typer.Option("--format", help=f"one of {', '.join(FORMATS)}; told without it")] = None,
    clean: Annotated[bool, typer.Option("--clean", help="vouch that nobody bad is in it")] = False,
    as_json: Json = False,
) -> None:
    """Learn what is normal here; use it with FLOODWARDEN_MODEL=model.npz. Without --clean the worst are left out."""
    if form is not None and form not in FORMATS:
        raise typer.BadParameter(f"{form} is not one of {', '.join(FORMATS)}", param_hint="--format")
    globs = tuple(glob.strip() for glob in settings_of.load().login_routes.split(",") if glob.strip())
    names = ", ".join(Path(file).name for file in files)
    rejects, rows = Rejects(), 0
    with progress_bar() as progress:
        bar = progress.add_task("learning", total=None, note="decisions")

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for part in read(files, form=form, rejects=rejects):
                rows += part.batch.num_rows
                progress.update(bar, completed=rows)
                yield part.batch

        model = training.train(batches(), login_globs=globs, clean=clean, made_from=names)
    if not rows:
        raise CommandError(f"no request in {names}: {rejects.total} lines were read as none; name the --format")
    try:
        artifact.save(model, out)
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}; name another place with --out") from error
    told = {
        "model": str(out),
        "version": model.version,
        "decisions": rows,
        "rejected": rejects.total,
        "span_s": model.span_s,
    }
    if as_json:
        write_json(told)
        return
    console().print(f"{out}: version {model.version}, from {rows:,} decisions over {model.span_s / 3600:.1f} h")
    if rejects.total:
        console().print(f"{rejects.total:,} lines were no requests and are not in it")
    if model.span_s < 2 * 3600:
        console().print("less than two hours of traffic: where it says too little, the stated defaults stand")
