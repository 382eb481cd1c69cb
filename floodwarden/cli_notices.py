"""Commands about notices: a file looked over, a destination tried."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from floodwarden.cli_files import files_there
from floodwarden.cli_output import Json, console, safe, write_json
from floodwarden.errors import CommandError
from schemas import settings as settings_of

if TYPE_CHECKING:
    from schemas.errors import FileError

notices = typer.Typer(no_args_is_help=True, help="Who is told of incidents: look the file over, try a destination.")


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(notices, name="notices", rich_help_panel="Look after it")


@notices.command("lint")
def lint(
    path: Annotated[
        Path | None, typer.Argument(help="the file", show_default="FLOODWARDEN_NOTICES", callback=files_there)
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Everything wrong with a file of destinations and routes: file, line, field, fix. Exit code 1 on errors."""
    from enforcer.notify.notices_file import examine

    found = examine(_path(path))
    counts = {"destination": len(found.notices.destinations), "route": len(found.notices.routes)}
    if as_json:
        said = {f"{what}s": count for what, count in counts.items()}
        told = {"errors": [_told(e) for e in found.errors], "warnings": [_told(w) for w in found.warnings]}
        write_json({"ok": not found.errors} | said | told)
    else:
        for error in found.errors:
            console().print(f"error    {safe(str(error))}", style="red")
        for doubt in found.warnings:
            console().print(f"warning  {safe(str(doubt))}", style="yellow")
        counts |= {"error": len(found.errors), "warning": len(found.warnings)}
        console().print(", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items()))
    raise typer.Exit(1 if found.errors else 0)


@notices.command("test")
def try_out(
    destination: Annotated[str, typer.Argument(help="its name in FLOODWARDEN_NOTICES")], *, as_json: Json = False
) -> None:
    """Send a made-up incident to one destination, and its end where it would stay open. Exit code 1 if refused."""
    from enforcer.notify import trial
    from schemas.errors import one_of

    settings = settings_of.load()
    found = trial.notices(settings)
    if destination not in found.destinations:
        known = one_of(destination, found.destinations)
        raise CommandError(f"{destination!r} is no destination of {settings.notices}: {known}")
    began_s = time.monotonic()
    outcome = trial.send(settings, found, destination)
    took_ms = round((time.monotonic() - began_s) * 1000)
    is_there = outcome.came.value == "delivered"
    if as_json:
        write_json({"ok": is_there, "destination": destination, "outcome": outcome.came.value, "reason": outcome.reason,
                    "took_ms": took_ms})  # fmt: skip
    elif is_there:
        console().print(f"{safe(destination)} took it, {took_ms} ms")
    else:
        console().print(f"{safe(destination)} did not take it: {safe(outcome.reason)}", style="red")
    raise typer.Exit(0 if is_there else 1)


def _path(path: Path | None) -> Path:
    path = path or settings_of.load().notices
    if path is None:
        raise CommandError("no file: name one, or set FLOODWARDEN_NOTICES")
    return path


def _told(each: FileError) -> dict[str, Any]:
    return {"file": each.file, "line": each.line, "field": each.field, "reason": each.reason, "fix": each.fix}
