"""A replay's findings as one self-contained page: nothing is fetched, and every text of a log is escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from floodwarden.effects import Effect
from floodwarden.html_page import document, shown
from floodwarden.report import Bin, Findings, Incident, sentences
from floodwarden.report_text import answer_words, clock, done_words, span_words
from schemas.action import Action, ActionKind
from schemas.alert import Alert

INCIDENTS_MAX: Final = 500
ACTIONS_MAX: Final = 500
CLIENTS_SHOWN: Final = 20
BINS: Final = 96
_WIDTH, _HEIGHT = 960, 180


def page(findings: Findings) -> str:
    """The report as HTML."""
    incidents = findings.incidents
    body = [
        _head(findings),
        _tiles(findings, incidents),
        f"<h2>Timeline</h2><div class='card'>{_chart(findings.timeline(BINS), incidents)}</div>",
        f"<h2>Incidents ({len(incidents):,})</h2>",
        "".join(_incident(incident) for incident in incidents[:INCIDENTS_MAX])
        or "<div class='card none'>None: nothing here would have been acted on.</div>",
        _beyond(len(incidents), INCIDENTS_MAX),
        _actions(findings.actions),
        _clients(findings),
        _rejects(findings),
    ]
    return document("Floodwarden replay", "".join(body))


def _head(findings: Findings) -> str:
    names = shown(", ".join(findings.files))
    fitted = ", fitted to this log" if findings.adapted else ""
    span = ""
    if findings.decisions:
        span = f"{clock(findings.first_ms, full=True)} to {clock(findings.last_ms, full=True)} UTC · "
    return (
        f"<h1>{names}</h1><div class='soft'>{span}judged in {findings.seconds:.1f} s with model "
        f"<span class='mono'>{shown(findings.model)}</span>{fitted}. A replay acts on nothing: it says what would have "
        "been done.</div>"
    )


def _tiles(findings: Findings, incidents: Sequence[Incident]) -> str:
    acted = sum(a.took_effect and a.kind is not ActionKind.NOTICE for a in findings.actions)
    tiles = [
        (f"{findings.decisions:,}", "requests", ""),
        (f"{findings.clients:,}", "clients", ""),
        (f"{len(incidents):,}", "incidents", "high" if incidents else ""),
        (f"{acted:,}", "answers", ""),
        (f"{findings.effects[Effect.DENIED]:,}", "requests denied", ""),
        (
            f"{findings.effects[Effect.CHALLENGED] + findings.effects[Effect.THROTTLED]:,}",
            "challenged or throttled",
            "",
        ),
    ]
    if findings.rejects.total:
        tiles.append((f"{findings.rejects.total:,}", "lines were no requests", "medium"))
    made = "".join(f"<div class='tile'><b class='{c}'>{n}</b><span>{name}</span></div>" for n, name, c in tiles)
    return f"<div class='tiles'>{made}</div>"


def _chart(bins: Sequence[Bin], incidents: Sequence[Incident]) -> str:
    if not bins:
        return "<span class='soft'>no requests</span>"
    top = max(b.requests for b in bins) or 1
    step = _WIDTH / len(bins)
    series: tuple[Callable[[Bin], int], ...] = (lambda b: b.requests, lambda b: b.errors, lambda b: b.touched)
    parts = [f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT + 40}' role='img' aria-label='requests over time'>"]
    for share in (0.5, 1.0):
        y = _HEIGHT + 14 - _HEIGHT * share
        parts.append(f"<line class='grid' x1='0' x2='{_WIDTH}' y1='{y:.0f}' y2='{y:.0f}'/>")
        parts.append(f"<text x='2' y='{y - 3:.0f}'>{top * share:,.0f}</text>")
    for number, entry in enumerate(bins):
        told = f"{clock(entry.start_ms, full=True)}: {entry.requests:,} requests, {entry.errors:,} errors"
        parts.append(f"<g><title>{told}, {entry.touched:,} touched by answers</title>")
        for index, count in enumerate(f(entry) for f in series):
            if count:
                high = max(1.0, _HEIGHT * count / top)
                x, y = number * step + step * 0.08, _HEIGHT + 14 - high
                size = f"width='{step * 0.84:.1f}' height='{high:.1f}'"
                parts.append(f"<rect class='b{index}' x='{x:.1f}' y='{y:.1f}' {size} rx='1'/>")
        parts.append("</g>")
    parts += _marks(bins, incidents)
    begin, end = clock(bins[0].start_ms), clock(bins[-1].start_ms)
    parts.append(f"<text x='2' y='{_HEIGHT + 36}'>{begin}</text>")
    parts.append(f"<text x='{_WIDTH - 2}' y='{_HEIGHT + 36}' text-anchor='end'>{end}</text></svg>")
    names = (("var(--blue)", "requests"), ("var(--amber)", "answered 4xx or 5xx"), ("var(--red)", "touched by answers"))
    keys = "".join(f"<span class='key' style='background:{colour}'></span>{name}" for colour, name in names)
    return "".join(parts) + f"<div class='soft'>{keys}<span class='key high'>▾</span> an incident begins</div>"


def _marks(bins: Sequence[Bin], incidents: Sequence[Incident]) -> list[str]:
    first, last = bins[0].start_ms, bins[-1].start_ms
    width = (bins[1].start_ms - first) if len(bins) > 1 else 60_000
    span = last + width - first
    made = []
    for incident in incidents[:INCIDENTS_MAX]:
        x = _WIDTH * (incident.alert.crossed_ms - first) / span
        at = clock(incident.alert.crossed_ms, full=True)
        told = f"{shown(incident.alert.kind)}: {shown(incident.alert.entity.value)}, {at}"
        made.append(f"<path class='mark' d='M{x - 4:.1f} 0h8l-4 8z'><title>{told}</title></path>")
    return made


def _incident(incident: Incident) -> str:
    alert = incident.alert
    lasted = span_words(alert.last_ms - alert.first_ms)
    facts = "".join(f"<li>{shown(sentence)}</li>" for sentence in sentences(alert))
    answer = incident.answer
    kind = "refused" if answer and not answer.took_effect else (answer.kind if answer else "notice")
    return (
        "<section class='card'><div class='head'>"
        f"<span class='tag {alert.severity}'>{alert.severity}</span><b>{shown(alert.kind)}</b>"
        f"<span class='who mono'>{alert.entity.kind} {shown(alert.entity.value)}</span>"
        f"<span class='when'>{clock(alert.first_ms, full=True)} UTC, for {lasted} · score {alert.score:.2f} · "
        f"{shown(alert.rule or alert.model or '')}</span></div>"
        f"<p class='summary'>{shown(alert.summary)}</p>{f'<ul>{facts}</ul>' if facts else ''}{_why(alert)}"
        f"<div class='done'>Would have been: <b class='{kind}'>{shown(answer_words(incident))}</b>"
        f"{_crossed(alert, answer)}</div></section>"
    )


def _why(alert: Alert) -> str:
    if not alert.contributions:
        return ""
    rows = "".join(
        f"<span>{shown(c.feature)}</span><div title='{shown(c.sentence)}'><div class='bar' "
        f"style='width:{min(max(c.share, 0.0), 1.0) * 100:.0f}%'></div><span>{shown(c.sentence)}</span></div>"
        for c in alert.contributions[:8]
    )
    return f"<div class='why'>{rows}</div>"


def _crossed(alert: Alert, answer: Action | None) -> str:
    at = f"evidence sufficed {clock(alert.crossed_ms, full=True)}, after {alert.crossed_after:,} requests of its own"
    return f" <span class='soft'>· {at}{f' · step {answer.step}' if answer and answer.step > 1 else ''}</span>"


def _actions(actions: Sequence[Action]) -> str:
    if not actions:
        return ""
    rows = "".join(
        f"<tr><td class='n'>{clock(a.created_ms, full=True)}</td>"
        f"<td class='{a.kind if a.took_effect else 'refused'}'>{shown(done_words(a))}</td>"
        f"<td class='mono'>{shown(a.target.key)}</td><td>{shown(a.reason)}</td></tr>"
        for a in actions[:ACTIONS_MAX]
    )
    return (
        f"<h2>Answers ({len(actions):,})</h2><div class='card scroll'><table><tr><th>when (UTC)</th><th>what</th>"
        f"<th>whom</th><th>why</th></tr>{rows}</table></div>{_beyond(len(actions), ACTIONS_MAX)}"
    )


def _clients(findings: Findings) -> str:
    rows = "".join(
        f"<tr><td class='mono'>{shown(value)}</td><td class='n'>{c.requests:,}</td><td class='n'>{c.errors:,}</td>"
        f"<td class='n'>{c.touched:,}</td></tr>"
        for value, c in findings.top_clients(CLIENTS_SHOWN)
    )
    return (
        "<h2>Busiest clients</h2><div class='card scroll'><table><tr><th>client</th><th class='n'>requests</th>"
        f"<th class='n'>errors</th><th class='n'>touched</th></tr>{rows}</table></div>"
    )


def _rejects(findings: Findings) -> str:
    if not findings.rejects.total:
        return ""
    reasons = "".join(
        f"<tr><td>{shown(reason)}</td><td class='n'>{count:,}</td></tr>"
        for reason, count in findings.rejects.by_reason.most_common(20)
    )
    samples = "".join(
        f"<tr><td class='n'>{sample.line:,}</td><td>{shown(sample.reason)}</td>"
        f"<td class='mono'>{shown(sample.text)}</td></tr>"
        for sample in findings.rejects.samples
    )
    return (
        f"<h2>Lines that were no requests ({findings.rejects.total:,})</h2><div class='card scroll'>"
        f"<table>{reasons}</table></div><div class='card scroll'><table><tr><th class='n'>line</th><th>reason</th>"
        f"<th>begins</th></tr>{samples}</table></div>"
    )


def _beyond(n: int, shown: int) -> str:
    return f"<p class='soft'>… and {n - shown:,} more; --json has all.</p>" if n > shown else ""
