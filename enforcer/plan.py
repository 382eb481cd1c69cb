"""From an alert to what is done about it. Pure: time comes in, actions come out; live, replay and evaluate share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import xxhash

from enforcer import guardrails, wording
from enforcer.covered import Covered, serves
from enforcer.guardrails import Caps, Refusal, protected
from enforcer.ladder import Ladder
from enforcer.standing import Standing
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.alert import Alert, Answer, EntityKind, Status
from schemas.settings import PREFIX, Settings
from schemas.targets import parse_targets
from schemas.targets import target as target_of

AUTO: Final = "auto"
RENEW_MS_MAX: Final = 30_000
STRENGTH: Final = {ActionKind.NOTICE: 0, ActionKind.THROTTLE: 1, ActionKind.CHALLENGE: 2, ActionKind.DENY: 3}
_KIND: Final = {
    Answer.NOTICE: ActionKind.NOTICE,
    Answer.CHALLENGE: ActionKind.CHALLENGE,
    Answer.THROTTLE: ActionKind.THROTTLE,
    Answer.DENY: ActionKind.DENY,
}


@dataclass(frozen=True, slots=True)
class PlanConfig:
    """What the planner goes by. `partitions` scales an alert's `live_clients` from its partition to the whole."""

    deny_seconds: int
    throttle_seconds: int
    throttle_factor: float
    ladder: Ladder
    caps: Caps
    allowed: tuple[Target, ...] = ()
    proxies: tuple[Target, ...] = ()
    partitions: int = 1
    dry_run: bool = False

    @classmethod
    def of(cls, settings: Settings) -> PlanConfig:
        """The configuration that `settings` ask for.

        Raises:
            SettingsError: a malformed allowlist or proxy list.
        """
        return cls(
            deny_seconds=settings.deny_seconds,
            throttle_seconds=settings.throttle_seconds,
            throttle_factor=settings.throttle_factor,
            ladder=Ladder(settings.escalation, settings.quiet_seconds * 1000, settings.action_seconds_max),
            caps=Caps(settings.actions_per_minute_max, settings.live_share_max, settings.live_floor),
            allowed=parse_targets(settings.allowlist, PREFIX + "ALLOWLIST"),
            proxies=parse_targets(settings.trusted_proxies, PREFIX + "TRUSTED_PROXIES"),
            partitions=settings.usage_partitions,
            dry_run=settings.dry_run,
        )


class Planner:
    """Decides what an alert leads to. The same alerts and times give the same actions, each alert as often as told.

    What it returns it takes as done: publish it, or feed a new planner from `actions`. Actions by others (people,
    other enforcers) come in by `observe`.
    """

    def __init__(self, config: PlanConfig) -> None:
        self._config = config
        self._standing = Standing(config.allowed, config.caps.per_minute)
        self._proxies = guardrails.Allowlist(config.proxies)
        self._live = 0
        self._covered = Covered()

    def consider(self, alert: Alert, now_ms: int) -> Action | None:
        """The action `alert` calls for; None when there is nothing to do.

        A guardrail's no comes back with status `refused` and says why. A withdrawn alert gives the lift of what it
        caused, after what another open alert now needs in its place; `plan` gives all of them.
        """
        actions = self.plan(alert, now_ms)
        return actions[0] if actions else None

    def plan(self, alert: Alert, now_ms: int) -> tuple[Action, ...]:
        """All that `alert` calls for: what begins before what ends, the strictest first."""
        self._standing.expire(now_ms)
        if alert.live_clients:
            self._live = alert.live_clients * self._config.partitions
        target = _target(alert)
        self._covered.forget(target, alert.uid)
        if alert.status is Status.CLOSED:
            return ()
        if alert.status is Status.WITHDRAWN:
            return self._withdraw(alert, target, now_ms)
        action = self._answer(alert, target, now_ms)
        if action is None:
            return ()
        self._standing.observe(action)
        return (action,)

    def observe(self, action: Action, now_ms: int, *, replayed: bool = False) -> tuple[Action, ...]:
        """Take in an action from `actions`; the lifts of what may not stay in force now that it is known.

        None while the topic is `replayed`: what ended is then still to come, and `lifts` tells when all has been read.
        """
        self._standing.expire(now_ms)
        if action.expires_ms <= now_ms and action.status is ActionStatus.ACTIVE:
            action = expired(action)
        self._standing.observe(action)
        if replayed or action.status is not ActionStatus.ACTIVE:
            return ()
        if action.kind in (ActionKind.ALLOW, ActionKind.HOLD):
            return self.lifts(now_ms)
        return self._lift([action] if guardrails.restricts(action) else [], now_ms)

    def lifts(self, now_ms: int) -> tuple[Action, ...]:
        """Lifts of what may not be in force: on a target of the allowlist, or automatic while automation is stopped."""
        return self._lift(self._standing.restricting(), now_ms)

    def _lift(self, actions: Iterable[Action], now_ms: int) -> tuple[Action, ...]:
        why = ((action, self._standing.why_not(action)) for action in actions)
        lifts = tuple(lifted(action, now_ms, AUTO, reason) for action, reason in why if reason)
        for lift in lifts:
            self._standing.observe(lift)
        return lifts

    def _answer(self, alert: Alert, target: Target, now_ms: int) -> Action | None:
        kind = _kind(alert)
        last = self._standing.last(alert.uid)
        if last is not None and _settled(last, alert, kind):
            return None
        if self._is_covered(target, alert.route, kind, now_ms):
            self._covered.keep(target, alert)
            return None
        action = self._draft(alert, target, kind, now_ms)
        refusal = self._refusal(alert, action, now_ms)
        if refusal is None:
            return action
        refused = _refused(action, alert, refusal)
        return None if last is not None and last.uid == refused.uid else refused

    def _is_covered(self, target: Target, route: str | None, kind: ActionKind, now_ms: int) -> bool:
        factor = self._config.throttle_factor
        return any(
            STRENGTH.get(action.kind, -1) >= STRENGTH[kind]
            and serves(action, route, factor)
            and not _runs_out(action, now_ms)
            for action in self._standing.on(target)
        )

    def _draft(self, alert: Alert, target: Target, kind: ActionKind, now_ms: int) -> Action:
        step, seconds = self._length(alert, target, kind, now_ms)
        return Action(
            uid=_uid(alert.uid, target.key, kind, str(step), alert.route or ""),
            kind=kind,
            status=ActionStatus.ACTIVE,
            target=target,
            route=alert.route,
            factor=self._config.throttle_factor if kind is ActionKind.THROTTLE else None,
            reason=wording.done(kind, alert, seconds, step),
            rule=alert.rule,
            model=alert.model,
            evidence=alert.evidence,
            alert_uid=alert.uid,
            owner=AUTO,
            step=step,
            created_ms=now_ms,
            expires_ms=now_ms + seconds * 1000,
            crossed_ms=alert.crossed_ms,
        )

    def _length(self, alert: Alert, target: Target, kind: ActionKind, now_ms: int) -> tuple[int, int]:
        ladder = self._config.ladder
        if kind in (ActionKind.THROTTLE, ActionKind.NOTICE):
            # A throttle does little harm and is renewed while it is earned: it counts its renewals, and never grows.
            last = self._standing.last(alert.uid)
            again = last is not None and last.kind is kind and last.status is not ActionStatus.REFUSED
            return (last.step + 1 if last and again else 1), ladder.seconds(self._config.throttle_seconds, 1)
        rung = self._standing.rung(target)
        near_end = rung is not None and any(
            a.uid == rung.uid and _runs_out(a, now_ms) for a in self._standing.on(target)
        )
        step = ladder.step(rung, rung.until_ms if rung and near_end else now_ms)
        return step, ladder.seconds(self._config.deny_seconds, step)

    def _refusal(self, alert: Alert, action: Action, now_ms: int) -> Refusal | None:
        if action.target.kind is TargetKind.IP and guardrails.network_of(action.target) is None:
            return Refusal("no_address", f"{action.target.value[:80]!r} is no address")
        if not guardrails.restricts(action):
            return None
        standing = self._standing
        if refusal := guardrails.stopped(standing.hold) or protected(action.target, standing.allowed, self._proxies):
            return refusal
        if now_ms - alert.last_ms > action.expires_ms - action.created_ms:
            ago = wording.length((now_ms - alert.last_ms) // 1000)
            return Refusal("stale", f"its last evidence is {ago} old, older than the answer would last")
        under = -1 if self._standing.is_under_action(action.target) else self._standing.clients_under_action
        if refusal := guardrails.over_cap(self._config.caps, self._standing.minute.count(now_ms), under, self._live):
            return refusal
        return Refusal("dry_run", "dry run") if self._config.dry_run else None

    def _withdraw(self, alert: Alert, target: Target, now_ms: int) -> tuple[Action, ...]:
        caused = [action for action in self._standing.on(target) if action.alert_uid == alert.uid]
        caused.sort(key=lambda action: -STRENGTH.get(action.kind, -1))
        lifts = tuple(
            lifted(a, now_ms, AUTO, "the alert was withdrawn: the whole second did not bear it out") for a in caused
        )
        for lift in lifts:
            self._standing.observe(lift)
        return (*(self._heirs(target, now_ms) if lifts else ()), *lifts)

    def _heirs(self, target: Target, now_ms: int) -> tuple[Action, ...]:
        """Answers to the alerts that a withdrawn one's answer had served as well."""
        begun = []
        for alert in self._covered.release(target):
            action = self._answer(alert, target, now_ms)
            if action is not None:
                self._standing.observe(action)
                begun.append(action)
        return tuple(begun)


def lifted(action: Action, now_ms: int, by: str, reason: str) -> Action:
    """`action` ended early."""
    return action.model_copy(
        update={"status": ActionStatus.LIFTED, "ended_ms": now_ms, "ended_by": by, "ended_reason": reason}
    )


def expired(action: Action) -> Action:
    """`action` at its end."""
    return action.model_copy(
        update={"status": ActionStatus.EXPIRED, "ended_ms": action.expires_ms, "ended_by": AUTO, "ended_reason": None}
    )


def _kind(alert: Alert) -> ActionKind:
    # A group is never acted on: its members are, each on its own evidence.
    if alert.entity.kind in (EntityKind.ROUTE, EntityKind.GLOBAL):
        return ActionKind.NOTICE
    return _KIND[alert.answer]


def _target(alert: Alert) -> Target:
    kind = str(alert.entity.kind)
    try:
        return target_of(kind, alert.entity.value)
    except ValueError:  # no address: `_refusal` says so
        return Target(kind=TargetKind(kind), value=alert.entity.value)


def _settled(last: Action, alert: Alert, kind: ActionKind) -> bool:
    """Whether `last` already answers this word of the alert."""
    if last.status is ActionStatus.REFUSED:
        return alert.status is Status.OPEN
    if last.status is ActionStatus.LIFTED:
        # A person's word holds for the whole incident; what was withdrawn may come back on new evidence.
        return last.ended_by != AUTO or alert.last_ms <= (last.ended_ms or 0)
    if STRENGTH[kind] > STRENGTH.get(last.kind, -1):
        return False
    if kind is ActionKind.NOTICE or alert.status is Status.OPEN:
        return True
    return alert.last_ms <= last.created_ms  # evidence from before the answer: told again, or on its way meanwhile


def _refused(action: Action, alert: Alert, refusal: Refusal) -> Action:
    reason = wording.not_done(action.kind, refusal.reason, alert)
    uid = _uid(alert.uid, action.target.key, "refused", refusal.code)
    return action.model_copy(update={"uid": uid, "status": ActionStatus.REFUSED, "reason": reason})


def _runs_out(action: Action, now_ms: int) -> bool:
    length_ms = action.expires_ms - action.created_ms
    return action.expires_ms - now_ms <= min(RENEW_MS_MAX, length_ms // 10)


def _uid(*parts: str) -> str:
    return str(xxhash.xxh3_128_hexdigest("\0".join(parts).encode("utf-8", "surrogatepass")))
