"""Commands that look at what is in force and change it. The enforcer's part is imported when one runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from floodwarden import cli_brownout
from floodwarden.cli_output import Json, console, listing, safe, write_json
from floodwarden.cli_restrict import deny, throttle
from floodwarden.cli_told import (
    By,
    For,
    Kind,
    Reason,
    Value,
    list_actions,
    seconds_of,
    tell,
    who,
)
from schemas import settings as settings_of

CONTROL: Final = "What is in force"
_EPISODE_S: Final = 1.0


allow = typer.Typer(no_args_is_help=True, help="Protect clients from every action; what restricts them is lifted.")
actions = typer.Typer(help="What is in force now, and when each limiter had it.")


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(deny, name="deny", rich_help_panel=CONTROL)
    app.add_typer(throttle, name="throttle", rich_help_panel=CONTROL)
    app.add_typer(allow, name="allow", rich_help_panel=CONTROL)
    cli_brownout.register(app, CONTROL)
    app.command("stop", rich_help_panel=CONTROL)(stop)
    app.command("resume", rich_help_panel=CONTROL)(resume)
    app.command("undo", rich_help_panel=CONTROL)(undo)
    app.add_typer(actions, name="actions", rich_help_panel=CONTROL)
    app.command("alerts", rich_help_panel=CONTROL)(alerts)


@allow.command("add")
def allow_add(
    kind: Kind,
    value: Value,
    *,
    duration: For = "1d",
    reason: Reason = "by command",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Protect a client from every action for a time; what restricts it now is lifted at once."""
    from enforcer import command

    tell(command.allow_add(settings_of.load(), kind, value, seconds_of(duration), reason, who(by)), as_json=as_json)


@allow.command("remove")
def allow_remove(kind: Kind, value: Value, *, reason: Reason = "", by: By = "", as_json: Json = False) -> None:
    """End a protection made by command; FLOODWARDEN_ALLOWLIST is changed there."""
    from enforcer import command

    tell(command.allow_remove(settings_of.load(), kind, value, who(by), reason), as_json=as_json)


@allow.command("list")
def allow_list(*, as_json: Json = False) -> None:
    """Protections made by command, then those of FLOODWARDEN_ALLOWLIST."""
    from enforcer import command

    settings = settings_of.load()
    list_actions(command.allow_list(settings), as_json=as_json)
    if settings.allowlist and not as_json:
        console().print(f"always, by FLOODWARDEN_ALLOWLIST: {safe(settings.allowlist)}")


def stop(*, duration: For = "1d", reason: Reason = "by command", by: By = "", as_json: Json = False) -> None:
    """Stop automation, now: everything it decided is lifted, and it decides nothing until `resume`.

    What people asked for stays in force, and alerts go on: they say what would have been done.
    """
    from enforcer import command

    result = command.stop(settings_of.load(), seconds_of(duration), reason, who(by))
    tell(result, as_json=as_json)


def resume(*, reason: Reason = "", by: By = "", as_json: Json = False) -> None:
    """Let automation act again, on what it sees from now on."""
    from enforcer import command

    tell(command.resume(settings_of.load(), who(by), reason), as_json=as_json)


def undo(
    action_uid: Annotated[str, typer.Argument(help="the action, or the first characters of it; `actions` shows them")],
    *,
    false_positive: Annotated[
        bool, typer.Option("--false-positive", help="it was wrong: say so as well, and thresholds heed it")
    ] = False,
    reason: Reason = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Lift one action, whoever decided it. What led to it leads there no more."""
    from enforcer import command
    from floodwarden import cli_labels

    settings = settings_of.load()
    if false_positive:
        tell(cli_labels.wrong(settings, action_uid, reason, by), as_json=as_json)
    else:
        tell(command.undo(settings, action_uid, who(by), reason), as_json=as_json)


@actions.callback(invoke_without_command=True)
def list_actions_in_force(context: typer.Context, *, as_json: Json = False) -> None:
    """Everything in force now: denials, challenges, throttles, protections, brownout; `show` tells of one."""
    from enforcer import command

    if context.invoked_subcommand is not None:
        return
    settings = settings_of.load()
    found = [*command.holds(settings), *command.deny_list(settings), *command.allow_list(settings)]
    shed = command.brownout_status(settings)
    list_actions([*found, shed] if shed else found, as_json=as_json)


def alerts(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
    as_json: Json = False,
) -> None:
    """Incidents as the stream tells them, newest state of each; with --follow as they come."""
    from floodwarden.demo.watch import tail_alerts

    tail = tail_alerts(settings_of.load())
    try:
        quiet_since = time.monotonic()
        while follow or time.monotonic() - quiet_since < _EPISODE_S:
            for alert in tail.poll():
                quiet_since = time.monotonic()
                if follow and as_json:
                    write_json(alert.model_dump(mode="json"))
                elif follow:
                    at = time.strftime("%H:%M:%S", time.localtime(alert.crossed_ms / 1000))
                    console().print(
                        f"{at}  {alert.status:<9} {alert.severity:<8} {alert.kind:<7} {safe(alert.summary)}"
                    )
            time.sleep(0.05)
    finally:
        tail.close()
    if not follow:
        found = sorted(tail.alerts.values(), key=lambda alert: alert.crossed_ms)
        columns: dict[str, Sequence[str]] = {
            "when": [time.strftime("%m-%d %H:%M:%S", time.localtime(a.crossed_ms / 1000)) for a in found],
            "status": [a.status for a in found],
            "severity": [a.severity for a in found],
            "what": [a.kind for a in found],
            "summary": [a.summary for a in found],
        }
        listing(as_json, [a.model_dump(mode="json") for a in found], columns, "no alerts")
