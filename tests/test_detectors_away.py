"""A key that is used in a network where it never was, until the hour is over: a quota burnt, a stock overwritten."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, flows, told_of

from detectors.columns import KEY, Finding, Flows

CUSTOMER = 8_300
HOME, RENTED = 21, 91
HOUR_S = 3600


def used(begin_s: int, n: int, every_s: float, asn: int, path: int = 900) -> Flows:
    """The same request over and over, from one operator."""
    t_ms = begin_s * 1000 + (np.arange(n) * every_s * 1000).astype(np.int64)
    return flows(
        n, kind=KEY, entity=CUSTOMER, t_ms=t_ms, route=4, path=path, ip=7_000_000 + asn, asn=asn,
    )  # fmt: skip


def told(*parts: Flows, step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    return told_of(CUSTOMER, "away", *parts, step_s=step_s, restart_s=restart_s)


def at_home(hours: int) -> Flows:
    return used(0, hours * 120, 30, HOME)


@pytest.mark.parametrize(("step_s", "restart_s"), [(600, 0), (20, 0), (600, 2 * HOUR_S + 300)])
def test_a_key_used_where_it_never_was_is_told_of_and_nobody_is_answered(step_s: int, restart_s: int) -> None:
    found = told(at_home(4), used(2 * HOUR_S + 600, 130, 2, RENTED), step_s=step_s, restart_s=restart_s)
    assert {one.answer for one in found} == {"notice"}
    assert found[0].first_ms >= (T0_S + 2 * HOUR_S + 600) * 1000
    assert found[0].crossed_ms <= (T0_S + 2 * HOUR_S + 800) * 1000
    assert 7_000_000 + RENTED in found[0].examples


def test_where_it_was_for_an_hour_it_is_at_home() -> None:
    moved = used(2 * HOUR_S + 600, 300, 30, RENTED)
    found = told(at_home(2), moved)
    assert found
    assert max(one.at_s for one in found) < T0_S + 3 * HOUR_S


def test_a_key_that_nobody_knew_is_nowhere_away() -> None:
    assert not told(used(600, 200, 2, HOME), used(1200, 200, 2, RENTED))


def test_a_key_that_goes_on_at_home_as_much_as_elsewhere_is_nothing() -> None:
    assert not told(at_home(4), used(2 * HOUR_S + 600, 90, 15, RENTED))
