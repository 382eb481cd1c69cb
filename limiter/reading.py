"""A value in a policy file: what `schemas.reading` reads, and what only policies have. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from limiter.policy import PPM, Scope
from schemas import reading

_SCOPE: Final = re.compile(r"(?:([A-Z]+(?:,[A-Z]+)*)\s+)?(\*|[/*]\S*)")
_FACTOR: Final = re.compile(r"\d{1,6}(\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class At(reading.At):
    """A value and where it stands."""

    def factor_ppm(self, high: int, low_ppm: int = 1) -> int:
        """A factor, in millionths."""
        text = self.text()
        if not _FACTOR.fullmatch(text) or not low_ppm <= round(float(text) * PPM) <= high * PPM:
            least = "at least 0" if low_ppm == 0 else "above 0"
            raise self.wrong(f"{text[:40]!r} is no factor", f"a number {least}, at most {high}, with up to 6 decimals")
        return round(float(text) * PPM)

    def scope(self) -> Scope:
        """A route template or pattern, with methods in front or not."""
        match = _SCOPE.fullmatch(self.text().strip())
        if match is None:
            raise self.wrong(f"{self.text()[:80]!r} is no route", "write `/items/{id}`, `GET,POST /items/*` or `*`")
        return Scope(match[2], frozenset((match[1] or "").split(",")) - {""})
