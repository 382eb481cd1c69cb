"""Commands by which people say what was rightly found and what wrongly; thresholds and evaluations heed it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from floodwarden.cli_output import Json, console, listing, safe, write_json
from floodwarden.cli_store import opened
from floodwarden.cli_told import By, Reason, who
from floodwarden.errors import CommandError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from enforcer.session import Result
    from schemas.settings import Settings

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")

labels = typer.Typer(help="What people say was rightly found, and what wrongly; `calibrate --labels` heeds it.")


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(labels, name="labels", rich_help_panel="What is in force")


@labels.callback(invoke_without_command=True)
def list_labels(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="the newest so many")] = 50,
    as_json: Json = False,
) -> None:
    """What was said last, newest first; `add` says something."""
    if context.invoked_subcommand is not None:
        return
    from enforcer.store import reading

    with opened() as engine:
        found = reading.listed(engine, reading.LABEL, reading.Wanted(), limit).items
    columns = {
        "when": [time.strftime("%m-%d %H:%M:%S", time.localtime(row["at_ms"] / 1000)) for row in found],
        "label": [row["label"] for row in found],
        "subject": [row["subject"] for row in found],
        "by": [row["by"] for row in found],
        "note": [row["note"] for row in found],
    }
    listing(as_json, found, columns, "nobody has said anything")


@labels.command("add")
def add(
    subject: Annotated[
        str,
        typer.Argument(help="incident:UID, action:UID, alert:UID (first characters do) or who: ip:203.0.113.7"),
    ],
    word: Annotated[str, typer.Argument(help="true_positive or false_positive; any other word takes those back")],
    *,
    reason: Reason = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Say what something was: of an incident it is said of all its alerts, of an action of the alert it answered."""
    with opened() as engine:
        said = put(engine, subject, word.replace("-", "_"), reason, by)
    if as_json:
        write_json(said)
    else:
        console().print(f"{safe(said['subject'])} is labelled {said['label']}; `calibrate --labels` heeds it")


def wrong(settings: Settings, action: str, reason: str, by: str) -> Result:
    """Lift an action, and label it a false positive: what was lifted.

    Raises:
        CommandError: the store has no such action, or it is not in force; nothing is then said of it.
    """
    from enforcer import command
    from enforcer.errors import CommandError as RefusedError
    from enforcer.store import reading
    from enforcer.store.hand import find
    from enforcer.store.labels import FALSE_POSITIVE

    with opened() as engine:
        uid = find(engine, reading.ACTION, action)
        try:
            lifted = command.undo(settings, uid, who(by), reason)
        except RefusedError as error:
            if error.code != "not_found":
                raise
            fix = f"say that it was wrong all the same: floodwarden labels add action:{uid} false_positive"
            raise RefusedError("not_in_force", "action", f"{uid} is over, nothing is left to undo", fix) from error
        put(engine, f"action:{uid}", FALSE_POSITIVE, reason, by)
    return lifted


def put(engine: sa.Engine, subject: str, word: str, reason: str, by: str) -> dict[str, Any]:
    """Label `subject`, with a word in the audit before it: the label as it is kept.

    Raises:
        CommandError: no word we take, or there is no such subject.
    """
    from enforcer.store import audit, reading
    from enforcer.store import labels as kept
    from enforcer.store.database import writing
    from enforcer.store.hand import find

    if not _WORD.fullmatch(word):
        raise CommandError(f"label: {word[:60]!r} is no word we take; true_positive or false_positive")
    kind, _, uid = subject.partition(":")
    kinds = {"alert": reading.ALERT, "action": reading.ACTION, "incident": reading.INCIDENT}
    whole = f"{kind}:{find(engine, kinds[kind], uid)}" if kind in kinds else subject
    author, now_ms = f"cli:{who(by)}", time.time_ns() // 1_000_000
    with writing(engine) as at:
        audit.append(at, [audit.Entry(now_ms, author, "label.added", whole, {"label": word, "note": reason})])
    return dict(kept.label(engine, whole, word, reason, kept.Said(author, now_ms)))
