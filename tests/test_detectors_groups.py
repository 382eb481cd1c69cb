"""Attacks spread over so many addresses that none stands out: the route does, and its members are found by it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, PAY_ROUTE, T0_S, brute_force, flows, shop, site, tags_of

from detectors import artifact
from detectors.attribution import is_part
from detectors.columns import ASN, AUTH_FAILED, CLIENT_ERROR, NETWORK, OK, ROUTE, TENANT, Finding, Flows
from detectors.cusum import Track
from detectors.evidence import Engine
from detectors.family_file import built_in
from detectors.group_rows import Cell
from detectors.group_state import Cause, Group, alarm_of

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


def test_its_members_are_denied_with_their_further_marks_and_nobody_else_is() -> None:
    found = [one for one in told(spread(4)) if one.kind != ROUTE]
    assert {one.answer for one in found} == {"challenge", "deny"}, "challenged for the first"
    assert {one.family for one in found} == {"guess"}
    assert len({one.entity for one in found if one.answer == "deny"}) > BOTS * 0.9
    hit = {one.entity for one in found}
    assert all(50_000 <= entity < 50_000 + BOTS for entity in hit)
    assert len(hit) > BOTS * 0.9
    assert {share.feature for share in found[0].contributions} == {"group", "guess"}
    assert {one.campaign for one in found if one.answer == "deny"} == {(ROUTE, LOGIN_ROUTE)}


def test_one_mark_is_not_enough_to_deny_anybody_and_a_newcomers_is_challenged() -> None:
    found = [one for one in told(spread(1)) if one.kind != ROUTE]
    assert {one.answer for one in found} == {"challenge"}
    assert all(one.entity >= 50_000 for one in found)


def test_a_newcomer_who_came_for_other_things_and_mistypes_once_meanwhile_is_not_taken_for_one_of_them() -> None:
    """Bots come for the login alone; a person has looked at pages before."""
    g = np.random.default_rng(6)
    people, pages = 12, 7
    begin_ms = np.sort(g.integers(BEGIN_S * 1000 + 300_000, BEGIN_S * 1000 + 900_000, people))
    t_ms = (begin_ms[:, None] + np.arange(pages + 1) * 4_000).ravel()
    login = np.tile(np.arange(pages + 1) == pages, people)
    visits = flows(
        len(t_ms),
        entity=np.repeat(80_000 + np.arange(people), pages + 1),
        t_ms=t_ms,
        route=np.where(login, LOGIN_ROUTE, 3),
        path=np.where(login, LOGIN_ROUTE, np.tile(3_000 + np.arange(pages + 1), people)),
        user=np.where(login, np.repeat(900_000 + np.arange(people), pages + 1), 0),
        outcome=np.where(login, AUTH_FAILED, OK),
        login=login,
    )
    found = [one for one in told(Flows.concat([spread(3), visits])) if one.kind != ROUTE]
    assert len({one.entity for one in found}) > BOTS * 0.9
    assert not [one.entity for one in found if one.entity >= 80_000]


@pytest.mark.parametrize("every_ms", [100, 1_000, 20_000])
def test_one_guesser_however_fast_is_no_group(every_ms: int) -> None:
    found = told(brute_force(BEGIN_S, n=400, every_ms=every_ms))
    assert {(one.kind, one.entity) for one in found} == {(0, 9_001)}


def test_a_handful_of_guessers_each_found_by_himself_are_no_group() -> None:
    found = told(Flows.concat([brute_force(BEGIN_S + 60 * i, entity=9_001 + i) for i in range(4)]))
    assert {one.kind for one in found} == {0}


def test_what_is_seen_during_an_alarm_teaches_nobody_what_is_usual() -> None:
    """Thousands who fail once or twice would make failing usual: the next attack would find nobody out."""
    begin = spread(2)
    again = replace(
        spread(3, seed=2, first=60_000), user=begin.user[0] + 900_000 + np.arange(BOTS * 3, dtype=np.uint64)
    )
    later = {name: getattr(again, name) + by for name, by in (("pane_s", 7_200), ("first_ms", 7_200_000))}
    later |= {"last_ms": again.last_ms + 7_200_000}
    engine = Engine(artifact.load())
    found = engine.close(Flows.concat([site(1, span_s=18_000, requests=60_000), begin, replace(again, **later)]), 2**40)
    second = {one.entity for one in found if one.kind != ROUTE and one.entity >= 60_000}
    assert len(second) > BOTS * 0.9


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
    found = told(broken)
    assert {one.kind for one in found if "expired token" in one.facts[2].sentence} == {ROUTE}, "one agent: 0"
    assert not [one for one in found if one.answer == "deny"]
    agents = told(replace(broken, agent=people.astype(np.uint64) % 7 + 1))
    assert {one.kind for one in agents if "fault or a release of yours" in one.facts[2].sentence} == {ROUTE}


@pytest.mark.parametrize(
    ("marks", "plain", "known", "cause"),
    [
        (300, 10, (2, 1), Cause.UNSURE),  # two of three who mistyped: neither says it twenty to one
        (300, 10, (0, 2), Cause.UNSURE),
        (300, 10, (0, 4), Cause.ATTACK),
        (300, 10, (6, 0), Cause.FAULT),
        (60, 60, (9, 9), Cause.FAULT),  # half of it is broken, for those who came all morning too
        (60, 60, (1, 15), Cause.ATTACK),
    ],
)
def test_established_clients_say_what_it_is_when_they_say_it_twenty_to_one(
    marks: int, plain: int, known: tuple[int, int], cause: Cause
) -> None:
    group = Group(marks=marks, plain=plain, known=list(known), agents={1: marks // 2, 2: marks // 2})
    family = next(one for one in built_in() if one.name == "guess")
    cell = Cell((ROUTE, 1), 0, 0, {}, {}, 0, 0.0, known, {}, 0, frozenset())
    assert alarm_of(family, group, cell, p0=0.1).cause is cause


@pytest.mark.parametrize(("p0", "part"), [(0.1, True), (0.95, False)])
def test_nobody_is_part_of_a_group_whose_marks_are_usual_by_now_whatever_he_did_before_that_was_known(
    p0: float, *, part: bool
) -> None:
    family = next(one for one in built_in() if one.name == "focus")
    cell = Cell((ROUTE, 1), 0, 0, {}, {}, 0, p0, (0, 0), {}, 0, frozenset())
    alarm = alarm_of(family, Group(marks=190, plain=10, known=[0, 40]), cell, p0)
    assert is_part(alarm, Track(s=30.0, distinct=12), 12, newcomer=True, by_one=False) == part


def test_while_nobody_is_established_people_are_told_and_nobody_is_answered() -> None:
    early = spread(3)
    moved = Flows(**{**{f.name: getattr(early, f.name) for f in fields(Flows)}, "pane_s": early.pane_s - 7_000})
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


GROUPS = {"asn": ASN, "network": NETWORK, "tenant": TENANT}


@pytest.mark.parametrize("column", GROUPS)
def test_an_attack_over_many_routes_from_one_place_shows_there_and_its_members_are_one_campaign(column: str) -> None:
    traffic = replace(spread(4), route=np.arange(BOTS * 4, dtype=np.uint64) % 40 + 500)
    found = told(replace(traffic, **{column: np.full(BOTS * 4, 64_500, np.uint64)}))
    groups = [one for one in found if one.kind == GROUPS[column]]
    assert (groups[0].entity, groups[0].answer) == (64_500, "challenge" if column == "network" else "notice")
    members = [one for one in found if one.kind == 0]
    assert {one.answer for one in members} <= {"challenge", "deny"}
    assert len({one.entity for one in members}) > BOTS * 0.9


def test_what_a_route_in_alarm_explains_is_not_told_of_a_network_again() -> None:
    found = told(replace(spread(4), asn=np.full(BOTS * 4, 64_500, np.uint64)))
    assert {one.kind for one in found} == {0, ROUTE}
    assert {one.campaign for one in found if one.campaign != (0, 0)} == {(ROUTE, LOGIN_ROUTE)}


def test_a_network_with_a_good_client_for_each_bad_one_is_not_answered_as_one() -> None:
    bad = replace(spread(4), route=np.arange(BOTS * 4, dtype=np.uint64) % 40 + 500)
    good = replace(bad, entity=bad.entity + np.uint64(1_000), ip=bad.entity, outcome=np.zeros(BOTS * 4, np.uint8))
    mixed = Flows.concat([bad, replace(good, user=good.user + np.uint64(9_999))])
    groups = [one for one in told(replace(mixed, network=np.full(len(mixed), 7, np.uint64))) if one.kind == NETWORK]
    assert {one.answer for one in groups} <= {"notice"}


def paying(clients: int, tries: int, outcome: int = CLIENT_ERROR, every_s: int = 60) -> Flows:
    """Newcomers who submit the same form now and then, and are refused."""
    n = clients * tries
    tags = tags_of("focus", marked=True) | tags_of("refused", marked=outcome == CLIENT_ERROR)
    return flows(
        n,
        entity=70_000 + np.arange(n) % clients,
        t_ms=BEGIN_S * 1000 + np.arange(n) // clients * every_s * 1000 + np.arange(n) % clients * 251,
        route=PAY_ROUTE,
        path=PAY_ROUTE,
        outcome=outcome,
        tags=tags,
    )


def answered(traffic: Flows, family: str) -> dict[int, str]:
    everybody = Flows.concat([site(1, span_s=10_800, requests=36_000), shop(2), traffic])
    found = Engine(artifact.load()).close(everybody, END_S)
    return {one.entity: one.answer for one in found if one.family == family and one.kind == 0}


def test_cards_tried_from_one_address_are_challenged_on_that_route() -> None:
    assert answered(paying(1, 40, every_s=15), "refused") == {70_000: "challenge"}


def test_cards_tried_from_many_addresses_a_few_each_are_challenged_and_good_customers_are_not() -> None:
    hit = answered(paying(100, 4), "refused")
    assert {*hit.values()} == {"challenge"}
    assert len(hit) > 90
    assert min(hit) >= 70_000


def test_many_newcomers_who_each_do_one_costly_thing_over_and_over_are_a_cohort() -> None:
    hit = answered(paying(100, 12, OK, every_s=30), "focus")
    assert {*hit.values()} == {"challenge"}
    assert len(hit) > 90
    assert min(hit) >= 70_000


def test_one_newcomer_who_does_one_thing_over_and_over_is_none() -> None:
    assert not answered(paying(1, 60, OK), "focus")


def reading(clients: int, at_once: int, begin_s: int = BEGIN_S) -> Flows:
    """Newcomers who come to one page again and again, some requests within a second each time."""
    n = clients * 6
    return flows(
        n,
        entity=90_000 + np.arange(n) % clients,
        t_ms=begin_s * 1000 + np.arange(n) // clients * 30_000 + np.arange(n) % clients * 251,
        route=3,
        path=3,
        n=at_once,
        tags=tags_of("burst", marked=True),
    )


def visitors(seed: int) -> Flows:
    """People who read without an account, for hours."""
    traffic = site(seed, span_s=10_800, requests=18_000)
    return replace(traffic, tags=np.full(len(traffic), tags_of("burst", marked=True), np.uint64))


def bursting(traffic: Flows) -> dict[int, str]:
    everybody = Flows.concat([site(1, span_s=10_800, requests=36_000), visitors(2), traffic])
    found = Engine(artifact.load()).close(everybody, END_S)
    return {one.entity: one.answer for one in found if one.family == "burst"}


def test_newcomers_who_ask_for_one_page_several_times_in_a_second_are_a_flood_and_challenged_one_by_one() -> None:
    hit = bursting(reading(100, 4))
    assert hit.pop(3) == "notice"
    assert {*hit.values()} == {"challenge"}
    assert len(hit) > 90
    assert min(hit) >= 90_000


def test_a_crowd_that_asks_for_it_once_each_time_is_none_and_one_who_does_not_wait_is_none() -> None:
    assert not bursting(reading(400, 1))
    assert not bursting(reading(1, 4))
