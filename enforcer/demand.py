"""What alerts ask of the brownout: how a demand is made, when it is due again, which of several counts. Pure.

A demand is a notice with a level. Limiters know nothing of it; the leader's controller goes up to that level, by its
own rules, and does not go back below while the demand stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from enforcer import wording
from enforcer.drafts import aimed, origin, runs_out
from enforcer.names import AUTO, uid
from enforcer.playbook import Play
from schemas.action import Action, ActionKind, ActionStatus
from schemas.alert import Alert, Status

SUMMARY_CHARS: Final = wording.SUMMARY_CHARS_MAX


def is_one(action: Action) -> bool:
    """Whether `action` asks for a brownout."""
    return action.kind is ActionKind.NOTICE and action.level is not None


def of(alert: Alert, play: Play, last: Action | None, seconds: int, now_ms: int) -> Action | None:
    """What `play` asks for on account of this word of `alert`, which led to `last`; None: it has asked already.

    From now on for as long as the play says, else for `seconds`.
    """
    level = play.level or 1
    if last is not None and not _due(last, alert, level, now_ms):
        return None
    target = aimed(alert)
    step = last.step + 1 if last is not None and is_one(last) and last.status is not ActionStatus.REFUSED else 1
    length_s = play.seconds or seconds
    return Action(
        uid=uid(alert.uid, target.key, "brownout", str(level), str(step)),
        kind=ActionKind.NOTICE,
        status=ActionStatus.ACTIVE,
        target=target,
        level=level,
        reason=f"Asked for brownout level {level} for {wording.length(length_s)}: {alert.summary[:SUMMARY_CHARS]}",
        **origin(alert, play, length_s, step, now_ms),
    )


def highest(demands: Iterable[Action]) -> Action | None:
    """The one that counts: the highest, of several the one that lasts."""
    return max(demands, key=lambda each: (each.level or 0, each.expires_ms, each.uid), default=None)


def _due(last: Action, alert: Alert, level: int, now_ms: int) -> bool:
    if last.status is ActionStatus.LIFTED:
        # A person's word holds for the whole incident; what was withdrawn may come back on new evidence.
        return last.ended_by == AUTO and alert.last_ms > (last.ended_ms or 0)
    if not is_one(last):
        return True
    if last.status is ActionStatus.REFUSED and alert.status is Status.OPEN:
        return False
    stands = last.status is ActionStatus.ACTIVE and not runs_out(last, now_ms) and (last.level or 0) >= level
    return not stands and alert.last_ms > last.created_ms
