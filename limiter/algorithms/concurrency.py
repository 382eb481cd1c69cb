"""Concurrency: so many at once; each holds a slot until it releases it or its lease is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import Bucket
from limiter.algorithms.window import empties_us, fewer, stand_in

SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
State = tuple[tuple[int, str], ...]  # when each lease is over, and the slot's name; in that order
TOKENS_MAX: Final = 10_000  # each slot is remembered on its own
LEASE_US_MAX: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Slots:
    """`tokens` slots; one that is not released is free again after `lease_us`."""

    algorithm: ClassVar[str] = "concurrency"
    tokens: int
    lease_us: int

    @property
    def limit(self) -> int:
        """What a client is shown."""
        return self.tokens

    @property
    def window_us(self) -> int:
        """How long a slot is held at most."""
        return self.lease_us

    def scaled(self, numerator: int, denominator: int, cost: int) -> Slots:
        """The same with `numerator / denominator` of its tokens, but never too few for one `cost`."""
        return Slots(min(fewer(self.tokens, numerator, denominator, cost), TOKENS_MAX), self.lease_us)

    def local(self) -> Bucket:
        """A bucket that never lets more pass in a lease."""
        return stand_in(self.tokens, self.lease_us)

    def arguments(self, cost: int, slot: str = "", *, look: bool = False) -> tuple[str, ...]:
        """What the script is called with to acquire `cost` under `slot`, release them (negative), or look."""
        return str(cost), str(self.tokens), str(self.lease_us), slot, "1" if look else ""

    def taken(self, cost: int, reply: Sequence[int], *, look: bool = False) -> Taken:  # noqa: ARG002 - the script looked
        """What the script's `reply` to that means."""
        allowed, used, frees_us, last_us, now_us = reply
        tat_us, remaining = empties_us(self.local(), used, now_us), max(0, self.tokens - used)
        reset_us = last_us - now_us if used else 0
        if allowed:
            return Taken(True, tat_us, remaining, 0, reset_us)
        return Taken(False, tat_us, remaining, frees_us - now_us if cost <= self.tokens else None, reset_us)


def step(
    slots: Slots, state: State, cost: int, now_us: int, slot: str = "", *, look: bool = False
) -> tuple[Taken, State]:
    """Acquires `cost` slots under the name `slot`, where `state` are held: the answer, and what is held after.

    A refused request acquires nothing; a negative `cost` releases what was acquired under that name.
    """
    latest_us = now_us + slots.lease_us  # the clock may have stepped back: no lease is longer than a lease
    held = sorted((min(over_us, latest_us), name) for over_us, name in state if over_us > now_us)
    if cost < 0:
        released = {f"{slot}/{n}" for n in range(1, 1 - cost)}
        held = [(over_us, name) for over_us, name in held if name not in released]
    fits = cost <= 0 or len(held) + cost <= slots.tokens
    frees_us = held[len(held) + cost - slots.tokens - 1][0] if not fits and cost <= slots.tokens else 0
    if fits and not look:
        held += [(latest_us, f"{slot}/{n}") for n in range(1, 1 + cost)]
    last_us = held[-1][0] if held else 0
    return slots.taken(cost, (int(fits), len(held), frees_us, last_us, now_us)), tuple(held)
