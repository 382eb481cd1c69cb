"""From an alert to what is done about it. Pure: time comes in, actions come out; live, replay and evaluate share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from enforcer import asking, crawlers, drafts, guardrails, wording
from enforcer.covered import Covered, serves
from enforcer.crawlers import Crawlers
from enforcer.drafts import expired, lifted, runs_out
from enforcer.guardrails import STRENGTH, Caps, Refusal, protected
from enforcer.ladder import Ladder
from enforcer.names import AUTO
from enforcer.playbook import Play, Playbook
from enforcer.playbook_file import built_in, load
from enforcer.standing import Standing
from enforcer.waiting import PENDING_MAX, Waiting
from schemas.action import Action, ActionKind, ActionStatus, Target, TargetKind
from schemas.alert import Alert, Status
from schemas.settings import PREFIX, Settings
from schemas.targets import parse_targets


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
    crawlers: Crawlers = field(default_factory=Crawlers)
    shared_accounts: int = 10
    partitions: int = 1
    dry_run: bool = False
    playbook: Playbook = field(default_factory=built_in)

    @classmethod
    def of(cls, settings: Settings) -> PlanConfig:
        """The configuration that `settings` ask for.

        Raises:
            SettingsError: a malformed allowlist or proxy list.
            FileError: a playbook, or ranges of crawlers, that cannot be taken.
        """
        ladder = ladder_of(settings)
        return cls(
            deny_seconds=settings.deny_seconds,
            throttle_seconds=settings.throttle_seconds,
            throttle_factor=settings.throttle_factor,
            ladder=ladder,
            caps=Caps(
                settings.actions_per_minute_max,
                settings.live_share_max,
                settings.live_floor,
                settings.campaign_share_max,
            ),
            allowed=parse_targets(settings.allowlist, PREFIX + "ALLOWLIST"),
            proxies=parse_targets(settings.trusted_proxies, PREFIX + "TRUSTED_PROXIES"),
            crawlers=crawlers.load(settings.bots),
            shared_accounts=settings.shared_accounts,
            partitions=settings.usage_partitions,
            dry_run=settings.dry_run,
            playbook=load(settings.playbooks, ladder),
        )

    @property
    def memory(self) -> Ladder:
        """By which it is forgotten what ended."""
        return self.playbook.slowest(self.ladder)


def ladder_of(settings: Settings) -> Ladder:
    """The ladder of answers whose play has none of its own."""
    return Ladder(settings.escalation, settings.quiet_seconds * 1000, settings.action_seconds_max)


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
        self._waiting = Waiting()

    def use(self, playbook: Playbook) -> None:
        """Answer by another playbook from now on. What is in force stays."""
        self._config = replace(self._config, playbook=playbook)

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
        target = drafts.aimed(alert)
        self._covered.forget(target, alert.uid)
        if alert.status is Status.CLOSED:
            return ()
        if alert.status is Status.WITHDRAWN:
            return self._withdraw(alert, target, now_ms)
        action = self._answer(alert, target, now_ms)
        if action is None:
            return ()
        self._know(action)
        return (action,)

    def overdue(self, now_ms: int) -> tuple[Action, ...]:
        """What becomes of pending actions that nobody decided in time."""
        self._standing.expire(now_ms)
        told: list[Action] = []
        for pending in self._waiting.overdue(now_ms):
            ends = asking.overdue(pending, self._guarded(pending, now_ms))
            for action in ends:
                self._know(action)
            told += ends
        return tuple(told)

    def observe(self, action: Action, now_ms: int, *, replayed: bool = False) -> tuple[Action, ...]:
        """Take in an action from `actions`; the lifts of what may not stay in force now that it is known.

        None while the topic is `replayed`: what ended is then still to come, and `lifts` tells when all has been read.
        """
        self._standing.expire(now_ms)
        if action.expires_ms <= now_ms and action.status is ActionStatus.ACTIVE:
            action = expired(action)
        self._know(action)
        if replayed:
            return ()
        if action.status is ActionStatus.REFUSED:
            # A person's no, written before it was known that time had run out, ends what was done then.
            late = self._standing.active(asking.name_of_done(action)) if action.approval else None
            return self._lift([late] if late else [], now_ms)
        if action.status is not ActionStatus.ACTIVE:
            return ()
        if action.kind in (ActionKind.ALLOW, ActionKind.HOLD):
            return self.lifts(now_ms)
        return self._lift([action] if guardrails.restricts(action) else [], now_ms)

    def lifts(self, now_ms: int) -> tuple[Action, ...]:
        """Lifts of what may not be in force: on a target of the allowlist, or automatic while automation is stopped."""
        return self._lift(self._standing.restricting(), now_ms)

    def _lift(self, actions: Iterable[Action], now_ms: int) -> tuple[Action, ...]:
        why = ((action, self._why_not(action)) for action in actions)
        lifts = tuple(lifted(action, now_ms, AUTO, reason) for action, reason in why if reason)
        for lift in lifts:
            self._know(lift)
        return lifts

    def _why_not(self, action: Action) -> str:
        rejected = self._waiting.why_not(action.uid) if action.owner == AUTO else ""
        return rejected or self._standing.why_not(action)

    def _know(self, action: Action) -> None:
        self._standing.observe(action)
        self._waiting.observe(action)

    def _answer(self, alert: Alert, target: Target, now_ms: int) -> Action | None:
        play = self._config.playbook.play(alert, now_ms)
        last = self._standing.last(alert.uid)
        milder = guardrails.milder(play.kind, alert, self._config.shared_accounts)
        if milder is not None:
            play = replace(play, kind=milder.kind)
        if last is not None and _settled(last, alert, play.kind):
            return None
        step, seconds = self._length(alert, play, target, now_ms)
        factor = self._config.throttle_factor if play.factor is None else play.factor
        action = drafts.draft(alert, play, step, seconds, factor, now_ms, milder)
        standing = [each for each in self._standing.on(target) if not runs_out(each, now_ms)]
        if any(serves(each, action) for each in (*standing, *self._waiting.on(target))):
            self._covered.keep(target, alert)
            return None
        why = play.ask.why(alert) if play.ask is not None else ""
        refusal = self._refusal(alert, action, now_ms)
        if refusal is None and why and len(self._waiting) >= PENDING_MAX:
            refusal = Refusal("too_many_pending", f"{len(self._waiting)} answers wait for somebody's word already")
        if refusal is None:
            return asking.asked(action, play.ask, why) if play.ask is not None and why else action
        held = drafts.refused(action, alert, refusal)
        return None if last is not None and last.uid == held.uid else held

    def _length(self, alert: Alert, play: Play, target: Target, now_ms: int) -> tuple[int, int]:
        ladder, kind = play.ladder or self._config.ladder, play.kind
        if kind in (ActionKind.THROTTLE, ActionKind.NOTICE):
            # A throttle does little harm and is renewed while it is earned: it counts its renewals, and never grows.
            last = self._standing.last(alert.uid)
            again = last is not None and last.kind is kind and last.status is not ActionStatus.REFUSED
            seconds = play.seconds or self._config.throttle_seconds
            return (last.step + 1 if last and again else 1), ladder.seconds(seconds, 1)
        rung = self._standing.rung(target)
        near_end = rung is not None and any(
            a.uid == rung.uid and runs_out(a, now_ms) for a in self._standing.on(target)
        )
        step = ladder.step(rung, rung.until_ms if rung and near_end else now_ms)
        return step, ladder.seconds(play.seconds or self._config.deny_seconds, step)

    def _refusal(self, alert: Alert, action: Action, now_ms: int) -> Refusal | None:
        if action.target.kind is TargetKind.IP and guardrails.network_of(action.target) is None:
            return Refusal("no_address", f"{action.target.value[:80]!r} is no address")
        if guardrails.restricts(action) and now_ms - alert.last_ms > action.expires_ms - action.created_ms:
            ago = wording.length((now_ms - alert.last_ms) // 1000)
            stale = Refusal("stale", f"its last evidence is {ago} old, older than the answer would last")
            return self._forbidden(action) or stale
        return self._guarded(action, now_ms)

    def _forbidden(self, action: Action) -> Refusal | None:
        standing = self._standing
        if refusal := guardrails.stopped(standing.hold) or protected(action.target, standing.allowed, self._proxies):
            return refusal
        crawler = self._config.crawlers.covering(action.target)
        return Refusal("verified_bot", f"{action.target.key} is {crawler}'s, as it publishes") if crawler else None

    def _guarded(self, action: Action, now_ms: int) -> Refusal | None:
        if not guardrails.restricts(action):
            return None
        if refusal := self._forbidden(action):
            return refusal
        standing, alone = self._standing, action.campaign is None
        under = standing.clients_found_alone if alone else standing.clients_under_action
        under = -1 if standing.is_under_action(action.target) else under
        minute = standing.minute.count(now_ms)
        if refusal := guardrails.over_cap(self._config.caps, minute, under, self._live, campaign=not alone):
            return refusal
        return Refusal("dry_run", "dry run") if self._config.dry_run else None

    def _withdraw(self, alert: Alert, target: Target, now_ms: int) -> tuple[Action, ...]:
        caused = [action for action in self._standing.on(target) if action.alert_uid == alert.uid]
        caused.sort(key=lambda action: -STRENGTH.get(action.kind, -1))
        waits = [action for action in self._waiting.on(target) if action.alert_uid == alert.uid]
        why = "the alert was withdrawn: the whole second did not bear it out"
        lifts = (*(lifted(a, now_ms, AUTO, why) for a in caused), *(asking.let_go(a, now_ms, AUTO, why) for a in waits))
        for lift in lifts:
            self._know(lift)
        return (*(self._heirs(target, now_ms) if lifts else ()), *lifts)

    def _heirs(self, target: Target, now_ms: int) -> tuple[Action, ...]:
        """Answers to the alerts that a withdrawn one's answer had served as well."""
        begun = []
        for alert in self._covered.release(target):
            action = self._answer(alert, target, now_ms)
            if action is not None:
                self._know(action)
                begun.append(action)
        return tuple(begun)


def _settled(last: Action, alert: Alert, kind: ActionKind) -> bool:
    """Whether `last` already answers this word of the alert."""
    if last.approval is not None and (last.status is not ActionStatus.REFUSED or last.guard is None):
        # It waits, or was decided. A person's no holds for the whole incident, as a lift does; silence holds for what
        # was asked.
        person = last.status is ActionStatus.REFUSED and last.ended_by != AUTO
        return person or STRENGTH[kind] <= STRENGTH.get(last.kind, -1)
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
