"""Commands about playbooks: what would be done about which alert. The enforcer's part is imported when one runs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from floodwarden.cli_files import files_there, there
from floodwarden.cli_output import Json, console, listing, safe, write_json
from schemas import settings as settings_of

if TYPE_CHECKING:
    from enforcer.playbook import Play, Playbook
    from enforcer.playbook_file import Doubt
    from schemas.action import Action
    from schemas.alert import Alert
    from schemas.errors import FileError

playbook = typer.Typer(
    no_args_is_help=True, help="What is done about which alert: look a playbook over, and try it on an alert."
)
Where = Annotated[
    Path | None,
    typer.Option("--playbooks", help="a file or directory; FLOODWARDEN_PLAYBOOKS unless said", callback=there),
]


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(playbook, name="playbook", rich_help_panel="What is in force")


@playbook.command("lint")
def lint(
    path: Annotated[Path, typer.Argument(help="a playbook, or a directory of them that are one", callback=there)],
    *,
    as_json: Json = False,
) -> None:
    """Everything wrong with a playbook, and what it hardly means: file, line, field, fix. Exit code 1 on errors."""
    from enforcer.brownout_file import rules_of
    from enforcer.plan_config import ladder_of
    from enforcer.playbook_file import examine

    settings = settings_of.load()
    found = examine(path, ladder_of(settings))
    doubts = [] if found.errors else [*found.doubts(), *found.unmet(rules_of(settings))]
    if as_json:
        errors = [_error(each) for each in found.errors]
        told = {"ok": not errors, "plays": len(found.plays), "errors": errors}
        write_json(told | {"warnings": [asdict(each) for each in doubts]})
    else:
        for each in found.errors:
            console().print(f"error    {safe(str(each))}", style="red")
        for doubt in doubts:
            console().print(f"warning  {safe(_line(doubt))}", style="yellow")
        counts = {"play": len(found.plays), "error": len(found.errors), "warning": len(doubts)}
        console().print(", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items()))
    raise typer.Exit(1 if found.errors else 0)


@playbook.command("show")
def show(*, where: Where = None, as_json: Json = False) -> None:
    """The plays in force, in the order in which they are asked; the built-in ones come last."""
    found = _loaded(where).plays
    records = [_record(play) for play in found]
    columns = {name: [str(record[name] or "") for record in records] for name in ("play", "for", "do", "length")}
    listing(as_json, records, columns, "no play: everything is observed")


@playbook.command("test")
def try_on(
    file: Annotated[
        Path, typer.Argument(help="an alert as JSON, or several, one a line; - reads them", callback=files_there)
    ],
    *,
    where: Where = None,
    at: Annotated[str, typer.Option(metavar="TIME", help="as if it were then: 2026-11-21T03:00+01:00")] = "",
    as_json: Json = False,
) -> None:
    """What would be done about an alert, and why: which play is for it, and what a guardrail says.

    floodwarden alerts --json | floodwarden playbook test -
    """
    from enforcer.plan import Planner
    from enforcer.plan_config import PlanConfig

    settings = settings_of.load(playbooks=where) if where else settings_of.load()
    config = PlanConfig.of(settings)
    for alert in _alerts(file):
        now_ms = _moment_ms(at) if at else max(alert.last_ms, alert.crossed_ms)
        tried = config.playbook.tried(alert, now_ms)
        actions = Planner(config).plan(alert, now_ms)
        if as_json:
            write_json(_told(alert, tried, actions))
        else:
            _tell(alert, tried, actions)


def _tell(alert: Alert, tried: list[tuple[Play, str]], actions: tuple[Action, ...]) -> None:
    out = console()
    out.print(f"{safe(alert.uid)}: {alert.kind} about {safe(alert.entity.kind)}:{safe(alert.entity.value)}")
    for play, why_not in tried:
        out.print(f"  {safe(play.name):20} " + (f"no: it is for {safe(why_not)}" if why_not else "yes"))
    if not tried or tried[-1][1]:
        out.print("  no play is for it: observed")
    for action in actions:
        seconds = (action.expires_ms - action.created_ms) // 1000
        what = f"{action.kind} x{action.factor:g}" if action.factor else str(action.kind)
        what = what if action.level is None else f"{what}, asks for brownout level {action.level}"
        held = f", held back by {safe(action.guard)}" if action.guard else _asked(action)
        out.print(f"  {what} on {safe(action.target.key)}{_part(action)} for {seconds} s{held}")
        out.print(f"  {safe(action.reason)}")
    if not actions:
        out.print("  nothing is done")


def _asked(action: Action) -> str:
    approval = action.approval
    if approval is None:
        return ""
    waits_s = (approval.until_ms - action.created_ms) // 1000
    otherwise = str(approval.otherwise).replace("_", " ")
    return f", once somebody approves it: {safe(approval.why)}; after {waits_s} s without a word: {otherwise}"


def _part(action: Action) -> str:
    from floodwarden.cli_told import part_of

    said = part_of(action)
    return "" if said == "all" else f" ({safe(said)})"


def _told(alert: Alert, tried: list[tuple[Play, str]], actions: tuple[Action, ...]) -> dict[str, Any]:
    from enforcer.records import brief

    return {
        "alert": alert.uid,
        "tried": [{"play": play.name, "not_for": why_not or None} for play, why_not in tried],
        "play": tried[-1][0].name if tried and not tried[-1][1] else None,
        "actions": [brief(action) for action in actions],
    }


def _loaded(where: Path | None) -> Playbook:
    from enforcer.plan_config import ladder_of
    from enforcer.playbook_file import load

    settings = settings_of.load()
    return load(where or settings.playbooks, ladder_of(settings))


def _alerts(file: Path) -> list[Alert]:
    from enforcer import records

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error
    whole = data.strip()
    # One alert over several lines, as `alerts --json | jq .` prints it, or one a line.
    parts = [whole] if b"\n{" not in whole else whole.splitlines()
    return [records.alert(part) for part in parts if part.strip()]


def _moment_ms(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time; write 2026-11-21T03:00+01:00", param_hint="--at") from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.now().astimezone().tzinfo)
    return int(found.timestamp() * 1000)


def _record(play: Play) -> dict[str, Any]:
    when = play.when
    conditions = {
        "alert": " ".join(when.alert), "about": " ".join(sorted(when.about)), "asks": " ".join(sorted(when.asks)),
        "severity": str(when.severity) if when.severity != "info" else "", "confidence": when.confidence or "",
        "route": " ".join(when.route), "behaviour": " ".join(when.behaviour),
        "hours": " or ".join(each.text for each in when.hours),
    }  # fmt: skip
    what = "observe" if play.kind == "notice" else str(play.kind)
    what = what if play.level is None else f"brownout {play.level}"
    return {
        "play": play.name,
        "for": ", ".join(f"{name} {said}" for name, said in conditions.items() if said) or "everything else",
        "do": what
        + (f" x{play.factor:g}" if play.factor else "")
        + (" and page" if play.page else "")
        + (" if approved" if play.ask else ""),
        "length": f"{play.seconds} s" if play.seconds else None,
        "scope": "route" if play.on_route else "entity",
        "spares": play.spare is not None or play.kept is not None,
        "asks_above": None if play.ask is None else play.ask.above,
        "level": play.level,
    }


def _error(each: FileError) -> dict[str, Any]:
    return {"file": each.file, "line": each.line, "field": each.field, "reason": each.reason, "fix": each.fix}


def _line(each: Doubt) -> str:
    from schemas.errors import place

    return f"{place(each.file, each.line)}: {each.field}: {each.reason} ({each.fix})"
