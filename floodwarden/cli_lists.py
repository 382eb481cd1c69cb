"""Lists of addresses: others' in, ours out."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.progress import Progress

from floodwarden.cli_files import files_there
from floodwarden.cli_output import Json, console, safe, write_json
from floodwarden.cli_restrict import deny
from floodwarden.cli_told import For, seconds_of
from schemas import settings as settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enforcer.reputation import Listed, Sync
    from enforcer.session import Result

BAD_SHOWN: Final = 5
_WHY: Final = {
    "weight": "of too little weight",
    "expired": "expired",
    "private": "of private or special addresses",
    "allowed": "allowed, or our own proxies",
}


def deny_import(
    file: Annotated[
        Path,
        typer.Argument(
            help="a list: an address or network a line, or CSV with a header; - reads it", callback=files_there
        ),
    ],
    *,
    source: Annotated[str, typer.Option(help="whose list it is: a later one of the same name takes its place")],
    duration: For = "1d",
    weight: Annotated[int, typer.Option(min=0, max=100, help="of entries that have none of their own")] = 100,
    deny_from: Annotated[int, typer.Option(min=0, max=101, help="entries of this weight and more are denied")] = 75,
    challenge_from: Annotated[int, typer.Option(min=0, max=101, help="lighter ones are challenged down to this")] = 40,
    private: Annotated[bool, typer.Option("--private", help="take private and special addresses too")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave lines out that are no entries")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="say what would change, and change nothing")] = False,
    as_json: Json = False,
) -> None:
    """Deny whom a reputation list names, and lift whom it no longer names.

    deny import drop.txt --source spamhaus-drop --for 1d
    deny import scored.csv --source abuse --deny-from 90 --challenge-from 50     columns: value,weight,expires,reason
    """
    from enforcer import command
    from enforcer.reputation import Rules

    listed = _read(file, weight, skip_bad=skip_bad)
    rules = Rules(seconds_of(duration), deny_from, challenge_from, private)
    with _progress(as_json=as_json) as told:
        made, result = command.deny_import(settings_of.load(), listed, source, rules, told, plan_only=plan)
    _tell(source, made, result, as_json=as_json, plan=plan)


def deny_export(
    form: Annotated[str, typer.Option("--format", help="plain, nginx-deny, nginx-geo, haproxy-map or ipset")] = "plain",
) -> None:
    """Print who is denied or challenged everywhere, for a gateway or firewall that reads a file.

    deny export --format nginx-deny > /etc/nginx/denied.conf
    deny export --format ipset | ipset restore
    """
    from enforcer import command
    from enforcer.bouncers import lists
    from enforcer.bouncers.book import Book

    if form not in lists.FORMATS:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(lists.FORMATS)}", param_hint="--format")
    settings = settings_of.load()
    book = Book(scoped=settings.bouncer_scoped)
    for action in command.deny_list(settings):
        book.put(action)
    for line in lists.lines(form, book.all()):
        sys.stdout.write(line + "\n")


def register(app: typer.Typer) -> None:  # noqa: ARG001 - the commands go under `deny`, which others register
    """Add the commands to `deny`."""
    deny.command("import")(deny_import)
    deny.command("export")(deny_export)


def _read(file: Path, weight: int, *, skip_bad: bool) -> list[Listed]:
    from enforcer.reputation import read

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from error
    listed, bad = read(text.splitlines(), str(file), weight)
    for why in bad[:BAD_SHOWN]:
        sys.stderr.write(safe(why) + "\n")
    if bad and not skip_bad:
        why = f"{len(bad)} lines are no entries; nothing was changed; --skip-bad goes on without them"
        raise typer.BadParameter(why, param_hint="FILE")
    return listed


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console

    with Progress(console=Console(stderr=True), transient=True, disable=as_json or not sys.stderr.isatty()) as bar:
        task = bar.add_task("in force", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(source: str, made: Sync, result: Result | None, *, as_json: bool, plan: bool) -> None:
    if as_json:
        write_json({
            "source": source, "added": len(made.add), "lifted": len(made.lift), "kept": made.kept,
            "left_out": dict(made.left_out), "planned_only": plan,
            "in_force_ms": result.in_force_ms if result else None, "ack_ms": result.ack_ms if result else {},
        })  # fmt: skip
        return
    out = console()
    verb = "would be " if plan else ""
    out.print(f"{source}: {len(made.add):,} {verb}added, {len(made.lift):,} {verb}lifted, {made.kept:,} stand already")
    if made.left_out:
        out.print("left out: " + ", ".join(f"{count:,} {_WHY[why]}" for why, count in sorted(made.left_out.items())))
    if result:
        nodes = ", ".join(f"{safe(node)} after {ms} ms" for node, ms in sorted(result.ack_ms.items()))
        out.print(f"in force after {result.in_force_ms} ms" + (f", acknowledged by {nodes}" if nodes else ""))
    if result and result.missing:
        sys.stderr.write(f"not yet acknowledged by {', '.join(result.missing)}: see `floodwarden doctor`\n")
