"""An evaluation as tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from floodwarden.evaluation.good import HARMS
from floodwarden.report import printable
from floodwarden.report_text import span_words

STRENGTHS: Final = ("weak", "medium", "strong")
Record = Mapping[str, Any]


def show(result: Record, console: Console) -> None:
    """Print an evaluation."""
    if not result["labelled"]:
        console.print(Text(unlabelled(result)))
        if result["alerts_by_kind"]:
            console.print(_kinds({kind: {"alerts": each["alerts"]} for kind, each in result["alerts_by_kind"].items()}))
        if result.get("said"):
            console.print(_said(result["said"]))
        return
    console.print(_sentences(result))
    for name, title in (("tuned", "Attacks"), ("first_sight", "Attacks at first sight: nobody tuned on these")):
        first_sight = name == "first_sight"
        mine = {f: told for f, told in result["by_family"].items() if told["first_sight"] is first_sight}
        if mine:
            console.print(_attacks(mine, title))
    console.print(_good(result))
    if result["alerts_by_kind"]:
        console.print(_kinds(result["alerts_by_kind"]))
    if result.get("said"):
        console.print(_said(result["said"]))
    if result.get("against"):
        console.print(_against(result))


def _said(said: Record) -> Table:
    names, rows = labelled(said)
    made = Table(names[0], title="Clients that people labelled", title_justify="left")
    for name in names[1:]:
        made.add_column(name, justify="right")
    for row in rows:
        made.add_row(*row)
    return made


def labelled(said: Record) -> tuple[list[str], list[list[str]]]:
    """What befell the clients that people labelled: headings, and a row for each word."""
    rows = [[name.replace("_", " "), *(f"{count:,}" for count in told.values())] for name, told in said.items()]
    return ["what people said", *next(iter(said.values()))], rows


def seconds(ms: int | None) -> str:
    """A time as a person says it."""
    if ms is None:
        return "-"
    return f"{ms / 1000:.1f} s" if ms < 100_000 else f"{ms / 60_000:.1f} min"


def share(value: float) -> str:
    """A share: percent where that says something, a power of ten where it is tiny."""
    if value == 0:
        return "0"
    return f"{value:.1%}" if value >= 0.001 else f"{value:.1e}".replace("e-0", "e-")


def unlabelled(result: Record) -> str:
    """What there is to say of traffic of which nobody says who is good and who attacks, and what to do about it."""
    alerts, _, _, span = alarms(result)
    return (
        f"None of the {result['decisions']:,} decisions has a label: nobody says which are an attack's and which are "
        "good. So nothing can be said of what was found or missed, nor of who was hit by mistake; only what was done: "
        f"{result['benign_denied']:,} denied ({share(result['benign_denied_share'])}), "
        f"{result['benign_challenged']:,} challenged, {result['benign_throttled']:,} throttled; alerts: {alerts} "
        f"{span}. On whom and why: `floodwarden replay`.\n"
        "To have it judged, give rows a column `label`: attack/NAME/STRENGTH/INCIDENT, benign/CASE, empty for the rest "
        "of the good (docs/evaluation.md); or say what single clients are with --labels FILE."
    )


def _sentences(result: Record) -> Text:
    told = Text()
    told.append(f"{result['found']} of {result['incidents']}", style="bold")
    told.append(f" incidents found, {result['answered']} answered")
    tuned, kept = result["sets"]["tuned"], result["sets"]["first_sight"]
    if kept["incidents"]:
        told.append(
            f" (tuned {tuned['found']} of {tuned['incidents']}, at first sight {kept['found']} of {kept['incidents']})"
        )
    told.append("; ")
    told.append(f"{result['benign_denied']:,}", style="bold red" if result["benign_denied"] else "bold green")
    told.append(
        f" of {result['benign_decisions']:,} good decisions denied ({share(result['benign_denied_share'])}, 95 % bound "
        f"{share(result['benign_denied_upper_95'])}), {result['benign_challenged']:,} challenged, "
        f"{result['benign_throttled']:,} throttled; {result['benign_refused']:,} kept out, "
        "denied or with no browser to answer\n"
    )
    when = result["time_to_alert_ms"]
    told.append(f"{result['attack_stopped_share']:.1%} of {result['attack_decisions']:,} attack decisions stopped; ")
    told.append(f"alert after {seconds(when['p50'])} (p50), {seconds(when['p99'])} (p99); ")
    alerts, false, incidents, span = alarms(result)
    told.append(f"{alerts} alerts {span}, {false} of them false: {incidents} false incidents")
    if result.get("adapt"):
        told.append(f"\nAttackers adapt: refused, they {' and '.join(result['adapt'])}")
    return told


def alarms(result: Record) -> tuple[str, str, str, str]:
    """Alerts, false ones, false incidents, and in what time: a day, or all of it where that is shorter.

    Twenty minutes full of attacks say nothing of a day.
    """
    if result["days"] >= 1:
        per_day = [f"{result[f'{name}_per_day']:,.0f}" for name in ("alerts", "false_alerts", "false_incidents")]
        return per_day[0], per_day[1], per_day[2], "a day"
    kinds = result["alerts_by_kind"].values()
    counts = [f"{sum(each[name] for each in kinds):,}" for name in ("alerts", "false", "false_incidents")]
    return counts[0], counts[1], counts[2], f"in {span_words(round(result['days'] * 86_400_000))}"


def _attacks(by_family: Record, title: str) -> Table:
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("attack", "strength"):  # of a narrow window figures may take two lines, but names are whole
        made.add_column(name, no_wrap=True)
    for name in ("found", "answered", "alert after", "requests", "answer after", "requests", "stopped"):
        made.add_column(name, justify="right", overflow="fold")
    for family, counts in by_family.items():
        for strength, each in counts["by_strength"].items():
            made.add_row(
                printable(family),
                printable(strength),
                _of(each["found"], each["incidents"]),
                _of(each["answered"], each["incidents"]),
                seconds(each["time_to_alert"]["p50"]),
                _number(each["requests_to_alert"]["p50"]),
                seconds(each["time_to_action_ms"]["p50"]),
                _number(each["requests_to_action"]["p50"]),
                share(each["attack_stopped_share"]),
            )
    return made


def _good(result: Record) -> Table:
    made = Table("good traffic", title="Good traffic (in brackets: 95 % bound)", title_justify="left")
    for name in ("decisions", *HARMS):
        made.add_column(name, justify="right")
    populations = {f"all: {name}": told for name, told in result["benign_by_population"].items()}
    for name, each in (good_by_set(result) | populations | dict(result["benign_by_case"])).items():
        cells = [
            Text(f"{each[e]:,} ({share(each[f'{e}_bounds_95'][1])})", style="red" if e == "denied" and each[e] else "")
            if each["decisions"]
            else Text("-")
            for e in HARMS
        ]
        made.add_row(printable(name), f"{each['decisions']:,}", *cells)
    return made


def good_by_set(result: Record) -> dict[str, Record]:
    """Good traffic of either set as a case's record; nothing where no case of first sight is in it."""
    tuned, kept = result["sets"]["tuned"], result["sets"]["first_sight"]
    return {"all: tuned": tuned["good"], "all: first sight": kept["good"]} if kept["cases"] else {}


def _kinds(by_kind: Record) -> Table:
    made = Table("alert", title="Alerts", title_justify="left")
    for name in next(iter(by_kind.values())):
        made.add_column({"alerts": "told"}.get(name, name.replace("_", " ")), justify="right")
    for kind, each in by_kind.items():
        made.add_row(printable(kind), *(f"{count:,}" for count in each.values()))
    return made


def _against(result: Record) -> Table:
    made = Table("detector", title="The same traffic, others", title_justify="left")
    headings = (
        "found",
        "first sight",
        "stopped",
        "good denied",
        "challenged",
        "throttled",
        "refused",
        "alert after",
        "false a day",
        "us a decision",
    )
    for name in headings:
        made.add_column(name, justify="right")
    for name, each in compared(result):
        tuned, kept = each["sets"]["tuned"], each["sets"]["first_sight"]
        made.add_row(
            printable(name),
            f"{tuned['found']} of {tuned['incidents']}",
            f"{kept['found']} of {kept['incidents']}" if kept["incidents"] else "-",
            share(each["attack_stopped_share"]),
            *(share(each[f"benign_{effect}_share"]) for effect in HARMS),
            seconds(each["time_to_alert_ms"]["p50"]),
            f"{each['false_alerts_per_day']:,.0f}",
            f"{each['cpu_us_per_decision']:,.0f}",
        )
    return made


def compared(result: Record) -> Sequence[tuple[str, Record]]:
    """Ourselves and the others, by name."""
    return [("floodwarden", result), *result["against"].items()]


def _of(n: int, of: int) -> Text:
    return Text(f"{n} of {of}", style="green" if n == of else "red")


def _number(n: int | None) -> str:
    return "-" if n is None else f"{n:,}"
