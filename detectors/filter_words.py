"""A condition in words for people: `method is POST or PUT, and status 400, 402 or 404-410`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import starmap
from typing import Final, assert_never

from detectors.filter_file import NUMBER_MAX
from detectors.filters import By, Every, Filter, Is, Never, Number, Some, Test, Text

_SAID: Final = {
    By.IS: "is",
    By.LIKE: "is like",
    By.BEGINS: "begins with",
    By.ENDS: "ends with",
    By.CONTAINS: "contains",
    By.MATCHES: "matches",
    By.LONGER: "is longer than",
}
_SHOWN: Final = 12  # values; of longer lists so many are told, and how many more there are


def told(condition: Filter) -> str:
    """What requests a condition means."""
    match condition:
        case Text():
            return _text(condition)
        case Number():
            return f"{condition.column} {_any(starmap(_range, condition.ranges))}"
        case Is():
            return condition.column if condition.value else f"no {condition.column}"
        case Every():
            return ", and ".join(told(part) for part in condition.parts) or "every request"
        case Some():
            return f"({'; or '.join(told(part) for part in condition.parts)})"
        case Never():
            return f"not ({told(condition.part)})"
        case _:
            assert_never(condition)


def _text(text: Text) -> str:
    if text.tests == (Test(By.BEGINS, ("",)),):
        return "" if text.absent else f"there is a {text.column}"
    if text.tests == (Test(By.IS, ()),):
        return f"there is no {text.column}"
    said = " and ".join(_test(test) for test in text.tests)
    return f"{text.column} {said}" + (", or there is none" if text.absent else "")


def _test(test: Test) -> str:
    return f"{_SAID[test.by]} {_any(test.values)}" + (" in upper or lower case" if test.any_case else "")


def _any(values: Iterable[str]) -> str:
    texts = list(values)
    if len(texts) > _SHOWN:
        texts[_SHOWN:] = [f"one of {len(texts) - _SHOWN} more"]
    return " or ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _range(low: float, high: float) -> str:
    if low == high:
        return f"{low:.0f}"
    return f"{low:.0f} and more" if high == NUMBER_MAX else f"{low:.0f}-{high:.0f}"
