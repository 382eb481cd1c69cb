"""Commands that decide what waits for somebody's word. The enforcer's part is imported when one runs."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from floodwarden.cli_output import Json
from floodwarden.cli_told import By, Reason, list_pending, seconds_of, tell, who
from schemas import settings as settings_of

PANEL: Final = "What is in force"
Uid = Annotated[str, typer.Argument(help="the action, or the first characters of it; `pending` shows them")]


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.command("pending", rich_help_panel=PANEL)(pending)
    app.command("approve", rich_help_panel=PANEL)(approve)
    app.command("reject", rich_help_panel=PANEL)(reject)


def pending(*, as_json: Json = False) -> None:
    """What automation would do, and asks about first: until when, and what becomes of it if nobody says anything."""
    from enforcer import judging

    list_pending(judging.pending(settings_of.load()), as_json=as_json)


def approve(
    action_uid: Uid,
    *,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="other than it was meant to last: 90s, 10m, 6h, 1d")
    ] = None,
    reason: Reason = "by command",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Do what waits, now."""
    from enforcer import judging

    seconds = seconds_of(duration) if duration else None
    tell(judging.approve_pending(settings_of.load(), action_uid, seconds, reason, who(by)), as_json=as_json)


def reject(action_uid: Uid, *, reason: Reason = "by command", by: By = "", as_json: Json = False) -> None:
    """Do not do what waits. What led to it leads there no more."""
    from enforcer import judging

    tell(judging.reject(settings_of.load(), action_uid, reason, who(by)), as_json=as_json)
