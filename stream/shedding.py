r"""How much of the decisions a worker takes when it cannot keep up. Pure: told how far behind it is, and when.

    behind   ......../^^^^\........        limit
    level    0 0 0 0 1 2 3 3 3 2 1 0       up while it falls further behind, down when half of the limit is won back

Being behind is no reason by itself: who comes back after an hour is an hour behind and catches up. Falling behind is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from stream.sampling import LEVEL_MAX

STEP_MS: Final = 5000
"""A level is given so long to tell."""


@dataclass(slots=True)
class Shedding:
    """`limit_ms`: so far behind may be had without sampling; 0 means that nothing is ever sampled."""

    limit_ms: int
    level: int = 0
    since_ms: int = 0
    """When the present sampling began; 0 while there is none."""
    _told: tuple[int, int] | None = field(default=None)  # when, and how far behind

    def judge(self, behind_ms: int, now_ms: int) -> int:
        """The level of blocks that begin now, given the age of the oldest decision that waits."""
        if not self.limit_ms:
            return 0
        if self._told is None:
            self._told = (now_ms, behind_ms)
        at_ms, before_ms = self._told
        if behind_ms <= self.limit_ms / 2 and self.level == 0:
            self._told = (now_ms, behind_ms)
        elif now_ms - at_ms >= STEP_MS:
            self._told = (now_ms, behind_ms)
            self._move(behind_ms, before_ms, now_ms)
        return self.level

    def _move(self, behind_ms: int, before_ms: int, now_ms: int) -> None:
        if behind_ms > self.limit_ms and behind_ms >= before_ms:
            self.level = min(LEVEL_MAX, self.level + 1)
        elif behind_ms <= self.limit_ms / 2:
            self.level = max(0, self.level - 1)
        if not self.level:
            self.since_ms = 0
        elif not self.since_ms:
            self.since_ms = now_ms
