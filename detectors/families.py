"""The families of abuse: what is a mark, how likely abuse makes it, how it is answered. Declarations only.

A mark is a yes or no per opportunity. Each entity keeps one leaky CUSUM of log-likelihood ratios per family; `q1` is
how often abuse marks an opportunity. How often good traffic does (p0) is never written here: `nulls` learns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOUR_S: Final = 3600
MARK_MAX: Final = 2.5  # nats one mark may add: without it flash crowds are denied
OVER: Final = 10.0  # nats evidence may stand above the threshold
QUIET_MS: Final = 20 * 60_000  # an episode ends after so long without a mark
LEAK_MS: Final = 2 * HOUR_S * 1000

# Evidence a repeated failure of one (address, account) pair carries: likely after the first in good traffic too.
REPEAT_Q1: Final = 0.9
REPEAT_P0: Final = 0.4
REPEAT_GAP_MS: Final = 30_000  # slower repeats are a stale credential, no evidence
PENALTY_S: Final = 10  # a refusal stands so long: refused again within it is a mark of `limit`


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of abuse. `control`: p0 is at least what established clients do on the route right now."""

    index: int
    name: str
    version: int
    q1: float
    control: bool
    answer_ip: str
    answer_key: str
    answer_established: str
    severity: str

    def answer(self, kind: int, *, established: bool) -> str:
        """What to ask for about an entity of `kind`."""
        if established:
            return self.answer_established
        return self.answer_ip if kind == 0 else self.answer_key


GUESS: Final = Family(0, "guess", 1, 0.9, True, "deny", "deny", "deny", "high")
PROBE: Final = Family(1, "probe", 1, 0.8, True, "deny", "deny", "throttle", "high")
NOVEL: Final = Family(2, "novel", 1, 0.8, True, "challenge", "challenge", "challenge", "medium")
SWEEP: Final = Family(3, "sweep", 1, 0.97, False, "challenge", "challenge", "challenge", "medium")
LIMIT: Final = Family(4, "limit", 1, 0.95, False, "throttle", "throttle", "throttle", "medium")
HAMMER: Final = Family(5, "hammer", 1, 0.95, False, "throttle", "throttle", "throttle", "high")
ODD: Final = Family(6, "odd", 1, 0.8, False, "notice", "notice", "notice", "low")

FAMILIES: Final = (GUESS, PROBE, NOVEL, SWEEP, LIMIT, HAMMER, ODD)
N: Final = len(FAMILIES)
LIMIT_P0: Final = 0.5
"""Good clients are refused again half of the time within a penalty; fixed, as what differs is calibrated in `h`."""
