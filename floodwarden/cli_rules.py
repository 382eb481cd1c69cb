"""Commands about rules and signatures. What each needs it imports when it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from floodwarden.cli_files import files_there
from floodwarden.cli_output import Json, console, listing, safe, table, write_json
from floodwarden.cli_told import seconds_of

if TYPE_CHECKING:
    from detectors.rules import Rule, Ruleset
    from floodwarden.rules_trial import Fired
    from schemas.alert import Alert

SHOWN_MAX: Final = 20
"""Of the topic told one by one; of files all are."""

rules = typer.Typer(no_args_is_help=True, help="Signatures and simple rules: list, explain, try them on a log.")
Where = Annotated[
    str | None,
    typer.Option("--rules", help="as FLOODWARDEN_RULES: builtin, crowdsec, files, directories; comma separated"),
]


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(rules, name="rules", rich_help_panel="What is in force")


@rules.command("list")
def list_(*, where: Where = None, as_json: Json = False) -> None:
    """The rules in force: when each speaks, and what it asks for."""
    from detectors.rules import said_ms

    found = _set(where).rules
    listing(
        as_json,
        [_record(rule) for rule in found],
        {
            "rule": [rule.name for rule in found],
            "by": [rule.by for rule in found],
            "more than": [rule.limits or f"{rule.capacity} {rule.distinct or 'request'}s" for rule in found],
            "one less in": [said_ms(rule.leak_ms) if rule.capacity else "-" for rule in found],
            "in": [said_ms(rule.over_s * 1000) if rule.over_s else "-" for rule in found],
            "answer": [rule.answer for rule in found],
            "known": [rule.known for rule in found],
            "behaviour": [rule.behaviour for rule in found],
        },
        "No rule is in force.",
    )


@rules.command("explain")
def explain(
    name: Annotated[str, typer.Argument(help="of a rule, or of a signature")],
    *,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """All there is to say about one rule: what it counts, by which signs, what it is called elsewhere, its source."""
    from floodwarden.errors import CommandError
    from schemas.errors import one_of

    whole = _set(where)
    at = whole.index(name)
    signs = [s for s in whole.signatures if s.name == name or (at >= 0 and s.name in whole.rules[at].signs)]
    if at < 0 and not signs:
        raise CommandError(f"no rule or signature is called {name}: {one_of(name, [r.name for r in whole.rules])}")
    if as_json:
        told = _record(whole.rules[at]) if at >= 0 else {}
        write_json(told | {"signatures": [_signature(s) for s in signs]})
        return
    out = console()
    if at >= 0:
        for line in _explained(whole.rules[at]):
            out.print(safe(line))
    for sign in signs:
        asked = " or ".join(repr(text) for text in sign.has[:6]) + (" or others" if len(sign.has) > 6 else "")
        ids = f" ({', '.join(sign.ids)})" if sign.ids else ""
        out.print(safe(f"  {sign.name}: {sign.title}{ids}; {', '.join(sign.columns)} with {asked}"))
        if at < 0 and sign.match:
            out.print(safe(f"  fitting {sign.match}"))


@rules.command("test")
def try_(
    file: Annotated[str, typer.Argument(help="a file of rules, or builtin, crowdsec; comma separated")],
    logs: Annotated[
        list[Path] | None, typer.Argument(help="logs or traces, instead of the topic", callback=files_there)
    ] = None,
    *,
    over: Annotated[str, typer.Option(metavar="DURATION", help="so much of the topic of decisions")] = "24h",
    form: Annotated[str | None, typer.Option("--format", help="of the logs; told from the content without it")] = None,
    as_json: Json = False,
) -> None:
    """Run rules over logs, or the last day of the topic, and say what fires, when, and on what lines.

    Exit code 1 when something does.
    """
    from floodwarden import rules_trial
    from floodwarden.traffic import Recorded
    from schemas.settings import load

    fired = (
        rules_trial.run(file, logs, form=form)
        if logs
        else rules_trial.over(file, Recorded.last(load(), seconds_of(over)))
    )
    if as_json:
        for one in fired:
            write_json(one.record())
    else:
        _tell(fired, None if logs else SHOWN_MAX)
    raise typer.Exit(1 if fired else 0)


def _tell(fired: Sequence[Fired], shown_max: int | None) -> None:
    """For people: each, and by rule whom."""
    for one in fired[:shown_max]:
        for line in one.lines():
            console().print(safe(line))
    if len(shown := fired[:shown_max]) < len(fired):
        console().print(f"{len(fired) - len(shown)} more; --json has them")
    by: dict[str, list[Alert]] = {}
    for one in fired:
        by.setdefault(one.alert.rule or one.alert.kind, []).append(one.alert)
    cells = [
        (
            rule,
            str(len(of)),
            str(len({alert.entity for alert in of})),
            str(sum(alert.established for alert in of)),
            str(len({alert.tenant for alert in of} - {None})),
            ", ".join(f"{answer.value} {n}" for answer, n in Counter(alert.answer for alert in of).most_common()),
        )
        for rule, of in sorted(by.items())
    ]
    table(("rule", "fired", "of clients", "of established", "of tenants", "asks for"), cells, "Nothing fires.")


@rules.command("verify-bots")
def verify_bots(
    logs: Annotated[list[Path], typer.Argument(help="logs or traces", callback=files_there)],
    *,
    out: Annotated[Path, typer.Option("--out", help="directory for the addresses that are verified; FLOODWARDEN_BOTS")],
) -> None:
    """Ask DNS which addresses in logs are the crawlers they say they are: by name and back."""
    from floodwarden import bot_names

    for name, count, asked in bot_names.run(logs, out):
        console().print(f"{name}: {count} of {asked} addresses are its own")


def _set(where: str | None) -> Ruleset:
    from schemas.settings import load
    from stream import rule_source

    return rule_source.rules(where if where is not None else load().rules)


def _explained(rule: Rule) -> list[str]:
    what = f"different {rule.distinct}s" if rule.distinct and not rule.over_s else "requests"
    lines = [
        f"{rule.name}/{rule.version}: {rule.means}",
        f"  speaks {rule.fires}, of one {rule.by}; counts {what}",
        f"  answer: {rule.answer} for newcomers, {rule.known} for clients with a history; severity {rule.severity}",
        f"  called {', '.join(filter(None, (rule.behaviour, *rule.ids)))}" if rule.behaviour or rule.ids else "",
        f"  avoided by: {rule.avoid}" if rule.avoid else "",
        f"  stands in {rule.file}:{rule.line}" + (f"; source: {rule.source}" if rule.source else ""),
    ]
    return [line for line in lines if line]


def _record(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name, "version": rule.version, "means": rule.means, "by": rule.by,
        "distinct": rule.distinct or None,
        "capacity": rule.capacity, "leak_ms": rule.leak_ms, "over_s": rule.over_s or None,
        "when": {limit.measure: limit.text for limit in rule.when}, "signs": list(rule.signs), "spoofed": rule.spoofed,
        "answer": rule.answer, "known": rule.known, "severity": rule.severity, "behaviour": rule.behaviour,
        "ids": list(rule.ids), "avoid": rule.avoid, "source": rule.source, "file": rule.file, "line": rule.line,
    }  # fmt: skip


def _signature(sign: Any) -> dict[str, Any]:
    return {
        "name": sign.name, "group": sign.group, "title": sign.title, "columns": list(sign.columns),
        "has": list(sign.has), "match": sign.match, "behaviour": sign.behaviour, "ids": list(sign.ids),
        "source": sign.source,
    }  # fmt: skip
