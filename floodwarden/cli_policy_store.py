"""Commands about the policies of the store: planned, applied, looked at, taken back. A program loads when one runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from floodwarden.cli_output import Json, console, listing, safe, write_json
from floodwarden.cli_store import opened
from floodwarden.cli_told import By, Reason, seconds_of, who
from floodwarden.errors import CommandError, UnreachableError
from schemas import settings as settings_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from enforcer.policy_diff import Change
    from enforcer.policy_plan import Finding, Plan
    from enforcer.policy_publisher import Convergence, PolicyPublisher
    from enforcer.store.versions import Version
    from schemas.policies import Order

SHOWN_MAX: Final = 50
NODES_SHOWN_MAX: Final = 10
_REDIS_S: Final = 5.0
Dir = Annotated[Path, typer.Argument(help="a policy file, or a directory of them that are one policy")]
Name = Annotated[str, typer.Option(help="which policy", show_default="FLOODWARDEN_POLICY_NAME")]
Yes = Annotated[bool, typer.Option("--yes", help="do it without asking")]
Wait = Annotated[str, typer.Option(metavar="DURATION", help="so long for every limiter to take it")]
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
    with opened() as engine:
        made = _planned(engine, _named(name), path)
    _tell_plan(made, as_json=as_json)
    raise typer.Exit(int(bool(made.examined.errors) or (check and made.anew)))


def apply(
    path: Dir,
    *,
    name: Name = "",
    yes: Yes = False,
    reason: Reason = "",
    by: By = "",
    wait: Wait = "60s",
    as_json: Json = False,
) -> None:
    """Have all limiters take a policy: shows what changes, asks, and waits until every one has it. Again: nothing."""
    with opened() as engine, _publisher() as publisher:
        made = _planned(engine, _named(name), path)
        if not made.anew:
            _again(engine, publisher, made, seconds_of(wait), as_json=as_json)
            return
        _carry_out(engine, publisher, made, (who(by), reason), seconds_of(wait), yes=yes, as_json=as_json)


def rollback(
    version: Annotated[int, typer.Argument(min=0, help="the version to go back to; the one before when left out")] = 0,
    *,
    name: Name = "",
    yes: Yes = False,
    reason: Reason = "",
    by: By = "",
    wait: Wait = "60s",
    as_json: Json = False,
) -> None:
    """Have all limiters take an earlier version again, as a new one: what held when stays to be read."""
    from enforcer.policy_plan import plan as planned
    from enforcer.store import versions
    from floodwarden.policy_examined import examine

    with opened() as engine, _publisher() as publisher:
        of = _named(name)
        newest = versions.newest(engine, of)
        if newest is None or (version or newest.version - 1) < 1:
            raise CommandError(f"{of}: there is no version before; see `floodwarden policy history`")
        to = version or newest.version - 1
        made = planned(engine, of, versions.files(engine, of, to), examine)
        if not made.anew:
            _again(engine, publisher, made, seconds_of(wait), as_json=as_json)
            return
        said = who(by), reason or f"back to version {to}"
        _carry_out(engine, publisher, made, said, seconds_of(wait), yes=yes, as_json=as_json)


def history(*, name: Name = "", as_json: Json = False) -> None:
    """Every version: who made it, when and why; the newest first."""
    from enforcer.store import versions

    with opened() as engine:
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

    with opened() as engine:
        of = _named(name)
        found = changes(versions.files(engine, of, before), versions.files(engine, of, after))
    if as_json:
        write_json({"name": of, "before": before, "after": after, "changes": [asdict(each) for each in found]})
        return
    _tell_changes(tuple(found))


def show(version: Number, *, name: Name = "", as_json: Json = False) -> None:
    """The files of a version."""
    from enforcer.store import versions

    with opened() as engine:
        found = versions.files(engine, _named(name), version)
    if as_json:
        write_json({"version": version, "files": {file: data.decode() for file, data in found.items()}})
        return
    for file, data in found.items():
        console().print(f"# {file}\n{data.decode()}", end="" if data.endswith(b"\n") else "\n")


def status(*, name: Name = "", as_json: Json = False) -> None:
    """Which version holds, and which limiters run it. Exit code 1 where one does not."""
    from enforcer.store import versions

    with opened() as engine, _publisher() as publisher:
        of = _named(name)
        order = versions.order(engine, of)
        if order is None:
            raise CommandError(f"{of}: no version yet; limiters run FLOODWARDEN_POLICIES or the built-in policy")
        found = publisher.convergence(of, order)
    if as_json:
        write_json(_plain(of, order, found))
    else:
        console().print(f"{of}: version {order.version} holds since {_when(order.at_ms)}")
        _tell_nodes(found)
    raise typer.Exit(int(not found.whole))


def _planned(engine: sa.Engine, name: str, path: Path) -> Plan:
    from enforcer.policy_plan import plan as planned
    from floodwarden.policy_examined import examine
    from schemas.documents import files_of, read

    found = {file.relative_to(path).as_posix() if path.is_dir() else file.name: read(file) for file in files_of(path)}
    return planned(engine, name, found, examine)


def _carry_out(
    engine: sa.Engine, publisher: PolicyPublisher, made: Plan, said: tuple[str, str], wait_s: int,
    *, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    from enforcer.store import versions

    if not as_json:
        _tell_plan(made, as_json=False)
    draft = made.draft(f"cli:{said[0]}", said[1])
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise CommandError("nobody to ask: look at `policy plan`, then say --yes")
        typer.confirm("Apply it?", abort=True)
    version, order = versions.make(engine, draft, time.time_ns() // 1_000_000)
    publisher.publish(made.name, order, lambda: made.files)
    found = publisher.converged(made.name, order, wait_s)
    if as_json:
        write_json(_plain(made.name, order, found) | {"changes": [asdict(each) for each in made.changes]})
    else:
        _tell_version(version)
        _tell_nodes(found)
    raise typer.Exit(int(not found.whole))


def _again(engine: sa.Engine, publisher: PolicyPublisher, made: Plan, wait_s: int, *, as_json: bool) -> None:
    """It holds already: nothing is made; Redis and limiters that lack it are told once more."""
    from enforcer.store import versions

    order = versions.order(engine, made.name)
    if order is None:
        raise CommandError(f"{made.name}: version {made.after} is there, and none holds")
    if not publisher.holds(made.name, order):
        publisher.publish(made.name, order, lambda: made.files)
    found = publisher.converged(made.name, order, wait_s)
    if as_json:
        write_json(_plain(made.name, order, found) | {"changes": []})
    else:
        console().print(f"{made.name}: version {made.after} says the same; nothing to do")
        _tell_nodes(found)
    raise typer.Exit(int(not found.whole))


def _tell_plan(made: Plan, *, as_json: bool) -> None:
    from enforcer.policy_diff import counts

    errors, warnings = made.examined.errors, made.examined.warnings
    if as_json:
        write_json(
            {"name": made.name, "after": made.after, "anew": made.anew, "limits": made.examined.limits,
             "errors": [asdict(each) for each in errors], "warnings": [asdict(each) for each in warnings],
             "changes": [asdict(each) for each in made.changes]}
        )  # fmt: skip
        return
    out = console()
    for level, found, style in (("error", errors, "red"), ("warning", warnings, "yellow")):
        for each in found[:SHOWN_MAX]:
            out.print(f"{level:8} {safe(_line(each))}", style=style)
    if errors:
        out.print(f"{made.name}: nothing can be applied")
    elif not made.anew:
        out.print(f"{made.name}: version {made.after} says the same; nothing to do")
    else:
        out.print(f"{made.name}: version {made.after or 'none'} -> {made.after + 1}, {made.examined.limits} limits\n")
        _tell_changes(made.changes)
        told = counts(list(made.changes))
        out.print(f"\nPlan: {told['add']} to add, {told['change']} to change, {told['remove']} to remove")


def _tell_changes(changes: tuple[Change, ...]) -> None:
    out = console()
    if not changes:
        out.print("  only order, layout or comments differ")
    styles = {"+": "green", "~": "yellow", "-": "red"}
    for change in changes[:SHOWN_MAX]:
        said = (
            ""
            if change.sign == "-"
            else ", ".join(_field(change.sign, *each) for each in change.fields if each[0] != "name")
        )
        out.print(
            f"  {change.sign} {safe(change.what)}" + (f"  {safe(said)}" if said else ""), style=styles[change.sign]
        )
    if len(changes) > SHOWN_MAX:
        out.print(f"  ... and {len(changes) - SHOWN_MAX} more; --json has all")


def _field(sign: str, name: str, before: str | None, after: str | None) -> str:
    label = f"{name}: " if name else ""
    if sign == "+":
        return f"{label}{after}"
    return f"{label}{'-' if before is None else before} -> {'-' if after is None else after}"


def _tell_version(made: Version) -> None:
    why = f": {safe(made.reason)}" if made.reason else ""
    console().print(f"{made.name}: version {made.version} in force, by {safe(made.author)}{why}")


def _tell_nodes(found: Convergence) -> None:
    out = console()
    if found.ack_ms:
        slowest = sorted(found.ack_ms.items(), key=lambda each: -each[1])
        times = ", ".join(f"{safe(node)} after {ms} ms" for node, ms in slowest[:NODES_SHOWN_MAX])
        more = f" and {len(slowest) - NODES_SHOWN_MAX} more" if len(slowest) > NODES_SHOWN_MAX else ""
        out.print(f"acknowledged by {times}{more}")
    elif found.whole:
        out.print("no limiter is running; those that start take it from Redis")
    if found.all_ms is not None:
        out.print(f"all {len(found.ack_ms)} limiters run it, {found.all_ms} ms after it was ordered")
    for node, why in found.refused.items():
        sys.stderr.write(f"refused by {safe(node)}, which goes on with what it ran before: {safe(why)}\n")
    if found.missing:
        sys.stderr.write(f"not yet acknowledged by {', '.join(map(safe, found.missing))}\n")


def _plain(name: str, order: Order, found: Convergence) -> dict[str, Any]:
    return {"name": name, "version": order.version, "digest": order.digest, "at_ms": order.at_ms} | asdict(found) | {
        "all_ms": found.all_ms
    }  # fmt: skip


def _line(each: Finding) -> str:
    from schemas.errors import place

    return f"{place(each.file, each.line)}: {each.field}: {each.reason} ({each.fix})"


def _named(name: str) -> str:
    return name or settings_of.load().policy_name


def _when(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


@contextmanager
def _publisher() -> Iterator[PolicyPublisher]:
    """Redis, which answers; a store is not written to where it does not."""
    from redis.exceptions import RedisError

    from enforcer.policy_publisher import PolicyPublisher
    from schemas.redis_client import connect, shown

    settings = settings_of.load()
    try:
        with connect(settings.redis, timeout_s=_REDIS_S) as client:
            client.ping()
            yield PolicyPublisher(client, settings.keys, lambda: time.time_ns() // 1_000_000)
    except RedisError as error:
        fix = f"start it, or set {settings_of.PREFIX}REDIS; what is in the store an enforcer publishes then"
        raise UnreachableError(f"Redis at {shown(settings.redis)}: {error}; {fix}") from error
