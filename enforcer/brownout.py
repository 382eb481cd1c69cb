"""When a brownout begins, rises and ends by itself: hysteresis over what health says. Pure: time is handed in.

A level rises whole, one at a time or two where it is far too much, and goes back in quarters. Each time the way back
had to be broken off, the next one begins after twice as long a calm: so the changes of one brownout have a bound,
however the site behaves. It ends by its own deadline, the way back included, and none begins for a while after one that
the deadline ended.

    quarters 8 |        +-----------+
             4 |    +---+           +--+--+--+--+
             0 |----+   rise                fall +--+--+--+---
                enter    hold: calm    quarter by quarter
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

LEVELS: Final = 4
QUARTERS: Final = 4  # of a level
FAR: Final = 2.0  # so many times a mark is far too much
DOUBLINGS_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Marks:
    """What health is held against; None: not looked at.

    `errors` is the share of requests let in that failed (5xx), `latency` the mean latency over what is usual,
    `concurrent` how many requests are in work at once, `queue` how many of those are only because all take longer.
    """

    errors: float | None = None
    latency: float | None = None
    concurrent: float | None = None
    queue: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """When levels change. At or above any mark of `enter` it is too much, at or below all of `leave` it is calm.

    `requests_min` let in within `window_s` make health worth judging, and of `usual_s` calm seconds the usual latency
    is made. `latency_ms_min` is slow enough to be looked at. Below `latency_per_second_min` timed requests a second
    latency begins nothing, for one slow answer is most of the mean; nor does it end anything.
    """

    enter: Marks = Marks(errors=0.2, latency=3.0)
    leave: Marks = Marks(errors=0.05, latency=1.5)
    level_max: int = LEVELS
    window_s: int = 5
    requests_min: int = 50
    latency_ms_min: int = 50
    latency_per_second_min: int = 30
    usual_s: int = 30
    enter_s: int = 3
    dwell_s: int = 10
    calm_s: int = 30
    quarter_s: int = 10
    seconds_max: int = 3600
    rest_s: int = 600
    acts: bool = True  # False: it is told what would be done

    @property
    def changes_max(self) -> int:
        """So often at most the level changes in one brownout."""
        way = LEVELS + LEVELS * QUARTERS
        return way * (2 + max(0, (self.seconds_max // self.calm_s).bit_length()))


class Load(StrEnum):
    """How the site does. `far`: twice what would be too much; `unknown`: too little is heard of it to say."""

    FAR = "far"
    OVER = "over"
    BETWEEN = "between"
    CALM = "calm"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """The site in the last `window_s`: requests let in, and what became of them. `usual_ms` is the usual latency.

    Of `timed` requests it is known how long they took; None: of all.
    """

    requests: int = 0
    seconds: float = 1.0
    errors: float = 0.0
    latency_ms: float | None = None
    usual_ms: float | None = None
    concurrent: float = 0.0
    timed: int | None = None

    @property
    def slower(self) -> float | None:
        """Its latency over the usual one; None while either is not known."""
        return self.latency_ms / self.usual_ms if self.latency_ms is not None and self.usual_ms else None

    @property
    def queue(self) -> float | None:
        """How many requests are in work only because all take longer than usual (Little's law)."""
        slower = self.slower
        return None if slower is None else max(0.0, self.concurrent * (1 - 1 / slower)) if slower > 0 else 0.0

    def few(self, rules: Rules) -> bool:
        """Whether so little is timed that latency begins nothing."""
        timed = self.requests if self.timed is None else self.timed
        return timed < rules.latency_per_second_min * self.seconds

    def load(self, rules: Rules) -> Load:
        """What it comes to under `rules`."""
        if self.requests < rules.requests_min:
            return Load.UNKNOWN
        slow = (self.latency_ms or 0) >= rules.latency_ms_min
        seen = Marks(self.errors, (self.slower or 0.0) if slow else 0.0, self.concurrent, self.queue or 0.0)
        marks = [
            (name, getattr(seen, name), getattr(rules.enter, name), getattr(rules.leave, name))
            for name in ("errors", "latency", "concurrent", "queue")
        ]
        judged = [(name, value, enter, leave) for name, value, enter, leave in marks if enter is not None]
        unsaid = "latency" if self.few(rules) else None
        times = max((value / enter for name, value, enter, _ in judged if name != unsaid), default=0.0)
        if times >= 1:
            return Load.FAR if times >= FAR else Load.OVER
        calm = all(value <= (enter if leave is None else leave) for _, value, enter, leave in judged)
        return Load.CALM if calm else Load.BETWEEN


@dataclass(frozen=True, slots=True)
class State:
    """Where a brownout stands: `quarter` 0 (none) to 16; times are None while what they date is not so.

    `begun_ms` is when it began, for some time after its end too; `failures` counts how often its way back broke off.
    """

    quarter: int = 0
    begun_ms: int | None = None
    changed_ms: int = 0
    over_ms: int | None = None
    calm_ms: int | None = None
    falling: bool = False
    failures: int = 0
    rest_until_ms: int = 0

    @property
    def level(self) -> int:
        """0..4."""
        return -(-self.quarter // QUARTERS)

    @property
    def part(self) -> float:
        """How much of the level is in force; the rest of the way it is the one below."""
        return (self.quarter - (self.level - 1) * QUARTERS) / QUARTERS if self.quarter else 1.0

    def deadline_ms(self, rules: Rules) -> int | None:
        """When it is over at the latest."""
        return None if self.begun_ms is None else self.begun_ms + rules.seconds_max * 1000


def step(state: State, load: Load, now_ms: int, rules: Rules, asked: int = 0) -> State:
    """The state a moment later. Call it about once a second; times of calls that fail to come only make it later.

    `asked` is the level somebody asks for whatever the load: it is gone up to, level by level, and held.
    """
    held = min(asked, rules.level_max) * QUARTERS
    over_ms = (now_ms if state.over_ms is None else state.over_ms) if load in (Load.FAR, Load.OVER) else None
    calm = load in (Load.CALM, Load.UNKNOWN)
    calm_ms = (now_ms if state.calm_ms is None else state.calm_ms) if calm else None
    state = replace(state, over_ms=over_ms, calm_ms=calm_ms)
    if state.quarter > _most(state, now_ms, rules):
        return _capped(state, now_ms, rules)
    if state.quarter > held and _may_fall(state, now_ms, rules):
        return replace(state, quarter=state.quarter - 1, changed_ms=now_ms, falling=True)
    if _may_rise(state, now_ms, rules, held):
        levels = 2 if load is Load.FAR else 1
        return next((up for n in range(levels, 0, -1) if (up := _risen(state, now_ms, rules, n)) is not state), state)
    return state


def cleared(state: State, now_ms: int, rules: Rules) -> State:
    """Somebody ended it: none begins by itself for `rest_s`."""
    return State(changed_ms=now_ms, rest_until_ms=max(state.rest_until_ms, now_ms + rules.rest_s * 1000))


def resumed(quarter: int, begun_ms: int, failures: int, now_ms: int) -> State:
    """The state of a brownout that another one began, as far as it is known."""
    return State(quarter=quarter, begun_ms=begun_ms, changed_ms=now_ms, failures=failures)


def _most(state: State, now_ms: int, rules: Rules) -> int:
    """So many quarters can still be given back before the deadline, one by one."""
    deadline_ms = state.deadline_ms(rules)
    if deadline_ms is None or not state.quarter:
        return LEVELS * QUARTERS
    return max(0, deadline_ms - now_ms) // (rules.quarter_s * 1000)


def _capped(state: State, now_ms: int, rules: Rules) -> State:
    quarter = _most(state, now_ms, rules)
    if quarter:
        return replace(state, quarter=quarter, changed_ms=now_ms, falling=True)
    return State(changed_ms=now_ms, rest_until_ms=now_ms + rules.rest_s * 1000)


def _may_fall(state: State, now_ms: int, rules: Rules) -> bool:
    if state.calm_ms is None:
        return False
    calm_s = rules.quarter_s if state.falling else rules.calm_s << min(state.failures, DOUBLINGS_MAX)
    since_ms = state.changed_ms if state.falling else max(state.calm_ms, state.changed_ms)
    return now_ms - since_ms >= calm_s * 1000


def _may_rise(state: State, now_ms: int, rules: Rules, held: int) -> bool:
    if state.level >= rules.level_max and state.part >= 1:
        return False
    over = state.over_ms is not None and now_ms - state.over_ms >= rules.enter_s * 1000
    dwell_s = rules.dwell_s if state.quarter else 0
    return (
        (over or state.quarter < held) and now_ms >= state.rest_until_ms and now_ms - state.changed_ms >= dwell_s * 1000
    )


def _risen(state: State, now_ms: int, rules: Rules, levels: int) -> State:
    """So many levels up, where the deadline leaves time to give them back: `state` itself where it does not.

    Out of the way back, or soon after the end, it counts as that having failed.
    """
    calm_ms = (rules.calm_s << min(state.failures, DOUBLINGS_MAX)) * 1000
    again = state.begun_ms is not None and (state.quarter > 0 or now_ms - state.changed_ms < calm_ms)
    quarter = min(state.quarter // QUARTERS + levels, rules.level_max) * QUARTERS
    risen = State(
        quarter=quarter,
        begun_ms=state.begun_ms if again else now_ms,
        changed_ms=now_ms,
        over_ms=state.over_ms,
        failures=state.failures + 1 if again and state.falling else state.failures if again else 0,
    )
    most = _most(risen, now_ms, rules)
    return risen if quarter <= most else state
