"""Members who come from where nobody has seen them are no newcomers: what they meet is what good clients meet."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import PAY_ROUTE, T0_S, closed, flows, tags_of

from detectors import artifact
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, IP, OK, Finding, Flows
from detectors.evidence import Engine
from detectors.rows import canonical

HOURS_S = 2 * 3600 + 1800  # of the site as it is, before something opens
MEMBERS = 6_000
HOME, ELSEWHERE = 64_500, 65_551
CROWD = 40_000  # the first address of those who press the button


def members(seed: int = 1) -> Flows:
    """People of one operator who come signed in, a page or two, each at an address of its own."""
    g = np.random.default_rng(seed)
    n = 12_000
    who = g.integers(0, MEMBERS, n)
    return flows(
        n, entity=1_000 + who, user=500_000 + who, asn=HOME, path=1_000 + g.integers(0, 40, n),
        t_ms=np.sort(g.integers(0, (HOURS_S + 1800) * 1000, n)),
    )  # fmt: skip


def pressing(first: int = 500_000, asn: int = HOME, people: int = 120, *, apart_ms: int = 1700) -> Flows:
    """People at addresses of their own who all ask for one thing at once, forty times each, and are refused (409)."""
    who = np.repeat(np.arange(people), 40)
    nth = np.tile(np.arange(40), people)
    return flows(
        len(who), entity=CROWD + who, user=first + who * 5, asn=asn, route=PAY_ROUTE, path=PAY_ROUTE,
        t_ms=HOURS_S * 1000 + nth * apart_ms + who * 13 % 1500, outcome=CLIENT_ERROR,
        tags=tags_of("refused", marked=True),
    )  # fmt: skip


@pytest.fixture(scope="module")
def before() -> dict[str, np.ndarray]:
    """The state of an engine that has seen the site as it is until then."""
    engine, traffic = Engine(artifact.load()), members()
    closed(engine, traffic.take(traffic.pane_s < T0_S + HOURS_S))
    return engine.arrays()


def asked(before: dict[str, np.ndarray], crowd: Flows, step_s: int = 600) -> set[int]:
    """Addresses of the crowd that are answered with anything."""
    engine, site = Engine.restore(artifact.load(), before), members()
    everybody = Flows.concat([site.take(site.pane_s >= T0_S + HOURS_S), crowd])
    found: list[Finding] = []
    for begin_s in range(T0_S + HOURS_S, T0_S + HOURS_S + 210, step_s):
        here = (everybody.pane_s >= begin_s) & (everybody.pane_s < begin_s + step_s)
        found += engine.close(everybody.take(here), begin_s + step_s)
    return {one.entity for one in found if one.answer != "notice" and one.kind == IP and one.entity >= CROWD}


@pytest.mark.parametrize("step_s", [600, 7])
def test_members_who_all_press_the_same_button_are_asked_nothing_wherever_they_come_from(
    before: dict[str, np.ndarray], step_s: int
) -> None:
    assert asked(before, pressing(), step_s) == set()


def test_people_without_a_past_who_do_the_same_are_asked_as_ever_and_so_are_members_from_elsewhere(
    before: dict[str, np.ndarray],
) -> None:
    assert len(asked(before, pressing(first=900_000))) == 120
    assert len(asked(before, pressing(asn=ELSEWHERE))) == 120


def test_one_account_with_a_past_at_many_addresses_is_one_client(before: dict[str, np.ndarray]) -> None:
    one = pressing()
    one.user[:] = 500_000
    assert len(asked(before, one)) > 100


def test_what_is_named_in_a_refused_request_or_a_sign_on_is_nobody(
    before: dict[str, np.ndarray],
) -> None:
    refused, named = pressing(), pressing()
    refused.outcome[:] = AUTH_FAILED
    named.login[:] = True
    engine = Engine.restore(artifact.load(), before)
    for traffic, past in ((pressing(), True), (refused, False), (named, False)):
        looked = engine._judge(canonical(traffic))
        assert (looked.accounts.past.mean() > 0.7) == past
        assert past or not looked.accounts.past.any()


def test_an_account_has_a_past_when_the_hour_is_over_in_which_it_was_answered_well() -> None:
    engine = Engine(artifact.load())
    account = np.array([500_001], np.uint64)
    engine.close(flows(1, entity=7, user=account, t_ms=600_000, outcome=OK), T0_S + 3000)
    assert not engine.memories.accounts.contains(account)
    engine.close(flows(1, entity=8, t_ms=3_700_000), T0_S + 3800)
    assert engine.memories.accounts.contains(account)
    assert Engine.restore(engine.model, engine.arrays()).memories.accounts.contains(account)
