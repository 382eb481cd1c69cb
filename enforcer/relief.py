"""A brownout's state as actions: what is to be written so that exactly the level it wants is in force. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import xxhash

from enforcer.brownout import LEVELS, QUARTERS, Health, Rules, State, resumed
from enforcer.drafts import lifted
from enforcer.names import AUTO
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.alert import Evidence

EVERYTHING: Final = Target(kind=TargetKind.GLOBAL, value="*")
RULE: Final = "brownout/1"
STANDS_S: Final = 60  # without a leader that renews it: so long, and it ends by itself
LATENCY: Final = "latency_ms"


def ours(actions: Iterable[Action]) -> list[Action]:
    """Brownouts among `actions` that nobody asked for, the newest first."""
    found = [a for a in actions if a.kind is ActionKind.BROWNOUT and a.owner == AUTO]
    return sorted(found, key=lambda action: (-action.created_ms, action.uid))


def quarter(action: Action) -> int:
    """How much of a brownout an action is, 0 to 16."""
    level = min(action.level or 0, LEVELS)
    return level and (level - 1) * QUARTERS + round((action.factor or 1.0) * QUARTERS)


def resume(action: Action, now_ms: int) -> tuple[State, float | None]:
    """The state behind an action that another leader wrote, and the usual latency it knew."""
    usual_ms = next((each.baseline for each in action.evidence if each.name == LATENCY), None)
    return resumed(quarter(action), action.crossed_ms or action.created_ms, action.step - 1, now_ms), usual_ms


def needed(
    state: State, standing: Sequence[Action], health: Health, rules: Rules, now_ms: int, demand: Action | None = None
) -> tuple[Action, ...]:
    """What is to be written, given our brownouts that stand: at most one that begins, then those that end.

    `demand` is what an alert asks for.
    """
    deadline_ms = state.deadline_ms(rules) or now_ms
    fits = [a for a in ours(standing) if quarter(a) == state.quarter and _lasts(a, deadline_ms, now_ms)]
    begin: tuple[Action, ...] = ()
    if state.quarter and fits:
        keep = {fits[0].uid}
    elif state.quarter:
        begun = _action(state, health, min(now_ms + STANDS_S * 1000, deadline_ms), now_ms)
        begin = (begun if demand is None else _told_of(begun, demand),)
        keep = set()
    else:
        keep = set()
    why = f"level {shown(state)} in its place" if state.quarter else "the site is well again, or its time is over"
    return (*begin, *(lifted(_plain(a), now_ms, AUTO, why) for a in ours(standing) if a.uid not in keep))


def shown(state: State) -> str:
    """The level for people: `2`, or `2 (3/4)` on the way back."""
    part = round(state.part * QUARTERS)
    return str(state.level) if part == QUARTERS else f"{state.level} ({part}/{QUARTERS})"


def why(health: Health) -> str:
    """Health in a sentence."""
    parts = [f"{health.errors:.1%} of requests fail"]
    if health.latency_ms is not None:
        times = f", {health.slower:.1f} times the usual" if health.slower is not None else ""
        parts.append(f"they take {health.latency_ms:.0f} ms{times}")
        parts.append(f"{health.concurrent:.0f} at once")
    return "; ".join(parts)


def _lasts(action: Action, deadline_ms: int, now_ms: int) -> bool:
    return action.expires_ms >= min(now_ms + STANDS_S * 500, deadline_ms)


def _action(state: State, health: Health, expires_ms: int, now_ms: int) -> Action:
    uid = xxhash.xxh3_128_hexdigest(f"{RULE}\0{state.begun_ms}\0{state.quarter}\0{now_ms}".encode())
    going = "on the way back: " if state.falling else ""
    evidence = [
        Evidence(name="errors", value=health.errors, sentence=f"{health.errors:.1%} of requests fail (5xx)"),
        Evidence(name="concurrent", value=health.concurrent, sentence=f"{health.concurrent:.0f} in work at once"),
    ]
    if health.latency_ms is not None:
        sentence = f"they take {health.latency_ms:.0f} ms"
        latency = Evidence(name=LATENCY, value=health.latency_ms, baseline=health.usual_ms, sentence=sentence)
        evidence.append(latency)
    return Action(
        uid=str(uid), kind=ActionKind.BROWNOUT, status=ActionStatus.ACTIVE, target=EVERYTHING, level=state.level,
        factor=state.part if state.part < 1 else None, reason=f"{going}{why(health)}", rule=RULE,
        evidence=tuple(evidence), owner=AUTO, step=state.failures + 1, created_ms=now_ms,
        expires_ms=max(expires_ms, now_ms + 1), crossed_ms=state.begun_ms,
    )  # fmt: skip


def _told_of(action: Action, demand: Action) -> Action:
    """`action`, with what asks for it beside what the site says."""
    why = f"{demand.play or 'a play'} asks for level {demand.level} ({demand.reason}); {action.reason}"
    evidence = (*action.evidence, *demand.evidence)
    return action.model_copy(update={"reason": why, "play": demand.play, "evidence": evidence})


def _plain(action: Action) -> Action:
    return action.model_copy(update={"version": 0})
