"""A replay's findings for a terminal: what happened, to whom, on what evidence, and what would have been done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from enforcer.wording import no_more
from floodwarden.effects import Effect
from floodwarden.report import Bin, Findings, Incident, printable, sentences
from schemas.action import Action, ActionKind
from schemas.alert import Severity

INCIDENTS_MAX: Final = 25
CLIENTS_SHOWN: Final = 8
_SPARK: Final = " ▁▂▃▄▅▆▇█"
_COLOUR: Final = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
}
_DONE: Final = {
    ActionKind.NOTICE: "noted",
    ActionKind.THROTTLE: "throttled",
    ActionKind.CHALLENGE: "challenged",
    ActionKind.DENY: "denied",
}


def show(findings: Findings, console: Console) -> None:
    """Print the report."""
    console.print(_overview(findings))
    if findings.decisions:
        console.print(_timeline(findings, max(20, min(console.width - 16, 100))))
    incidents = findings.incidents
    if incidents:
        console.print(_incidents(incidents[:INCIDENTS_MAX]))
        if len(incidents) > INCIDENTS_MAX:
            console.print(Text(f"… and {len(incidents) - INCIDENTS_MAX} more; --json and --html have all", style="dim"))
    elif findings.decisions:
        console.print(Text("No incident: nothing here would have been acted on.", style="green"))
    console.print()
    console.print(_clients(findings))
    if findings.rejects.total:
        console.print(_rejects(findings))


def _overview(findings: Findings) -> Panel:
    incidents = findings.incidents
    line = Text()
    line.append(f"{findings.decisions:,}", style="bold")
    line.append(f" requests of {findings.clients:,} clients in {span_words(findings.last_ms - findings.first_ms)}")
    line.append(f"   {clock(findings.first_ms, full=True)} to {clock(findings.last_ms, full=True)} UTC\n", style="dim")
    line.append(f"{len(incidents)}", style="bold red" if incidents else "bold green")
    line.append(f" incident{'s' * (len(incidents) != 1)}, {held(findings)}\n")
    rate = findings.decisions / findings.seconds if findings.seconds else 0
    line.append(
        f"judged in {findings.seconds:.1f} s, {rate:,.0f} a second, model {findings.model}"
        + (" fitted to this log" if findings.adapted else "")
        + (f"; {findings.rejects.total:,} lines were no requests" if findings.rejects.total else ""),
        style="dim",
    )
    return Panel(line, title=Text(printable(", ".join(findings.files))[:100]), title_align="left")


def held(findings: Findings) -> str:
    """What the answers would have done to requests, in words."""
    counts = {
        "denied": findings.effects[Effect.DENIED],
        "challenged": findings.effects[Effect.CHALLENGED],
        "throttled": findings.effects[Effect.THROTTLED],
    }
    told = [f"{count:,} {word}" for word, count in counts.items() if count]
    return ("requests " + ", ".join(told)) if told else "no request touched"


def _timeline(findings: Findings, width: int) -> Group:
    bins = findings.timeline(width)
    rows = [
        _spark("requests", [b.requests for b in bins], "blue"),
        _spark("errors", [b.errors for b in bins], "yellow"),
        _spark("touched", [b.touched for b in bins], "red"),
    ]
    return Group(*rows, _axis(bins))


def _spark(name: str, counts: list[int], style: str) -> Text:
    top = max(counts, default=0)
    bars = "".join(_SPARK[0 if not c else 1 + (len(_SPARK) - 2) * c // top] for c in counts)
    return Text(f"{name:>9} ").append(bars, style=style).append(f" {top:,}", style="dim")


def _axis(bins: list[Bin]) -> Text:
    begin, end = clock(bins[0].start_ms), clock(bins[-1].start_ms)
    return Text(" " * 10 + begin + " " * max(1, len(bins) - len(begin) - len(end)) + end, style="dim")


def _incidents(incidents: list[Incident]) -> Group:
    return Group(*(_incident(incident) for incident in incidents))


def _incident(incident: Incident) -> Group:
    alert = incident.alert
    head = Text("\n")
    head.append(f"{alert.severity.upper():<8} ", style=_COLOUR[alert.severity])
    head.append(f"{alert.kind}  ", style="bold")
    head.append(f"{alert.entity.kind} {printable(alert.entity.value)}", style="bold")
    head.append(f"   {clock(alert.first_ms, full=True)}, {span_words(alert.last_ms - alert.first_ms)}", style="dim")
    body = Text(printable(alert.summary))
    for sentence in sentences(alert)[:4]:
        body.append(f"\n· {printable(sentence)}", style="dim")
    body.append("\n→ ")
    body.append(answer_words(incident), style="bold")
    return Group(head, Padding(body, (0, 0, 0, 9)))


def answer_words(incident: Incident) -> str:
    """What was done about an incident; of nothing, what held the client already."""
    if incident.answer is None and incident.standing is not None:
        return f"nothing more: already {done_words(incident.standing)}"
    return done_words(incident.answer) + _why_so(incident)


def _why_so(incident: Incident) -> str:
    """Why it was this and neither more nor less."""
    answer = incident.answer
    if answer is None or not answer.took_effect:
        return ""
    if answer.kind is not ActionKind.DENY:
        return printable(no_more(answer.reason))
    if not incident.alert.browser:
        return ", not challenged: most of its requests name no browser that could answer"
    return f", not challenged: it went on though it was asked (time {answer.step})" if answer.step > 1 else ""


def done_words(action: Action | None) -> str:
    """What was done, or why it was not."""
    if action is None:
        return "nothing"
    if not action.took_effect:
        return printable(action.reason.partition(". ")[0])
    where = f" on {printable(action.route)}" if action.route else ""
    if action.kind is ActionKind.NOTICE:
        return "noted"
    factor = f" to {action.factor:.0%}" if action.factor else ""
    return (
        f"{_DONE.get(action.kind, action.kind)}{factor}{where} for {span_words(action.expires_ms - action.created_ms)}"
    )


def _clients(findings: Findings) -> Table:
    table = Table(title="Busiest clients", title_justify="left", box=None, pad_edge=False)
    table.add_column("client", overflow="fold", max_width=48)
    for name in ("requests", "errors", "touched"):
        table.add_column(name, justify="right")
    for value, client in findings.top_clients(CLIENTS_SHOWN):
        table.add_row(
            Text(printable(value)), f"{client.requests:,}", f"{client.errors:,}" if client.errors else "",
            Text(f"{client.touched:,}" if client.touched else "", style="red"),
        )  # fmt: skip
    return table


def _rejects(findings: Findings) -> Table:
    table = Table(title="Lines that were no requests", title_justify="left", box=None, pad_edge=False)
    table.add_column("reason")
    table.add_column("lines", justify="right")
    table.add_column("the first", overflow="ellipsis", no_wrap=True)
    first = {sample.reason: sample for sample in reversed(findings.rejects.samples)}
    for reason, count in findings.rejects.by_reason.most_common(8):
        sample = first.get(reason)
        shown = f"line {sample.line}: {printable(sample.text)}" if sample else ""
        table.add_row(Text(printable(reason)), f"{count:,}", Text(shown[:90], style="dim"))
    return table


def clock(ms: int, *, full: bool = False) -> str:
    """A moment as people write it, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S" if full else "%d %b %H:%M")


def span_words(ms: int) -> str:
    """A length of time in its largest fitting unit."""
    for size, unit in ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if ms >= size:
            return f"{ms / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{ms} ms"
