"""How plans and what came of them are told to people and programs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from floodwarden.cli_output import console, safe, write_json

if TYPE_CHECKING:
    from enforcer.policy_diff import Change
    from enforcer.policy_plan import Finding, Plan
    from enforcer.policy_publisher import Convergence

SHOWN_MAX: Final = 50
NODES_SHOWN_MAX: Final = 10


def plan_as_json(made: Plan) -> None:
    """The plan for programs."""
    errors, warnings = made.examined.errors, made.examined.warnings
    write_json(
        {"name": made.name, "after": made.after, "anew": made.anew, "limits": made.examined.limits,
         "errors": [asdict(each) for each in errors], "warnings": [asdict(each) for each in warnings],
         "changes": [asdict(each) for each in made.changes]}
    )  # fmt: skip


def tell_plan(made: Plan) -> None:
    """The plan for people."""
    from enforcer.policy_diff import counts

    errors, warnings = made.examined.errors, made.examined.warnings
    out = console()
    for level, found, style in (("error", errors, "red"), ("warning", warnings, "yellow")):
        for each in found[:SHOWN_MAX]:
            out.print(f"{level:8} {safe(_line(each))}", style=style)
    if errors:
        out.print(f"{made.name}: nothing can be applied")
    elif not made.anew:
        out.print(f"{made.name}: version {made.same} says the same; nothing to do")
    else:
        out.print(f"{made.name}: version {made.holds or 'none'} -> {made.after + 1}, {made.examined.limits} limits\n")
        tell_changes(made.changes)
        told = counts(list(made.changes))
        out.print(f"\nPlan: {told['add']} to add, {told['change']} to change, {told['remove']} to remove")


def tell_changes(changes: tuple[Change, ...]) -> None:
    """What changes, a line each."""
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


def tell_nodes(found: Convergence) -> None:
    """Who runs it and since when; who does not, on standard error."""
    out = console()
    if found.ack_ms:
        slowest = sorted(found.ack_ms.items(), key=lambda each: -each[1])
        times = ", ".join(f"{safe(node)} after {ms} ms" for node, ms in slowest[:NODES_SHOWN_MAX])
        more = f" and {len(slowest) - NODES_SHOWN_MAX} more" if len(slowest) > NODES_SHOWN_MAX else ""
        out.print(f"acknowledged by {times}{more}")
    elif found.whole:
        out.print("no limiter is running; those that start take it from Redis")
    if found.all_ms is not None:
        many = len(found.ack_ms)
        whole = "the only limiter runs" if many == 1 else f"all {many} limiters run"
        out.print(f"{whole} it, {found.all_ms} ms after it was ordered")
    for node, why in found.refused.items():
        sys.stderr.write(f"refused by {safe(node)}, which goes on with what it ran before: {safe(why)}\n")
    if found.missing:
        sys.stderr.write(f"not yet acknowledged by {', '.join(map(safe, found.missing))}\n")


def _line(each: Finding) -> str:
    from schemas.errors import place

    return f"{place(each.file, each.line)}: {each.field}: {each.reason} ({each.fix})"
