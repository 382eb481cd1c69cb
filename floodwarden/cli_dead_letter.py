"""Commands about messages nobody could take. What reads the topic is imported when one runs."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from floodwarden.cli_output import Json, console, listing, safe, write_json
from floodwarden.cli_told import By, seconds_of, who
from schemas import settings as settings_of

if TYPE_CHECKING:
    from floodwarden.dead_letters import Filter, Sent, Stored
    from floodwarden.dissect import Found

dead_letter = typer.Typer(
    no_args_is_help=True,
    help="Messages nobody could take: what they are, why, and sending them again once they can be taken.",
)

Topic = Annotated[str, typer.Option(metavar="TEXT", help="only from topics, files or sources with this in their name")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="only with this in code, field or reason")]
Since = Annotated[str, typer.Option(metavar="DURATION", help="only so long back: 90s, 10m, 6h, 1d")]
Until = Annotated[str, typer.Option(metavar="DURATION", help="only until so long ago")]


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(dead_letter, name="dead-letter", rich_help_panel="Look after it")


@dead_letter.command("list")
def list_letters(
    *,
    topic: Topic = "",
    why: Why = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(min=1, help="at most so many, the newest")] = 50,
    as_json: Json = False,
) -> None:
    """What could not be taken, why, and where it came from; the newest last."""
    from floodwarden import dead_letters

    found = dead_letters.letters(settings_of.load(), _filter(topic, why, since, until))
    shown = found[-limit:]
    columns = {
        "letter": [one.id for one in shown],
        "when": [_clock(one.at_ms) for one in shown],
        "from": [_from(one) for one in shown],
        "bytes": [f"{one.letter.cut_from or len(one.letter.value):,}" for one in shown],
        "why": [f"{one.letter.code}: {one.letter.field}: {one.letter.reason}" for one in shown],
        "again": ["sent" if one.retried else "" for one in shown],
    }
    listing(as_json, [_plain(one) for one in shown], columns, "no dead letters")
    if len(found) > limit and not as_json:
        sys.stderr.write(f"{len(found) - limit} older ones not shown; --limit shows more\n")


@dead_letter.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="LETTER", help="PARTITION:OFFSET, as `list` names it")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="write the bytes themselves to standard output")] = False,
    as_json: Json = False,
) -> None:
    """One message: its bytes decoded as far as possible, what was wrong, and whether it could be taken now."""
    from floodwarden import dead_letters
    from floodwarden.dissect import dissect

    settings = settings_of.load()
    stored = dead_letters.one_letter(settings, name)
    if raw:
        sys.stdout.buffer.write(stored.letter.value)
        return
    found, still = dissect(stored.letter.value), dead_letters.trial(settings, stored.letter)
    if as_json:
        now = {"taken": still is None, "why_not": str(still) if still else None}
        write_json(_plain(stored) | {"now": now, "decoded": asdict(found)})
        return
    out = console()
    one = stored.letter
    out.print(f"{stored.id}  {_clock(stored.at_ms)}  from {safe(_from(stored))}", soft_wrap=True)
    out.print(f"wrong   {safe(one.field)}: {safe(one.reason)} ({one.code})", soft_wrap=True)
    if one.fix:
        out.print(f"fix     {safe(one.fix)}", soft_wrap=True)
    out.print(f"now     {'would be taken: dead-letter retry ' + stored.id if still is None else safe(str(still))}")
    if stored.retried:
        to = stored.retried.to
        out.print(f"again   sent by {safe(stored.retried.by)} to {safe(to.topic)}[{to.partition}]@{to.offset}")
    cut = f", the first {len(one.value):,} kept" if one.cut_from else ""
    out.print(f"bytes   {one.cut_from or len(one.value):,}{cut}, {one.content_type or 'no content type'}")
    _show(found)


@dead_letter.command("retry")
def retry(
    names: Annotated[list[str] | None, typer.Argument(metavar="[LETTER]...", help="PARTITION:OFFSET")] = None,
    *,
    topic: Topic = "",
    why: Why = "",
    since: Since = "",
    until: Until = "",
    every: Annotated[bool, typer.Option("--all", help="all there are")] = False,
    again: Annotated[bool, typer.Option("--again", help="also what was sent again before")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be sent, and send nothing")] = False,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Send messages to their topic again, where its reader takes them now. Exit code 1 when one was left."""
    from dataclasses import replace

    from floodwarden import dead_letters

    ids = tuple(dead_letters.full_id(name) for name in names or ())
    chosen = replace(_filter(topic, why, since, until), ids=ids)
    if chosen.everything and not every:
        raise typer.BadParameter("say which: letters, --topic, --reason, --since, --until, or --all")
    settings = settings_of.load()
    found = dead_letters.letters(settings, chosen)
    sent = []
    for one in dead_letters.retry(settings, found, who(by), again=again, dry_run=dry_run):
        sent.append(one)
        _tell(one, dry_run=dry_run, as_json=as_json)
    left = sum(one.to is None for one in sent)
    missing = sorted(set(ids) - {one.id for one in found})
    if missing:
        sys.stderr.write(f"floodwarden: no dead letter {', '.join(missing)}\n")
    if not as_json:
        would = "would be sent" if dry_run else "sent"
        console().print(f"{len(sent) - left} {would} again, {left} left")
    raise typer.Exit(1 if left or missing else 0)


def _tell(one: Sent, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        state = "left" if one.to is None else "would_send" if dry_run else "sent"
        to = None if one.to is None else {"topic": one.to.topic, "partition": one.to.partition, "offset": one.to.offset}
        write_json({"letter": one.stored.id, "state": state, "to": to, "why_not": one.why_not or None})
    elif one.to is None:
        console().print(f"{one.stored.id}  left: {safe(one.why_not)}", soft_wrap=True)
    else:
        place = "" if dry_run else f"[{one.to.partition}]@{one.to.offset}"
        console().print(f"{one.stored.id}  to {safe(one.to.topic)}{place}", soft_wrap=True)


def _show(found: Found) -> None:
    out = console()
    out.print(f"looks   like {found.form}" + (f"; decoding stops: {safe(found.ends)}" if found.ends else ""))
    for name, value in found.about.items():
        out.print(f"        {name}: {safe(str(value))}", soft_wrap=True)
    for row in found.rows:
        out.print(f"        {safe(str(row))}", soft_wrap=True)
    for line in [*found.text.splitlines()[:40], *found.hexdump]:
        out.print(f"        {safe(line)}", soft_wrap=True)


def _filter(topic: str, why: str, since: str, until: str) -> Filter:
    from floodwarden.dead_letters import Filter

    now_ms = time.time_ns() // 1_000_000
    bounds: dict[str, Any] = {}
    if since:
        bounds["since_ms"] = now_ms - seconds_of(since) * 1000
    if until:
        bounds["until_ms"] = now_ms - seconds_of(until) * 1000
    return Filter(topic, why, **bounds)


def _from(stored: Stored) -> str:
    origin = stored.letter.origin
    return f"{origin.topic}[{origin.partition}]@{origin.offset}"


def _clock(at_ms: int) -> str:
    return time.strftime("%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


def _plain(stored: Stored) -> dict[str, object]:
    one, again = stored.letter, stored.retried
    return {
        "letter": stored.id,
        "at_ms": stored.at_ms,
        "code": one.code,
        "field": one.field,
        "reason": one.reason,
        "fix": one.fix,
        "origin": {
            "topic": one.origin.topic,
            "partition": one.origin.partition,
            "offset": one.origin.offset,
            "source": one.origin.source or None,
        },
        "content_type": one.content_type,
        "bytes": one.cut_from or len(one.value),
        "cut": bool(one.cut_from),
        "retried": None
        if again is None
        else {"by": again.by, "topic": again.to.topic, "partition": again.to.partition, "offset": again.to.offset},
    }
