"""The leader's loop over the site's health: once a second, what the controller wants and what is in force are one."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from enforcer import brownout, demand, metrics, relief
from enforcer.brownout import Health, Load, Rules, State
from enforcer.canary import Sample
from enforcer.drafts import lifted
from enforcer.health import Gauge, Sums
from enforcer.leadership import Leadership
from enforcer.ledger import Ledger
from enforcer.names import AUTO
from schemas.action import Action, ActionKind, ActionStatus
from schemas.keys import Keys
from schemas.settings import Settings

if TYPE_CHECKING:
    from enforcer.usage_tail import UsageTail

EVERY_S: Final = 1.0
TOLD_MS: Final = 10_000
RECENT: Final = 4  # brownouts of ours that somebody may just be ending, while we write the next
WRITTEN_MS: Final = 5_000  # so long what was written may take to come back to us in `actions`
log = structlog.get_logger("enforcer.shedder")


@dataclass(slots=True)
class _Term:
    """One time of being the leader."""

    tail: UsageTail
    gauge: Gauge
    state: State
    ours: deque[Action] = field(default_factory=lambda: deque(maxlen=RECENT))  # brownouts written or taken over


class Shedder:
    """Begins and ends brownouts, while this enforcer is the leader. `acts` False: it tells what it would do."""

    def __init__(
        self,
        rules: Rules,
        ledger: Ledger,
        leadership: Leadership,
        *,
        tail: Callable[[], UsageTail],
        publish: Callable[[Sequence[Action]], Awaitable[None]],
        tell: Callable[[dict[str, Any]], Awaitable[None]],
        clock_ms: Callable[[], int],
        acts: bool,
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._leadership = leadership
        self._tail = tail
        self._publish = publish
        self._tell = tell
        self._clock_ms = clock_ms
        self._acts = acts and rules.acts
        self._term: _Term | None = None

    async def run(self, over: Callable[[], bool]) -> None:
        """Turn after turn until it is `over`."""
        try:
            while not over():
                try:
                    await self.turn()
                except Exception:  # the outermost line of the loop: a mistake here must not end enforcement
                    log.exception("shedder_fell_over")
                    await self._resign()
                    await asyncio.sleep(EVERY_S)
        finally:
            await self._resign()

    async def turn(self) -> None:
        """One second: read, judge, write, tell. Without the lead it waits that long."""
        if not self._leadership.held:
            await self._resign()
            await asyncio.sleep(EVERY_S)
            return
        if self._term is None:
            tail = await asyncio.to_thread(self._tail)
            self._term = self._begin(tail)
        term = self._term
        sums = await asyncio.to_thread(term.tail.read, EVERY_S)
        if self._leadership.held:
            await self._judge(term, sums)

    def _begin(self, tail: UsageTail) -> _Term:
        now_ms = self._clock_ms()
        standing = relief.ours(self._ledger.on(relief.EVERYTHING)) if self._acts else []
        state, usual_ms = relief.resume(standing[0], now_ms) if standing else (State(changed_ms=now_ms), None)
        log.info("leads", level=state.level)
        return _Term(tail, Gauge(self._rules, usual_ms), state, deque(standing[:1], RECENT))

    async def _resign(self) -> None:
        if self._term is not None:
            term, self._term = self._term, None
            await asyncio.to_thread(term.tail.close)

    async def _judge(self, term: _Term, sums: Sums) -> None:
        now_ms = self._clock_ms()
        term.gauge.add(sums, now_ms)
        health = term.gauge.health(now_ms)
        load = health.load(self._rules)
        standing = self._ledger.on(relief.EVERYTHING)
        demands = self._ledger.demands(now_ms)
        term.state, against = self._after_people(term, standing, now_ms)
        if against is not None:
            await self._publish([lifted(each, now_ms, *against) for each in demands] if self._acts else ())
            demands = []
        asked = demand.highest(demands)
        level = 0 if asked is None else asked.level or 0
        before, term.state = term.state, brownout.step(term.state, load, now_ms, self._rules, level)
        if not term.state.quarter:
            term.gauge.learn(health, load)
        if before.quarter != term.state.quarter:
            log.info("brownout", level=relief.shown(term.state), acts=self._acts, why=relief.why(health))
        if self._acts:
            await self._write(term, standing, health, now_ms, asked)
        metrics.BROWNOUT.set(term.state.quarter / brownout.QUARTERS)
        told = as_told(term.state, health, load, self._rules, now_ms, acts=self._acts)
        await self._tell(told | {"asked": level or None, "asked_by": None if asked is None else asked.play})

    def _after_people(
        self, term: _Term, standing: Sequence[Action], now_ms: int
    ) -> tuple[State, tuple[str, str] | None]:
        """The state, in view of what people did: stopped automation, or ended the brownout; and who did, and which."""
        hold = next((each for each in standing if each.kind is ActionKind.HOLD and each.expires_ms > now_ms), None)
        if hold is not None:
            return State(changed_ms=now_ms), (hold.owner, f"automation is stopped: {hold.reason}")
        known = next((found for each in term.ours if (found := self._ledger.get(each.uid)) and _ended(found)), None)
        if known is not None:
            term.ours.clear()
            by, why = known.ended_by or AUTO, f"the brownout was ended: {known.ended_reason}"
            return brownout.cleared(term.state, now_ms, self._rules), (by, why)
        return term.state, None

    async def _write(
        self, term: _Term, standing: Sequence[Action], health: Health, now_ms: int, asked: Action | None
    ) -> None:
        ours = term.ours[-1] if term.ours else None
        on_its_way = ours is not None and self._ledger.get(ours.uid) is None and now_ms - ours.created_ms < WRITTEN_MS
        known = [*standing, ours] if on_its_way and ours is not None else standing
        written = relief.needed(term.state, known, health, self._rules, now_ms, asked)
        await self._publish(written)
        for action in written:
            metrics.ACTIONS.labels(action.kind, action.status).inc()
            if action.status is ActionStatus.ACTIVE:
                term.ours.append(action)


def _ended(action: Action) -> bool:
    """Whether somebody ended it."""
    return action.status is ActionStatus.LIFTED and action.ended_by != AUTO


def opened(settings: Settings) -> UsageTail:
    """What is read of `usage`."""
    from enforcer.usage_tail import UsageTail  # noqa: PLC0415 - 60 MB of libraries; only who leads needs them

    return UsageTail(settings)


def teller(redis: Redis, keys: Keys) -> Callable[[dict[str, Any]], Awaitable[None]]:
    """Puts what the leader last saw where people look for it; a Redis that is away hears it the next time."""
    client: Any = redis

    async def tell(told: dict[str, Any]) -> None:
        try:
            await client.set(keys.health, json.dumps(told), px=TOLD_MS)
        except RedisError:
            metrics.REDIS_ERRORS.inc()

    return tell


def also(
    tell: Callable[[dict[str, Any]], Awaitable[None]],
    hear: Callable[[Sample], Sequence[Action]],
    publish: Callable[[Sequence[Action]], Awaitable[None]],
) -> Callable[[dict[str, Any]], Awaitable[None]]:
    """As `tell`, and what is being tried hears how the site fares; what it answers is published."""

    async def told(seen: dict[str, Any]) -> None:
        await publish(hear(Sample(seen["at_ms"], seen["requests_per_second"], seen["errors"], seen["latency_ms"])))
        await tell(seen)

    return told


def as_told(state: State, health: Health, load: Load, rules: Rules, now_ms: int, *, acts: bool) -> dict[str, Any]:
    """How the site does and what the controller makes of it, as it is told to people."""
    return {
        "at_ms": now_ms, "acts": acts, "level": state.level, "part": state.part, "load": str(load),
        "begun_ms": state.begun_ms if state.quarter else None,
        "deadline_ms": state.deadline_ms(rules) if state.quarter else None,
        "rest_until_ms": state.rest_until_ms if state.rest_until_ms > now_ms else None,
        "failures": state.failures, "requests_per_second": round(health.requests / health.seconds, 1),
        "errors": round(health.errors, 4), "latency_ms": health.latency_ms, "usual_ms": health.usual_ms,
        "concurrent": round(health.concurrent, 1), "queue": health.queue,
        "latency_per_second_min": rules.latency_per_second_min if health.few(rules) else None,
        "enter": asdict(rules.enter), "leave": asdict(rules.leave),
    }  # fmt: skip
