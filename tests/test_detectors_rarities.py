"""Newcomers who have something that hardly anybody has, all for one thing: one alone is nothing, a dozen are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detectors_traffic import closed, flows

from detectors.artifact import NEVER, defaults
from detectors.columns import IP, ROUTE, Finding, Flows
from detectors.evidence import Engine

WARM_S = 3 * 3600
HOMES = np.arange(101, 107)
STRANGE = np.arange(901, 913)
BROWSERS = np.arange(11, 17)
REVIEWS = 5


def newcomers(
    seed: int,
    begin_s: int,
    span_s: int,
    n: int,
    at: np.ndarray = HOMES,
    route: int | None = None,
    agent: np.ndarray = BROWSERS,
    path: np.ndarray | None = None,
) -> Flows:
    """`n` newcomers with a request each, at operators and with agents by turns, for one thing or as people are."""
    g = np.random.default_rng(seed)
    usual = g.integers(1, 50, n) if route is None else route
    return flows(
        n,
        entity=g.integers(1 << 20, 1 << 60, n),
        t_ms=np.sort(g.integers(begin_s * 1000, (begin_s + span_s) * 1000, n)),
        asn=at[np.arange(n) % len(at)],
        agent=agent[np.arange(n) % len(agent)],
        route=g.integers(1, 8, n) if route is None else route,
        path=usual if path is None else path,
    )


def usual(span_s: int = WARM_S + 2400) -> Flows:
    """Some 300 newcomers in ten minutes at six operators."""
    return newcomers(1, 0, span_s, span_s // 2)


def told(parts: list[Flows], step_s: int = 600, restart_s: int = 0, family: str = "afar") -> list[Finding]:
    model = defaults()
    engine = Engine(replace(model, h=np.full_like(model.h, NEVER)))  # no family speaks
    found = closed(engine, Flows.concat(parts), step_s, restart_s)
    return [finding for finding in found if finding.family == family]


def test_a_botnet_that_comes_for_one_thing_is_told_of_with_a_few_of_its_clients_and_nobody_is_answered() -> None:
    found = told([usual(), newcomers(2, WARM_S, 2400, 60, STRANGE, REVIEWS)])
    assert {(one.kind, one.answer) for one in found} == {(ROUTE, "notice"), (IP, "notice")}
    (route,) = {one.entity for one in found if one.kind == ROUTE}
    assert route == REVIEWS
    assert 1 <= len({one.entity for one in found if one.kind == IP}) <= 10  # eight, then one when they double
    assert {one.campaign for one in found} == {(ROUTE, REVIEWS)}
    assert "operators that hardly anybody comes from" in found[0].facts[0].sentence


def test_a_crowd_from_one_operator_that_nobody_comes_from_is_none() -> None:
    assert not told([usual(), newcomers(3, WARM_S, 2400, 200, STRANGE[:1], REVIEWS)])


def test_a_crowd_from_where_people_come_from_is_none() -> None:
    assert not told([usual(), newcomers(4, WARM_S, 2400, 600, HOMES, REVIEWS)])


def test_what_is_usual_from_afar_is_learned() -> None:
    steady = newcomers(5, 0, WARM_S + 2400, (WARM_S + 2400) // 40, STRANGE)
    assert not told([usual(), steady])


@pytest.mark.parametrize(
    ("step_s", "restart_s", "family"), [(30, 0, "afar"), (600, WARM_S + 900, "guise"), (600, WARM_S + 900, "unheard")]
)
def test_it_says_the_same_however_calls_come_and_after_a_restart(step_s: int, restart_s: int, family: str) -> None:
    rare, paths = np.arange(5000, 5060), np.arange(70_000, 70_060)
    parts = [usual(), newcomers(2, WARM_S, 2400, 60, STRANGE, REVIEWS, rare, paths)]

    def said(found: list[Finding]) -> list[tuple[int, int, int, str]]:
        return sorted((one.at_s, one.kind, one.entity, one.facts[0].sentence) for one in found)

    whole = said(told(parts, family=family))
    assert whole
    assert said(told(parts, step_s, restart_s, family)) == whole


def test_names_that_hardly_anybody_has_all_for_one_thing_are_told_of() -> None:
    phones = newcomers(6, WARM_S, 1500, 60, route=REVIEWS, agent=np.arange(5000, 5060))
    found = told([usual(), phones], family="guise")
    assert {(one.kind, one.answer) for one in found} == {(ROUTE, "notice"), (IP, "notice")}
    assert {one.route for one in found} == {REVIEWS}
    assert "user agents that hardly anybody has" in found[0].facts[0].sentence


def test_one_new_name_that_a_crowd_has_is_a_new_browser() -> None:
    crowd = newcomers(7, WARM_S, 1500, 300, route=REVIEWS, agent=np.array([5000]))
    assert not told([usual(), crowd], family="guise")


def test_clicks_that_each_have_a_path_of_their_own_are_told_of() -> None:
    clicks = newcomers(8, WARM_S, 2400, 40, route=REVIEWS, path=np.arange(70_000, 70_040))
    found = told([usual(), clicks], family="unheard")
    assert {(one.kind, one.answer) for one in found} == {(ROUTE, "notice"), (IP, "notice")}
    assert {one.route for one in found} == {REVIEWS}
    assert "a path that nobody ever asked for" in found[0].facts[0].sentence


def test_a_link_that_goes_round_is_one_path() -> None:
    link = newcomers(9, WARM_S, 2400, 400, route=REVIEWS, path=np.array([70_000]))
    assert not told([usual(), link], family="unheard")


def test_a_route_on_which_everybody_asks_for_something_new_is_usual() -> None:
    span_s = WARM_S + 2400
    searches = newcomers(10, 0, span_s, span_s // 20, route=9, path=np.arange(80_000, 80_000 + span_s // 20))
    assert not told([usual(), searches], family="unheard")
