"""An evaluation as the tables of docs/detection.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from floodwarden.evaluation.good import HARMS
from floodwarden.evaluation.text import STRENGTHS, compared, good_by_set, labelled, seconds, share, unlabelled

Record = Mapping[str, Any]


def tables(result: Record) -> str:
    """Attacks, good traffic, clients people labelled and, where others judged too, how they compare."""
    if not result["labelled"]:
        beside = [_table(*labelled(result["said"]))] if result.get("said") else []
        return "\n\n".join([unlabelled(result), *beside]) + "\n"
    kept = result["sets"]["first_sight"]
    parts = [
        f"{result['decisions']:,} decisions, {result['incidents']} attacks, {result['traces']} traces.",
        _attacks({name: told for name, told in result["by_family"].items() if not told["first_sight"]}, "attacks"),
    ]
    if kept["incidents"]:
        sight = {name: told for name, told in result["by_family"].items() if told["first_sight"]}
        parts.append(_attacks(sight, "attacks at first sight"))
    parts.append(_good(result))
    if result.get("said"):
        parts.append(_table(*labelled(result["said"])))
    if result.get("against"):
        parts.append(_against(result))
    return "\n\n".join(parts) + "\n"


def _attacks(by_family: Record, title: str) -> str:
    rows = []
    for family, told in by_family.items():
        strengths = [told["by_strength"].get(name) for name in STRENGTHS]
        found = f"{told['found']} of {told['incidents']}"
        rows.append(
            (
                family,
                found if told["found"] == told["incidents"] else f"**{found}**",
                " / ".join(seconds(one["time_to_alert"]["p50"]) if one else "" for one in strengths),
                " / ".join(_requests(one) if one else "" for one in strengths),
                " / ".join(share(one["attack_stopped_share"]) if one else "" for one in strengths),
            )
        )
    return _table((title, "found", "alert after (weak / medium / strong)", "requests until then", "stopped"), rows)


def _requests(each: Record) -> str:
    n = each["requests_to_alert"]["p50"]
    return "-" if n is None else f"{n:,}"


def _good(result: Record) -> str:
    everybody = {
        "decisions": result["benign_decisions"],
        **{name: result[f"benign_{name}"] for name in HARMS},
        **{f"{n}_bounds_95": (0, result[f"benign_{n}_upper_95"]) for n in HARMS},
    }
    rows = [
        (name, f"{each['decisions']:,}", *(_hit(each, effect) for effect in HARMS))
        for name, each in [
            ("all of it", everybody),
            *good_by_set(result).items(),
            *((f"{name} clients", told) for name, told in result["benign_by_population"].items()),
            *result["benign_by_case"].items(),
        ]
    ]
    return _table(("good traffic (95 % bound)", "decisions", *HARMS), rows)


def _hit(each: Record, effect: str) -> str:
    return f"{each[effect]:,} ({share(each[f'{effect}_bounds_95'][1])})"


def _against(result: Record) -> str:
    rows = []
    for name, each in compared(result):
        tuned, kept = each["sets"]["tuned"], each["sets"]["first_sight"]
        rows.append(
            (
                name,
                f"{tuned['found']} of {tuned['incidents']}",
                f"{kept['found']} of {kept['incidents']}",
                share(each["attack_stopped_share"]),
                *(share(each[f"benign_{effect}_share"]) for effect in HARMS),
                f"{each['flash_crowd_denied']:,}",
                seconds(each["time_to_alert_ms"]["p50"]),
                f"{each['false_alerts_per_day']:,.0f}",
                f"{each['cpu_us_per_decision']:,.0f} us",
            )
        )
    headings = (
        "detector, found, at first sight, stopped, good denied, challenged, throttled, refused, flash crowd denied"
    )
    return _table((*headings.split(", "), "alert after (median)", "false alerts a day", "a decision costs"), rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
