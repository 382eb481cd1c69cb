"""What a rule with a window asks of what it counted: limits on requests, different values, their entropy, their gaps.

    over: 60s
    distinct: path
    when: {different: above 300, bits: above 6, gap_variation: below 0.2}

All of them must hold. Of `over` a second is the least and an hour the most.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.reading import At

F64 = NDArray[np.float64]
MEASURES: Final = ("requests", "different", "bits", "gap_variation")
OVER_S_MAX: Final = 3600
DIFFERENT_MAX: Final = 10_000
VALUES_TOLD_MAX: Final = 2 * DIFFERENT_MAX
"""Different values of an owner and pane that are told at most; the rest count as one."""
_MOST: Final = {"requests": 1e9, "different": float(DIFFERENT_MAX), "bits": 20.0, "gap_variation": 100.0}
_GROWS: Final = ("requests", "different", "bits")
_PART: Final = re.compile(r"(above|below) +(\d{1,10}(?:\.\d{1,6})?)")


@dataclass(frozen=True, slots=True)
class Limit:
    """What a measure must be above, below, or both."""

    measure: str
    above: float | None = None
    below: float | None = None

    def holds(self, values: F64) -> NDArray[np.bool_]:
        """Of which values it is true; never of NaN."""
        out = ~np.isnan(values)
        if self.above is not None:
            out &= values > self.above
        if self.below is not None:
            out &= values < self.below
        return out

    def said(self, distinct: str) -> str:
        """In words: `more than 300 different paths`."""
        how = {
            "requests": ("more than {:,.10g} requests", "fewer than {:,.10g} requests"),
            "different": (
                f"more than {{:,.10g}} different {distinct}s",
                f"fewer than {{:,.10g}} different {distinct}s",
            ),
            "bits": (f"an entropy of {distinct}s above {{:g}} bits", f"an entropy of {distinct}s below {{:g}} bits"),
            "gap_variation": ("gaps that vary by more than {:.0%}", "gaps that vary by less than {:.0%}"),
        }[self.measure]
        bounds = zip(how, (self.above, self.below), strict=True)
        return " and ".join(words.format(bound) for words, bound in bounds if bound is not None)

    @property
    def text(self) -> str:
        """As it stands in a file."""
        bounds = (("above", self.above), ("below", self.below))
        return ", ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


def limits(at: At, distinct: str) -> tuple[Limit, ...]:
    """What stands under `when`.

    Raises:
        FileError: a measure or limit that cannot be, or that holds of a first request.
    """
    found = tuple(_limit(name, field, distinct) for name, field in at.fields(*MEASURES).items())
    if not any(limit.measure in _GROWS and limit.above is not None for limit in found):
        raise at.wrong("holds of a first request already", "say how many it takes: `requests: above 100`")
    return found


def _limit(measure: str, at: At, distinct: str) -> Limit:
    if measure in ("different", "bits") and not distinct:
        raise at.wrong("is of nothing that is told apart", "say what beside it: `distinct: path`")
    bounds: dict[str, float] = {}
    for part in at.text().split(","):
        match = _PART.fullmatch(part.strip())
        if not match or match[1] in bounds or float(match[2]) > _MOST[measure]:
            fix = f"`above` or `below` and a number up to {_MOST[measure]:,.10g}, or both: `above 2, below 9`"
            raise at.wrong(f"{at.text()[:40]!r} is no limit", fix)
        bounds[match[1]] = float(match[2])
    limit = Limit(measure, bounds.get("above"), bounds.get("below"))
    if limit.above is not None and limit.below is not None and limit.above >= limit.below:
        raise at.wrong(f"{at.text()[:40]!r} can never be", "name the lower number as `above`")
    return limit
