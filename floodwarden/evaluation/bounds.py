"""What a count says about a share: Clopper and Pearson's exact interval (Biometrika 26, 1934)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scipy.special import betaincinv

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """`hit` of `of`."""

    hit: int
    of: int

    @property
    def value(self) -> float:
        """The share as counted, 0 of nothing."""
        return self.hit / self.of if self.of else 0.0

    @property
    def lower(self) -> float:
        """Lower end of the two-sided 95 % interval."""
        if not self.hit:
            return 0.0
        return float(betaincinv(self.hit, self.of - self.hit + 1, (1 - CONFIDENCE) / 2))

    @property
    def upper(self) -> float:
        """Upper end of the two-sided 95 % interval; of none hit, the one-sided bound (the "rule of three")."""
        if self.hit >= self.of:
            return 1.0
        tail = (1 - CONFIDENCE) / (2 if self.hit else 1)
        return float(betaincinv(self.hit + 1, self.of - self.hit, 1 - tail))
