"""Conditions on decisions, by which families and rules say which requests they mean; a mask over a batch's rows.

Text is looked at once per distinct value: a condition is a table over the values, and rows take from it by their
code. Patterns are those of Rust's `regex`, which takes time linear in the text whatever an attacker sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
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
    found = np.ones(len(values), np.bool_)
    for test in tests:
        found &= _test(test, values.str.to_lowercase() if test.any_case else values)
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


def _test(test: Test, values: pl.Series) -> Flag:
    wanted = [value.lower() if test.any_case else value for value in test.values]
    match test.by:
        case By.IS:
            found = values.is_in(wanted)
        case By.CONTAINS:
            found = values.str.contains_any(wanted)
        case By.LONGER:
            found = values.str.len_bytes() > int(wanted[0])
        case By.BEGINS:
            found = values.str.contains("^(?:" + "|".join(_escape(value) for value in wanted) + ")")
        case By.ENDS:
            found = values.str.contains("(?:" + "|".join(_escape(value) for value in wanted) + ")$")
        case By.LIKE:
            found = values.str.contains("^(?s:" + "|".join(_glob(value) for value in wanted) + ")$")
        case By.MATCHES:
            found = values.str.contains("|".join(f"(?:{value})" for value in wanted))
        case _:
            assert_never(test.by)
    return found.fill_null(value=False).to_numpy().astype(np.bool_)


def _escape(text: str) -> str:
    """`text` as a pattern that matches only itself."""
    return str(pl.Series([text]).str.escape_regex()[0])


def _glob(text: str) -> str:
    return ".*".join(_escape(part) for part in text.split("*"))
