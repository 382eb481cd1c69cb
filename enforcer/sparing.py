"""Whom an answer leaves alone by what is known of accounts and keys, and what is done where nothing is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from enforcer import guardrails
from enforcer.drafts import runs_out
from enforcer.guardrails import Milder
from enforcer.history import History, Spared
from enforcer.names import AUTO
from enforcer.playbook import Kept, Play
from schemas.action import Action, ActionKind, Target, TargetKind
from schemas.alert import Alert

CODE: Final = "no_history"
RECENT_MS: Final = 3_600_000
HELPS_WITHIN_MS: Final = 5_000  # by then every limiter has an answer: evidence after it comes from who is spared


def spared(
    play: Play, alert: Alert, target: Target, standing: Iterable[Action], history: History, shared: int, now_ms: int
) -> tuple[Play, Milder | None]:
    """`play` with whom it spares, and as mild as it must be; why it is no more.

    Where nobody can be spared it is a challenge at the most, on the route that the alert names; of a route, and where
    the play says so, nothing.
    """
    if play.kept is None:
        return play, guardrails.milder(play.kind, alert, shared)
    stands = _standing(play, alert, target, standing, now_ms)
    kept = stands or _kept(play.kept, alert, target, history)
    play = replace(play, spare=kept.exempt, told=kept.told if kept.exempt else f"everywhere, for {kept.told}")
    if kept.exempt is not None:
        return play, None  # what guards the good would guard those who are left alone
    play = replace(play, on_route=True)
    only_told = target.kind is TargetKind.ROUTE or (play.tells_unknown and stands is None)
    instead = ActionKind.NOTICE if only_told else ActionKind.CHALLENGE
    if guardrails.STRENGTH[play.kind] <= guardrails.STRENGTH[instead]:
        return play, guardrails.milder(play.kind, alert, shared)
    milder = guardrails.milder(instead, alert, shared) or Milder(CODE, kept.told, instead)
    return replace(play, told=""), milder


def _kept(kept: Kept, alert: Alert, target: Target, history: History) -> Spared:
    if kept is Kept.PAIRS:
        return history.pairs(alert.first_ms)
    # What stands for hours began before much that is known by now: who crosses late was unnoticed until then.
    return history.addresses(target, max(alert.first_ms, alert.crossed_ms - RECENT_MS))


def _standing(play: Play, alert: Alert, target: Target, standing: Iterable[Action], now_ms: int) -> Spared | None:
    """Whom this play's answer that stands spares: what came to be known meanwhile makes no new answer.

    Where it does not help, because it is from there that it goes on, nobody is spared any more; but a machine with a
    history is not asked whether it is a person where it always is.
    """
    machine = play.kind is ActionKind.CHALLENGE and target.kind is TargetKind.KEY and alert.established
    mine = [a for a in standing if a.owner == AUTO and a.play == play.name and a.exempt is not None]
    if not machine and any(
        a.target.kind is not TargetKind.ROUTE and alert.last_ms > a.created_ms + HELPS_WITHIN_MS for a in mine
    ):
        return Spared(None, "it goes on from where it is known")
    stands = next((a for a in mine if not runs_out(a, now_ms)), None)
    return Spared(stands.exempt, "except where it is known") if stands else None
