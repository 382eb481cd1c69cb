"""Plots of an evaluation as SVG: the day, how soon, who was hurt, and against whom. Colours are the page's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log10
from typing import Any, Final

from floodwarden.evaluation.text import STRENGTHS, compared, seconds, share
from floodwarden.html_page import shown
from floodwarden.report_text import clock

Record = Mapping[str, Any]
WIDTH: Final = 960
_SOON_S: Final = (0.1, 3600.0)
_SOON_TICKS: Final = ((0.1, "0.1 s"), (1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"))
_LEAST: Final = 1e-6
_EFFECTS: Final = (("denied", "deny"), ("challenged", "challenge"), ("throttled", "throttle"))
_ROW: Final = 24


def day(timeline: Record) -> str:
    """Requests by time: good ones, those of attacks that were stopped and that got through."""
    bins: Sequence[Sequence[int]] = timeline["bins"]
    high, top = 170, max((sum(one) for one in bins), default=0) or 1
    step = WIDTH / max(len(bins), 1)
    parts = [_opened(high + 44, "requests over time")]
    for part in (0.5, 1.0):
        y = 20 + high * (1 - part)
        parts.append(f"<line class='grid' x1='0' x2='{WIDTH}' y1='{y:.0f}' y2='{y:.0f}'/>")
        parts.append(f"<text x='2' y='{y - 3:.0f}'>{top * part:,.0f}</text>")
    first = timeline["first_ms"] // timeline["bin_ms"]
    for number, (good, touched, passed, stopped) in enumerate(bins):
        at = clock((first + number) * timeline["bin_ms"])
        told = f"{at}: {good + touched:,} good, {touched:,} touched; of attacks {stopped:,} stopped, {passed:,} not"
        parts.append(f"<g><title>{told}</title>")
        y = float(20 + high)
        for count, kind in ((good, "good"), (touched, "hurt"), (stopped, "stopped"), (passed, "passed")):
            if count:
                tall = max(high * count / top, 0.6)
                y -= tall
                size = f"width='{max(step * 0.9, 0.5):.2f}' height='{tall:.2f}'"
                parts.append(f"<rect class='{kind}' x='{number * step:.2f}' y='{y:.2f}' {size}/>")
        parts.append("</g>")
    for share_of, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at = clock((first + round(share_of * len(bins))) * timeline["bin_ms"])
        parts.append(f"<text x='{share_of * WIDTH:.0f}' y='{high + 38}' text-anchor='{anchor}'>{at}</text>")
    return "".join(parts) + "</svg>"


def soon(families: Record) -> str:
    """A row a family: when each strength was noticed (dot) and answered (ring), and how much of it was stopped."""
    left, right, bars = 150, 690, 784
    high = _ROW * len(families) + 30
    parts = [_opened(high + 8, "time to alert by family")]
    for at_s, name in _SOON_TICKS:
        x = _along(at_s, _SOON_S, left, right)
        parts.append(f"<line class='grid' x1='{x:.0f}' x2='{x:.0f}' y1='22' y2='{high}'/>")
        parts.append(f"<text x='{x:.0f}' y='14' text-anchor='middle'>{name}</text>")
    parts.append(f"<text x='{right + 46}' y='14' text-anchor='middle'>missed</text>")
    parts += [f"<text x='{bars + rank * 60}' y='14'>{name}</text>" for rank, name in enumerate(STRENGTHS)]
    for number, (family, told) in enumerate(families.items()):
        y = 38 + number * _ROW
        parts.append(f"<line class='grid' x1='0' x2='{WIDTH}' y1='{y + _ROW / 2:.0f}' y2='{y + _ROW / 2:.0f}'/>")
        parts.append(f"<text class='name' x='0' y='{y + 4}'>{shown(family)}</text>")
        missed = 0
        for rank, strength in enumerate(STRENGTHS):
            each = told["by_strength"].get(strength)
            if each is None:
                continue
            label = f"{shown(family)} {strength}: "
            when, answered = each["time_to_alert"]["p50"], each["time_to_action_ms"]["p50"]
            if each["found"] < each["incidents"]:
                x = right + 32 + 14 * missed
                missed += 1
                parts.append(_cross(x, y, 3 + rank, f"{label}{each['incidents'] - each['found']} missed"))
            if answered is not None:
                x = _along(answered / 1000, _SOON_S, left, right)
                parts.append(
                    f"<circle class='ring' cx='{x:.1f}' cy='{y}' r='{6 + rank}'>"
                    f"<title>{label}answered after {seconds(answered)}</title></circle>"
                )
            if when is not None:
                x = _along(when / 1000, _SOON_S, left, right)
                parts.append(
                    f"<circle class='dot' cx='{x:.1f}' cy='{y}' r='{3 + rank}'>"
                    f"<title>{label}noticed after {seconds(when)}</title></circle>"
                )
            parts.append(_stopped(bars + rank * 60, y, each["attack_stopped_share"], label))
    return "".join(parts) + "</svg>"


def harm(cases: Record) -> str:
    """A row a case: the share denied, challenged, throttled, with the 95 % interval, on a logarithmic scale."""
    left, right = 190, WIDTH - 90
    high = _ROW * len(cases) + 30
    parts = [_opened(high + 8, "what befell good traffic")]
    for power in range(-6, 1):
        x = _along(10.0**power, (_LEAST, 1.0), left, right)
        name = {-6: "one in a million", -3: "1 in 1,000", 0: "all"}.get(
            power, f"1e{power}" if power < -2 else f"{10.0**power:.0%}"
        )
        parts.append(f"<line class='grid' x1='{x:.0f}' x2='{x:.0f}' y1='22' y2='{high}'/>")
        parts.append(f"<text x='{x:.0f}' y='14' text-anchor='middle'>{name}</text>")
    for number, (case, told) in enumerate(cases.items()):
        y = 38 + number * _ROW
        parts.append(f"<text class='name' x='0' y='{y + 4}'>{shown(case)}</text>")
        parts.append(f"<text x='{WIDTH}' y='{y + 4}' text-anchor='end'>{told['decisions']:,}</text>")
        for rank, (effect, kind) in enumerate(_EFFECTS):
            parts.append(_interval(told, effect, kind, y - 6 + 6 * rank, left, right))
    return "".join(parts) + "</svg>"


def against(result: Record) -> str:
    """Everybody who judged the same: how much of it was found against how many good decisions were denied."""
    left, right, top, bottom = 60, WIDTH - 150, 16, 250
    parts = [_opened(bottom + 44, "found against good decisions denied")]
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - (bottom - top) * part
        parts.append(f"<line class='grid' x1='{left}' x2='{right}' y1='{y:.0f}' y2='{y:.0f}'/>")
        parts.append(f"<text x='{left - 8}' y='{y + 4:.0f}' text-anchor='end'>{part:.0%}</text>")
    for power in range(-6, 0):
        x = _along(10.0**power, (_LEAST, 0.1), left, right)
        parts.append(f"<line class='grid' x1='{x:.0f}' x2='{x:.0f}' y1='{top}' y2='{bottom}'/>")
        name = "none" if power == -6 else share(10.0**power)
        parts.append(f"<text x='{x:.0f}' y='{bottom + 16}' text-anchor='middle'>{name}</text>")
    middle = f"x='{(left + right) / 2:.0f}' y='{bottom + 36}' text-anchor='middle'"
    parts.append(f"<text {middle}>share of good decisions denied</text>")
    for name, each in compared(result):
        found = each["found"] / max(each["incidents"], 1)
        x = _along(each["benign_denied_share"], (_LEAST, 0.1), left, right)
        y = bottom - (bottom - top) * found
        kind = "dot" if each is result else "peer"
        told = (
            f"{shown(name)}: {each['found']} of {each['incidents']} found, {share(each['benign_denied_share'])} denied"
        )
        parts.append(f"<g><title>{told}</title><circle class='{kind}' cx='{x:.1f}' cy='{y:.1f}' r='7'/>")
        parts.append(f"<text class='name' x='{x + 12:.1f}' y='{y + 4:.1f}'>{shown(name)}</text></g>")
    return "".join(parts) + "</svg>"


def keys(entries: Iterable[tuple[str, str]]) -> str:
    """What colours and shapes mean, under a plot."""
    return (
        "<div class='soft keys'>" + "".join(f"<span><i class='{c}'></i>{name}</span>" for c, name in entries) + "</div>"
    )


def _opened(high: float, what: str) -> str:
    return f"<svg viewBox='0 0 {WIDTH} {high:.0f}' role='img' aria-label='{what}'>"


def _along(value: float, ends: tuple[float, float], left: float, right: float) -> float:
    """Where a value stands between two ends of a logarithmic scale, at the end where it is beyond."""
    low, top = ends
    inside = min(max(value, low), top)
    return left + (right - left) * (log10(inside) - log10(low)) / (log10(top) - log10(low))


def _cross(x: float, y: float, r: float, told: str) -> str:
    lines = f"M{x - r:.1f} {y - r:.1f}L{x + r:.1f} {y + r:.1f}M{x - r:.1f} {y + r:.1f}L{x + r:.1f} {y - r:.1f}"
    return f"<path class='missed' d='{lines}'><title>{told}</title></path>"


def _stopped(x: float, y: float, part: float, label: str) -> str:
    told = f"<title>{label}{part:.1%} stopped</title>"
    return (
        f"<g>{told}<rect class='track' x='{x}' y='{y - 5}' width='52' height='10' rx='2'/>"
        f"<rect class='stopped' x='{x}' y='{y - 5}' width='{52 * part:.1f}' height='10' rx='2'/></g>"
    )


def _interval(told: Record, effect: str, kind: str, y: float, left: float, right: float) -> str:
    low, high = told[f"{effect}_bounds_95"]
    count = told[effect]
    ends = (_LEAST, 1.0)
    surely = "span" if count else "span none"
    x1, x2 = _along(low, ends, left, right), _along(high, ends, left, right)
    words = f"{count:,} of {told['decisions']:,} {effect}; 95 % between {share(low)} and {share(high)}"
    line = f"<line class='{surely}' x1='{x1:.1f}' x2='{x2:.1f}' y1='{y}' y2='{y}'/>"
    parts = [f"<g class='{kind}'><title>{words}</title>{line}"]
    if count:
        x = _along(count / told["decisions"], ends, left, right)
        parts.append(f"<circle class='point' cx='{x:.1f}' cy='{y}' r='3.5'/>")
    else:
        parts.append(f"<path class='bound' d='M{x2:.1f} {y - 4}v8'/>")
    return "".join(parts) + "</g>"
