"""Opportunities and marks of each family among the rows of a run, by what its declaration says. No nulls yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.columns import LIMITED
from detectors.families import OUTCOMES, UNTIL_THE_HOUR, Each, Families, Family, New
from detectors.pairs import firsts, mix
from detectors.rows import Rows
from detectors.sight import Sight

I64 = NDArray[np.int64]
Flag = NDArray[np.bool_]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Chances:
    """One family's rows in a run: `at` their places, ascending; how often each marks, and how often it does not.

    `repeats` are marks that say little beside (`families.REPEAT_Q1`); of refusals, those of an address in a second
    after its first.
    """

    family: Family
    at: Index
    marks: I64
    plain: I64
    repeats: I64 | None = None


def chances(families: Families, rows: Rows, sight: Sight) -> list[Chances]:
    """Those of every family but the forest's."""
    return [found for family in families if (found := _of(family, rows, sight)) is not None]


def base(family: Family, rows: Rows, sight: Sight) -> Flag:
    """The rows that a family of requests, returns, turns or logins looks at."""
    match family.each:
        case Each.REQUEST:
            answered = sight.plain
        case Each.RETURN:
            answered = sight.plain & ~sight.new_path
        case Each.TURN:
            answered = sight.plain & sight.turn
        case _:
            answered = sight.results
    if family.mark.new in UNTIL_THE_HOUR:
        answered = answered & sight.homed[family.mark.new]
    return answered & of_kinds(family, rows.flows.kind)


def marked(family: Family, rows: Rows, sight: Sight) -> Flag:
    """Of these, those its `where` means and all words of its mark hold for (look at `base` beside)."""
    f, mark = rows.flows, family.mark
    found = within_outcomes(f.outcome, mark.outcomes)
    found = found & tagged(f.tags, mark.tag) if mark.tag >= 0 else found
    found = found & tagged(f.tags, family.tag) if family.tag not in (-1, mark.tag) else found
    if mark.new is not None:
        found &= sight.anyone if mark.to_anyone else sight.new[mark.new]
    if mark.new is New.AGENT:
        found &= sight.before > 0  # what it first comes with is no change
    if mark.again:
        found = found & ~sight.new_path
    if mark.at_once > 1:
        found &= f.n >= mark.at_once
    if not mark.waits:
        found = found & ~sight.asks_again
    return found & sight.same_route if mark.same_route else found


def within_outcomes(outcome: NDArray[np.uint8], outcomes: frozenset[int]) -> Flag:
    """Rows with one of some outcomes."""
    if len(outcomes) == len(OUTCOMES):
        return np.ones(len(outcome), np.bool_)
    table = np.zeros(8, np.bool_)
    table[list(outcomes)] = True
    return table[outcome]


def tagged(tags: NDArray[np.uint64], tag: int) -> Flag:
    """Rows for which a condition holds; all where there is none."""
    if tag < 0:
        return np.ones(len(tags), np.bool_)
    found: Flag = (tags >> np.uint64(tag)) & np.uint64(1) != 0
    return found


def of_kinds(family: Family, kind: NDArray[np.uint8]) -> Flag:
    """Rows of owners the family is about."""
    return of_kind(kind, sorted(family.about))


def of_kind(kind: NDArray[np.uint8], kinds: list[int]) -> Flag:
    """Rows of owners of some kinds."""
    table = np.zeros(256, np.bool_)
    table[kinds] = True
    return table[kind]


def _of(family: Family, rows: Rows, sight: Sight) -> Chances | None:
    match family.each:
        case Each.REQUEST | Each.RETURN | Each.TURN | Each.LOGIN:
            return _requests(family, rows, sight)
        case Each.CREDENTIAL:
            return _credentials(family, rows, sight)
        case Each.ADDRESS:
            return _addresses(family, rows, sight)
        case Each.PENALTY:
            return _penalties(family, rows, sight)
        case Each.REFUSAL:
            f = rows.flows
            at = np.flatnonzero((f.outcome == LIMITED) & marked(family, rows, sight) & of_kinds(family, f.kind))
            first = firsts(mix(rows.owner[rows.seg[at]], f.ip[at], f.pane_s[at].astype(np.uint64)))
            return Chances(family, at, f.n[at], np.zeros(len(at), np.int64), f.n[at] - first)
        case Each.MINUTE:
            return None


def _requests(family: Family, rows: Rows, sight: Sight) -> Chances:
    f = rows.flows
    looked_at = base(family, rows, sight)
    mark = marked(family, rows, sight) & looked_at
    chance = looked_at & within_outcomes(f.outcome, family.outcomes) & tagged(f.tags, family.tag)
    at = np.flatnonzero(mark if family.rate else mark | chance)
    n = f.n[at]
    # What is new is so once in a row; the like requests after it are not. Of many at once none is.
    marks = np.where(mark[at], 1 if family.mark.once else n, 0)
    rest = np.where(mark[at], 0, n) if family.mark.at_once > 1 else n - marks
    if family.each is Each.TURN:
        rest = np.where(mark[at], 0, 1)  # what comes after the first of like requests is no turn
    return Chances(family, at, marks, np.where(chance[at], rest, 0))


def _credentials(family: Family, rows: Rows, sight: Sight) -> Chances:
    logins = sight.logins
    some = of_kinds(family, rows.flows.kind[logins.at]) & tagged(rows.flows.tags[logins.at], family.tag)
    if some.all():
        return Chances(family, logins.at, logins.fresh, logins.fine, logins.repeats)
    return Chances(family, logins.at[some], logins.fresh[some], logins.fine[some], logins.repeats[some])


def _addresses(family: Family, rows: Rows, sight: Sight) -> Chances:
    looked_at = sight.address & of_kinds(family, rows.flows.kind) & tagged(rows.flows.tags, family.tag)
    at = np.flatnonzero(looked_at & (sight.before > 0))  # where it is first seen is no move
    marks = marked(family, rows, sight)[at].astype(np.int64)
    return Chances(family, at, marks, 1 - marks)


def _penalties(family: Family, rows: Rows, sight: Sight) -> Chances:
    at, again = sight.refusals.at, sight.refusals.again
    some = of_kinds(family, rows.flows.kind[at]) & tagged(rows.flows.tags[at], family.tag)
    marks = again[some].astype(np.int64)
    return Chances(family, at[some], marks, 1 - marks)
