"""The words of a limit in a policy -> its shape. Pure.

algorithm: token_bucket      rate, burst       (also when `algorithm` is left out)
leaky_bucket      rate, queue
fixed_window      rate
sliding_log       rate
sliding_counter   rate
concurrency       concurrent, lease
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from limiter.algorithms.concurrency import Slots
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.shape import SECOND_US, Shape, shape_of
from limiter.algorithms.token_bucket import Bucket
from limiter.errors import ShapeError

WORDS: Final[tuple[str, ...]] = ("algorithm", "rate", "burst", "queue", "concurrent", "lease")
_UNITS_US: Final = {
    "s": SECOND_US,
    "m": 60 * SECOND_US,
    "min": 60 * SECOND_US,
    "h": 3600 * SECOND_US,
    "d": 86400 * SECOND_US,
}
_RATE: Final = re.compile(r"\s*(\d{1,12})\s*/\s*(\d{0,6})\s*(s|min|m|h|d)\s*")
_RATE_FIX: Final = "write TOKENS/PERIOD: 100/s, 1000/10s, 60/min, 5000/h"
_LEASE: Final = re.compile(r"\s*(\d{1,6})\s*(s|min|m|h|d)\s*")
_SWITCH: Final = {"on": True, "true": True, "off": False, "false": False}


def shape_from(words: Mapping[str, str], algorithm: str = Bucket.algorithm) -> Shape:
    """The shape that `words` (of `WORDS`, all that are there) ask for; `algorithm` where they name none.

    Raises:
        ShapeError: it names the word that is wrong or missing, and the fix.
    """
    algorithm = words.get("algorithm", algorithm)
    if algorithm == Slots.algorithm:
        for word in ("rate", "burst", "queue"):
            if word in words:
                raise ShapeError(word, "is nothing concurrency has", "write `concurrent: 10` and `lease: 30s`")
        return shape_of(algorithm, _whole(words, "concurrent"), _lease_us(words))
    if "concurrent" in words:
        raise ShapeError("concurrent", f"is nothing a {algorithm} has", "add algorithm: concurrency")
    if "rate" not in words:
        raise ShapeError("rate", "is missing", _RATE_FIX)
    tokens, period_us = _rate(words["rate"])
    burst, queue = (
        _whole(words, word, least) if word in words else None for word, least in (("burst", 1), ("queue", 0))
    )
    return shape_of(algorithm, tokens, period_us, burst, queue)


def lease_from(words: Mapping[str, str], shape: Shape) -> bool:
    """Whether nodes may hold tokens in advance: `lease: on`, also when left out, or `off`: each check asks Redis.

    Raises:
        ShapeError: it is neither.
    """
    if isinstance(shape, Slots) or "lease" not in words:
        return True
    try:
        return _SWITCH[words["lease"].strip().lower()]
    except KeyError:
        fix = "on, or off: each check asks Redis" if isinstance(shape, Bucket | Queue) else "leave it out"
        raise ShapeError("lease", f"{words['lease'][:40]!r} is neither on nor off", fix) from None


def _rate(text: str) -> tuple[int, int]:
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) < 1 or match[2] == "0":
        raise ShapeError("rate", f"{text[:40]!r} is no rate", _RATE_FIX)
    return int(match[1]), int(match[2] or 1) * _UNITS_US[match[3]]


def _lease_us(words: Mapping[str, str]) -> int:
    if "lease" not in words:
        raise ShapeError("lease", "is missing", "write how long a slot is held at most: `lease: 30s`")
    match = _LEASE.fullmatch(words["lease"])
    if match is None:
        raise ShapeError("lease", f"{words['lease'][:40]!r} is no time", "write 30s, 5min or 1h")
    return int(match[1]) * _UNITS_US[match[2]]


def _whole(words: Mapping[str, str], word: str, least: int = 0) -> int:
    text = words.get(word)
    if text is None:
        raise ShapeError(word, "is missing", f"write `{word}: 10`")
    if not re.fullmatch(r"-?\d{1,15}", text.strip()) or not least <= int(text) <= 10**9:
        raise ShapeError(
            word, f"{text[:40]!r} is no number we can take", f"a whole number from {int(least)} to {10**9}"
        )
    return int(text)
