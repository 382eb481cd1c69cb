"""Commands that restrict clients by hand: deny, challenge, throttle. The enforcer's part is imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from floodwarden.cli_files import files_there
from floodwarden.cli_output import Json
from floodwarden.cli_told import (
    By,
    For,
    Kind,
    OfTier,
    Reason,
    Route,
    Value,
    list_actions,
    scope_of,
    seconds_of,
    tell,
    who,
)
from schemas import settings as settings_of

deny = typer.Typer(no_args_is_help=True, help="Deny clients by hand, see who is restricted, lift it.")
throttle = typer.Typer(no_args_is_help=True, help="Lower, raise or replace limits of clients for a time.")


@deny.command("add")
def deny_add(
    kind: Kind,
    value: Value,
    *,
    duration: For = "10m",
    route: Route = None,
    tier: OfTier = None,
    except_from: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="leave this address or network alone; again for more; @FILE: a line each"),
    ] = None,
    except_pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="leave these alone: USER ADDRESS, a line each", callback=files_there),
    ] = None,
    challenge: Annotated[bool, typer.Option("--challenge", help="challenge instead of denying")] = False,
    reason: Reason = "by command",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Deny a client at every limiter, now; says when each of them has it.

    A stolen key, but not where it is known from: deny add key ID --except-from 203.0.113.0/24
    A login under attack: deny add route /login --challenge --except-pairs known-good.txt
    """
    from enforcer import command

    scope = scope_of(route, tier, except_from or (), except_pairs)
    result = command.deny_add(
        settings_of.load(), kind, value, seconds_of(duration), reason, who(by), scope=scope, challenge=challenge
    )
    tell(result, as_json=as_json)


@deny.command("remove")
def deny_remove(kind: Kind, value: Value, *, reason: Reason = "", by: By = "", as_json: Json = False) -> None:
    """Lift whatever restricts exactly this client, also what automation decided."""
    from enforcer import command

    tell(command.deny_remove(settings_of.load(), kind, value, who(by), reason), as_json=as_json)


@deny.command("list")
def deny_list(*, as_json: Json = False) -> None:
    """Who is denied, challenged or throttled now, why, and for how long."""
    from enforcer import command

    list_actions(command.deny_list(settings_of.load()), as_json=as_json)


@throttle.command("add")
def throttle_add(
    kind: Kind,
    value: Value,
    *,
    factor: Annotated[float | None, typer.Option(help="multiply limits: 0.1 leaves a tenth, 2 gives twice")] = None,
    rate: Annotated[str | None, typer.Option(help="put this rate in the place of limits: 10/s, 60/min")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=RATE]", help="only the policy's limit of this name; again for more"),
    ] = None,
    burst: Annotated[int | None, typer.Option(help="of the rates given; a second's worth unless said")] = None,
    duration: For = "10m",
    route: Route = None,
    tier: OfTier = None,
    reason: Reason = "by command",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Lower, raise or replace a client's limits at every limiter, now; they revert by themselves.

    throttle add key ID --factor 0.1                 a tenth of every limit
    throttle add tenant acme --limit search=50/s     another rate for one limit
    throttle add global '*' --tier free --factor 0.5 --route /export
    """
    from enforcer import command
    from enforcer.scope import changes

    wanted = changes(factor, rate, limit or (), burst)
    result = command.throttle_add(
        settings_of.load(), kind, value, seconds_of(duration), reason, who(by), wanted, scope=scope_of(route, tier)
    )
    tell(result, as_json=as_json)


@throttle.command("remove")
def throttle_remove(kind: Kind, value: Value, *, reason: Reason = "", by: By = "", as_json: Json = False) -> None:
    """The policy's limits again for exactly this client, also where automation lowered them."""
    from enforcer import command

    tell(command.throttle_remove(settings_of.load(), kind, value, who(by), reason), as_json=as_json)
