"""Actions that somebody is asked about first: how one begins to wait, and what becomes of it. Pure.

What waits is an action of its own, `pending`; what is done in the end is another, whose name follows from the first. So
however often it is approved, and by however many enforcers and people, it is done once.
"""

from __future__ import annotations

from dataclasses import dataclass

from enforcer.guardrails import Refusal
from enforcer.names import AUTO, uid
from schemas.action import Action, ActionStatus, Approval, Otherwise
from schemas.alert import Alert, EntityKind


@dataclass(frozen=True, slots=True)
class Ask:
    """When somebody is asked: where an answer reaches more than `above` clients. For `within_ms`, then `otherwise`."""

    above: int
    within_ms: int
    otherwise: Otherwise

    def why(self, alert: Alert) -> str:
        """Why an answer to `alert` is asked about; empty where it is not."""
        reached = reach(alert)
        if reached <= self.above:
            return ""
        return f"it reaches {reached} client{'s' * (reached != 1)}, more than {self.above}"


def reach(alert: Alert) -> int:
    """How many clients an answer to `alert` reaches: accounts at an address, addresses of all else. At least one."""
    return max(1, alert.accounts if alert.entity.kind is EntityKind.IP else alert.addresses)


def asked(action: Action, ask: Ask, why: str) -> Action:
    """`action`, waiting for somebody's word."""
    approval = Approval(until_ms=action.created_ms + ask.within_ms, otherwise=ask.otherwise, why=why[:500])
    changes = {"uid": uid(action.uid, "asked"), "status": ActionStatus.PENDING, "approval": approval}
    return action.model_copy(update=changes)


def name_of_done(pending: Action) -> str:
    """The name of what is done when `pending` is approved."""
    return uid(pending.uid, "approved")


def done(pending: Action, now_ms: int, owner: str, reason: str | None = None, seconds: int | None = None) -> Action:
    """What `pending` asked for, in force from now on."""
    length_ms = pending.expires_ms - pending.created_ms if seconds is None else seconds * 1000
    return pending.model_copy(
        update={
            "uid": name_of_done(pending), "version": 0, "status": ActionStatus.ACTIVE, "owner": owner,
            "reason": reason or pending.reason, "approval": None, "guard": None, "created_ms": now_ms,
            "expires_ms": now_ms + length_ms, "crossed_ms": None,
        }
    )  # fmt: skip


def approved(pending: Action, now_ms: int, by: str, reason: str) -> Action:
    """`pending`, now that it is done."""
    return _ended(pending, ActionStatus.APPROVED, now_ms, by, reason)


def let_go(pending: Action, now_ms: int, by: str, reason: str, guard: str | None = None) -> Action:
    """`pending`, not to be done; a `guard` held it back."""
    return _ended(pending, ActionStatus.REFUSED, now_ms, by, reason).model_copy(update={"guard": guard})


def overdue(pending: Action, refusal: Refusal | None, why: str = "nobody decided in time") -> tuple[Action, ...]:
    """What becomes of `pending` at the end of its time, where guardrails say `refusal`; `why` it is decided now."""
    approval = pending.approval
    if approval is None:
        raise ValueError(f"{pending.uid} waits for nobody")
    at_ms = approval.until_ms
    if refusal is not None:
        return (let_go(pending, at_ms, AUTO, f"{why}, and {refusal.reason}", refusal.code),)
    if approval.otherwise is Otherwise.LET_GO:
        return (let_go(pending, at_ms, AUTO, why),)
    return done(pending, at_ms, AUTO), approved(pending, at_ms, AUTO, why)


def _ended(pending: Action, status: ActionStatus, now_ms: int, by: str, reason: str) -> Action:
    ended = {"status": status, "ended_ms": now_ms, "ended_by": by, "ended_reason": reason}
    return pending.model_copy(update=ended)
