"""Commands about evidence families: what is looked for, and whether a file of own ones can be taken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from floodwarden.cli_output import Json, console, safe, table, write_json

if TYPE_CHECKING:
    from detectors.families import Family

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
    from schemas import settings

    found = with_own(settings.load().families)
    if as_json:
        write_json([_record(family) for family in found])
        return
    lines = [(f"{f.name}/{f.version}", _about(f), _asks(f), " ".join(f.words.owasp), safe(f.words.what)) for f in found]
    table(("family", "about", "asks for", "OWASP", "what it is"), lines, "")


@families.command("explain")
def explain(
    name: Annotated[str, typer.Argument(help="a family, as `families list` names it")], *, as_json: Json = False
) -> None:
    """What one family takes for an opportunity and for a mark, and what its alerts say."""
    from detectors.family_file import with_own
    from floodwarden.errors import CommandError
    from schemas import settings
    from schemas.errors import one_of

    found = {family.name: family for family in with_own(settings.load().families)}
    if name not in found:
        raise CommandError(f"no family is called {name!r}: {one_of(name, found)}")
    record = _record(found[name])
    if as_json:
        write_json(record)
        return
    for word, value in record.items():
        if value not in ("", [], None):
            console().print(f"{word:12} {safe(', '.join(value) if isinstance(value, list) else str(value))}")


@families.command("lint")
def lint(
    path: Annotated[Path, typer.Argument(help="a file of families, or a directory of them")], *, as_json: Json = False
) -> None:
    """Whether families can be taken: file, line, field and fix of what is wrong. Exit code 1 on errors."""
    from detectors.families import BUILT_IN
    from detectors.family_file import SHADOW, built_in, with_own
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
        console().print(f"{safe(family.name)}/{family.version}: {_about(family)}, {_asks(family)}; {how}")


def _about(family: Family) -> str:
    from detectors.families import KINDS

    return " ".join(name for name, kind in KINDS.items() if kind in family.about)


def _asks(family: Family) -> str:
    words = {answer for kind in family.about for answer in family.answers.get(kind, ("notice",))}
    return "/".join(sorted(words)) + (" (shadow)" if family.shadow else "")


def _record(family: Family) -> dict[str, Any]:
    from detectors.families import KINDS, OUTCOMES

    mark = family.mark
    all_of = len(mark.outcomes) == len(OUTCOMES)
    marked = [f"answered {name}" for name, code in OUTCOMES.items() if code in mark.outcomes and not all_of]
    if mark.new is not None:
        marked.append(f"{mark.new} new to {'anyone' if mark.to_anyone else 'it'}")
    if mark.same_route:
        marked.append("same route as before")
    if mark.where is not None:
        marked.append("its condition holds")
    usual = [each * 3600 if family.rate else each for each in family.usual]
    return {
        "name": family.name,
        "revision": family.version,
        "what": family.words.what,
        "about": _about(family).split(),
        "opportunity": str(family.each),
        "mark": marked,
        "null": str(family.null),
        "q1": None if family.rate else family.q1,
        "usual": [f"{each:g}{' an hour' if family.rate else ''}" for each in dict.fromkeys(usual)],
        "control": family.control,
        "answers": [
            f"{name}: {new}" + (f", established {known}" if known != new else "")
            for name, kind in KINDS.items()
            if kind in family.answers
            for new, known in [family.answers[kind]]
        ],
        "shadow": family.shadow,
        "severity": family.severity,
        "sentence": family.words.sentence,
        "avoid": family.words.avoid,
        "owasp": list(family.words.owasp),
        "attack": list(family.words.attack),
        "source": family.words.source,
    }
