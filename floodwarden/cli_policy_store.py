"""Commands about the policies of the store: planned, applied, looked at, taken back. A program loads when one runs."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from floodwarden.cli_files import there
from floodwarden.cli_output import Json, console, listing, safe, write_json
from floodwarden.cli_policy_rollout import At, Emergency, MaxRefused, MinChecks, Name, Stages, Wait, tell_way, way_of
from floodwarden.cli_policy_told import plan_as_json, tell_changes, tell_nodes, tell_plan
from floodwarden.cli_store import opened
from floodwarden.cli_told import By, Reason, seconds_of, who
from floodwarden.errors import CommandError
from schemas import settings as settings_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from enforcer.policy_plan import Plan
    from enforcer.rollout import Way

Dir = Annotated[Path, typer.Argument(help="a policy file, or a directory of them that are one policy", callback=there)]
Yes = Annotated[bool, typer.Option("--yes", help="do it without asking")]
Number = Annotated[int, typer.Argument(min=1, help="`policy history` tells it")]


def register(policy: typer.Typer) -> None:
    """Put the commands of this module among those about policies."""
    for name, command in (
        ("plan", plan), ("apply", apply), ("history", history), ("diff", diff), ("show", show), ("status", status),
        ("rollback", rollback),
    ):  # fmt: skip
        policy.command(name)(command)


def plan(
    path: Dir,
    *,
    name: Name = "",
    check: Annotated[bool, typer.Option("--check", help="exit code 1 where anything would change")] = False,
    as_json: Json = False,
) -> None:
    """What `apply` would change, and nothing else. Exit code 1 where limiters would not take it."""
    with opened(making=True) as engine:
        made = _planned(engine, _named(name), path)
    plan_as_json(made) if as_json else tell_plan(made)
    raise typer.Exit(int(bool(made.examined.errors) or (check and made.anew)))


def apply(
    path: Dir,
    *,
    name: Name = "",
    rollout: Stages = "",
    max_refused: MaxRefused = "1%",
    min_checks: MinChecks = 100,
    at: At = "",
    emergency: Emergency = False,
    yes: Yes = False,
    reason: Reason = "",
    by: By = "",
    wait: Wait = "60s",
    as_json: Json = False,
) -> None:
    """Have all limiters take a policy: shows what changes, asks, and waits until every one has it. Again: nothing."""
    way = way_of(rollout, at, max_refused, min_checks, emergency=emergency)
    with opened(making=True) as engine:
        made = _planned(engine, _named(name), path)
        _carry_out(engine, made, (who(by), reason, wait), way, yes=yes, as_json=as_json)


def rollback(
    version: Annotated[
        int | None, typer.Argument(min=1, help="the version to go back to; the one before when left out")
    ] = None,
    *,
    name: Name = "",
    emergency: Emergency = False,
    yes: Yes = False,
    reason: Reason = "",
    by: By = "",
    wait: Wait = "60s",
    as_json: Json = False,
) -> None:
    """Have all limiters take an earlier version again, as a new one: what held when stays to be read."""
    from enforcer.policy_command import back
    from floodwarden.policy_examined import examine

    with opened(making=True) as engine:
        made, to = back(engine, _named(name), version, examine)
        said = (who(by), reason or f"back to version {to}", wait)
        _carry_out(engine, made, said, way_of("", "", "1%", 0, emergency=emergency), yes=yes, as_json=as_json)


def history(*, name: Name = "", as_json: Json = False) -> None:
    """Every version: who made it, when and why; the newest first."""
    from enforcer.store import versions

    with opened(making=True) as engine:
        found = versions.history(engine, _named(name))
    columns = {
        "version": [str(each.version) for each in found],
        "state": [each.state for each in found],
        "made": [_when(each.created_ms) for each in found],
        "by": [each.author for each in found],
        "why": [each.reason for each in found],
        "digest": [each.digest[:12] for each in found],
    }
    listing(as_json, [asdict(each) for each in found], columns, "no version yet; make one with `policy apply PATH`")


def diff(before: Number, after: Number, *, name: Name = "", as_json: Json = False) -> None:
    """What changed from one version to another, field by field."""
    from enforcer.policy_diff import diff as changes
    from enforcer.store import versions

    with opened(making=True) as engine:
        of = _named(name)
        found = changes(versions.files(engine, of, before), versions.files(engine, of, after))
    if as_json:
        write_json({"name": of, "before": before, "after": after, "changes": [asdict(each) for each in found]})
        return
    tell_changes(tuple(found))


def show(version: Number, *, name: Name = "", as_json: Json = False) -> None:
    """The files of a version."""
    from enforcer.store import versions

    with opened(making=True) as engine:
        found = versions.files(engine, _named(name), version)
    if as_json:
        write_json({"version": version, "files": {file: data.decode() for file, data in found.items()}})
        return
    for file, data in found.items():
        console().print(f"# {file}\n{data.decode()}", end="" if data.endswith(b"\n") else "\n")


def status(*, name: Name = "", as_json: Json = False) -> None:
    """Which version holds, and which limiters run it. Exit code 1 where one does not."""
    from enforcer import policy_command

    with opened(making=True) as engine, policy_command.publishing(settings_of.load()) as publisher:
        found = policy_command.status(engine, publisher, _named(name))
    if as_json:
        write_json(found.as_dict())
    else:
        console().print(f"{found.name}: version {found.order.version} holds since {_when(found.order.at_ms)}")
        if found.rollout is not None:
            tell_way(found.rollout, found.order.version)
        tell_nodes(found.nodes)
    raise typer.Exit(int(not found.nodes.whole))


def _planned(engine: sa.Engine, name: str, path: Path) -> Plan:
    from enforcer.policy_plan import plan as planned
    from floodwarden.policy_examined import examine
    from schemas.documents import files_of, read

    found = {file.relative_to(path).as_posix() if path.is_dir() else file.name: read(file) for file in files_of(path)}
    return planned(engine, name, found, examine)


def _carry_out(
    engine: sa.Engine, made: Plan, said: tuple[str, str, str], way: Way, *, yes: bool, as_json: bool
) -> None:
    """Show what was planned, ask, do it; `said` is by whom, why, and how long to wait for limiters."""
    from enforcer import policy_command

    by, reason, wait = said
    if not as_json:
        tell_plan(made)
    draft = made.draft(f"cli:{by}", reason)
    anew = made.anew or (way.emergency and made.same != made.holds)
    if anew and not yes:
        if as_json or not sys.stdin.isatty():
            raise CommandError("nobody to ask: look at `policy plan`, then say --yes")
        typer.confirm("Apply it?", abort=True)
    with policy_command.publishing(settings_of.load()) as publisher:
        found = policy_command.carry_out(engine, publisher, draft, made, seconds_of(wait), way)
    if as_json:
        write_json(found.as_dict())
    else:
        if found.rollout is not None:
            tell_way(found.rollout, found.order.version)
        else:
            why = f": {safe(reason)}" if reason and anew else ""
            hurried = ", published in an emergency" if way.emergency and anew else ""
            console().print(f"{made.name}: version {found.order.version} holds{hurried}{why}")
        tell_nodes(found.nodes)
    raise typer.Exit(int(not found.nodes.whole))


def _named(name: str) -> str:
    return name or settings_of.load().policy_name


def _when(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))
