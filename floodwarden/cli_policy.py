"""Commands about policies. The limiter's part is imported when one runs."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from floodwarden import cli_policy_rollout, cli_policy_store
from floodwarden.cli_files import there
from floodwarden.cli_output import Json, console, safe, write_json

if TYPE_CHECKING:
    from limiter.errors import PolicyError
    from limiter.lint import Warned

policy = typer.Typer(
    no_args_is_help=True, help="What clients may ask for: looked over, planned, applied everywhere, taken back."
)


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    cli_policy_store.register(policy)
    policy.add_typer(cli_policy_rollout.rollout, name="rollout")
    app.add_typer(policy, name="policy", rich_help_panel="What is in force")


@policy.command("lint")
def lint(
    path: Annotated[
        Path, typer.Argument(help="a policy file, or a directory of them that are one policy", callback=there)
    ],
    *,
    as_json: Json = False,
) -> None:
    """Everything wrong with a policy, and what it hardly means: file, line, field, fix. Exit code 1 on errors."""
    from limiter import policy_file
    from limiter.lint import warnings

    found = policy_file.examine(path)
    doubts = [] if found.errors else warnings(found, time.time_ns() // 1_000_000)
    limits = len(found.limits) + len(found.default)
    if as_json:
        write_json(
            {
                "ok": not found.errors,
                "limits": limits,
                "errors": [_error(each) for each in found.errors],
                "warnings": [asdict(each) for each in doubts],
            }
        )
    else:
        for each in found.errors:
            console().print(f"error    {safe(_line(each))}", style="red")
        for doubt in doubts:
            console().print(f"warning  {safe(_line(doubt))}", style="yellow")
        counts = {"limit": limits, "error": len(found.errors), "warning": len(doubts)}
        console().print(", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items()))
    raise typer.Exit(1 if found.errors else 0)


def _line(each: PolicyError | Warned) -> str:
    from limiter.errors import place

    return f"{place(each.file, each.line)}: {each.field}: {each.reason} ({each.fix})"


def _error(each: PolicyError) -> dict[str, Any]:
    return {"file": each.file, "line": each.line, "field": each.field, "reason": each.reason, "fix": each.fix}
