"""How a family of attacks and a good case are declared: a function and a decorator. `catalogue` finds them.

    @family(oat="OAT-002", weak=Strength(1, 6, 1800), medium=Strength(1, 60, 600), strong=Strength(10, 60, 300))
    def gift_cards(scene: Scene, how: Strength) -> Rows:
        \"\"\"Tries card numbers, one in a thousand is one.\"\"\"

    @case()
    def new_office(scene: Scene) -> Rows:
        \"\"\"Forty people behind an address nobody has seen.\"\"\"

The function's name is the family's, and the first line of its docstring says what it is; a paragraph that begins with
"Source:" says who has seen such a thing, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from floodwarden.simulate.scene import Rows, Scene

STRENGTHS: Final = ("weak", "medium", "strong")
FIRST_SIGHT: Final = "first_sight"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Strength:
    """How hard: addresses, requests a minute of each, and how long it usually lasts."""

    sources: int
    per_minute: float
    lasts_s: float

    @property
    def per_s(self) -> float:
        """Requests a second of one address."""
        return self.per_minute / 60


Attacker = Callable[[Scene, Strength], Rows]
Maker = Callable[[Scene], Rows]
Changer = Callable[[Scene, Rows], Mask]


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of attack. `make` gives the rows of one incident, times from its beginning."""

    name: str
    about: str
    oat: str
    strengths: Mapping[str, Strength]
    make: Attacker
    first_sight: bool
    source: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of hard good traffic: `make` adds rows, or `change` alters what others do and says which rows.

    `usual`: part of every day, so of the day that is learned from; the others happen once.
    """

    name: str
    about: str
    usual: bool
    first_sight: bool
    make: Maker | None = None
    change: Changer | None = None
    source: str = ""


families: Final[dict[str, Family]] = {}
cases: Final[dict[str, Case]] = {}


def family(*, weak: Strength, medium: Strength, strong: Strength, oat: str = "") -> Callable[[Attacker], Attacker]:
    """Declare the decorated function as a family of attacks; `oat` is OWASP's number for it."""

    def declared(make: Attacker) -> Attacker:
        name = _new(make, families)
        strengths = dict(zip(STRENGTHS, (weak, medium, strong), strict=True))
        families[name] = Family(name, _about(make), oat, strengths, make, _is_first_sight(make), _source(make))
        return make

    return declared


def case(*, usual: bool = False) -> Callable[[Maker], Maker]:
    """Declare the decorated function as a good case that adds rows."""

    def declared(make: Maker) -> Maker:
        name = _new(make, cases)
        cases[name] = Case(name, _about(make), usual, _is_first_sight(make), make, source=_source(make))
        return make

    return declared


def change(*, usual: bool = False) -> Callable[[Changer], Changer]:
    """Declare the decorated function as a good case that alters rows of people and machines in place.

    It is given all good rows, in no order, times from the run's beginning, and says which it touched.
    """

    def declared(alter: Changer) -> Changer:
        name = _new(alter, cases)
        kept = _is_first_sight(alter)
        cases[name] = Case(name, _about(alter), usual, kept, change=alter, source=_source(alter))
        return alter

    return declared


def within_people(name: str, about: str) -> None:
    """Declare a usual case whose rows `people` makes and labels."""
    cases[name] = Case(name, about, usual=True, first_sight=False)


def _about(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]


def _source(function: Callable[..., object]) -> str:
    _, _, source = (function.__doc__ or "").partition("\n    Source: ")
    return " ".join(source.partition("\n\n")[0].split())


def _is_first_sight(function: Callable[..., object]) -> bool:
    return function.__module__.rpartition(".")[2].startswith(FIRST_SIGHT)


def _new(function: Callable[..., object], among: Mapping[str, object]) -> str:
    if function.__name__ in among:
        raise ValueError(f"{function.__module__}: there is a {function.__name__} already; give it another name")
    return function.__name__
