"""What people tell the enforcer: deny, allow, undo, brownout. Each waits until it is in force, and says where.

Commands go the way of every action: written to `actions`, put in force by a running enforcer. All raise `CommandError`
naming the argument or the server that is wrong, and the fix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from enforcer import finding, guardrails
from enforcer.asker import REASON_CHARS_MAX, By, in_bounds, name_for, owner_of, reason_of
from enforcer.drafts import lifted
from enforcer.errors import CommandError
from enforcer.finding import Wanted
from enforcer.names import AUTO
from enforcer.reputation import Listed, Rules, Sync, sync
from enforcer.scope import Change, Scope
from enforcer.session import Result, now_ms, session
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.settings import PREFIX, Settings
from schemas.targets import target as target_of

EVERYONE: Final = Scope()
NOTHING_DONE: Final = Result((), 0, 0, {}, ())
_RESTRICTS: Final = tuple(sorted(guardrails.RESTRICTIVE))
_HOLDS: Final = Wanted((ActionKind.HOLD,))
_AUTOMATIC: Final = Wanted((*_RESTRICTS, ActionKind.BROWNOUT), AUTO)
_STOPPED: Final = replace(_AUTOMATIC, also=_HOLDS.kinds)


def deny_add(
    settings: Settings, kind: str, value: str, seconds: int, reason: str, by: By,
    *, scope: Scope = EVERYONE, challenge: bool = False,
) -> Result:  # fmt: skip
    """Deny or challenge a target for `seconds`. Refused where it, or something in it, is allowed or our own proxy."""
    target = target_named(kind, value)
    if target.kind is TargetKind.GLOBAL and scope.tier is None:
        raise CommandError("bad_value", "kind", "global denies everyone", "name a tier, or `brownout set` to shed load")
    what = ActionKind.CHALLENGE if challenge else ActionKind.DENY
    return restrict(settings, [_action(settings, what, target, seconds, reason, by, scope)])


def throttle_add(
    settings: Settings, kind: str, value: str, seconds: int, reason: str, by: By,
    changes: Sequence[Change], *, scope: Scope = EVERYONE,
) -> Result:  # fmt: skip
    """Multiply or replace limits of a target for `seconds`, up or down. Refused where the allowlist protects it."""
    target = target_named(kind, value)
    actions = [
        _action(settings, ActionKind.THROTTLE, target, seconds, reason, by, scope,
                limit=change.limit, factor=change.factor, rate=change.rate)
        for change in changes
    ]  # fmt: skip
    return restrict(settings, actions)


def throttle_remove(settings: Settings, kind: str, value: str, by: By, reason: str = "") -> Result:
    """Lift the throttles of exactly this target; what else restricts it stays."""
    target = target_named(kind, value)
    nothing = CommandError("not_found", "value", f"nothing throttles {target.key}", "see `deny list`")
    return _end(settings, [ActionKind.THROTTLE], nothing, by, reason, target)


def deny_remove(settings: Settings, kind: str, value: str, by: By, reason: str = "") -> Result:
    """Lift whatever restricts exactly this target, however scoped: denials, challenges, throttles, by whomever.

    The planner takes it as a person's word: the incident that led there leads there no more.
    """
    target = target_named(kind, value)
    nothing = CommandError("not_found", "value", f"nothing restricts {target.key}", "see `deny list`")
    return _end(settings, _RESTRICTS, nothing, by, reason, target)


def deny_list(settings: Settings) -> list[Action]:
    """What restricts clients now: denials, challenges, throttles, by whomever; the newest first."""
    with session(settings) as opened:
        return _newest_first(opened.in_force(*_RESTRICTS))


def deny_import(
    settings: Settings, listed: Sequence[Listed], source: str, rules: Rules,
    told: Callable[[int, int], None], *, plan_only: bool = False,
) -> tuple[Sync, Result | None]:  # fmt: skip
    """Restrict whom the list of `source` names, and no longer whom it named before; `told` hears progress of a total.

    What the allowlist or our own proxies cover is left alone. None in place of a result where nothing is to be done.
    """
    if not re.fullmatch(r"[\w.-]{1,64}", source):
        raise CommandError("bad_value", "source", f"{source[:40]!r} is no name", "letters, digits, `.`, `-` and `_`")
    if not 1 <= rules.seconds <= settings.action_seconds_max:
        fix = f"raise {PREFIX}ACTION_SECONDS_MAX"
        raise CommandError(
            "bad_value", "seconds", f"{rules.seconds} is not from 1 to {settings.action_seconds_max}", fix
        )
    with session(settings) as opened:
        made = sync(listed, opened.in_force(*_RESTRICTS), opened.protected(), source, rules, now_ms())
        actions = [*made.add, *made.lift]
        if plan_only or not actions:
            return made, None
        return made, opened.carry_out_many(actions, lambda done: told(done, len(actions)))


def undo(settings: Settings, action_uid: str, by: By, reason: str = "") -> Result:
    """Lift one action by its uid, or by the first characters of it when they name only one."""
    with session(settings) as opened:
        found = opened.in_force(uid=action_uid) if action_uid else []
        if len(found) != 1:
            what = f"{len(found) or 'no'} actions in force begin with {action_uid!r}"
            raise CommandError("not_found", "action_uid", what, "`actions` shows them; write one uid out")
        return opened.carry_out(_lifts(found, by, reason))


def extend(settings: Settings, action_uid: str, seconds: int, reason: str, by: By) -> Result:
    """Have an action in force last `seconds` from now on: a new one takes its place."""
    with session(settings) as opened:
        found = [a for a in opened.in_force(uid=action_uid) if a.uid == action_uid]
        if not found:
            raise CommandError(
                "not_in_force", "uid", f"{action_uid!r} is not in force", "see what is: /denials, /actions"
            )
        longer = again(settings, found[0], seconds, reason, by)
        return opened.carry_out([longer, *_lifts(found, by, f"{longer.uid} in its place")])


def allow_add(settings: Settings, kind: str, value: str, seconds: int, reason: str, by: By) -> Result:
    """Allow a target for `seconds`: nothing may be done to it, and what restricts it now is lifted at once.

    What restricts a whole network around it stays for the others there.
    """
    target = target_named(kind, value)
    with session(settings) as opened:
        covered = guardrails.Allowlist([target])
        hit = tuple(a for a in opened.in_force(*_RESTRICTS) if covered.around(a.target))
        return opened.carry_out([_action(settings, ActionKind.ALLOW, target, seconds, reason, by)], lambda: hit)


def allow_remove(settings: Settings, kind: str, value: str, by: By, reason: str = "") -> Result:
    """End an allow. One from the settings stays: it is changed there."""
    target = target_named(kind, value)
    fix = f"see `allow list`; what {PREFIX}ALLOWLIST allows is changed there"
    nothing = CommandError("not_found", "value", f"no command allows {target.key}", fix)
    return _end(settings, [ActionKind.ALLOW], nothing, by, reason, target)


def allow_list(settings: Settings) -> list[Action]:
    """Allows by command; those of the settings are in `settings.allowlist`."""
    with session(settings) as opened:
        return _newest_first(opened.in_force(ActionKind.ALLOW))


def stop(settings: Settings, seconds: int, reason: str, by: By) -> Result:
    """Stop automation for `seconds`: what it decided is lifted now, and it decides nothing until then, or `resume`.

    What people asked for stays. Alerts go on, and say what would have been done.
    """
    everything = Target(kind=TargetKind.GLOBAL, value="*")
    with session(settings) as opened:
        texts = opened.texts(_STOPPED)  # most are read once the hold, by which they are heeded no more, is on its way
        before = finding.actions(filter(_HOLDS.by_text(), texts), _HOLDS, now_ms())
        hold = _action(settings, ActionKind.HOLD, everything, seconds, reason, by)
        return opened.carry_out(
            [hold, *_lifts(before, by, "stopped anew")], lambda: finding.actions(texts, _AUTOMATIC, now_ms())
        )


def resume(settings: Settings, by: By, reason: str = "") -> Result:
    """Let automation decide again. What it had decided before does not come back without new evidence."""
    nothing = CommandError("not_found", "stop", "automation is not stopped", "see `actions`")
    return _end(settings, [ActionKind.HOLD], nothing, by, reason)


def holds(settings: Settings) -> list[Action]:
    """What stops automation now."""
    with session(settings) as opened:
        return _newest_first(opened.in_force(ActionKind.HOLD))


def brownout_set(
    settings: Settings, level: int, seconds: int, reason: str, by: By,
    *, scope: Scope = EVERYONE, rule: str | None = None,
) -> Result:  # fmt: skip
    """Shed load at `level` 1..4 for `seconds`, in place of any level before of the same scope; or of the same `rule`.

    A rule is what calls for it again and again: while most of what it called for is left, nothing is written.
    """
    if not 1 <= level <= 4:
        raise CommandError("bad_value", "level", f"{level} is no level", "1 to 4; `brownout clear` ends it")
    target = Target(kind=TargetKind.GLOBAL, value="*")
    action = _action(settings, ActionKind.BROWNOUT, target, seconds, reason, by, scope, level=level, rule=rule)
    with session(settings) as opened:
        before = [a for a in opened.in_force(ActionKind.BROWNOUT) if (a.route, a.tier) == (action.route, action.tier)]
        if rule is not None:
            before = [a for a in before if a.rule == rule]
            if any(a.level == level and a.expires_ms - now_ms() > seconds * 500 for a in before):
                return NOTHING_DONE
        return opened.carry_out([action, *_lifts(before, by, f"level {level} in its place")])


def brownout_resolve(settings: Settings, rule: str, by: By, reason: str) -> Result:
    """End what `rule` called for; it may be over already."""
    with session(settings) as opened:
        found = [a for a in opened.in_force(ActionKind.BROWNOUT) if a.rule == rule]
        return opened.carry_out(_lifts(found, by, reason)) if found else NOTHING_DONE


def brownout_clear(settings: Settings, by: By, reason: str = "") -> Result:
    """End the brownout, everywhere."""
    nothing = CommandError("not_found", "brownout", "there is none", "see `brownout status`")
    return _end(settings, [ActionKind.BROWNOUT], nothing, by, reason)


def brownout_status(settings: Settings) -> Action | None:
    """The brownout in force, the highest level where there are several; or None."""
    return brownout_look(settings)[0]


def brownout_look(settings: Settings) -> tuple[Action | None, dict[str, Any] | None]:
    """The brownout in force, and the site's health as the leading enforcer sees it, where it does."""
    with session(settings) as opened:
        found = _newest_first(opened.in_force(ActionKind.BROWNOUT))
        highest = max(found, key=lambda action: (action.level or 0, action.factor or 1.0), default=None)
        return highest, opened.health()


def _end(
    settings: Settings, kinds: Sequence[ActionKind], nothing: CommandError, by: By, reason: str,
    target: Target | None = None,
) -> Result:  # fmt: skip
    """Lift what of `kinds` is in force (on exactly `target`, where one is given); raises `nothing` where nothing is."""
    with session(settings) as opened:
        found = opened.in_force(*kinds, target=target)
        if not found:
            raise nothing
        return opened.carry_out(_lifts(found, by, reason))


def restrict(settings: Settings, actions: list[Action]) -> Result:
    """Put `actions` on one target in force, unless it is allowed or our own proxy."""
    with session(settings) as opened:
        opened.refuse_protected(actions[0].target)
        return opened.carry_out(actions)


def target_named(kind: str, value: str) -> Target:
    """The target that a person means. Raises `CommandError`."""
    try:
        return target_of(kind, value)
    except ValueError as error:
        field = "value" if kind in set(TargetKind) else "kind"
        raise CommandError("bad_value", field, str(error), "like ip 203.0.113.7, ip 203.0.113.0/24, key ID") from error


def _action(
    settings: Settings, kind: ActionKind, target: Target, seconds: int, reason: str, by: By,
    scope: Scope = EVERYONE, **more: Any,
) -> Action:  # fmt: skip
    in_bounds(settings, kind, seconds)
    created_ms = now_ms()
    return Action(
        uid=name_for(by, kind, target.key, more.get("limit")), kind=kind, status=ActionStatus.ACTIVE, target=target,
        reason=reason_of(reason), route=scope.route, tier=scope.tier, exempt=scope.exempt,
        owner=owner_of(by), created_ms=created_ms, expires_ms=created_ms + seconds * 1000, **more,
    )  # fmt: skip


def again(settings: Settings, action: Action, seconds: int, reason: str, by: By) -> Action:
    """What `action` does, from now on, by a person's word."""
    in_bounds(settings, action.kind, seconds)
    created_ms = now_ms()
    ended = {"ended_ms": None, "ended_by": None, "ended_reason": None}
    return action.model_copy(
        update=ended | {
            "uid": name_for(by, action.kind, action.target.key, action.limit), "version": 0,
            "status": ActionStatus.ACTIVE, "guard": None, "approval": None,
            "reason": reason_of(reason), "owner": owner_of(by), "created_ms": created_ms, "crossed_ms": None,
            "expires_ms": created_ms + seconds * 1000,
        }
    )  # fmt: skip


def _lifts(actions: Sequence[Action], by: By, reason: str) -> list[Action]:
    at_ms = now_ms()
    return [
        lifted(
            a.model_copy(update={"version": 0}), at_ms, owner_of(by), reason.strip()[:REASON_CHARS_MAX] or "by command"
        )
        for a in actions
    ]


def _newest_first(actions: Iterable[Action]) -> list[Action]:
    return sorted(actions, key=lambda action: (-action.created_ms, action.uid))
