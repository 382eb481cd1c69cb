"""How long an answer lasts: longer with each repeat, one rung down for each quiet spell, never beyond a cap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RUNGS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Ladder:
    """The shape of the escalation: rung n lasts `base * factor ** (n - 1)`, at most `seconds_max`.

    A first offence stands on rung 1. A repeat climbs `penalty` rungs, no further than `floor`, the worst there is.
    Once an answer has ended nothing is forgiven for `hold_ms`; then each whole `quiet_ms` takes one rung off.
    """

    factor: float
    quiet_ms: int
    seconds_max: int
    penalty: int = 1
    floor: int = RUNGS_MAX
    hold_ms: int = 0

    def seconds(self, base_seconds: int, step: int) -> int:
        """Duration on rung `step` (from 1)."""
        length = float(min(base_seconds, self.seconds_max))
        for _ in range(step - 1):
            length *= self.factor
            if length >= self.seconds_max:
                return self.seconds_max
        return max(1, int(length))

    def step(self, rung: Rung | None, now_ms: int) -> int:
        """The rung of an offence at `now_ms`.

        One that comes while the last answer stands is part of the same offence, not a repeat of it.
        """
        if rung is None:
            return 1
        if now_ms < rung.until_ms:
            return rung.step
        forgiven = max(0, now_ms - rung.until_ms - self.hold_ms) // self.quiet_ms
        left = rung.step - forgiven
        return 1 if left <= 0 else min(self.floor, left + self.penalty)

    def forgotten_ms(self, step: int, ended_ms: int) -> int:
        """When an answer of rung `step` that ended at `ended_ms` no longer weighs on the next."""
        return ended_ms + self.hold_ms + step * self.quiet_ms


@dataclass(frozen=True, slots=True)
class Rung:
    """Where a target stands: the answer `uid` of rung `step` holds, or held, until `until_ms` (exclusive).

    `before` is the rung it climbed from, to return to when that answer is taken back as a mistake.
    """

    uid: str
    step: int
    until_ms: int
    before: Rung | None = None


def climbed(rung: Rung | None, uid: str, step: int, until_ms: int) -> Rung:
    """`rung` after an answer: the one that lasts longest counts, whatever the order they become known in."""
    if rung is not None and (rung.until_ms > until_ms or rung.uid == uid):
        return rung
    before = None if rung is None else Rung(rung.uid, rung.step, rung.until_ms)
    return Rung(uid, step, until_ms, before)


def taken_back(rung: Rung | None, uid: str) -> Rung | None:
    """`rung` after the answer `uid` was lifted: a mistake is no offence."""
    return rung.before if rung is not None and rung.uid == uid else rung
