"""A play tried on a share of its targets first, while it is watched how good traffic fares. Pure.

    began         until                         rested
      |--- watch ---|                             |
      a share is answered, the rest waits
                    |--- widened: all are --------|   an hour after its last answer the next one is a canary again
      |--- rolled back: none is ------------------|   an hour after it went wrong

It goes wrong when more requests fail than before, all take longer, far fewer are let in, or a person takes an answer
back. Who hears nothing of good traffic does not widen: only the leader hears, and so the others have what comes
to them wait a little for his word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enforcer.names import AUTO, uid
from schemas.action import Action, ActionStatus, Target

CODE: Final = "canary"
REST_MS: Final = 3_600_000
ERRORS_MORE: Final = 0.02
LATENCY_TIMES: Final = 1.5
RATE_LEFT: Final = 0.7
RATE_MIN: Final = 10.0  # a second; fewer say nothing by becoming fewer still
PLAYS_MAX: Final = 1_000
_WHOLE: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Canary:
    """The share of targets that is answered first, and how long that is watched."""

    share: float
    watch_ms: int

    def takes(self, play: str, target: Target) -> bool:
        """Whether `target` is one of them: always the same ones of a play."""
        return int(uid("canary", play, target.key)[:8], 16) < self.share * _WHOLE


@dataclass(frozen=True, slots=True)
class Sample:
    """How the site fares: requests let in a second, the share of them that fails (5xx), what they take on average."""

    at_ms: int
    rate: float
    errors: float
    latency_ms: float | None

    def worse_than(self, before: Sample) -> str:
        """What went wrong since `before`, in words; empty where nothing did."""
        if self.errors > before.errors + ERRORS_MORE:
            return f"{self.errors:.1%} of requests fail, {before.errors:.1%} before"
        if self.latency_ms and before.latency_ms and self.latency_ms > before.latency_ms * LATENCY_TIMES:
            return f"requests take {self.latency_ms:.0f} ms, {before.latency_ms:.0f} before"
        if before.rate >= RATE_MIN and self.rate < before.rate * RATE_LEFT:
            return f"{self.rate:.0f} requests a second are let in, {before.rate:.0f} before"
        return ""


@dataclass(slots=True)
class Wave:
    """One time that a play is tried: since when, until when it is watched, its last answer; why it went wrong."""

    began_ms: int
    until_ms: int
    last_ms: int
    before: Sample | None
    answers: int = 0
    heard: bool = False
    wrong: str = ""

    def refuses(self, now_ms: int) -> str:
        """Why nobody more is answered; empty where some may be."""
        if not self.wrong and now_ms >= self.until_ms and not self.heard:
            return "nothing was heard of how good traffic fares"
        return self.wrong

    def over(self, now_ms: int) -> bool:
        """Whether the next answer begins another."""
        return now_ms >= max(self.until_ms, self.last_ms + REST_MS)


class Waves:
    """The newest wave of each play that has a canary. Known again after a restart from the actions it led to."""

    def __init__(self) -> None:
        self._waves: dict[str, Wave] = {}
        self._newest: Sample | None = None

    def at(self, play: str, canary: Canary, now_ms: int) -> Wave:
        """The wave that an answer at `now_ms` belongs to; begun with it where there was none."""
        wave = self._waves.get(play)
        if wave is None or wave.over(now_ms):
            if len(self._waves) >= PLAYS_MAX:
                del self._waves[next(iter(self._waves))]
            wave = self._waves[play] = Wave(now_ms, now_ms + canary.watch_ms, now_ms, self._newest)
        return wave

    def known(self, play: str | None) -> Wave | None:
        """The newest wave of that play."""
        return self._waves.get(play or "")

    def observe(self, action: Action, canary: Canary | None) -> str:
        """Know `action`, of a play with `canary`; why its wave is to be rolled back, empty where it is not."""
        if canary is None or action.play is None:
            return ""
        if action.owner == AUTO and action.status in (ActionStatus.ACTIVE, ActionStatus.PENDING):
            wave = self.at(action.play, canary, action.created_ms)
            wave.answers += 1
            wave.last_ms = max(wave.last_ms, action.created_ms)
            if 0 < wave.began_ms - action.created_ms <= canary.watch_ms:  # of another partition, told later
                wave.began_ms, wave.until_ms = action.created_ms, action.created_ms + canary.watch_ms
        found = self._waves.get(action.play)
        if found is None or found.wrong or action.created_ms < found.began_ms or action.ended_ms is None:
            return ""
        if action.status is ActionStatus.APPROVED:
            found.heard |= action.guard == CODE and action.ended_by == AUTO  # the leader heard, and widened it
            return ""
        if action.guard == CODE and action.ended_by == AUTO:
            found.wrong, found.last_ms = action.ended_reason or "", action.ended_ms  # another enforcer said so
            return ""
        if action.owner == AUTO and action.status is ActionStatus.LIFTED and action.ended_by != AUTO:
            return self._spoil(found, f"{action.ended_by} took an answer back: {action.ended_reason}", action.ended_ms)
        return ""

    def hear(self, sample: Sample) -> list[tuple[str, str]]:
        """Know how the site fares; plays whose wave is to be rolled back, each with why.

        One without requests says nothing.
        """
        if not sample.rate:
            return []
        self._newest = sample
        spoiled = []
        for play, wave in self._waves.items():
            if wave.wrong or not wave.began_ms < sample.at_ms <= wave.until_ms:
                continue
            wave.heard = True
            if wave.before is None:
                wave.before = sample
            elif why := sample.worse_than(wave.before):
                spoiled.append((play, self._spoil(wave, why, sample.at_ms)))
        return spoiled

    def _spoil(self, wave: Wave, why: str, at_ms: int) -> str:
        wave.wrong, wave.last_ms = f"the canary went wrong: {why}", at_ms
        return wave.wrong
