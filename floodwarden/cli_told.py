"""What the commands of people have in common: their words, and how they tell what is in force."""

from __future__ import annotations

import getpass
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from floodwarden.cli_output import console, listing, safe, write_json

if TYPE_CHECKING:
    from enforcer.scope import Scope
    from enforcer.session import Result
    from schemas.action import Action, ActionKind

_LIFTED_TOLD: Final = 10  # more are counted by kind
NETWORKS_SHOWN: Final = 3
_SITE: Final = frozenset({"hold", "brownout"})  # of the whole site, whoever asks
_ALLOWED: Final = frozenset({"ip", "key", "user"})
_ENDED: Final = {"approved": "approved", "refused": "rejected"}
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Kind = Annotated[str, typer.Argument(help="ip (also a network), key, user, route, tenant, asn, country")]
Value = Annotated[str, typer.Argument(help="the address, network, key id (`floodwarden key-id` tells it), name ...")]
For = Annotated[str, typer.Option("--for", metavar="DURATION", help="90s, 10m, 6h, 1d")]
Reason = Annotated[str, typer.Option(help="why, for whoever undoes it")]
By = Annotated[str, typer.Option(help="who asks", show_default="your login name")]
Route = Annotated[str | None, typer.Option(metavar="TEMPLATE", help="only requests of this route: /items/{id}")]
OfTier = Annotated[str | None, typer.Option("--tier", metavar="NAME", help="only requests of this tier")]


def seconds_of(text: str) -> int:
    """A duration as people write it."""
    match = re.fullmatch(r"(\d{1,9})\s*([smhd]?)", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 10m, 6h or 1d")
    return int(match[1]) * _UNITS_S[match[2] or "s"]


def scope_of(
    route: str | None, tier: str | None, except_from: Sequence[str] = (), except_pairs: Path | None = None
) -> Scope:
    """Which requests are meant."""
    from enforcer.scope import Scope

    return Scope.of(route, tier, except_from, except_pairs)


def who(by: str) -> str:
    """Who asks: as said, else the login name."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in a container
        return "unnamed"


def tell(result: Result, *, as_json: bool) -> None:
    """What a command did, and where it is in force."""
    if as_json:
        told = {name: getattr(result, name) for name in ("version", "in_force_ms", "ack_ms", "missing")}
        lists = {name: [plain(a) for a in getattr(result, name)] for name in ("actions", "also_lifted")}
        write_json(lists | told)
        return
    out = console()
    begun = frozenset(action.kind for action in result.actions if action.status == "active")
    for action in result.actions:
        out.print(_told(action, begun))
    for line in _again(result.actions):
        out.print(line)
    for line in _also_lifted(result.also_lifted):
        out.print(line)
    if result.ack_ms:
        times = ", ".join(f"{safe(node)} after {ms} ms" for node, ms in sorted(result.ack_ms.items()))
        out.print(f"acknowledged by {times}")
    else:
        out.print("no limiter is running; those that start take it from Redis")
    if result.missing:
        sys.stderr.write(f"not yet acknowledged by {', '.join(result.missing)}: see `floodwarden doctor`\n")


def _told(action: Action, begun: AbstractSet[ActionKind]) -> str:
    """What a command did, in a line; what it put another in the place of (kinds `begun`) is not simply over."""
    stop = action.kind == "hold"
    if action.status == "active":
        after = "`floodwarden resume` lets it act again" if stop else f"undo it with: floodwarden undo {action.uid[:8]}"
        what = "automation is stopped: it decides nothing" if stop else f"{_named(action)} in force"
        return f"{what} for {left(action)}; {after}"
    if action.kind in begun and action.status == "lifted":
        return f"in place of {_named(action)}, {action.uid[:8]}"
    return "automation acts again" if stop else f"{_named(action)} {_ENDED.get(action.status, 'lifted')}"


def _again(actions: Sequence[Action]) -> list[str]:
    """That automation may come back to a client whom somebody took from it."""
    taken = {a.target for a in actions if a.owner == "auto" and a.status == "lifted" and a.target.kind in _ALLOWED}
    words = [f"{target.kind} {safe(target.value)}" for target in taken]
    return [f"what it does from now on may be answered anew, unless: floodwarden allow add {one}" for one in words[:1]]


def _also_lifted(gone: Sequence[Action]) -> list[str]:
    """What went with it, in so few lines that people see what they asked for."""
    if len(gone) <= _LIFTED_TOLD:
        return [f"{_named(action)} lifted" for action in gone]
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(action.kind for action in gone).items()))
    return [f"{len(gone):,} more actions lifted: {kinds}"]


def _named(action: Action) -> str:
    """What is done to whom, and to which of their requests."""
    part = "" if part_of(action) == "all" else f" ({safe(part_of(action))})"
    whom = "" if action.target.kind == "global" else f" {safe(action.target.key)}"
    return f"{safe(what_of(action))}{whom or ' of everybody' * (action.kind not in _SITE)}{part}"


_WHOLE = "whole reasons: floodwarden actions show ACTION, or --json"


def list_actions(found: Sequence[Action], *, as_json: bool) -> None:
    """Actions, one a line."""
    columns = {
        "action": [a.uid[:8] for a in found],
        "what": [what_of(a) for a in found],
        "target": [a.target.key for a in found],
        "which requests": [part_of(a) for a in found],
        "left": [left(a) for a in found],
        "by": [a.owner for a in found],
        "why": [a.reason for a in found],
    }
    listing(as_json, [plain(a) for a in found], columns, "nothing is in force", _WHOLE)


def list_pending(found: Sequence[Action], *, as_json: bool) -> None:
    """What waits for somebody's word, one a line."""
    asked = [(action, action.approval) for action in found if action.approval is not None]
    columns = {
        "action": [a.uid[:8] for a, _ in asked],
        "what": [what_of(a) for a, _ in asked],
        "target": [a.target.key for a, _ in asked],
        "which requests": [part_of(a) for a, _ in asked],
        "in": [span(approval.until_ms) for _, approval in asked],
        "else": [str(approval.otherwise).replace("_", " ") for _, approval in asked],
        "asked because": [approval.why for _, approval in asked],
        "why": [a.reason for a, _ in asked],
    }
    listing(as_json, [plain(a) for a in found], columns, "nothing waits", "all of it: floodwarden pending --json")


def what_of(action: Action) -> str:
    """What is done."""
    if action.kind == "hold":
        return "stop of automation"
    if action.level is not None:
        return f"{action.kind} level {action.level}" + (f" x{action.factor:g}" if action.factor else "")
    of = f" {action.limit}" if action.limit else ""
    if action.rate is not None:
        return f"{action.kind}{of} to {action.rate.tokens} in {action.rate.period_ms / 1000:g} s"
    return f"{action.kind}{of}" + (f" x{action.factor:g}" if action.factor else "")


def part_of(action: Action) -> str:
    """Which requests of the target it is done to."""
    tier = f"tier {action.tier}" if action.tier else ""
    networks = action.exempt.networks if action.exempt else ()
    few = len(networks) <= NETWORKS_SHOWN and not (action.exempt and action.exempt.marks)
    spared = f"not from {' '.join(networks)}" if networks and few else "not known good" if action.exempt else ""
    return ", ".join(part for part in (action.route, tier, spared) if part) or "all"


def plain(action: Action) -> dict[str, object]:
    """As JSON has it: a line, so of whom it spares by marks it says how many."""
    from enforcer.records import brief

    return brief(action)


def left(action: Action) -> str:
    """How long it still holds."""
    return span(action.expires_ms)


def span(until_ms: int) -> str:
    """How long it is until then."""
    seconds = max(0, until_ms // 1000 - int(time.time()))
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds} s"
