"""Commands of the brownout: what is in force and how the site does, what each level costs whom, set, clear, lint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from floodwarden.cli_files import files_there, there
from floodwarden.cli_output import Json, console, safe, table, write_json
from floodwarden.cli_told import By, For, OfTier, Reason, Route, left, plain, scope_of, seconds_of, tell, who
from schemas import settings as settings_of

if TYPE_CHECKING:
    from floodwarden.brownout_cost import ClassCost, Cost
    from schemas.settings import Settings

brownout = typer.Typer(
    no_args_is_help=True, help="Shed load by class: what matters least first, what is critical never."
)
Over = Annotated[str, typer.Option("--over", metavar="DURATION", help="of which decisions to reckon the cost")]


def register(app: typer.Typer, panel: str) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(brownout, name="brownout", rich_help_panel=panel)


@brownout.command("status")
def status(*, over: Over = "5m", as_json: Json = False) -> None:
    """The level in force and why, how the site does, and what each level would cost whom."""
    from enforcer import command

    settings = settings_of.load()
    action, health = command.brownout_look(settings)
    costs = _cost(settings, over)
    if as_json:
        level = action.level if action else 0
        shown = plain(action) if action else None
        write_json({"level": level, "action": shown, "health": health, "cost": _as_json(costs)})
        return
    out = console()
    if action is None:
        out.print("level 0: limits as the policy says")
    else:
        part = f" by {action.factor:g}" if action.factor else ""
        out.print(f"level {action.level}{part}, {left(action)} left: {safe(action.reason)} ({safe(action.owner)})")
    for line in site_lines(health):
        out.print(line)
    _show(costs)


@brownout.command("plan")
def plan(
    *,
    policy: Annotated[
        Path | None, typer.Option(help="another policy than FLOODWARDEN_POLICIES", callback=there)
    ] = None,
    over: Over = "5m",
    as_json: Json = False,
) -> None:
    """What each level would cost whom: of the last minutes' requests, by class, the share it refuses."""
    costs = _cost(settings_of.load(), over, policy)
    if as_json:
        write_json(_as_json(costs))
    else:
        _show(costs)


@brownout.command("set")
def set_(
    level: Annotated[int, typer.Argument(min=1, max=4, help="1 (a little less) to 4 (almost nothing)")],
    *,
    duration: For = "10m",
    route: Route = None,
    tier: OfTier = None,
    reason: Reason = "by command",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Shed what the policy says for this level; it ends by itself, and takes the place of one that began by itself."""
    from enforcer import command

    scope, seconds = scope_of(route, tier), seconds_of(duration)
    tell(command.brownout_set(settings_of.load(), level, seconds, reason, who(by), scope=scope), as_json=as_json)


@brownout.command("clear")
def clear(*, reason: Reason = "", by: By = "", as_json: Json = False) -> None:
    """Nothing is shed any more; none begins by itself for a while (`rest_seconds`)."""
    from enforcer import command

    tell(command.brownout_clear(settings_of.load(), who(by), reason), as_json=as_json)


def _mode_or_there(path: Path) -> Path:
    from enforcer.brownout_file import MODES

    return path if str(path) in MODES else files_there(path)


@brownout.command("lint")
def lint(
    path: Annotated[
        Path, typer.Argument(help="what FLOODWARDEN_BROWNOUT names: deploy/brownout.yaml", callback=_mode_or_there)
    ],
) -> None:
    """Whether a file of when brownouts begin and end can be taken: file, line, field, fix. Exit code 1 if not."""
    from enforcer import brownout_file
    from schemas.errors import FileError

    try:
        rules = brownout_file.load(str(path))
    except FileError as error:
        console().print(f"error    {safe(str(error))}", style="red")
        raise typer.Exit(1) from error
    if rules is None:
        console().print("off: no brownout begins by itself")
        return
    does = "begin and end" if rules.acts else "are told, and do not begin,"
    console().print(
        f"fine: brownouts {does} by themselves, up to level {rules.level_max}, for at most {rules.seconds_max} s, "
        f"with at most {rules.changes_max} changes"
    )


def _cost(settings: Settings, over: str, policy: Path | None = None) -> Cost:
    from floodwarden.brownout_cost import cost
    from floodwarden.decisions_tail import newest
    from limiter import policy_file

    return cost(policy_file.load(policy or settings.policies), newest(settings, seconds_of(over)))


def site_lines(health: dict[str, Any] | None) -> list[str]:
    """How the site does, a line each."""
    if health is None:
        return ["the site: no enforcer of this region leads, or FLOODWARDEN_BROWNOUT is off"]
    observes = "" if health["acts"] else "; automation only observes"
    lines = [
        f"the site: {health['requests_per_second']:g} requests a second let in, {health['load']}{observes}",
        f"  {health['errors']:.1%} of them fail{_marks(health, 'errors')}",
    ]
    if health["latency_ms"] is not None:
        usual, queue = health["usual_ms"], health["queue"]
        times = f"{health['latency_ms'] / usual:.1f} times the usual {usual:.0f} ms" if usual else "usual not known yet"
        waiting = "" if queue is None else f", {queue:.0f} of them waiting{_marks(health, 'queue')}"
        lines.append(f"  they take {health['latency_ms']:.0f} ms, {times}{_marks(health, 'latency')}")
        if (few := health.get("latency_per_second_min")) is not None:
            lines.append(f"  of fewer than {few} timed requests a second latency begins nothing")
        lines.append(f"  {health['concurrent']:.0f} in work at once{_marks(health, 'concurrent')}{waiting}")
    return lines + _automation(health, time.time_ns() // 1_000_000)


def _automation(health: dict[str, Any], now_ms: int) -> list[str]:
    lines = []
    if health["deadline_ms"] is not None:
        since_s, left_s = (now_ms - health["begun_ms"]) // 1000, max(0, health["deadline_ms"] - now_ms) // 1000
        wants = f"level {health['level']} by {health['part']:g}"
        lines.append(f"  automation wants {wants}, since {since_s} s, for {left_s} s more at most")
    if health.get("asked"):
        lines.append(f"  {safe(health['asked_by'] or 'a play')} asks for level {health['asked']} (docs/playbooks.md)")
    if health["rest_until_ms"] is not None:
        lines.append(f"  automation rests for {(health['rest_until_ms'] - now_ms) // 1000} s")
    return lines


def _marks(health: dict[str, Any], name: str) -> str:
    enter, leave = health["enter"][name], health["leave"][name]
    if enter is None:
        return ""
    # A share is told as one, as what it is held against: the file of rules has 0.2 for 20%.
    high, low = (f"{value * 100:g}%" if name == "errors" else f"{value:g}" for value in (enter, leave))
    return f" (too much from {high}, calm up to {low})"


def _show(costs: Cost) -> None:
    total = costs.total
    if not total.requests:
        console().print("what levels cost: no decisions in that time; a longer --over may find some")
        return
    console().print(f"refused of {total.requests:,} requests in {costs.seconds:.0f} s, by level:")
    rows = [_row(name, each) for name, each in (*costs.classes.items(), ("all", total))]
    table(("class", "requests", "as now", "1", "2", "3", "4"), rows, "")
    if costs.unseen:
        console().print(f"decisions do not say which headers a request had: {', '.join(costs.unseen)} may be more")


def _row(name: str, each: ClassCost) -> tuple[str, ...]:
    return (name, f"{each.requests:,}", *(f"{refused / each.requests:.1%}" for refused in each.refused))


def _as_json(costs: Cost) -> dict[str, Any]:
    return {
        "requests": costs.total.requests,
        "seconds": costs.seconds,
        "unseen": list(costs.unseen),
        "classes": {
            name: {"requests": each.requests, "refused_by_level": each.refused} for name, each in costs.classes.items()
        },
    }
