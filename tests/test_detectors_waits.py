"""Devices that wait to be let in: a poll in five seconds is no guess where they get in, and is told of before."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import closed, flows, site

from detectors import artifact, waits
from detectors.columns import AUTH_FAILED, OK, Finding, Flows
from detectors.evidence import Engine

TOKEN = 412
HOME, RENTED = 64_496, 65_551
SPAN_S = 9000
BEGINS_S = 5400


def people() -> Flows:
    """Accounts that sign in at home all the time."""
    n = 2 * SPAN_S // 10
    return flows(
        n, entity=20_000 + np.arange(n), user=40_000 + np.arange(n), asn=HOME, route=TOKEN, path=TOKEN, login=True,
        outcome=OK, t_ms=np.arange(n) * 5000 + 300,
    )  # fmt: skip


def television(nth: int, begin_s: float, polls: int, *, every_ms: int = 5000, asn: int = HOME, user: int = 0) -> Flows:
    """Polls until the code is typed in, and then the token, with the account's name."""
    t_ms = int(begin_s * 1000) + np.arange(polls + 1) * every_ms + 70 * (np.arange(polls + 1) % 3)
    last = np.arange(polls + 1) == polls
    return flows(
        polls + 1, entity=30_000 + nth, user=np.where(last, 50_000 + nth, user), asn=asn, route=TOKEN, path=TOKEN,
        login=True, outcome=np.where(last, OK, AUTH_FAILED), t_ms=t_ms,
    )  # fmt: skip


def christmas_eve(sets: int) -> list[Flows]:
    """Televisions signed in one after the other, each after one to six minutes."""
    return [television(nth, BEGINS_S + 40 * nth, 12 + nth * 7 % 60) for nth in range(sets)]


def told(*parts: Flows, step_s: int = SPAN_S, restart_s: int = 0) -> list[Finding]:
    """What is told of the televisions for failed logins."""
    everybody = Flows.concat([site(3, span_s=SPAN_S, requests=20_000), people(), *parts])
    found = closed(Engine(artifact.load()), everybody, step_s, restart_s)
    return [one for one in found if one.family == "guess" and one.kind == 0 and 30_000 <= one.entity < 40_000]


@pytest.mark.parametrize("step_s", [SPAN_S, 30])
def test_televisions_that_wait_for_their_codes_are_answered_by_nobody(step_s: int) -> None:
    found = told(*christmas_eve(60), step_s=step_s)
    assert {one.answer for one in found} == {"notice"}  # the first ones, of which nobody knows yet what they are
    assert any("devices do that wait" in fact.sentence for one in found for fact in one.facts)
    assert len({one.entity for one in found}) < 20


def test_where_those_who_wait_get_in_another_one_is_not_even_told_of() -> None:
    assert told(television(99, 7900, 60))
    assert 30_099 not in {one.entity for one in told(*christmas_eve(20), television(99, 7900, 60), restart_s=7200)}


def test_the_same_polls_from_where_nobody_comes_are_denied() -> None:
    assert {one.answer for one in told(television(1, BEGINS_S, 60, asn=RENTED))} == {"deny"}


@pytest.mark.parametrize("how", [{"every_ms": 2500}, {"every_ms": 20_000}, {"user": 77_000 + np.arange(61)}])
def test_who_asks_at_another_pace_or_names_accounts_is_denied(how: dict[str, int]) -> None:
    assert "deny" in {one.answer for one in told(television(1, BEGINS_S, 60, **how))}


@pytest.mark.parametrize("before", [[], christmas_eve(20)])
def test_nobody_waits_longer_than_a_code_lasts(before: list[Flows]) -> None:
    found = [one for one in told(*before, television(99, 6800, 420)) if one.entity == 30_099]
    assert found[-1].answer == "deny"
    assert waits.LASTS < 420


def test_who_is_let_in_among_many_who_are_not_frees_no_door() -> None:
    """Half of those who fail there without a name must get in: with five televisions of his own nobody tries a list."""
    mine = [television(nth, BEGINS_S + nth, 8) for nth in range(5)]
    many = flows(
        200, entity=31_000 + np.arange(200), asn=HOME, route=TOKEN, path=TOKEN, login=True, outcome=AUTH_FAILED,
        t_ms=6600_000 + np.arange(200) * 1000,
    )  # fmt: skip
    late = television(99, 7900, 60)
    assert 30_099 not in {one.entity for one in told(*mine, late)}
    assert 30_099 in {one.entity for one in told(*mine, many, late)}


def test_one_failure_without_a_name_makes_nobody_part_of_an_attack_on_the_door() -> None:
    """By the next one it is seen whether it is a poll: a guesser's comes sooner, or names somebody."""
    n = 80
    spray = flows(
        4 * n, entity=60_000 + np.arange(4 * n) % n, user=70_000 + np.arange(4 * n), asn=HOME, route=TOKEN, path=TOKEN,
        login=True, outcome=AUTH_FAILED, t_ms=BEGINS_S * 1000 + np.arange(4 * n) * 1500,
    )  # fmt: skip
    once = {"asn": HOME, "route": TOKEN, "path": TOKEN, "login": True, "outcome": AUTH_FAILED}
    named = flows(1, entity=30_500, user=88_000, t_ms=(BEGINS_S + 400) * 1000, **once)
    found = told(spray, named, television(1, BEGINS_S + 405, 1))
    assert {one.entity: one.answer for one in found} == {30_500: "challenge"}
    twice = flows(2, entity=30_600, t_ms=(BEGINS_S + 410) * 1000 + np.arange(2) * 1500, **once)
    assert {one.answer for one in told(spray, twice) if one.entity == 30_600} <= {"challenge", "deny"}
    assert told(spray, twice)
