"""Commands that look at what is in force and change it. The enforcer's part is imported when one runs."""

from __future__ import annotations

import getpass
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from floodwarden.cli_output import Json, console, listing, safe, write_json
from schemas import settings as settings_of

if TYPE_CHECKING:
    from enforcer.command import Result
    from schemas.action import Action

CONTROL: Final = "What is in force"
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_EPISODE_S: Final = 1.0


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})\s*([smhd]?)", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 10m, 6h or 1d")
    return int(match[1]) * _UNITS_S[match[2] or "s"]


Kind = Annotated[str, typer.Argument(help="ip (also a network), key, user, route, tenant")]
Value = Annotated[str, typer.Argument(help="the address, network, key id, name ...")]
For = Annotated[str, typer.Option("--for", metavar="DURATION", help="90s, 10m, 6h, 1d")]
Reason = Annotated[str, typer.Option(help="why, for whoever undoes it")]
By = Annotated[str, typer.Option(help="who asks", show_default="your login name")]

deny = typer.Typer(no_args_is_help=True, help="Deny clients by hand, see who is restricted, lift it.")
allow = typer.Typer(no_args_is_help=True, help="Protect clients from every action; what restricts them is lifted.")
brownout = typer.Typer(no_args_is_help=True, help="Shed load: every limit reduced, critical routes spared.")


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(deny, name="deny", rich_help_panel=CONTROL)
    app.add_typer(allow, name="allow", rich_help_panel=CONTROL)
    app.add_typer(brownout, name="brownout", rich_help_panel=CONTROL)
    app.command("undo", rich_help_panel=CONTROL)(undo)
    app.command("actions", rich_help_panel=CONTROL)(actions)
    app.command("alerts", rich_help_panel=CONTROL)(alerts)


@deny.command("add")
def deny_add(
    kind: Kind,
    value: Value,
    *,
    duration: For = "10m",
    reason: Reason = "by command",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Deny a client at every limiter, now; says when each of them has it."""
    from enforcer import command

    _told(command.deny_add(settings_of.load(), kind, value, _seconds(duration), reason, _who(by)), as_json=as_json)


@deny.command("remove")
def deny_remove(kind: Kind, value: Value, *, reason: Reason = "", by: By = "", as_json: Json = False) -> None:
    """Lift whatever restricts exactly this client, also what automation decided."""
    from enforcer import command

    _told(command.deny_remove(settings_of.load(), kind, value, _who(by), reason), as_json=as_json)


@deny.command("list")
def deny_list(*, as_json: Json = False) -> None:
    """Who is denied, challenged or throttled now, why, and for how long."""
    from enforcer import command

    _listed(command.deny_list(settings_of.load()), as_json=as_json)


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

    _told(command.allow_add(settings_of.load(), kind, value, _seconds(duration), reason, _who(by)), as_json=as_json)


@allow.command("remove")
def allow_remove(kind: Kind, value: Value, *, reason: Reason = "", by: By = "", as_json: Json = False) -> None:
    """End a protection made by command; FLOODWARDEN_ALLOWLIST is changed there."""
    from enforcer import command

    _told(command.allow_remove(settings_of.load(), kind, value, _who(by), reason), as_json=as_json)


@allow.command("list")
def allow_list(*, as_json: Json = False) -> None:
    """Protections made by command, then those of FLOODWARDEN_ALLOWLIST."""
    from enforcer import command

    settings = settings_of.load()
    _listed(command.allow_list(settings), as_json=as_json)
    if settings.allowlist and not as_json:
        console().print(f"always, by FLOODWARDEN_ALLOWLIST: {safe(settings.allowlist)}")


@brownout.command("status")
def brownout_status(*, as_json: Json = False) -> None:
    """The level in force."""
    from enforcer import command

    action = command.brownout_status(settings_of.load())
    if as_json:
        write_json({"level": action.level if action else 0, "action": _plain(action) if action else None})
    elif action is None:
        console().print("level 0: limits as the policy says")
    else:
        console().print(f"level {action.level}, {_left(action)} left: {safe(action.reason)} ({safe(action.owner)})")


@brownout.command("set")
def brownout_set(
    level: Annotated[int, typer.Argument(min=1, max=4, help="1 (a little less) to 4 (almost nothing)")],
    *,
    duration: For = "10m",
    reason: Reason = "by command",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Reduce every limit to what the policy says for this level; it ends by itself."""
    from enforcer import command

    _told(command.brownout_set(settings_of.load(), level, _seconds(duration), reason, _who(by)), as_json=as_json)


@brownout.command("clear")
def brownout_clear(*, reason: Reason = "", by: By = "", as_json: Json = False) -> None:
    """Limits as the policy says again."""
    from enforcer import command

    _told(command.brownout_clear(settings_of.load(), _who(by), reason), as_json=as_json)


def undo(
    action_uid: Annotated[str, typer.Argument(help="the action, or the first characters of it; `actions` shows them")],
    *,
    reason: Reason = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Lift one action, whoever decided it. What led to it leads there no more."""
    from enforcer import command

    _told(command.undo(settings_of.load(), action_uid, _who(by), reason), as_json=as_json)


def actions(*, as_json: Json = False) -> None:
    """Everything in force now: denials, challenges, throttles, protections, brownout."""
    from enforcer import command

    settings = settings_of.load()
    found = [*command.deny_list(settings), *command.allow_list(settings)]
    shed = command.brownout_status(settings)
    _listed([*found, shed] if shed else found, as_json=as_json)


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


def _who(by: str) -> str:
    if by:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in a container
        return "unnamed"


def _told(result: Result, *, as_json: bool) -> None:
    if as_json:
        told = {name: getattr(result, name) for name in ("version", "in_force_ms", "ack_ms", "missing")}
        lists = {name: [_plain(a) for a in getattr(result, name)] for name in ("actions", "also_lifted")}
        write_json(lists | told)
        return
    out = console()
    for action in (*result.actions, *result.also_lifted):
        what = f"{action.kind} {safe(action.target.key)}"
        if action.status == "active":
            out.print(f"{what} in force for {_left(action)}; undo it with: floodwarden undo {action.uid[:8]}")
        else:
            out.print(f"{what} lifted")
    if result.ack_ms:
        times = ", ".join(f"{safe(node)} after {ms} ms" for node, ms in sorted(result.ack_ms.items()))
        out.print(f"acknowledged by {times}")
    else:
        out.print("no limiter is running; those that start take it from Redis")
    if result.missing:
        sys.stderr.write(f"not yet acknowledged by {', '.join(result.missing)}: see `floodwarden doctor`\n")


def _listed(found: Sequence[Action], *, as_json: bool) -> None:
    columns = {
        "action": [a.uid[:8] for a in found],
        "what": [a.kind + (f" x{a.factor:g}" if a.factor else "") for a in found],
        "target": [a.target.key for a in found],
        "route": [a.route or "all" for a in found],
        "left": [_left(a) for a in found],
        "by": [a.owner for a in found],
        "why": [a.reason for a in found],
    }
    listing(as_json, [_plain(a) for a in found], columns, "nothing is in force")


def _plain(action: Action) -> dict[str, object]:
    return action.model_dump(mode="json")


def _left(action: Action) -> str:
    seconds = max(0, action.expires_ms // 1000 - int(time.time()))
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds} s"
