"""Families that could not work: words their sort of opportunity does not look at, and what could never mark. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from detectors.columns import AUTH_FAILED, IP, LIMITED, OK, USER
from detectors.families import KINDS, OUTCOMES, Each, Family, New
from schemas.reading import At

_ANSWERED: Final = frozenset(OUTCOMES.values()) - {LIMITED}
_POSSIBLE: Final = {
    Each.REQUEST: _ANSWERED,
    Each.RETURN: _ANSWERED,
    Each.TURN: _ANSWERED,
    Each.LOGIN: frozenset({OK, AUTH_FAILED}),
    Each.CREDENTIAL: frozenset({AUTH_FAILED}),
    Each.ADDRESS: _ANSWERED,
    Each.REFUSAL: frozenset({LIMITED}),
    Each.PENALTY: frozenset({LIMITED}),
}
"""The outcomes a mark can have."""
_FIXED: Final = {
    Each.CREDENTIAL: ("failed", "a failed login"),
    Each.PENALTY: ("limited", "being refused again"),
}
"""Sorts whose mark is always the same: its outcome, and in words."""
_REQUESTS: Final = (Each.REQUEST, Each.RETURN, Each.TURN)
_SHARES: Final = (*_REQUESTS, Each.LOGIN, Each.CREDENTIAL)
_OF_ACCOUNTS: Final = (Each.LOGIN, Each.ADDRESS)


def check(family: Family, f: Mapping[str, At]) -> None:
    """Raises `FileError` at the first of the words `f` that would not do what it says."""
    if family.each is Each.MINUTE:
        return
    if USER in family.about and family.each not in _OF_ACCOUNTS:
        raise f["about"].wrong("`user`: an account has only logins", "write `each: login`, or leave `user` out")
    if family.each is Each.REFUSAL and not family.rate:
        raise f["opportunity"].wrong("refusals are counted by the hour", "add `null: rate` and `usual_per_hour`")
    _check_outcomes(family, f["opportunity"])
    _check_mark(family, f["mark"])
    _check_numbers(family, f)
    for name, item in f["answer"].fields().items():
        if KINDS[name] not in family.about:
            raise item.wrong("is an answer to what `about` does not name", f"add `{name}` to `about`, or leave it out")


def _check_outcomes(family: Family, at: At) -> None:
    said = at.fields().get("outcome")
    if said is None:
        return
    if family.rate or family.each not in (*_REQUESTS, Each.LOGIN):
        raise said.wrong("is not looked at: it is of shares of requests and logins", "leave it out")
    _check_possible(family, said)


def _check_mark(family: Family, at: At) -> None:
    mark = family.mark
    if fixed := _FIXED.get(family.each):
        outcome, what = fixed
        for name, item in at.fields().items():
            if name != "outcome":
                raise item.wrong(
                    f"is not looked at: {what} marks a {family.each}", "leave it out, or say it of `opportunity.where`"
                )
        if mark.outcomes != _POSSIBLE[family.each]:
            raise at.wrong(f"is always {what}", f"write `mark: {{outcome: {outcome}}}`")
        return
    if (said := at.fields().get("outcome")) is not None:
        _check_possible(family, said)
    if mark.at_once > 1 and (family.each is not Each.REQUEST or mark.new is not None):
        said = at.fields()["at_once"]
        raise said.wrong("counts like requests, not what is new", "write `each: request`, and no `new`")
    _check_seen(family, at)
    every = mark.outcomes >= _POSSIBLE[family.each] and mark.where in (None, family.where)
    if every and mark.new is None and not mark.once and not mark.same_route and not family.rate:
        raise at.wrong(
            "marks every opportunity", "say what tells abuse: `outcome`, `new`, `same`, `again`, `at_once` or `where`"
        )


def _check_seen(family: Family, at: At) -> None:
    mark = family.mark
    if mark.again != (family.each is Each.TURN):
        raise at.wrong(
            "`again: path` is the mark of turns, and their only one", "write `each: turn` with `again: path`"
        )
    if mark.same_route and family.each not in (Each.REQUEST, Each.LOGIN):
        said = at.fields()["same"]
        raise said.wrong("is only known of requests and logins", "write `opportunity: {each: request}`")
    if mark.new is New.USER and USER in family.about:
        raise at.wrong("`new: user`: an account is always the same one", "leave `user` out of `about`")
    if mark.new in (New.PLACE, New.HOME) and IP in family.about:
        raise at.wrong(f"`new: {mark.new}`: an address is always in one network", "write `about: [key]`")


def _check_possible(family: Family, said: At) -> None:
    for item in said.one_or_more():
        if OUTCOMES[item.text().strip()] not in _POSSIBLE[family.each]:
            known = ", ".join(name for name, code in OUTCOMES.items() if code in _POSSIBLE[family.each])
            raise item.wrong(f"never comes of a {family.each}", f"one of {known}")


def _check_numbers(family: Family, f: Mapping[str, At]) -> None:
    if family.control and (family.rate or family.each not in _SHARES):
        raise f["control"].wrong("is only known of shares of requests and logins", "leave it out")
    if family.rate:
        if "q1" in f:
            raise f["q1"].wrong("is not looked at where marks are counted by the hour", "leave it out")
    elif max(family.usual) >= family.q1:
        raise f["usual"].wrong(
            f"is not below q1, {family.q1:g}: a mark would speak for the client",
            "less than abuse marks; good clients' share stands in `usual`, abuse's in `q1`",
        )
