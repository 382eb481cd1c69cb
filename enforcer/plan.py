"""From an alert to what is done about it. Pure: time comes in, actions come out; live, replay and evaluate share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from enforcer import asking, demand, drafts, guardrails, sparing
from enforcer.asking import Ask
from enforcer.canary import CODE, Sample, Waves
from enforcer.covered import Covered, serves
from enforcer.drafts import expired, lifted, runs_out
from enforcer.guardrails import STRENGTH, Milder, Refusal
from enforcer.history import History
from enforcer.names import AUTO
from enforcer.plan_config import PlanConfig
from enforcer.playbook import Play, Playbook
from enforcer.refusing import Guard
from enforcer.settled import settled
from enforcer.standing import Standing, automatic
from enforcer.waiting import PENDING_MAX, Waiting
from schemas.action import Action, ActionKind, ActionStatus, Otherwise, Target
from schemas.alert import Alert, Status


class Planner:
    """Decides what an alert leads to. The same alerts and times give the same actions, each alert as often as told.

    What it returns it takes as done: publish it, or feed a new planner from `actions`. Actions by others (people,
    other enforcers) come in by `observe`; `history` is folded by others.
    """

    def __init__(self, config: PlanConfig, history: History | None = None) -> None:
        self._config = config
        self._history = History(1, 0, 1) if history is None else history
        self._standing = Standing(config.allowed, config.caps.per_minute)
        self._guard = Guard(self._standing, config.caps, config.proxies, config.crawlers, dry_run=config.dry_run)
        self._covered = Covered()
        self._waiting = Waiting()
        self._waves = Waves()
        self._canaries = config.playbook.canaries()
        self._halted: deque[tuple[Action, str]] = deque()  # what a stop found in force, and why it ends

    def use(self, playbook: Playbook) -> None:
        """Answer by another playbook from now on. What is in force stays."""
        self._config = replace(self._config, playbook=playbook)
        self._canaries = playbook.canaries()

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
        self._guard.hear(alert, self._config.partitions)
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
            refusal = self._guard.of(pending, now_ms)
            if pending.guard == CODE:
                wave = self._waves.known(pending.play)
                wrong = wave.refuses(now_ms) if wave else ""
                refusal = Refusal(CODE, wrong) if wrong else refusal
                ends = asking.overdue(pending, refusal, "the canary has been watched")
            else:
                ends = asking.overdue(pending, refusal)
            for action in ends:
                self._know(action)
            told += ends
        return tuple(told)

    def hear(self, sample: Sample) -> tuple[Action, ...]:
        """Know how the site fares; what is rolled back for it."""
        spoiled = self._waves.hear(sample)
        return tuple(action for play, why in spoiled for action in self._roll_back(play, why, sample.at_ms))

    def _roll_back(self, play: str, why: str, now_ms: int) -> tuple[Action, ...]:
        """Ends all that the newest wave of `play` began, and lets go what it made wait."""
        wave = self._waves.known(play)
        began_ms = wave.began_ms if wave else now_ms
        done = (a for a in self._standing.restricting() if a.owner == AUTO and a.play == play)
        waits = [a for a in self._waiting.all() if a.play == play and a.guard == CODE]
        ends = [lifted(a, now_ms, AUTO, why, CODE) for a in done if a.created_ms >= began_ms]
        ends += [asking.let_go(a, now_ms, AUTO, why, CODE) for a in waits]
        for end in ends:
            self._know(end)
        return tuple(ends)

    def observe(self, action: Action, now_ms: int, *, replayed: bool = False) -> tuple[Action, ...]:
        """Take in an action from `actions`; the lifts of what may not stay in force now that it is known.

        None while the topic is `replayed`: what ended is then still to come, and `lifts` tells when all has been read.
        """
        self._standing.expire(now_ms)
        if action.expires_ms <= now_ms and action.status is ActionStatus.ACTIVE:
            action = expired(action)
        wrong = self._know(action)
        if replayed:
            return ()
        if wrong:
            return self._roll_back(action.play or "", wrong, now_ms)
        if action.status is ActionStatus.REFUSED:
            # A person's no, written before it was known that time had run out, ends what was done then.
            late = self._standing.active(asking.name_of_done(action)) if action.approval else None
            return self._lift([late] if late else [], now_ms)
        if action.status is not ActionStatus.ACTIVE:
            return ()
        if action.kind is ActionKind.HOLD:
            self._halted.extend((a, self._why_not(a)) for a in self._standing.restricting() if automatic(a))
        if action.kind is ActionKind.ALLOW:
            return self.lifts(now_ms)
        return self._lift([action] if guardrails.restricts(action) else [], now_ms)

    def halted(self, now_ms: int, count: int) -> tuple[Action, ...]:
        """Lifts of what a stop found in force, the next `count`: limiters heed none of it already, so it can wait.

        All of it ends, though somebody lets automation go on meanwhile.
        """
        some = [self._halted.popleft() for _ in range(min(count, len(self._halted)))]
        return self._ended(((a, why) for a, why in some if self._standing.active(a.uid)), now_ms)

    def lifts(self, now_ms: int) -> tuple[Action, ...]:
        """Lifts of what may not be in force: on a target of the allowlist, or automatic while automation is stopped."""
        return self._lift(self._standing.restricting(), now_ms)

    def _lift(self, actions: Iterable[Action], now_ms: int) -> tuple[Action, ...]:
        return self._ended(((action, self._why_not(action)) for action in actions), now_ms)

    def _ended(self, actions: Iterable[tuple[Action, str]], now_ms: int) -> tuple[Action, ...]:
        """Lifts of those that there is a reason to lift."""
        lifts = tuple(
            lifted(action, now_ms, AUTO, reason, self._standing.let_by(action)) for action, reason in actions if reason
        )
        for lift in lifts:
            self._know(lift)
        return lifts

    def _why_not(self, action: Action) -> str:
        rejected = self._waiting.why_not(action.uid) if action.owner == AUTO else ""
        return rejected or self._standing.why_not(action)

    def _know(self, action: Action) -> str:
        """Remember `action`; why what its play began is to be rolled back, empty where it is not."""
        self._standing.observe(action)
        self._waiting.observe(action)
        return self._waves.observe(action, self._canaries.get(action.play or ""))

    def _answer(self, alert: Alert, target: Target, now_ms: int) -> Action | None:
        play = self._config.playbook.play(alert, now_ms)
        last = self._standing.last(alert.uid)
        if play.level is not None:
            asks = demand.of(alert, play, last, self._config.throttle_seconds, now_ms)
            return self._unless(self._guard.of_demand(alert, asks, now_ms), asks, alert, last) if asks else None
        shared, standing = self._config.shared_accounts, self._standing.on(target)
        play, milder = sparing.spared(play, alert, target, standing, self._history, shared, now_ms)
        if milder is not None:
            play = replace(play, kind=milder.kind)
        if play.kind is not ActionKind.NOTICE and alert.first_ms <= self._standing.let_go_ms(target):
            return None
        return self._given(alert, target, play, milder, now_ms)

    def _given(self, alert: Alert, target: Target, play: Play, milder: Milder | None, now_ms: int) -> Action | None:
        """What `play` asks for, no more than `milder`; held back, what there is in its place, or that it is."""
        last = self._standing.last(alert.uid)
        step, seconds = self._length(alert, play, target, now_ms)
        if (asked := guardrails.asked_first(play.kind, alert, step, self._config.browser_asked)) is not None:
            play, milder = replace(play, kind=asked.kind), asked
        if last is not None and settled(last, alert, play.kind):
            return None
        factor = self._config.throttle_factor if play.factor is None else play.factor
        action = drafts.draft(alert, play, step, seconds, factor, now_ms, milder)
        if last is not None and last.took_effect:  # it goes on, or is changed: that was long after the deciding request
            action = action.model_copy(update={"crossed_ms": None})
        standing = [each for each in self._standing.on(target) if not runs_out(each, now_ms)]
        if any(serves(each, action) for each in (*standing, *self._waiting.on(target))):
            self._covered.keep(target, alert)
            return None
        why = play.ask.why(alert) if play.ask is not None else ""
        refusal = self._guard.of_alert(alert, action, now_ms)
        if refusal is not None and (instead := guardrails.in_its_place(play.kind, refusal)) is not None:
            given = self._given(alert, target, replace(play, kind=instead.kind), instead, now_ms)
            if given is None or given.status is not ActionStatus.REFUSED:
                return given
        if refusal is None and why and len(self._waiting) >= PENDING_MAX:
            refusal = Refusal("too_many_pending", f"{len(self._waiting)} answers wait for somebody's word already")
        if refusal is None and play.ask is not None and why:
            return asking.asked(action, play.ask, why)
        tried = self._tried(action, play, now_ms) if refusal is None else refusal
        return self._unless(tried, action, alert, last) if isinstance(tried, Refusal) else tried

    @staticmethod
    def _unless(refusal: Refusal | None, action: Action, alert: Alert, last: Action | None) -> Action | None:
        """`action`, or that it is held back, told once."""
        if refusal is None:
            return action
        held = drafts.refused(action, alert, refusal)
        return None if last is not None and last.uid == held.uid else held

    def _tried(self, action: Action, play: Play, now_ms: int) -> Action | Refusal:
        """`action`, at once or after its play's canary was watched; or why not."""
        if play.canary is None or not guardrails.restricts(action):
            return action
        wave = self._waves.at(play.name, play.canary, now_ms)
        if wave.wrong:
            return Refusal(CODE, wave.wrong)
        watched = now_ms >= wave.until_ms
        if (watched and wave.heard) or not wave.answers or play.canary.takes(play.name, action.target):
            return action
        if len(self._waiting) >= PENDING_MAX:
            return Refusal("too_many_pending", f"{len(self._waiting)} answers wait already")
        share = f"{play.canary.share:.0%} of those whom {play.name} is for are answered first"
        ask = Ask(0, play.canary.watch_ms if watched else wave.until_ms - now_ms, Otherwise.DO)
        return asking.asked(action, ask, share).model_copy(update={"guard": CODE})

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
