"""What the actions in force on a request come to: a refusal, or what is done to its limits. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from limiter.orders import NewRate
from limiter.policy import PPM
from schemas.action import ActionKind


@dataclass(frozen=True, slots=True)
class Entry:
    """An action as a check needs it. A throttle has a factor or a rate; of `limit` alone, where that is set."""

    uid: str
    kind: ActionKind
    route: str | None
    factor_ppm: int
    level: int
    rule: str | None
    expires_ms: int
    tier: str | None = None
    limit: str | None = None
    rate: NewRate | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the actions in force say about a request: a refusal, or what is done to its limits.

    `refusal` is a denial (or, where there is none, a challenge). `throttles` are all in force, the strictest factor
    first; `limiter.throttles` makes limits of them.
    """

    refusal: Entry | None = None
    throttles: tuple[Entry, ...] = ()
    level: int = 0
    part_ppm: int = PPM  # of the way from the level below
    allowed: Entry | None = None

    def throttling(self, limit: str) -> Entry | None:
        """The foremost throttle that holds down the limit of that name, or None: a factor above 1 raises it."""
        for entry in self.throttles:
            if entry.limit in (None, limit) and (entry.factor_ppm < PPM or entry.rate is not None):
                return entry
        return None


NOTHING: Final = Ruling()


def combined(matching: Sequence[Entry]) -> Ruling:
    """All of `matching` as one; an allow stands above the others."""
    refusal: Entry | None = None
    throttles: list[Entry] = []
    level, part_ppm = 0, PPM
    for entry in matching:
        match entry.kind:
            case ActionKind.ALLOW:
                return Ruling(allowed=entry)
            case ActionKind.DENY | ActionKind.CHALLENGE:
                refusal = entry if refusal is None else max(refusal, entry, key=_severity)
            case ActionKind.THROTTLE:
                throttles.append(entry)
            case ActionKind.BROWNOUT:
                if (entry.level, entry.factor_ppm) > (level, part_ppm if level else 0):
                    level, part_ppm = entry.level, min(entry.factor_ppm, PPM)
            case ActionKind.NOTICE | ActionKind.HOLD:
                pass
            case _:
                assert_never(entry.kind)
    return Ruling(refusal, tuple(sorted(throttles, key=lambda entry: (entry.factor_ppm, entry.uid))), level, part_ppm)


def _severity(entry: Entry) -> tuple[bool, int, str]:
    return entry.kind is ActionKind.DENY, entry.expires_ms, entry.uid
