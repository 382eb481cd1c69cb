"""`floodwarden status`: what somebody who was just woken up asks first, on one screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from floodwarden.cli_control import CONTROL
from floodwarden.cli_output import Json, console, safe, write_json
from floodwarden.cli_store import opened
from floodwarden.cli_told import left, span
from floodwarden.errors import CommandError
from schemas import settings as settings_of

if TYPE_CHECKING:
    from schemas.action import Action


def register(app: typer.Typer) -> None:
    """Put the command of this module on the command line."""
    app.command("status", rich_help_panel=CONTROL)(status)


def status(*, as_json: Json = False) -> None:
    """How things stand: is automation stopped, what is in force, what waits for people, do limiters follow.

    `doctor` looks at what it all stands on.
    """
    from enforcer import command, judging
    from floodwarden import doctor

    settings = settings_of.load()
    holds, allowed = command.holds(settings), command.allow_list(settings)
    clients, waiting = command.deny_list(settings), judging.pending(settings)
    brownout, _ = command.brownout_look(settings)
    with doctor.connect(settings) as redis:
        limiters = doctor.limiters(settings, redis)
    found: dict[str, Any] = {
        "stopped_until_ms": max((hold.expires_ms for hold in holds), default=None),
        "brownout_level": brownout.level if brownout else 0,
        "in_force": {"auto": _kinds(clients, auto=True), "people": _kinds(clients, auto=False)},
        "allowed": len(allowed),
        "pending": len(waiting),
        "limiters": {"ok": not limiters.fix, "seen": limiters.seen, "fix": limiters.fix},
        "incidents": _incidents(),
    }
    if as_json:
        write_json(found)
        return
    rows = {
        "automation": _automation(holds),
        "brownout": f"level {brownout.level}, {left(brownout)} left: {brownout.reason} ({brownout.owner})"
        if brownout else "none",
        "in force": _in_force(found),
        "waiting": f"{len(waiting)} for somebody's word, the first for {span(_due_ms(waiting))}: floodwarden pending"
        if waiting else "nothing",
        "limiters": limiters.seen + (f" -> {limiters.fix}" if limiters.fix else ""),
        "incidents": _open(found["incidents"]),
    }  # fmt: skip
    for name, text in rows.items():
        console().print(f"{name:<11} {safe(text)}", soft_wrap=True)


def _kinds(found: Sequence[Action], *, auto: bool) -> dict[str, int]:
    return dict(sorted(Counter(str(action.kind) for action in found if (action.owner == "auto") == auto).items()))


def _automation(holds: Sequence[Action]) -> str:
    if not holds:
        return "acts"
    last = max(holds, key=lambda hold: hold.expires_ms)
    return f"STOPPED for {left(last)} by {last.owner}: {last.reason} (`floodwarden resume` lets it act again)"


def _in_force(found: dict[str, Any]) -> str:
    by = {"by automation": found["in_force"]["auto"], "by people": found["in_force"]["people"]}
    words = [f"{who} " + ", ".join(f"{n:,} {kind}" for kind, n in kinds.items()) for who, kinds in by.items() if kinds]
    words += [f"{found['allowed']:,} allowed"] * bool(found["allowed"])
    return "; ".join(words) + ": floodwarden actions" if words else "nothing"


def _due_ms(waiting: Sequence[Action]) -> int:
    return min(action.approval.until_ms if action.approval else action.expires_ms for action in waiting)


def _incidents() -> dict[str, Any]:
    """How many are open and how bad the worst is; `why_not` where the store cannot be asked."""
    from enforcer.store import parts, reading
    from schemas.alert import Severity

    try:
        with opened() as engine:
            page = parts.listed(engine, reading.Wanted({"status": "open"}), reading.LIMIT_MAX)
    except CommandError as error:
        return {"open": None, "worst": None, "why_not": str(error)}
    order = list(Severity)
    worst = max((Severity(row["severity"]) for row in page.items), key=order.index, default=None)
    return {"open": len(page.items), "more": page.next is not None, "worst": worst}


def _open(found: dict[str, Any]) -> str:
    if found["open"] is None:
        return f"not known: {found['why_not']}"
    if not found["open"]:
        return "none open"
    return f"{found['open']}{' and more' * found['more']} open, the worst {found['worst']}: floodwarden incidents"
