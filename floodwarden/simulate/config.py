"""What to simulate: how long, how much, by whom, and which attacks; attacks are written `FAMILY:STRENGTH[@SECONDS]`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from floodwarden.simulate import catalogue
from floodwarden.simulate.declare import STRENGTHS
from schemas.errors import one_of

START_MS: Final = 1_767_571_200_000  # Monday 2026-01-05 00:00 UTC
DECISIONS_MAX: Final = 20_000_000  # a run is held in memory


class SimulationError(ValueError):
    """What was asked cannot be simulated; the message says what can."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: when it begins (seconds after the start; None: placed by the seed) and how long (None: as usual)."""

    family: str
    strength: str = "medium"
    start_s: float | None = None
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.family not in catalogue.families():
            # Those of first sight are not spelled out: who tunes detectors mistypes, too.
            there_are = one_of(self.family, catalogue.families(first_sight=False))
            raise SimulationError(f"no attack is called {self.family!r}: {there_are}; `simulate --list` has all")
        if self.strength not in STRENGTHS:
            raise SimulationError(f"no strength is called {self.strength!r}; there are {', '.join(STRENGTHS)}")


def every_attack(*, first_sight: bool = False) -> tuple[Attack, ...]:
    """Every family in every strength: those the detectors are tuned with, or those of first sight."""
    return tuple(
        Attack(family, strength) for strength in STRENGTHS for family in catalogue.families(first_sight=first_sight)
    )


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """One run. `requests_per_s` is people's mean rate over a whole day; machines add about four a second to it.

    `clients` is how many people have an account; about as many come without one. `cases` are the hard good cases, those
    of every day when not given. The same configuration always gives the same decisions. Leaving out an attack changes
    no good row (but for limits that an attacker's use of a good client's key had exhausted); leaving out a case
    changes others at most in the addresses they come from. Without `limits` nobody is refused: a limiter
    is to be asked.
    """

    seed: int = 1
    duration_s: float = 86_400.0
    start_ms: int = START_MS
    requests_per_s: float = 7.0
    clients: int = 3000
    attacks: tuple[Attack, ...] = ()
    cases: frozenset[str] = field(default_factory=catalogue.usual_cases)
    batch_rows: int = 5000
    limits: bool = True

    def __post_init__(self) -> None:
        for name in self.cases:
            _case(name)
        if self.duration_s <= 0 or self.requests_per_s <= 0 or self.clients < 1 or self.batch_rows < 1:
            raise SimulationError("duration, rate, clients and batch rows must be above zero")
        if self.duration_s * self.requests_per_s > DECISIONS_MAX:
            raise SimulationError(f"more than {DECISIONS_MAX:,} decisions; ask for less time or a lower rate")


def recurring(attacks: Iterable[Attack], every_s: float, duration_s: float) -> tuple[Attack, ...]:
    """Each attack from its start on (0 where it has none) every `every_s`, as long as `duration_s` has not passed.

    Raises:
        SimulationError: the time between is not above zero.
    """
    if every_s <= 0:
        raise SimulationError("the time between two attacks must be above zero")
    again = [
        replace(attack, start_s=first_s + every_s * n)
        for attack in attacks
        for first_s in [attack.start_s or 0.0]
        for n in range(max(1, math.ceil((duration_s - first_s) / every_s)))
    ]
    return tuple(sorted(again, key=lambda attack: attack.start_s or 0.0))


def attack_of(text: str) -> Attack:
    """`FAMILY`, `FAMILY:STRENGTH` or `FAMILY:STRENGTH@SECONDS` as an attack.

    Raises:
        SimulationError: it is none of these.
    """
    what, _, at = text.partition("@")
    family, _, strength = what.partition(":")
    try:
        start_s = float(at) if at else None
    except ValueError as error:
        raise SimulationError(
            f"{text!r}: after @ stand seconds from the start, as in brute_force:medium@600"
        ) from error
    return Attack(family.strip().replace("-", "_"), strength.strip() or "medium", start_s)


def attacks_of(texts: Iterable[str]) -> tuple[Attack, ...]:
    """Attacks by `attack_of`, `all` that the detectors are tuned with, all of `first-sight`.

    Raises:
        SimulationError: one is none of these.
    """
    named: list[Attack] = []
    for text in texts:
        if text in ("all", "first-sight"):
            named += every_attack(first_sight=text == "first-sight")
        else:
            named.append(attack_of(text))
    return tuple(named)


def cases_of(added: Iterable[str], left_out: Iterable[str]) -> frozenset[str]:
    """The good cases of every day with those `added` (names, `all`, `first-sight`), without those `left_out`.

    Raises:
        SimulationError: there is none of that name.
    """
    wanted = set(catalogue.usual_cases())
    for name in added:
        if name in ("all", "first-sight"):
            wanted |= catalogue.cases(first_sight=name == "first-sight").keys()
        else:
            wanted.add(_case(name))
    return frozenset(wanted - {_case(name) for name in left_out})


def _case(name: str) -> str:
    plain = name.strip().replace("-", "_")
    if plain not in catalogue.cases():
        there_are = one_of(plain, catalogue.cases(first_sight=False))
        raise SimulationError(f"no good case is called {name!r}: {there_are}; `simulate --list` has all")
    return plain
