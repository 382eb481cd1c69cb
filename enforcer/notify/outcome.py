"""What came of an attempt to deliver. Pure; a reason never holds a URL or a key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

PAUSE_MS_MAX: Final = 300_000
_AGAIN: Final = frozenset({408, 425, 429})


class Came(Enum):
    """REFUSED: the same again would be refused again."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`again_ms`: the least time that the destination asks to be left alone."""

    came: Came
    reason: str = ""
    again_ms: int = 0


DELIVERED: Final = Outcome(Came.DELIVERED)


def of_status(status: int, said: str, retry_after: str | None) -> Outcome:
    """What an HTTP answer means."""
    if 200 <= status < 300:
        return DELIVERED
    reason = f"HTTP {status}: {said[:200]}" if said else f"HTTP {status}"
    if 300 <= status < 400:
        return Outcome(Came.REFUSED, f"{reason}; redirects are not followed: write the URL it leads to")
    if status in _AGAIN or status >= 500:
        seconds = int(retry_after) if retry_after is not None and retry_after.isascii() and retry_after.isdigit() else 0
        return Outcome(Came.FAILED, reason, min(seconds * 1000, PAUSE_MS_MAX))
    return Outcome(Came.REFUSED, reason)


def pause_ms(attempt: int, chance: float) -> int:
    """How long to wait after so many attempts: doubling from a second to five minutes, half of it by chance (0..1)."""
    full = min(PAUSE_MS_MAX, 1_000 << min(attempt - 1, 20))
    return int(full * (0.5 + chance / 2))
