"""Looking again whether a report is there is no burden; a walk that is many people's work is told of."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, closed, flows, site, tags_of

from detectors import artifact
from detectors.columns import IP, KEY, OK, Finding, Flows
from detectors.evidence import Engine

ORDERS, EXPORTS, FILES, ASSISTANT = 810, 811, 812, 813
SLOW = tags_of("costly", marked=True)
SUBMITTED = tags_of("focus", marked=True)
SPAN_S = 10_800
BEGINS_S = 5400


def told(*parts: Flows, entity: int, family: str, step_s: int = SPAN_S, restart_s: int = 0) -> list[Finding]:
    """What is told of somebody, in the midst of a site."""
    found = closed(Engine(artifact.load()), Flows.concat([site(3, span_s=SPAN_S), *parts]), step_s, restart_s)
    return [one for one in found if (one.entity, one.family) == (entity, family)]


def reports(looks: int, every_ms: int, *, kind: int = KEY, between: bool = False, at_s: int = BEGINS_S) -> Flows:
    """Ten reports, ordered one after the other, and each looked for so often: all of it is slow."""
    one = 1 + looks
    step, report = np.arange(10 * one) % one, np.arange(10 * one) // one
    ordered = step == 0
    path = np.where(ordered, EXPORTS, 5_000 + report)
    if between:  # by turns for this one and the one before
        path = np.where(ordered, EXPORTS, 5_000 + np.maximum(0, report - step % 2))
    return flows(
        10 * one, kind=kind, entity=8_201, t_ms=at_s * 1000 + np.arange(10 * one) * every_ms,
        route=np.where(ordered, EXPORTS, FILES), path=path, tags=np.where(ordered, SLOW | SUBMITTED, SLOW),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [IP, KEY])
@pytest.mark.parametrize("step_s", [SPAN_S, 300])
def test_who_looks_every_five_seconds_whether_his_report_is_there_is_no_burden(kind: int, step_s: int) -> None:
    assert not told(reports(8, 5000, kind=kind), entity=8_201, family="costly", step_s=step_s)


def test_who_waits_for_two_at_once_is_none_either() -> None:
    assert not told(reports(8, 5000, between=True), entity=8_201, family="costly")


@pytest.mark.parametrize(("looks", "every_ms"), [(8, 2500), (1, 5000)])
def test_who_asks_faster_or_for_a_new_one_each_time_is_asked(looks: int, every_ms: int) -> None:
    assert {one.answer for one in told(reports(looks, every_ms), entity=8_201, family="costly")} == {"challenge"}


def test_what_is_submitted_over_and_over_is_no_look() -> None:
    asked = flows(
        60, kind=KEY, entity=8_201, t_ms=BEGINS_S * 1000 + np.arange(60) * 6000, route=ASSISTANT, path=ASSISTANT,
        tags=SLOW | SUBMITTED,
    )  # fmt: skip
    assert told(asked, entity=8_201, family="costly")


def desks(
    accounts: int, each_s: float, *, named: bool = True, entity: int = 8_202, begin_s: int = BEGINS_S, for_s: int = 4200
) -> Flows:
    """So many sign in at one address, and each opens an order in so many seconds, none twice."""
    n = int(accounts * for_s / each_s)
    who = np.arange(n) % accounts
    begins_ms = begin_s * 1000
    on = flows(
        accounts, entity=entity, t_ms=begins_ms + np.arange(accounts) * 2000, route=LOGIN_ROUTE, path=LOGIN_ROUTE,
        login=True, user=300 + np.arange(accounts), outcome=OK,
    )  # fmt: skip
    works = flows(
        n, entity=entity, t_ms=begins_ms + 60_000 + np.arange(n) * int(1000 * each_s / accounts), route=ORDERS,
        path=400_000 + np.arange(n), user=300 + who if named else 0,
    )  # fmt: skip
    return Flows.concat([on, works])


@pytest.mark.parametrize(("step_s", "restart_s"), [(SPAN_S, 0), (300, 7200)])
def test_a_team_at_one_address_that_opens_orders_is_told_of_and_not_asked(step_s: int, restart_s: int) -> None:
    found = told(desks(25, 40), entity=8_202, family="sweep", step_s=step_s, restart_s=restart_s)
    assert {one.answer for one in found} == {"notice"}
    assert any("accounts are signed in at the address" in fact.sentence for fact in found[-1].facts)


def test_who_goes_on_is_at_work_though_hours_end() -> None:
    """What is remembered of who signed in is let go after an hour or two; who opens orders then is still there."""
    found = told(desks(25, 40, begin_s=3000, for_s=6000), entity=8_202, family="sweep")
    assert found[-1].at_s > T0_S + 7200 + 60
    assert {one.answer for one in found} == {"notice"}


@pytest.mark.parametrize(
    ("accounts", "each_s", "named"), [(1, 20, True), (3, 10, True), (25, 8, True), (25, 40, False)]
)
def test_few_accounts_or_faster_ones_or_none_are_asked(accounts: int, each_s: float, named: bool) -> None:  # noqa: FBT001
    found = told(desks(accounts, each_s, named=named), entity=8_202, family="sweep")
    assert "challenge" in {one.answer for one in found}


def test_two_are_enough_where_the_address_has_a_past() -> None:
    """They had come back to the same orders for an hour: an office."""
    past = flows(200, entity=8_203, t_ms=np.arange(200) * 26_000, route=ORDERS, path=ORDERS + np.arange(200) % 7)
    assert {one.answer for one in told(past, desks(2, 40, entity=8_203), entity=8_203, family="sweep")} == {"notice"}
    assert "challenge" in {one.answer for one in told(desks(2, 40), entity=8_202, family="sweep")}
