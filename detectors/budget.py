"""How many false alarms a day there may be: the operator's one knob, turned into thresholds.

A good client's evidence rises to h with a chance of e^(-h / beta) (`calibration`), so h = beta ln(clients / budget).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from detectors.artifact import BUDGET_PER_DAY, ENTITIES_MIN, Model

MOST_PER_DAY: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Budget:
    """False alarms a day: in all (None: .02 a family), and of families by name, which are not shared with others."""

    in_all: float | None = None
    by_family: dict[str, float] = field(default_factory=dict)

    def of(self, name: str, others: int) -> float:
        """What a family may have; `others` share what is said for all."""
        own = self.by_family.get(name)
        if own is not None:
            return own
        return BUDGET_PER_DAY if self.in_all is None else self.in_all / others


def parse(text: str) -> Budget:
    """`0.5`, `odd=2` or `0.5,odd=2,guess=0.01`.

    Raises:
        ValueError: saying what is wrong with it.
    """
    in_all, by_family = None, {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, number = part.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise ValueError(f"{number.strip()!r} is no number; write 0.5 or 0.5,odd=2") from None
        if not 0 < value <= MOST_PER_DAY:
            raise ValueError(f"{number.strip()} a day: more than 0, {MOST_PER_DAY:,.0f} at most")
        if equals:
            by_family[name.strip()] = value
        else:
            in_all = value
    return Budget(in_all, by_family)


def at(model: Model, budget: Budget) -> Model:
    """`model` with the thresholds of `budget`.

    Raises:
        ValueError: it names a family that there is none of.
    """
    names = [family.name for family in model.families]
    unknown = sorted(budget.by_family.keys() - set(names))
    if unknown:
        raise ValueError(f"no family is called {unknown[0]!r}; there are {', '.join(names)}")
    if budget == Budget():
        return model
    others = max(1, len(names) - len(budget.by_family))
    per_day = np.array([budget.of(name, others) for name in names])
    return replace(model, h=np.maximum(model.beta, 1.0) * np.log(np.maximum(model.entities, ENTITIES_MIN) / per_day))
