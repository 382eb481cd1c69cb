"""Where hardly anybody gets in the door may be what fails: who fails there is asked, and nobody is denied."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, brute_force, closed, flows, site

from detectors import artifact
from detectors.columns import AUTH_FAILED, OK, SERVER_ERROR, Finding, Flows
from detectors.evidence import Engine

SSO = 310
OFFICES = (9_501, 9_502)
BEGINS_MS = 3_000_000


def staff(errors: float, lasts_s: int = 1200, n: int = 400) -> Flows:
    """Sixty people whose passwords are right: forty in two offices, the others at home, again and again in vain."""
    g = np.random.default_rng(8)
    who = g.integers(0, 60, n)
    address = np.where(who < 40, np.array(OFFICES)[who % 2], 9_600 + who)
    return flows(
        n, entity=address, user=70_000 + who, route=SSO, path=SSO, login=True,
        t_ms=BEGINS_MS + np.sort(g.integers(0, lasts_s * 1000, n)),
        outcome=np.where(g.random(n) < errors, SERVER_ERROR, AUTH_FAILED),
    )  # fmt: skip


def let_in(n: int, lasts_s: int = 1200) -> Flows:
    """Others, who sign on there meanwhile as always."""
    return flows(
        n, entity=9_800 + np.arange(n), user=80_000 + np.arange(n), route=SSO, path=SSO, login=True, outcome=OK,
        t_ms=BEGINS_MS - 120_000 + np.arange(n) * (lasts_s + 120) * 1000 // n,
    )  # fmt: skip


def told(*parts: Flows, step_s: int = 5400) -> list[Finding]:
    found = closed(Engine(artifact.load()), Flows.concat([site(3), *parts]), step_s)
    return [one for one in found if one.family == "guess" and one.kind == 0]


@pytest.mark.parametrize("step_s", [5400, 30])
@pytest.mark.parametrize("errors", [0.0, 0.5])
def test_while_a_sign_on_is_broken_nobody_is_denied(errors: float, step_s: int) -> None:
    found = told(staff(errors), step_s=step_s)
    assert not [one for one in found if one.answer == "deny"]


def test_where_the_servers_say_that_they_fail_an_office_does_not_even_stand_out() -> None:
    assert set(OFFICES) <= {one.entity for one in told(staff(0.0))}
    assert not set(OFFICES) & {one.entity for one in told(staff(0.5))}


def test_who_fails_where_others_get_in_is_denied() -> None:
    found = [one for one in told(staff(0.0), let_in(200)) if one.entity in OFFICES]
    assert "deny" in {one.answer for one in found}
    assert not [one for one in found if one.answer == "deny" and "door" in {fact.name for fact in one.facts}]


def test_a_lone_guesser_whom_nobody_is_beside_is_denied() -> None:
    """It takes more than one client to say that a door is shut, however often he comes."""
    alone = brute_force(BEGINS_MS / 1000)
    alone.route[:] = SSO
    assert {one.answer for one in told(alone)} == {"deny"}


def test_guesses_at_a_broken_door_are_found_all_the_same() -> None:
    """Else who can overload a sign-on could guess there unseen."""
    many = brute_force(BEGINS_MS / 1000 + 300, n=200)
    many.route[:] = SSO
    (answers,) = ({one.answer for one in told(staff(0.5), many) if one.entity == 9_001},)
    assert answers == {"challenge"}


def test_an_outage_is_no_habit_of_a_door() -> None:
    """Who sprays there an hour later is held to what was usual before it."""
    engine = Engine(artifact.load())
    engine.close(Flows.concat([site(3, span_s=7300), staff(0.5)]), T0_S + 7300)
    taught = [group.own for (family, _, place), group in engine.groups.held.items() if (family, place) == (0, SSO)]
    assert taught == [[0.0, 0.0]]
