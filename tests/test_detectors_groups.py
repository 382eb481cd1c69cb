"""Attacks spread over so many addresses that none stands out: the route does, and its members are found by it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, flows, site

from detectors import artifact
from detectors.columns import AUTH_FAILED, OK, ROUTE, Finding, Flows
from detectors.evidence import Engine

BEGIN_S = 7_500  # by then people are established
END_S = T0_S + 14_400
BOTS = 200


def spread(tries: int, seed: int = 1, outcome: int = AUTH_FAILED, first: int = 50_000) -> Flows:
    """Two hundred addresses, one account each time, one try each six minutes, from the second hour on."""
    g = np.random.default_rng(seed)
    n = BOTS * tries
    return flows(
        n,
        entity=first + np.arange(n) % BOTS,
        t_ms=BEGIN_S * 1000 + np.sort(g.integers(0, tries * 360_000, n)),
        route=LOGIN_ROUTE,
        path=LOGIN_ROUTE,
        user=200_000 + np.arange(n),
        outcome=outcome,
        login=True,
    )


def told(traffic: Flows) -> list[Finding]:
    return Engine(artifact.load()).close(Flows.concat([site(1, span_s=10_800, requests=36_000), traffic]), END_S)


def test_a_spread_attack_is_told_of_its_route_within_a_minute_and_nobody_answered_for_it() -> None:
    group = [one for one in told(spread(3)) if one.kind == ROUTE]
    assert (group[0].entity, group[0].family, group[0].answer) == (LOGIN_ROUTE, "guess", "notice")
    assert group[0].crossed_ms - (T0_S + BEGIN_S) * 1000 < 60_000
    assert group[0].facts[3].value > 3


def test_its_members_are_denied_from_their_second_mark_on_and_nobody_else() -> None:
    found = [one for one in told(spread(4)) if one.kind != ROUTE]
    assert {one.answer for one in found} == {"deny"}
    assert {one.family for one in found} == {"guess"}
    hit = {one.entity for one in found}
    assert all(50_000 <= entity < 50_000 + BOTS for entity in hit)
    assert len(hit) > BOTS * 0.9
    assert {share.feature for share in found[0].contributions} == {"group", "guess"}


def test_one_mark_is_not_enough_for_anybody() -> None:
    assert {one.kind for one in told(spread(1))} <= {ROUTE}


def test_a_crowd_that_signs_in_is_no_attack() -> None:
    g = np.random.default_rng(3)
    outcome = np.where(g.random(BOTS * 3) < 0.1, AUTH_FAILED, OK)
    assert not told(spread(3, outcome=outcome))


def test_a_failed_deploy_that_established_clients_meet_as_well_is_no_attack() -> None:
    """All logins fail for ten minutes, those of people who came all morning too."""
    n = 2_000
    g = np.random.default_rng(5)
    people = 1 + g.integers(0, 300, n)
    broken = flows(
        n,
        entity=people,
        t_ms=np.sort(g.integers(7_500_000, 8_100_000, n)),
        route=LOGIN_ROUTE,
        path=LOGIN_ROUTE,
        user=people * 10 + 7,
        outcome=AUTH_FAILED,
        login=True,
    )
    assert not [one for one in told(broken) if one.answer == "deny"]


def test_while_nobody_is_established_people_are_told_and_nobody_is_answered() -> None:
    early = spread(4)
    moved = Flows(**{**{f.name: getattr(early, f.name) for f in fields(Flows)}, "pane_s": early.pane_s - 6_000})
    found = Engine(artifact.load()).close(Flows.concat([site(1), moved]), END_S)
    assert {one.kind for one in found} == {ROUTE}


@pytest.mark.parametrize("step_s", [1, 7])
def test_groups_say_the_same_however_panes_are_batched_and_over_a_restart(step_s: int) -> None:
    traffic = Flows.concat([site(1, span_s=10_800), spread(2)])
    model, first_s, last_s = artifact.load(), T0_S + BEGIN_S, T0_S + BEGIN_S + 300
    whole = Engine(model).close(traffic, END_S)
    engine = Engine(model)
    parts: list[Finding] = []
    for end_s in [*range(first_s, last_s, step_s), last_s, END_S]:
        here = (traffic.pane_s >= engine.closed_s) & (traffic.pane_s < end_s)
        parts += engine.close(traffic.take(here), end_s)
        if end_s == first_s + 20 * step_s:
            engine = Engine.restore(model, engine.arrays())

    def key(one: Finding) -> tuple[object, ...]:
        return one.kind, one.entity, one.family, one.pane_s, one.at_s, one.crossed_ms, one.crossed_after, one.answer

    assert whole
    assert [key(one) for one in parts] == [key(one) for one in whole]
