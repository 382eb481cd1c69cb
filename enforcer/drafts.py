"""Actions as automation words them: how one begins, is held back, ends. Pure."""

from __future__ import annotations

from typing import Any, Final

from enforcer import wording
from enforcer.guardrails import Milder, Refusal
from enforcer.names import AUTO, uid
from enforcer.playbook import Play
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.alert import Alert, EntityKind
from schemas.targets import target as target_of

RENEW_MS_MAX: Final = 30_000


def draft(
    alert: Alert, play: Play, step: int, seconds: int, factor: float, now_ms: int, milder: Milder | None = None
) -> Action:
    """What `play` asks for, in force from `now_ms` on for `seconds`; `milder` says why it is no more."""
    target, kind = aimed(alert), play.kind
    route = alert.route if play.on_route else None
    return Action(
        uid=uid(alert.uid, target.key, kind, str(step), route or ""),
        kind=kind,
        status=ActionStatus.ACTIVE,
        target=target,
        route=route if target.kind is not TargetKind.ROUTE else None,
        exempt=play.spare if kind is not ActionKind.NOTICE else None,
        factor=factor if kind is ActionKind.THROTTLE else None,
        reason=wording.done(kind, alert, route, seconds, step, milder.reason if milder else "", play.told),
        guard=milder.code if milder else None,
        **origin(alert, play, seconds, step, now_ms),
    )


def origin(alert: Alert, play: Play, seconds: int, step: int, now_ms: int) -> dict[str, Any]:
    """The fields of any action that answers `alert`: by which play, on what evidence, from `now_ms` for so long."""
    return {
        "play": play.name or None,
        "page": play.page,
        "rule": alert.rule,
        "model": alert.model,
        "evidence": alert.evidence,
        "alert_uid": alert.uid,
        "campaign": alert.campaign,
        "tenant": alert.tenant,
        "established": alert.established,
        "owner": AUTO,
        "step": step,
        "created_ms": now_ms,
        "expires_ms": now_ms + seconds * 1000,
        "crossed_ms": alert.crossed_ms,
    }


def refused(action: Action, alert: Alert, refusal: Refusal) -> Action:
    """`action`, held back."""
    reason = wording.not_done(action.kind, refusal.reason, alert, action.level)
    named = uid(alert.uid, action.target.key, "refused", refusal.code)
    changes = {"uid": named, "status": ActionStatus.REFUSED, "reason": reason, "guard": refusal.code}
    return action.model_copy(update=changes)


def lifted(action: Action, now_ms: int, by: str, reason: str, guard: str | None = None) -> Action:
    """`action` ended early; by a `guard`, where one is named."""
    ended = {"status": ActionStatus.LIFTED, "ended_ms": now_ms, "ended_by": by, "ended_reason": reason}
    return action.model_copy(update=ended if guard is None else ended | {"guard": guard})


def expired(action: Action) -> Action:
    """`action` at its end."""
    return action.model_copy(
        update={"status": ActionStatus.EXPIRED, "ended_ms": action.expires_ms, "ended_by": AUTO, "ended_reason": None}
    )


def aimed(alert: Alert) -> Target:
    """Whom an answer to `alert` is aimed at."""
    kind = "ip" if alert.entity.kind is EntityKind.NETWORK else str(alert.entity.kind)
    try:
        return target_of(kind, alert.entity.value)
    except ValueError:  # no address: a guardrail says so
        return Target(kind=TargetKind(kind), value=alert.entity.value)


def runs_out(action: Action, now_ms: int) -> bool:
    """Whether it is time to renew it."""
    length_ms = action.expires_ms - action.created_ms
    return action.expires_ms - now_ms <= min(RENEW_MS_MAX, length_ms // 10)
