"""An evaluation as one self-contained page that explains itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from floodwarden.evaluation import plots
from floodwarden.evaluation.good import HARMS
from floodwarden.evaluation.text import STRENGTHS, alarms, compared, good_by_set, labelled, seconds, share, unlabelled
from floodwarden.html_page import document, shown
from floodwarden.report_text import span_words

Record = Mapping[str, Any]
_STYLE: Final = """
.good{fill:var(--soft);opacity:.35}.hurt{fill:var(--amber)}.stopped{fill:var(--green)}.passed{fill:var(--red)}
.track{fill:var(--line)}.dot{fill:var(--blue)}.ring{fill:none;stroke:var(--violet);stroke-width:1.6}
.peer{fill:var(--soft)}.missed{stroke:var(--red);stroke-width:2;fill:none}svg text.name{fill:var(--ink);font-size:13px}
.span{stroke:currentColor;stroke-width:2;opacity:.7}.span.none{opacity:.16}.point{fill:currentColor}.bound{stroke:currentColor;
stroke-width:2;fill:none}.keys{display:flex;flex-wrap:wrap;gap:4px 18px;margin-top:8px;font-size:13px}
.keys i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px;vertical-align:-1px}
.keys i.k-good{background:var(--soft);opacity:.45}.keys i.k-hurt{background:var(--amber)}
.keys i.k-stopped{background:var(--green)}.keys i.k-passed{background:var(--red)}
.keys i.k-dot{background:var(--blue);border-radius:50%}.keys i.k-ring{border:2px solid var(--violet);border-radius:50%}
.keys i.k-deny{background:var(--red)}.keys i.k-challenge{background:var(--blue)}
.keys i.k-throttle{background:var(--amber)}
.keys i.k-missed{background:linear-gradient(45deg,transparent 42%,var(--red) 42% 58%,transparent 58%),
linear-gradient(-45deg,transparent 42%,var(--red) 42% 58%,transparent 58%)}
.yes{color:var(--green)}.no{color:var(--red);font-weight:600}p.lead{max-width:70ch;margin:6px 0 12px;color:var(--soft)}
details{margin-top:10px}summary{cursor:pointer;color:var(--blue)}details .scroll{margin-top:8px}
.tile b{white-space:nowrap}dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 16px;margin:0}
dt{font-weight:600}dd{margin:0;color:var(--soft)}tr.us td{font-weight:600}
@media(max-width:640px){dl{grid-template-columns:1fr}dd{margin-bottom:6px}}
"""


def page(result: Record) -> str:
    """The report as HTML. `result` is the object of `--json`."""
    families = result["by_family"]
    tuned = {name: told for name, told in families.items() if not told["first_sight"]}
    kept = {name: told for name, told in families.items() if told["first_sight"]}
    body = [
        _head(result),
        _tiles(result),
        f"<h2>The trace</h2><div class='card'>{plots.day(result['timeline'])}{_DAY_KEYS}</div>",
        _attacks("Attacks", _TUNED, tuned),
        _attacks("Attacks at first sight", _KEPT, kept),
        _good(result),
        _said(result),
        _against(result),
        _alerts(result),
        _READING,
    ]
    if not result["labelled"]:
        body = [_head(result), f"<p>{shown(unlabelled(result))}</p>", body[2], _said(result)]
    return document("Floodwarden evaluation", "".join(body), style=_STYLE)


_DAY_KEYS: Final = plots.keys(
    [
        ("k-good", "good requests"),
        ("k-hurt", "good requests our answers touched"),
        ("k-stopped", "requests of attacks, stopped"),
        ("k-passed", "requests of attacks that got through"),
    ]
)
_SOON_KEYS: Final = plots.keys(
    [
        ("k-dot", "noticed (small: weak, large: strong)"),
        ("k-ring", "answered"),
        ("k-missed", "never noticed"),
        ("k-stopped", "share of its requests that was stopped, by strength"),
    ]
)
_HARM_KEYS: Final = plots.keys(
    [
        ("k-deny", "denied"),
        ("k-challenge", "challenged"),
        ("k-throttle", "throttled; a dot is the share, a faint line to a mark: none, and the share is below the mark"),
    ]
)
_TUNED: Final = "The detectors' engineers know these. Time runs from an attack's first request, on a logarithmic scale."
_KEPT: Final = (
    "Written by somebody who has not read the detectors, and never tuned on: "
    "what to expect of an attack that nobody thought of."
)
_READING: Final = """<h2>How to read this</h2><div class='card'><dl>
<dt>Closed loop</dt><dd>Every decision went through the real pipeline and enforcement. What was denied disappeared from
what the detectors saw afterwards; an answer holds half a second after the evidence sufficed.</dd>
<dt>Found</dt><dd>An alert named an address, key or account of the attack, or a route or network of whose traffic it was
a tenth or more, while it went on or within a minute of its end.</dd>
<dt>Answered</dt><dd>A denial, challenge or throttle was put on one of its addresses, keys or accounts.</dd>
<dt>Stopped</dt><dd>Requests of the attack that were denied, challenged or throttled, of all it made.</dd>
<dt>Good traffic</dt><dd>The bars are exact 95 % intervals (Clopper and Pearson). Where nothing was hit, the mark is the
share that it is below: three divided by how many decisions there were. Rows of one client are alike, so the truth may
lie further out.</dd>
<dt>Challenged, refused</dt><dd>Who comes with a browser is asked, answers, and is let through for ten minutes. Nobody
answers for a program: all it asks for is refused meanwhile, as if it were denied. Refused are both.</dd>
<dt>Populations</dt><dd>A machine has an API key; an established client is an address with twenty good requests over
more than an hour; who is neither is a newcomer.</dd></dl></div>"""


_COMPARED: Final = (
    "found", "at first sight", "stopped", "good denied", "challenged", "throttled", "refused", "noticed after",
    "false a day",
)  # fmt: skip
_FIGURES: Final = ("found", "answered", "noticed after", "requests", "stopped")


def _head(result: Record) -> str:
    adapt = f" · attackers {' and '.join(map(shown, result['adapt']))} when refused" if result.get("adapt") else ""
    span = span_words(round(result["days"] * 86_400_000))
    return (
        f"<h1>How well it judged {shown(result.get('trace', 'the trace'))}</h1><div class='soft'>"
        f"{result['decisions']:,} decisions over {span}, {result['incidents']} attacks · model "
        f"<span class='mono'>{shown(result.get('model', ''))}</span>, learned from {shown(result.get('made_from', ''))}"
        f"{adapt}</div>"
    )


def _tiles(result: Record) -> str:
    tuned, kept = result["sets"]["tuned"], result["sets"]["first_sight"]
    denied = result["benign_denied"]
    alerts, false, incidents, span = alarms(result)
    tiles = [(f"{tuned['found']} of {tuned['incidents']}", "attacks found", _whole(tuned))]
    if kept["incidents"]:
        tiles.append((f"{kept['found']} of {kept['incidents']}", "found at first sight", _whole(kept)))
    tiles += [
        (f"{result['attack_stopped_share']:.1%}", "of attack requests stopped", ""),
        (seconds(result["time_to_alert_ms"]["p50"]), "to an alert, at the median", ""),
        (f"{denied:,}", f"of {result['benign_decisions']:,} good decisions denied", "no" if denied else "yes"),
        (share(result["benign_denied_upper_95"]), "95 % bound of the share denied", ""),
        (
            f"{result['flash_crowd_denied']:,}",
            "denied in a flash crowd",
            "no" if result["flash_crowd_denied"] else "yes",
        ),
        (false, f"false of {alerts} alerts {span}", ""),
        (incidents, f"false incidents {span}", ""),
    ]
    made = "".join(f"<div class='tile'><b class='{kind}'>{n}</b><span>{name}</span></div>" for n, name, kind in tiles)
    return f"<div class='tiles'>{made}</div>"


def _attacks(title: str, lead: str, families: Record) -> str:
    if not families:
        return ""
    head = "".join(f"<th class='n'>{name}</th>" for name in _FIGURES)
    rows = "".join(
        f"<tr><td>{shown(family)}</td><td>{strength}</td>{_cells(told['by_strength'][strength])}</tr>"
        for family, told in families.items()
        for strength in STRENGTHS
        if strength in told["by_strength"]
    )
    return (
        f"<h2>{title}</h2><p class='lead'>{lead}</p><div class='card'>{plots.soon(families)}{_SOON_KEYS}"
        f"<details><summary>The figures</summary><div class='scroll'><table><tr><th>attack</th><th>strength</th>{head}"
        f"</tr>{rows}</table></div></details></div>"
    )


def _cells(each: Record) -> str:
    n = each["incidents"]
    requests = each["requests_to_alert"]["p50"]
    return (
        f"<td class='n {_whole(each)}'>{each['found']} of {n}</td><td class='n'>{each['answered']} of {n}</td>"
        f"<td class='n'>{seconds(each['time_to_alert']['p50'])}</td>"
        f"<td class='n'>{'-' if requests is None else f'{requests:,}'}</td>"
        f"<td class='n'>{share(each['attack_stopped_share'])}</td>"
    )


def _good(result: Record) -> str:
    populations = {f"all: {name}": told for name, told in result["benign_by_population"].items() if told["decisions"]}
    every = good_by_set(result) | populations | dict(result["benign_by_case"])
    return (
        "<h2>Good traffic</h2><p class='lead'>Who was hit by mistake, by population and by hard case. To the right, "
        f"how many decisions.</p><div class='card'>{plots.harm(every)}{_HARM_KEYS}</div>"
    )


def _said(result: Record) -> str:
    if not result.get("said"):
        return ""
    names, rows = labelled(result["said"])
    head = "".join(f"<th class='n'>{name}</th>" for name in names[1:])
    lines = ""
    for word, *counts in rows:
        cells = "".join(f"<td class='n'>{count}</td>" for count in counts)
        lines += f"<tr><td>{word}</td>{cells}</tr>"
    return (
        "<h2>What people said</h2><p class='lead'>Clients whom somebody labelled. True positives ought to be found and "
        "answered, false positives not; of the decisions, how many an answer touched.</p>"
        f"<div class='card scroll'><table><tr><th>{names[0]}</th>{head}</tr>{lines}</table></div>"
    )


def _against(result: Record) -> str:
    if not result.get("against"):
        return ""
    head = "".join(f"<th class='n'>{name}</th>" for name in _COMPARED)
    rows = "".join(_compared(name, each, us=each is result) for name, each in compared(result))
    return (
        "<h2>The same traffic, others</h2><p class='lead'>Everybody learned from the same clean traffic and "
        "acted through the same enforcement. Up and to the left is better.</p>"
        f"<div class='card'>{plots.against(result)}<div class='scroll'>"
        f"<table><tr><th>detector</th>{head}</tr>{rows}</table></div></div>"
    )


def _compared(name: str, each: Record, *, us: bool) -> str:
    tuned, kept = each["sets"]["tuned"], each["sets"]["first_sight"]
    cells = (
        f"{tuned['found']} of {tuned['incidents']}",
        f"{kept['found']} of {kept['incidents']}" if kept["incidents"] else "-",
        share(each["attack_stopped_share"]),
        *(share(each[f"benign_{effect}_share"]) for effect in HARMS),
        seconds(each["time_to_alert_ms"]["p50"]),
        f"{each['false_alerts_per_day']:,.0f}",
    )
    told = "".join(f"<td class='n'>{cell}</td>" for cell in cells)
    return f"<tr{' class=us' if us else ''}><td>{shown(name)}</td>{told}</tr>"


def _alerts(result: Record) -> str:
    rows = "".join(
        f"<tr><td>{shown(kind)}</td><td class='n'>{each['alerts']:,}</td><td class='n'>{each['false']:,}</td></tr>"
        for kind, each in result["alerts_by_kind"].items()
    )
    if not rows:
        return ""
    return (
        "<h2>Alerts</h2><div class='card scroll'><table><tr><th>kind</th><th class='n'>alerts</th>"
        f"<th class='n'>false</th></tr>{rows}</table></div>"
    )


def _whole(told: Record) -> str:
    return "yes" if told["found"] == told["incidents"] else "no"
