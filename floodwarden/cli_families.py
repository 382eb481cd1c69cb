"""Commands about evidence families: what is looked for, and whether a file of own ones can be taken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from floodwarden.cli_files import files_there, there
from floodwarden.cli_output import Json, console, safe, table, write_json
from floodwarden.cli_told import seconds_of
from floodwarden.format_names import FORMATS

families = typer.Typer(
    no_args_is_help=True, help="What counts as evidence of abuse: the built-in families and your own."
)


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(families, name="families", rich_help_panel="What is in force")


@families.command("list")
def list_all(*, as_json: Json = False) -> None:
    """The families in force, those of FLOODWARDEN_FAMILIES among them."""
    from detectors.family_file import with_own
    from floodwarden.family_told import about, asks, record
    from schemas import settings

    found = with_own(settings.load().families)
    if as_json:
        write_json([record(family) for family in found])
        return
    lines = [(f"{f.name}/{f.version}", about(f), asks(f), " ".join(f.words.owasp), safe(f.words.what)) for f in found]
    table(("family", "about", "asks for", "OWASP", "what it is"), lines, "")


@families.command("explain")
def explain(
    name: Annotated[str, typer.Argument(help="a family, as `families list` names it")],
    *,
    yaml: Annotated[bool, typer.Option("--yaml", help="the built-in one's file, to write your own from")] = False,
    as_json: Json = False,
) -> None:
    """What one family takes for an opportunity and for a mark, and what its alerts say."""
    from detectors.family_file import with_own
    from floodwarden.errors import CommandError
    from floodwarden.family_told import NO_FAMILIES, record, source
    from schemas import settings
    from schemas.errors import one_of

    found = {family.name: family for family in with_own(settings.load().families)}
    if name not in found and name not in NO_FAMILIES:
        raise CommandError(f"no family is called {name!r}: {one_of(name, [*found, *NO_FAMILIES])}")
    if yaml:
        sys.stdout.write(source(name, found.get(name)))
        return
    told = record(found[name]) if name in found else NO_FAMILIES[name]
    if as_json:
        write_json(told)
        return
    for word, value in told.items():
        if value not in ("", [], None):
            console().print(f"{word:12} {safe(', '.join(value) if isinstance(value, list) else str(value))}")


@families.command("lint")
def lint(
    path: Annotated[Path, typer.Argument(help="a file of families, or a directory of them", callback=there)],
    *,
    as_json: Json = False,
) -> None:
    """Whether families can be taken: file, line, field and fix of what is wrong. Exit code 1 on errors."""
    from detectors.families import BUILT_IN
    from detectors.family_file import SHADOW, built_in, with_own
    from floodwarden.family_told import about, asks
    from schemas.errors import FileError

    try:
        own = [family for family in with_own(path) if family.words.source != BUILT_IN]
    except FileError as error:
        if as_json:
            said = {
                "file": error.file,
                "line": error.line,
                "field": error.field,
                "reason": error.reason,
                "fix": error.fix,
            }
            write_json({"ok": False, "families": [], "errors": [said]})
        else:
            console().print(f"error    {safe(str(error))}", style="red")
        raise typer.Exit(1) from error
    if as_json:
        write_json({"ok": True, "families": [family.name for family in own], "errors": []})
        return
    for family in own:
        how = "in shadow: people are told, nobody is answered" if family.shadow else "enforced"
        if family.shadow and (beside := family.name.removesuffix(SHADOW)) in {each.name for each in built_in()}:
            how += f"; the built-in {beside} goes on until this one says `enforce: yes`"
        console().print(f"{safe(family.name)}/{family.version}: {about(family)}, {asks(family)}; {how}")
    console().print(f"See whom it would have hit: floodwarden families try {safe(str(path))} --over 24h")


@families.command("try")
def tried(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="families to try, or a directory of such files", callback=there)
    ],
    files: Annotated[
        list[str] | None, typer.Argument(metavar="LOG...", help="instead of the topic", callback=files_there)
    ] = None,
    *,
    over: Annotated[str, typer.Option(metavar="DURATION", help="so much of the topic of decisions")] = "24h",
    form: Annotated[str | None, typer.Option("--format", help=f"one of {', '.join(FORMATS)}")] = None,
    as_json: Json = False,
) -> None:
    """Replay recorded traffic with families enforced, beside those in force: who would have been hit, who spared."""
    from floodwarden import family_trial
    from floodwarden.family_trial_told import tell
    from floodwarden.traffic import Recorded, Sources
    from schemas import settings

    found = settings.load()
    traffic = Sources(tuple(files), form, found.geoip) if files else Recorded.last(found, seconds_of(over))
    trial = family_trial.run(found, path, traffic)
    write_json(trial) if as_json else tell(trial)
