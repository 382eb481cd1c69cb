"""The command `ingest`: the service, and its mapping looked over or tried on records. It imports what it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from floodwarden.cli_files import there
from floodwarden.cli_output import Json, console, safe, write_json
from schemas import settings as settings_of
from schemas.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from limiter.errors import PolicyError
    from limiter.ingest.mapping import Source
    from schemas.decision import Decision
    from schemas.errors import BadMessageError

_TRIED_BYTES_MAX = 64 << 20


def ingest(
    mapping: Annotated[
        Path | None,
        typer.Argument(help="what sources there are and what their fields mean (FLOODWARDEN_INGEST)", callback=there),
    ] = None,
    *,
    lint: Annotated[bool, typer.Option("--lint", help="only look the mapping over: every error with its line")] = False,
    sample: Annotated[
        Path | None, typer.Option("--try", metavar="FILE", help="only show what a file of records (- : input) becomes")
    ] = None,
    source: Annotated[str, typer.Option(metavar="NAME", help="with --try: as records of which source")] = "",
    as_json: Json = False,
) -> None:
    """Run ingest: decisions that others made, from Kafka topics, growing files and HTTP, into `decisions`.

    POST /v1/ingest/SOURCE, /healthz, /readyz and /metrics on port 8083. A position is kept once the broker has what
    was read, so nothing is lost; records with an event id are taken once. What cannot be taken goes to dead-letter.

    [bold]floodwarden ingest edge.yaml --lint[/bold], then
    [bold]head access.json | floodwarden ingest edge.yaml --try - --source nginx[/bold], then without either.
    Examples: deploy/ingest/example.yaml, docs/ingest.md.
    """
    settings = settings_of.load(**({"ingest": mapping} if mapping else {}))
    if lint or sample is not None:
        if settings.ingest is None:
            raise typer.BadParameter("name a mapping file")
        if lint:
            _lint(settings.ingest, as_json=as_json)
        else:
            _try(settings, settings.ingest, sample or Path("-"), source, as_json=as_json)
        return
    from floodwarden import cli_services
    from limiter.ingest.app import sources_of

    sources_of(settings)  # what is wrong with it is told before anybody waits for a broker

    cli_services.run_ingest(settings)


def _lint(file: Path, *, as_json: bool) -> None:
    from limiter.ingest import mapping_file

    found = mapping_file.examine(file)
    if as_json:
        errors = [_plain(error) for error in found.errors]
        write_json({"ok": not errors, "sources": [each.name for each in found.sources], "errors": errors})
    else:
        for error in found.errors:
            console().print(f"error    {safe(str(error))}", style="red", soft_wrap=True)
        console().print(f"{len(found.sources)} sources, {len(found.errors)} errors")
    raise typer.Exit(1 if found.errors else 0)


def _try(settings: Settings, file: Path, sample: Path, name: str, *, as_json: bool) -> None:
    from limiter.identity import Identifier
    from limiter.ingest import mapping_file
    from limiter.ingest.reader import reader
    from schemas import codec

    source = _source(mapping_file.load(file), name)
    lines = _lines(sample)
    read = reader(source, Identifier(settings).key_id).read(lines)
    for batch in read.batches:
        for row in codec.to_rows(batch):
            _show(row, as_json=as_json)
    for at, _, error in read.bad:
        _refuse(at, error, as_json=as_json)
    if not as_json:
        told = f"{read.rows} decisions, {len(read.bad)} would go to dead-letter, {read.duplicates} seen before"
        console().print(told)
    raise typer.Exit(1 if read.bad else 0)


def _show(row: Decision, *, as_json: bool) -> None:
    fields = {name: value for name in row.__struct_fields__ if (value := getattr(row, name)) is not None}
    if as_json:
        write_json({"decision": fields})
    else:
        console().print("  ".join(f"{name}={safe(str(value))}" for name, value in fields.items()), soft_wrap=True)


def _refuse(at: int, error: BadMessageError, *, as_json: bool) -> None:
    if as_json:
        write_json(
            {"record": at + 1, "field": error.field, "code": error.code, "reason": error.reason, "fix": error.fix}
        )
    else:
        console().print(f"record {at + 1}: {safe(str(error))}", style="red", soft_wrap=True)


def _source(sources: Sequence[Source], name: str) -> Source:
    known = {each.name: each for each in sources}
    if not name and len(known) == 1:
        return next(iter(known.values()))
    if name not in known:
        raise typer.BadParameter(f"say --source NAME, one of {', '.join(known)}")
    return known[name]


def _lines(sample: Path) -> list[bytes]:
    """Records of a file: a line each, or all of it where it is one JSON array or object over several lines."""
    if str(sample) == "-":
        data = sys.stdin.buffer.read(_TRIED_BYTES_MAX)
    else:
        try:
            with sample.open("rb") as file:
                data = file.read(_TRIED_BYTES_MAX)
        except OSError as error:
            raise typer.BadParameter(
                f"{sample}: {error.strerror}; name a file of records, or -", param_hint="--try"
            ) from error
    lines = [line for line in data.splitlines() if line.strip()]
    return lines if len(lines) > 1 and _each_is_whole(lines) else [data]


def _each_is_whole(lines: Sequence[bytes]) -> bool:
    return all(not line.lstrip().startswith((b"{", b"[")) or line.rstrip().endswith((b"}", b"]")) for line in lines)


def _plain(error: PolicyError) -> dict[str, Any]:
    return {
        "file": error.file,
        "line": error.line,
        "field": error.field,
        "reason": error.reason,
        "fix": error.fix,
    }
