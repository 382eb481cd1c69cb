"""What people say of what waits for their word, or was held back: do it, or let it go."""

from __future__ import annotations

from enforcer import asking, command, guardrails
from enforcer.asker import REASON_CHARS_MAX, By, in_bounds, owner_of, reason_of
from enforcer.errors import CommandError
from enforcer.session import Result, Session, now_ms, session
from schemas.action import Action, ActionStatus
from schemas.settings import Settings


def approve(settings: Settings, held: Action, seconds: int | None, reason: str, by: By) -> Result:
    """Do what waits for somebody's word or a guardrail held back, as long as it was meant to last or `seconds`."""
    if held.status is ActionStatus.PENDING:
        return approve_pending(settings, held.uid, seconds, reason, by)
    if held.status is not ActionStatus.REFUSED or held.kind not in guardrails.RESTRICTIVE:
        raise CommandError("not_held", "uid", f"is {held.status}, not held back", "approve what is `refused`")
    command.target_named(held.target.kind, held.target.value)
    length_s = seconds if seconds is not None else (held.expires_ms - held.created_ms) // 1000
    return command.restrict(settings, [command.again(settings, held, length_s, reason, by)])


def pending(settings: Settings) -> list[Action]:
    """What waits for somebody's word, the most urgent first."""
    with session(settings) as opened:
        return opened.pending()


def approve_pending(settings: Settings, action_uid: str, seconds: int | None, reason: str, by: By) -> Result:
    """Do what waits, by its uid or by the first characters of it, as long as it was meant to last or `seconds`."""
    with session(settings) as opened:
        found = _waiting(opened, action_uid)
        opened.refuse_protected(found.target)
        if seconds is not None:
            in_bounds(settings, found.kind, seconds)
        at_ms, owner, why = now_ms(), owner_of(by), reason_of(reason)
        return opened.carry_out([
            asking.done(found, at_ms, owner, f"{why}. {found.reason}"[:REASON_CHARS_MAX], seconds),
            asking.approved(found, at_ms, owner, why),
        ])  # fmt: skip


def reject(settings: Settings, action_uid: str, reason: str, by: By) -> Result:
    """Do not do what waits, by its uid or by the first characters of it. The incident leads there no more."""
    with session(settings) as opened:
        found = _waiting(opened, action_uid)
        return opened.carry_out([asking.let_go(found, now_ms(), owner_of(by), reason_of(reason))])


def _waiting(opened: Session, action_uid: str) -> Action:
    found = opened.claim(action_uid) if action_uid else []
    if len(found) == 1:
        return found[0]
    what = f"{len(found) or 'no'} pending actions begin with {action_uid!r}"
    raise CommandError("not_pending", "uid", what, "it was decided, or write its uid out: see what is `pending`")
