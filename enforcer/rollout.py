"""A version's way to all clients: on trial in shadow, then for a share of them, then for all; or back. Pure.

    scheduled ──its time──► shadow ──► canary 5% ──► canary 25% ──► promoted: it holds, for everybody
                               │          │             │
                               └──────────┴─────────────┴──► rolled back (by what is measured), aborted (by somebody)

A stage ends well when its time is over, enough was seen, every limiter has told, and nothing is wrong then. What goes
wrong ends it at once, paused or not: too many good clients would be refused, more requests fail or take longer than
before, a limiter cannot take the version or has faults with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Final

from enforcer.canary import Sample
from enforcer.errors import CommandError
from schemas.policies import Tried

PPM: Final = 1_000_000
STAGES_MAX: Final = 10
STAGE_MS_MAX: Final = 30 * 86_400_000
GOOD_MIN: Final = 20  # of fewer clients one says little: they are judged when the stage is over
FIX: Final = "write stages as in shadow:10m,canary:5%:10m,canary:25%:1h,enforce"
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_STAGE: Final = re.compile(r"(shadow|canary:(\d{1,3}(?:\.\d{1,4})?)%):(\d{1,6})([smhd])")


class State(StrEnum):
    """Where a rollout stands. The last three are ends."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self in (State.SCHEDULED, State.RUNNING, State.PAUSED)


@dataclass(frozen=True, slots=True)
class Stage:
    """So long for so many of the clients: none, in shadow."""

    share_ppm: int
    for_ms: int

    def __str__(self) -> str:
        """As people write it."""
        unit = next(unit for unit in reversed(_UNITS_MS) if self.for_ms % _UNITS_MS[unit] == 0)
        return f"{self.share}:{self.for_ms // _UNITS_MS[unit]}{unit}"

    @property
    def share(self) -> str:
        """For whom."""
        return f"canary:{self.share_ppm / 10_000:g}%" if self.share_ppm else "shadow"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be, and what must be seen: the share of good clients refused something, requests judged by both."""

    harmed: float = 0.01
    checks: int = 100


@dataclass(frozen=True, slots=True)
class Way:
    """How a version comes to all clients: from `at_ms` on (None: now), by stages; or at once, whatever goes on."""

    stages: tuple[Stage, ...] = ()
    bounds: Bounds = Bounds()
    at_ms: int | None = None
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class Rollout:
    """One version's way. `at_ms` is when its stage began, or will where it is scheduled; `why` how it came to this.

    `before` is how the site did when it began.
    """

    name: str
    version: int
    stages: tuple[Stage, ...]
    bounds: Bounds
    state: State
    stage: int
    at_ms: int
    why: str = ""
    paused_ms: int | None = None
    before: Sample | None = None

    @property
    def share_ppm(self) -> int | None:
        """The share of clients it holds for; None where it is on trial no more, or not yet."""
        on_trial = self.state in (State.RUNNING, State.PAUSED)
        return self.stages[self.stage].share_ppm if on_trial else None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a candidate: the sum of what limiters saw, who cannot take it, whose word is missing."""

    tried: Tried
    refused: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    nodes: int = 0
    health: Sample | None = None


def stages_of(text: str) -> tuple[Stage, ...]:
    """The stages before everybody's, as people write them. Raises `CommandError`."""
    *parts, last = [part.strip() for part in text.split(",")]
    if last != "enforce" or len(parts) > STAGES_MAX:
        raise _bad(f"{text[:60]!r} does not end with `enforce` after at most {STAGES_MAX} stages")
    stages = []
    for part in parts:
        match = _STAGE.fullmatch(part)
        if match is None:
            raise _bad(f"{part[:40]!r} is no stage")
        stages.append(Stage(round(float(match[2] or 0) * 10_000), int(match[3]) * _UNITS_MS[match[4]]))
    shares = [stage.share_ppm for stage in stages]
    if any(later <= earlier for earlier, later in pairwise(shares)) or max([0, *shares]) > PPM:
        raise _bad("shares must rise from stage to stage, to 100% at most")
    if any(stage.for_ms == 0 or stage.for_ms > STAGE_MS_MAX for stage in stages):
        raise _bad("a stage lasts at least 1s, and at most 30d")
    if "canary:0%" in text:
        raise _bad("a canary of 0% is nobody's: write `shadow`")
    return tuple(stages)


def written(stages: Sequence[Stage]) -> str:
    """The same as text."""
    return ",".join([*map(str, stages), "enforce"])


def step(rollout: Rollout, seen: Seen, now_ms: int) -> Rollout:
    """Where the rollout stands now, by what is seen of it."""
    if rollout.state is State.SCHEDULED:
        return _begun(rollout, now_ms) if now_ms >= rollout.at_ms else rollout
    if not rollout.state.is_open:
        return rollout
    if rollout.before is None and seen.health is not None:
        rollout = replace(rollout, before=seen.health)
    is_over = rollout.state is State.RUNNING and now_ms >= rollout.at_ms + rollout.stages[rollout.stage].for_ms
    if why := wrong(rollout, seen, is_over=is_over):
        return replace(rollout, state=State.ROLLED_BACK, at_ms=now_ms, paused_ms=None, why=why)
    if not is_over or waits_for(rollout, seen):
        return rollout
    return _next(rollout, now_ms, "its time is over and nothing is wrong")


def wrong(rollout: Rollout, seen: Seen, *, is_over: bool) -> str:
    """What is wrong with the version, in words; empty where nothing is."""
    tried = seen.tried
    if seen.refused:
        node, why = seen.refused[0]
        return f"{node} cannot take it: {why}"
    if tried.faults:
        return f"limiters had {tried.faults} faults with it"
    may_be = rollout.bounds.harmed * tried.good
    if tried.harmed > may_be and (is_over or tried.good >= GOOD_MIN):
        share = tried.harmed / tried.good
        return f"{tried.harmed} of {tried.good} good clients refused ({share:.2%}), {rollout.bounds.harmed:.2%} may be"
    if rollout.share_ppm and rollout.before is not None and seen.health is not None:
        # That fewer are let in by night says nothing in a rollout of hours.
        return seen.health.worse_than(replace(rollout.before, rate=0.0))
    return ""


def waits_for(rollout: Rollout, seen: Seen) -> str:
    """What a stage must still see before it can end well, in words; empty where its time alone is to be waited for."""
    if not seen.nodes:
        return "no limiter is running"
    if seen.missing:
        return f"nothing is heard of it from {', '.join(seen.missing)}"
    if seen.tried.checks < rollout.bounds.checks:
        return f"{seen.tried.checks} of {rollout.bounds.checks} requests seen"
    return ""


def paused(rollout: Rollout, now_ms: int, why: str) -> Rollout:
    """It stays where it is, and is still rolled back by itself. Raises `CommandError`."""
    _need(rollout, State.RUNNING)
    return replace(rollout, state=State.PAUSED, paused_ms=now_ms, why=why)


def resumed(rollout: Rollout, now_ms: int, why: str) -> Rollout:
    """It goes on; the time it was paused does not count. Raises `CommandError`."""
    _need(rollout, State.PAUSED)
    rest_ms = now_ms - (rollout.paused_ms if rollout.paused_ms is not None else now_ms)
    return replace(rollout, state=State.RUNNING, paused_ms=None, at_ms=rollout.at_ms + rest_ms, why=why)


def promoted(rollout: Rollout, now_ms: int, why: str) -> Rollout:
    """Its next stage begins now, whatever was seen. Raises `CommandError`."""
    _need(rollout, State.SCHEDULED, State.RUNNING, State.PAUSED)
    return _begun(rollout, now_ms, why) if rollout.state is State.SCHEDULED else _next(rollout, now_ms, why)


def aborted(rollout: Rollout, now_ms: int, why: str) -> Rollout:
    """It ends, and what held before holds on. Raises `CommandError`."""
    _need(rollout, State.SCHEDULED, State.RUNNING, State.PAUSED)
    return replace(rollout, state=State.ABORTED, at_ms=now_ms, paused_ms=None, why=why)


def _begun(rollout: Rollout, now_ms: int, why: str = "its time has come") -> Rollout:
    state = State.RUNNING if rollout.stages else State.PROMOTED
    return replace(rollout, state=state, at_ms=now_ms, why=why)


def _next(rollout: Rollout, now_ms: int, why: str) -> Rollout:
    if rollout.stage + 1 == len(rollout.stages):
        return replace(rollout, state=State.PROMOTED, at_ms=now_ms, paused_ms=None, why=why)
    return replace(rollout, state=State.RUNNING, stage=rollout.stage + 1, at_ms=now_ms, paused_ms=None, why=why)


def _need(rollout: Rollout, *states: State) -> None:
    if rollout.state not in states:
        found = f"the rollout of version {rollout.version} is {rollout.state}"
        raise CommandError("bad_value", "rollout", found, f"it can be done while it is {' or '.join(states)}")


def _bad(reason: str) -> CommandError:
    return CommandError("bad_value", "rollout", reason, FIX)
