"""Commands about what the store knows: incidents with their timelines, and one action with its way to the limiters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from floodwarden.cli_control import CONTROL, actions
from floodwarden.cli_output import Json, console, listing, safe, write_json
from floodwarden.cli_store import opened
from floodwarden.cli_told import By, who

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EVIDENCE_SHOWN: Final = 4
UNDO_SHOWN: Final = 5

Tenant = Annotated[str | None, typer.Option(help="as this tenant sees it: of its own clients' alerts alone")]
incidents = typer.Typer(help="Alerts that are one thing: what they are, what was done, who has it in hand.")


def register(app: typer.Typer) -> None:
    """Put the commands of this module on the command line."""
    app.add_typer(incidents, name="incidents", rich_help_panel=CONTROL)


@incidents.callback(invoke_without_command=True)
def list_incidents(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="the newest so many")] = 50,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """The newest incidents; `show` tells what happened in one, `ack` takes it in hand."""
    if context.invoked_subcommand is not None:
        return
    from enforcer.store import parts, reading

    with opened() as engine:
        found = parts.listed(engine, reading.Wanted(tenant=tenant), limit).items
    columns = {
        "incident": [row["uid"][:8] for row in found],
        "since": [_when(row["first_ms"]) for row in found],
        "status": [row["status"] for row in found],
        "severity": [row["severity"] for row in found],
        "what": [row["kind"] for row in found],
        "where": [row["route"] or "" for row in found],
        "alerts": [str(row["alerts"]) for row in found],
        "in hand": [row["acked_by"] or "" for row in found],
        "summary": [row["summary"] for row in found],
    }
    listing(as_json, found, columns, "no incidents")


@incidents.command("show")
def show(
    uid: Annotated[str, typer.Argument(help="the incident, or the first characters of it")],
    *,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """What happened in an incident, in order: each word of its alerts, and of the actions they led to."""
    from enforcer.store import hand, parts, reading

    with opened() as engine:
        found = parts.one(engine, hand.find(engine, reading.INCIDENT, uid), tenant)
        words = parts.timeline(engine, found["uid"], reading.LIMIT_MAX, tenant=tenant)
    if as_json:
        write_json(found | {"timeline": words})
        return
    columns = {
        "when": [_when(word["at_ms"]) for word in words],
        "what": [word["kind"] for word in words],
        "status": [word[word["kind"]]["status"] for word in words],
        "about": [_about(word) for word in words],
    }
    where = f" on {safe(found['route'])}" if found["route"] else ""
    console().print(f"{found['uid']}: {safe(found['kind'])}{where}, {found['severity']}, {found['status']}")
    listing(False, words, columns, "nothing is known of it")
    _evidence(words)


@incidents.command("ack")
def ack(
    uid: Annotated[str, typer.Argument(help="the incident, or the first characters of it")],
    *,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Take an incident in hand: whoever was told of it is told so, and a page is acknowledged."""
    from enforcer.store import hand, reading

    with opened() as engine:
        whole = hand.find(engine, reading.INCIDENT, uid)
        found = hand.acknowledge(engine, whole, f"cli:{who(by)}", time.time_ns() // 1_000_000)
    if as_json:
        write_json(found)
    else:
        console().print(f"{found['uid'][:8]} is in hand: {safe(found['acked_by'])}")


@actions.command("show")
def show_action(
    uid: Annotated[str, typer.Argument(help="the action's uid; `actions` shows its first characters")],
    *,
    as_json: Json = False,
) -> None:
    """One action as it is kept: why, until when, and when each limiter had it."""
    from enforcer.store import enforcements, hand, reading

    with opened() as engine:
        found = reading.one(engine, reading.ACTION, hand.find(engine, reading.ACTION, uid))
        way = enforcements.of(engine, found["uid"])
    if as_json:
        write_json(found | {"enforcement": way})
        return
    out = console()
    out.print(f"{found['kind']} {safe(found['target']['kind'])}:{safe(found['target']['value'])}: {found['status']}")
    out.print(safe(found["reason"]))
    if way is None:
        out.print("not measured: no limiter was there, or no enforcer has written it yet")
        return
    asked = "it was decided" if found["owner"] == "auto" else "the command"
    since, many = "the deciding request" if way["crossed_ms"] is not None else asked, len(way["ack_ms"])
    out.print(f"after {since}: p50 {way['p50_ms']} ms, p99 {way['p99_ms']} ms over {many} limiter{'s' * (many != 1)}")
    for node, took_ms in sorted(_since(way).items()):
        out.print(f"  {safe(node)} after {took_ms} ms")
    if way["missing"]:
        out.print(f"not acknowledged within 10 s by {safe(', '.join(way['missing']))}")


def _since(way: Mapping[str, Any]) -> dict[str, int]:
    before_ms = way["created_ms"] - way["crossed_ms"] if way["crossed_ms"] is not None else 0
    return {node: took_ms + before_ms for node, took_ms in way["ack_ms"].items()}


def _about(word: Mapping[str, Any]) -> str:
    told = word[word["kind"]]
    if word["kind"] == "alert":
        return str(told["summary"])
    where = f" on {told['route']}" if told["route"] else ""
    what = f"{told['uid'][:8]} {told['kind']} {told['target']['kind']}:{told['target']['value']}{where}"
    if told["ended_reason"]:
        return f"{what}, by {told['ended_by']}: {told['ended_reason']}"
    return f"{what}: {told['reason'].partition(': ')[0]}"


def _evidence(words: Sequence[Mapping[str, Any]]) -> None:
    """What speaks against each client, as it was told last, and how to take back what still stands."""
    alerts = {word["alert"]["uid"]: word["alert"] for word in words if word["kind"] == "alert"}
    actions = {word["action"]["uid"]: word["action"] for word in words if word["kind"] == "action"}
    out = console()
    for alert in alerts.values():
        if sentences := [one["sentence"] for one in alert["evidence"]][:EVIDENCE_SHOWN]:
            out.print(f"\n{safe(alert['entity']['kind'])} {safe(alert['entity']['value'])}")
            for sentence in sentences:
                out.print(f"    {safe(sentence)}")
    standing = [uid for uid, action in actions.items() if action["status"] == "active"]
    if standing:
        out.print("\nundo with: " + "; ".join(f"floodwarden undo {uid[:8]}" for uid in standing[:UNDO_SHOWN]))
        out.print("was it wrong, `floodwarden undo UID --false-positive` says so as well")


def _when(at_ms: int) -> str:
    return time.strftime("%m-%d %H:%M:%S", time.localtime(at_ms / 1000))
