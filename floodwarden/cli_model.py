"""Commands about trained models: registered, tried, set beside the live one, promoted, taken back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from floodwarden.cli_files import files_there
from floodwarden.cli_output import Json, console, write_json
from floodwarden.cli_told import By, Reason, seconds_of, who
from floodwarden.format_names import FORMATS
from schemas.settings import load

if TYPE_CHECKING:
    from schemas.models import Order

model = typer.Typer(
    no_args_is_help=True, help="What detection judges by: versions, tried and shadowed before they count."
)
Number = Annotated[int, typer.Argument(min=1, help="`model list` tells it")]
Wait = Annotated[str, typer.Option(metavar="DURATION", help="so long for every stream worker to take it")]


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(model, name="model", rich_help_panel="What is in force")


@model.command("add")
def add(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="what `train` or `calibrate` wrote", callback=files_there)
    ],
    *,
    reason: Reason = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Register a model as a version; nothing judges by it yet. The same file keeps its version."""
    from enforcer import model_command
    from floodwarden import model_orders

    made = model_orders.register(load(), path, model_command.By(who(by), reason))
    if as_json:
        write_json(model_command.plain(made))
        return
    console().print(f"version {made.version}: model {made.content}")
    console().print(f"See whom it would have hit: floodwarden model try {made.version} --over 24h")


@model.command("list")
def listed(*, as_json: Json = False) -> None:
    """Every version and which is live, in shadow, tried; and what each stream worker runs."""
    from floodwarden import model_told

    model_told.tell_list(load(), as_json=as_json)


@model.command("show")
def show(
    version: Annotated[int | None, typer.Argument(min=1, help="the live one when left out")] = None,
    *,
    as_json: Json = False,
) -> None:
    """One version: what it was made from, its thresholds, what its replay said."""
    from floodwarden import model_told

    model_told.tell_version(load(), version, as_json=as_json)


@model.command("try")
def tried(
    candidate: Annotated[str, typer.Argument(metavar="VERSION|FILE", help="what is tried")],
    files: Annotated[list[str] | None, typer.Argument(metavar="LOG...", help="instead of the topic")] = None,
    *,
    over: Annotated[str, typer.Option(metavar="DURATION", help="so much of the topic of decisions")] = "24h",
    form: Annotated[str | None, typer.Option("--format", help=f"one of {', '.join(FORMATS)}")] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Replay recorded traffic under a model and the live one: who would have been hit, whom it would spare."""
    from enforcer.model_command import plain
    from floodwarden import model_trial
    from floodwarden.model_told import tell_trial
    from floodwarden.traffic import Recorded, Sources

    settings = load()
    of = model_trial.Candidate.of(settings, candidate)
    traffic = Sources(tuple(files), form, settings.geoip) if files else Recorded.last(settings, seconds_of(over))
    trial = model_trial.run(settings, of, traffic, who(by))
    write_json(plain(trial)) if as_json else tell_trial(trial)


@model.command("shadow")
def shadow(
    version: Annotated[int | None, typer.Argument(min=1, help="`model list` tells it")] = None,
    *,
    off: Annotated[bool, typer.Option("--off", help="no version any more")] = False,
    reason: Reason = "",
    by: By = "",
    wait: Wait = "30s",
    as_json: Json = False,
) -> None:
    """Have every stream worker judge by a version beside the live one, and alert nobody: then `model compare`."""
    if off == (version is not None):
        raise typer.BadParameter("name a version, or say --off", param_hint="VERSION")
    from enforcer import model_command
    from floodwarden.model_orders import judge

    order = model_command.shadow(load(), version or 0, model_command.By(who(by), reason), judge)
    _tell(order, wait, as_json=as_json)


@model.command("compare")
def compare(
    version: Annotated[int | None, typer.Argument(min=1, help="the one in shadow when left out")] = None,
    *,
    as_json: Json = False,
) -> None:
    """How the live model and one in shadow agree: incidents of both, of one alone, by family; whom by name."""
    from floodwarden import model_told

    model_told.tell_comparison(load(), version, as_json=as_json)


@model.command("promote")
def promote(
    version: Number,
    *,
    force: Annotated[bool, typer.Option("--force", help="although it was never tried on recorded traffic")] = False,
    reason: Reason = "",
    by: By = "",
    wait: Wait = "30s",
    as_json: Json = False,
) -> None:
    """Have every stream worker judge by a version, from its next pane on, without a restart."""
    from enforcer import model_command
    from floodwarden.model_orders import judge

    order = model_command.promote(load(), version, model_command.By(who(by), reason), judge, force=force)
    _tell(order, wait, as_json=as_json)


@model.command("rollback")
def rollback(
    version: Annotated[
        int | None, typer.Argument(min=0, help="the one before when left out; 0: the settings' model")
    ] = None,
    *,
    reason: Reason = "",
    by: By = "",
    wait: Wait = "30s",
    as_json: Json = False,
) -> None:
    """Have every stream worker judge by an earlier version again."""
    from enforcer import model_command
    from floodwarden.model_orders import judge

    order = model_command.rollback(load(), version, model_command.By(who(by), reason), judge)
    _tell(order, wait, as_json=as_json)


def _tell(order: Order, wait: str, *, as_json: bool) -> None:
    from enforcer import model_command
    from floodwarden import model_told

    words = model_command.awaited(load(), order, seconds_of(wait))
    if not model_told.tell_order(order, words, as_json=as_json):
        raise typer.Exit(1)
