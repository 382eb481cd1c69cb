"""All that is known of one entity in a window, for people: what `GET /v1/usage` says."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from schemas import codec
from schemas.usage import MEASURES, Kind, What
from stream.kind_windows import Usage
from stream.kinds import entity
from stream.uniques import COUNTED
from stream.windows import Windows


@dataclass(frozen=True, slots=True)
class Profile:
    """`distinct` by name of what; `first_seen_ms` is 0 and `gap_variation` None where they are not known."""

    usage: Usage
    first_seen_ms: int
    distinct: dict[str, int]
    gaps: int
    gap_ms_mean: float
    gap_variation: float | None
    answers_bits: float

    def told(self, window_s: int) -> dict[str, object]:
        """As JSON has it."""
        usage = self.usage
        return {
            "window_s": window_s,
            "from_s": usage.from_s,
            "until_s": usage.until_s,
            "measures": dict(zip(MEASURES, usage.measures, strict=True)),
            "first_seen_ms": self.first_seen_ms,
            "distinct": self.distinct,
            "gaps": self.gaps,
            "gap_ms_mean": self.gap_ms_mean,
            "gap_variation": self.gap_variation,
            "answers_bits": self.answers_bits,
        }


def profile(windows: Windows, kind: Kind, value: str, window_s: int) -> Profile:
    """What the entity did in the last `window_s` (one of `rings.WINDOWS_S`) seconds of event time."""
    asked = codec.text_hash(entity(kind, value))
    alone = np.array([asked], np.uint64)
    pace = windows.pace(kind, alone, window_s)
    variation = float(pace.variation[0])
    counted = {what: float(windows.distinct(kind, alone, what, window_s)[0]) for what in What}
    counted = {what: n for what, n in counted.items() if n or what in COUNTED.get(kind, ())}
    return Profile(
        usage=windows.usage(kind, asked, window_s),
        first_seen_ms=int(windows.first_seen_ms(kind, alone)[0]),
        distinct={what.name.lower(): round(n) for what, n in counted.items()},
        gaps=int(pace.gaps[0]),
        gap_ms_mean=round(float(pace.mean_ms[0]), 3),
        gap_variation=None if math.isnan(variation) else round(variation, 3),
        answers_bits=round(float(windows.answers_bits(kind, alone, window_s)[0]), 3),
    )
