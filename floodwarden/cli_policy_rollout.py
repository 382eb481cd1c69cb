"""Commands about a version that comes to its clients by and by: where it stands, paused, promoted, taken back."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from floodwarden.cli_output import Json, console, safe, table, write_json
from floodwarden.cli_store import opened
from floodwarden.cli_told import By, Reason, seconds_of, span, who
from schemas import settings as settings_of

if TYPE_CHECKING:
    from enforcer.policy_command import Course
    from enforcer.rollout import Rollout, Way

Stages = Annotated[str, typer.Option("--rollout", metavar="STAGES", help="by stages: shadow:10m,canary:5%:10m,enforce")]
At = Annotated[str, typer.Option(metavar="TIME", help="when it takes effect: 2026-12-01T02:00Z")]
Emergency = Annotated[bool, typer.Option("--emergency", help="at once, and what is on its way is aborted")]
MaxRefused = Annotated[str, typer.Option(metavar="SHARE", help="of good clients, more roll it back")]
MinChecks = Annotated[int, typer.Option(min=0, help="requests each stage must see")]
Name = Annotated[str, typer.Option(help="which policy", show_default="FLOODWARDEN_POLICY_NAME")]
Wait = Annotated[str, typer.Option(metavar="DURATION", help="so long for every limiter to take it")]
ROUTES_SHOWN_MAX: Final = 20

rollout = typer.Typer(no_args_is_help=True, help="A version on its way to all clients.")


def way_of(stages: str, at: str, max_refused: str, min_checks: int, *, emergency: bool) -> Way:
    """What options say. Raises `BadParameter` and the enforcer's `CommandError`."""
    from enforcer.rollout import Bounds, Way, stages_of

    if emergency and (stages or at):
        raise typer.BadParameter("--emergency is at once: neither --rollout nor --at go with it")
    bounds = Bounds(_share(max_refused), min_checks)
    return Way(stages_of(stages) if stages else (), bounds, _time(at) if at else None, emergency)


@rollout.command("status")
def status(*, name: Name = "", as_json: Json = False) -> None:
    """Where the newest rollout stands, and how the two versions compare on the same requests."""
    from enforcer import policy_command

    with opened(making=True) as engine, policy_command.publishing(settings_of.load()) as publisher:
        _tell(policy_command.course(engine, publisher, _named(name)), as_json=as_json)


@rollout.command("pause")
def pause(*, name: Name = "", reason: Reason = "", by: By = "", wait: Wait = "10s", as_json: Json = False) -> None:
    """It stays at its stage until `resume`; what goes wrong still rolls it back."""
    _steer("pause", name, reason, by, wait, as_json=as_json)


@rollout.command("resume")
def resume(*, name: Name = "", reason: Reason = "", by: By = "", wait: Wait = "10s", as_json: Json = False) -> None:
    """A paused one goes on with what its stage had left."""
    _steer("resume", name, reason, by, wait, as_json=as_json)


@rollout.command("promote")
def promote(*, name: Name = "", reason: Reason = "", by: By = "", wait: Wait = "10s", as_json: Json = False) -> None:
    """Its next stage begins now, whatever was seen; after the last it holds for everybody."""
    _steer("promote", name, reason, by, wait, as_json=as_json)


@rollout.command("abort")
def abort(*, name: Name = "", reason: Reason = "", by: By = "", wait: Wait = "10s", as_json: Json = False) -> None:
    """It ends; the version that holds goes on holding, for everybody."""
    _steer("abort", name, reason, by, wait, as_json=as_json)


def tell_way(found: Rollout, holds: int) -> None:
    """What a version just made is going to do."""
    from enforcer.rollout import written

    out = console()
    if found.state == "scheduled":
        then = f", by {written(found.stages)}" if found.stages else ""
        out.print(f"{found.name}: version {found.version} comes at {_when(found.at_ms)}{then}")
    else:
        out.print(f"{found.name}: version {found.version} is on trial: {written(found.stages)}")
    out.print(f"version {holds} holds until then; see `floodwarden policy rollout status`")


def _steer(what: str, name: str, reason: str, by: str, wait: str, *, as_json: bool) -> None:
    from enforcer import policy_command

    with opened(making=True) as engine, policy_command.publishing(settings_of.load()) as publisher:
        actor, within_s = f"cli:{who(by)}", seconds_of(wait)
        found = policy_command.steer(engine, publisher, _named(name), what, actor, reason, within_s)
    _tell(found, as_json=as_json)


def _tell(found: Course, *, as_json: bool) -> None:
    if as_json:
        write_json(found.as_dict())
        return
    out, course = console(), found.rollout
    if course.share_ppm is not None:
        stage = course.stages[course.stage]
        over = span(course.at_ms + stage.for_ms)
        left = "paused" if course.state == "paused" else f"{over} left of {stage}"
        out.print(f"{course.name}: version {course.version} is at {stage.share}, {left}; version {found.holds} holds")
        out.print(f"rolled back where more than {course.bounds.harmed * 100:g}% of good clients would be refused")
    else:
        out.print(f"{course.name}: version {course.version} {_state(course)}; version {found.holds} holds")
    if course.why:
        out.print(f"  {safe(course.why)}")
    if found.waits_for:
        out.print(f"  waits: {safe(found.waits_for)}")
    if found.tried is not None:
        _tell_tried(found, found.tried)


def _tell_tried(found: Course, tried: Any) -> None:
    """The two versions side by side."""
    before = f"by {found.holds}" if found.holds != found.rollout.version else "before"
    rows = [
        ["all", str(tried.checks), _part(tried.refused, tried.checks), _part(tried.candidate_refused, tried.checks)]
    ]
    busiest = sorted(tried.routes.items(), key=lambda each: -each[1][0])[:ROUTES_SHOWN_MAX]
    rows += [[route, str(n), _part(one, n), _part(other, n)] for route, (n, one, other) in busiest]
    out = console()
    out.print()
    table(["route", "requests", f"refused {before}", f"by {found.rollout.version}"], rows, "nothing seen")
    out.print(f"\n{tried.harmed} of {tried.good} good clients refused something by {found.rollout.version} alone")
    if tried.canary_checks:
        out.print(
            f"{tried.canary_checks} requests were the canary's, "
            f"{_part(tried.canary_refused, tried.canary_checks)} of them refused"
        )


def _state(course: Rollout) -> str:
    match course.state:
        case "scheduled":
            return f"comes at {_when(course.at_ms)}"
        case "promoted":
            return f"was promoted at {_when(course.at_ms)}"
        case "rolled_back":
            return f"was rolled back at {_when(course.at_ms)}"
        case _:
            return f"was aborted at {_when(course.at_ms)}"


def _part(count: int, of: int) -> str:
    return f"{count / of:.2%}" if of else "-"


def _when(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


def _named(name: str) -> str:
    return name or settings_of.load().policy_name


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text!r} is no share; write 1% or 0.01")
    return share


def _time(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time; write 2026-12-01T02:00Z") from error
    if at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say where: write 2026-12-01T02:00Z, or +01:00 behind it")
    return round(at.timestamp() * 1000)
