"""Conditions on decisions, by which families and rules say which requests they mean; a mask over a batch's rows.

Text is looked at once per distinct value: a condition is a table over the values, and rows take from it by their
code. Patterns are those of Rust's `regex`, which takes time linear in the text whatever an attacker sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, assert_never

import numpy as np
import polars as pl
from numpy.typing import NDArray

Flag = NDArray[np.bool_]
TEXTS: Final = (
    "method", "route", "path", "query", "url", "verdict", "rule", "tier", "tenant", "user", "key", "ip", "agent",
    "country", "asn", "node", "referer",
)  # fmt: skip
"""`path` and `query` are percent-decoded; `url` is both as they were sent."""
NUMBERS: Final = ("status", "latency_ms", "cost")
FLAGS: Final = ("login",)
FEW: Final = 64  # texts that are compared one by one; rows of the usual block have more, those of a quiet second fewer
CACHED: Final = 4_096  # tests whose patterns are kept: of all families and rules of a site


class By(StrEnum):
    """How a text is compared."""

    IS = "is"
    LIKE = "like"
    BEGINS = "begins"
    ENDS = "ends"
    CONTAINS = "contains"
    MATCHES = "matches"
    LONGER = "longer_than"


@dataclass(frozen=True, slots=True)
class Texts:
    """A text column of a batch: a code per row, -1 where absent, and the distinct values."""

    codes: NDArray[np.int32]
    values: pl.Series


@dataclass(frozen=True, slots=True)
class Decisions:
    """A batch as conditions see it. What a mapping lacks is absent from every row; they may be made when asked for."""

    rows: int
    texts: Mapping[str, Texts]
    numbers: Mapping[str, NDArray[np.float64]]
    flags: Mapping[str, Flag]


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison: true where it holds for any of `values`."""

    by: By
    values: tuple[str, ...]
    any_case: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """All `tests` hold for a column's text; where it is absent, as `absent` says."""

    column: str
    tests: tuple[Test, ...]
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A column lies in one of `ranges`, both ends included. NaN lies nowhere."""

    column: str
    ranges: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Is:
    """A yes-or-no column."""

    column: str
    value: bool


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold; without parts, every row."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Some:
    """One part or more holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Never:
    """The part does not hold."""

    part: Filter


Filter = Text | Number | Is | Every | Some | Never
ALL: Final = Every()


def mask(filter_: Filter, of: Decisions) -> Flag:
    """The rows that a condition means."""
    match filter_:
        case Text():
            return _texts(filter_, of)
        case Number():
            within = np.zeros(of.rows, np.bool_)
            if (values := of.numbers.get(filter_.column)) is not None:
                for low, high in filter_.ranges:
                    within |= (values >= low) & (values <= high)
            return within
        case Is():
            flags = of.flags.get(filter_.column)
            return np.full(of.rows, not filter_.value) if flags is None else flags == filter_.value
        case Every():
            return _all(filter_.parts, of)
        case Some():
            return ~_all(tuple(Never(part) for part in filter_.parts), of)
        case Never():
            return ~mask(filter_.part, of)
        case _:
            assert_never(filter_)


def columns(filter_: Filter) -> Iterator[str]:
    """The columns a condition reads."""
    match filter_:
        case Text() | Number() | Is():
            yield filter_.column
        case Every() | Some():
            for part in filter_.parts:
                yield from columns(part)
        case Never():
            yield from columns(filter_.part)
        case _:
            assert_never(filter_)


def holds(tests: tuple[Test, ...], values: pl.Series) -> Flag:
    """For each text whether all `tests` hold."""
    few = values.to_list() if len(values) <= FEW else None
    found = np.ones(len(values), np.bool_)
    for test in tests if len(values) else ():
        if few is not None and test.by is not By.MATCHES:
            found &= _each(test, few)
        else:
            found &= _all_at_once(test, values.str.to_lowercase() if test.any_case else values)
    return found


def _all(parts: tuple[Filter, ...], of: Decisions) -> Flag:
    found = np.ones(of.rows, np.bool_)
    for part in parts:
        if not found.any():
            break
        found &= mask(part, of)
    return found


def _texts(text: Text, of: Decisions) -> Flag:
    column = of.texts.get(text.column)
    if column is None:
        return np.full(of.rows, text.absent)
    table = np.append(holds(text.tests, column.values), text.absent)
    found: Flag = table[column.codes]
    return found


def _each(test: Test, values: list[str | None]) -> Flag:
    """As `_all_at_once`, one text after the other: that spends hundreds of microseconds before it looks at one."""
    fits = _comparison(test)
    texts = ((None if value is None else value.lower()) for value in values) if test.any_case else iter(values)
    return np.fromiter((value is not None and fits(value) for value in texts), np.bool_, len(values))


@lru_cache(CACHED)
def _comparison(test: Test) -> Callable[[str], bool]:
    wanted = _wanted(test)
    match test.by:
        case By.IS:
            return frozenset(wanted).__contains__
        case By.CONTAINS:
            return lambda text: any(part in text for part in wanted)
        case By.LONGER:
            return lambda text: len(text.encode()) > int(wanted[0])
        case By.BEGINS:
            return lambda text: text.startswith(wanted)
        case By.ENDS:
            return lambda text: text.endswith(wanted)
        case By.LIKE:
            globs = [value.split("*") for value in wanted]
            return lambda text: any(_like(parts, text) for parts in globs)
        case _:
            raise ValueError(f"{test.by} is compared by polars")


def _like(parts: list[str], text: str) -> bool:
    """Whether `text` is `parts` with anything between them."""
    if len(parts) == 1:
        return text == parts[0]
    first, *inner, last = parts
    at, end = len(first), len(text) - len(last)
    if end < at or not text.startswith(first) or not text.endswith(last):
        return False
    for part in inner:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _all_at_once(test: Test, values: pl.Series) -> Flag:
    match test.by:
        case By.IS if not test.values:
            return np.zeros(len(values), np.bool_)
        case By.BEGINS if "" in test.values:
            return values.is_not_null().to_numpy()
        case By.IS:
            found = values.is_in(_wanted(test))
        case By.CONTAINS:
            found = values.str.contains_any(list(_wanted(test)))
        case By.LONGER:
            found = values.str.len_bytes() > int(test.values[0])
        case _:
            found = values.str.contains(_pattern(test))
    return found.fill_null(value=False).to_numpy().astype(np.bool_)


def _wanted(test: Test) -> tuple[str, ...]:
    return tuple(value.lower() for value in test.values) if test.any_case else test.values


@lru_cache(CACHED)
def _pattern(test: Test) -> str:
    wanted = _wanted(test)
    if test.by is By.MATCHES:
        return "|".join(f"(?:{value})" for value in wanted)
    if test.by is By.LIKE:
        return "^(?s:" + "|".join(".*".join(map(_escape, value.split("*"))) for value in wanted) + ")$"
    either = "(?:" + "|".join(map(_escape, wanted)) + ")"
    return f"^{either}" if test.by is By.BEGINS else f"{either}$"


def _escape(text: str) -> str:
    """`text` as a pattern that matches only itself."""
    return str(pl.Series([text]).str.escape_regex()[0])
