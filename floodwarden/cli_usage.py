"""Commands that ask the meter who used how much."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, cast
from urllib.parse import urlencode

import typer

from floodwarden.cli_output import Json, console, safe, table, write_json
from floodwarden.cli_told import seconds_of
from floodwarden.errors import CommandError, UnreachableError
from schemas import settings as settings_of

USAGE: Final = "Who used how much"
_TIMEOUT_S: Final = 60.0
_BAR_CHARS: Final = 10
_MEASURES: Final = {
    "requests": "n", "allowed": "allowed", "limited": "limited", "denied": "denied", "challenged": "challenged",
    "cost": "cost",
}  # fmt: skip

At = Annotated[str, typer.Option("--at", metavar="HOST:PORT", help="the meter", show_default="FLOODWARDEN_METER")]
Last = Annotated[str, typer.Option("--last", metavar="DURATION", help="10m, 1h, 24h, 1d: how far back")]

usage = typer.Typer(no_args_is_help=True, help="What clients, routes, tenants and countries used, minute by minute.")


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(usage, name="usage", rich_help_panel=USAGE)


@usage.command("top")
def top(
    *,
    by: Annotated[str, typer.Option(help="key, ip, user, route, tenant, country or global")] = "key",
    order: Annotated[str, typer.Option(help="requests, allowed, limited, denied, challenged or cost")] = "requests",
    last: Last = "1h",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many to show")] = 20,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Show who used the most. A minute counts once it is over."""
    found = _ask(at, "top", {"by": by, "order": order, "last_s": seconds_of(last), "limit": limit})
    if as_json:
        write_json(found)
        return
    total, rows = found["total"], list(found["top"])
    shown = [{"entity": row["entity"], **row} for row in rows]
    if any(found["other"].values()):
        shown.append({"entity": "(all lighter ones)", **found["other"]})
    measure = _MEASURES[order]
    cells = [
        (*(f"{row[name]:,}" for name in _MEASURES.values()), _share(row[measure], total[measure]), row["entity"])
        for row in shown
    ]
    cells += [(*(f"{total[name]:,}" for name in _MEASURES.values()), "", "total")] if cells else []
    table((*_MEASURES, "share", by), cells, f"no {by} in the minutes that are over, from {_clock(found['from_s'])} on")
    _tell_holes(found["holes"])


@usage.command("show")
def show(
    entity: Annotated[str, typer.Argument(metavar="KIND:VALUE", help="key:9f86d081884c7d65, route:/login, country:DE")],
    *,
    last: Last = "24h",
    at: At = "",
    as_json: Json = False,
) -> None:
    """Show what one of them used over time: by minutes up to two hours, else by hours."""
    kind, colon, value = entity.partition(":")
    if not colon or not value:
        raise typer.BadParameter(f"{entity!r}: write KIND:VALUE, as key:9f86d081884c7d65 or route:/login")
    found = _ask(at, "timeline", {"kind": kind, "value": value, "last_s": seconds_of(last)})
    if as_json:
        write_json(found)
        return
    most = max((step["n"] for step in found["steps"]), default=0)
    rows = [
        (_clock(step["start_s"]), *(f"{step[name]:,}" for name in _MEASURES.values()), _bar(step["n"], most))
        for step in found["steps"]
    ]
    if most:
        rows.append(("total", *(f"{found['total'][name]:,}" for name in _MEASURES.values()), ""))
    unit = "hour" if found["step_s"] == 3600 else "minute"
    table((unit, *_MEASURES, ""), rows if most else [], f"nothing used by {safe(entity)} in the last {last}")
    _tell_holes(found["holes"])


def _ask(at: str, what: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    from floodwarden.http_client import HttpClient, HttpError

    address = at or settings_of.load().meter

    async def request() -> tuple[int, object]:
        async with HttpClient(address, 1, _TIMEOUT_S) as client:
            answer = await client.request("GET", f"/v1/usage/{what}?{urlencode(parameters)}", {"connection": "close"})
        return answer.status, answer.json()

    try:
        status, told = asyncio.run(request())
    except (HttpError, ValueError) as error:
        raise UnreachableError(f"meter: {error}; start `floodwarden meter` or set FLOODWARDEN_METER") from error
    found = cast("dict[str, Any]", told)
    if status == 400:
        raise typer.BadParameter(safe(str(found.get("detail"))))
    if status != 200:
        raise CommandError(f"meter at {address}: {status} {safe(str(told))[:200]}")
    return found


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _bar(part: int, most: int) -> str:
    return "#" * round(_BAR_CHARS * part / most) if most else ""


def _clock(at_s: int) -> str:
    return time.strftime("%m-%d %H:%M", time.localtime(at_s))


def _tell_holes(holes: Sequence[Mapping[str, int]]) -> None:
    for hole in holes:
        lost, times = hole["end"] - hole["start"], f"{_clock(hole['from_s'])} and {_clock(hole['until_s'])}"
        console().print(
            f"incomplete: {lost} batches of decisions partition {hole['source']} between {times} are missing"
        )
