"""A key that asks on routes it never asked on, until the hour is over: what who broke in does beside its job."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, flows, told_of

from detectors.columns import CLIENT_ERROR, KEY, OK, Finding, Flows

PARTNER = 8_400
ITEMS, ORDERS = 4, 5
HOUR_S = 3600


def asked(begin_s: int, n: int, every_s: float, route: int, errors: int = 0) -> Flows:
    """One thing after the other on a route, one in `errors` not there."""
    t_ms = begin_s * 1000 + (np.arange(n) * every_s * 1000).astype(np.int64)
    outcome = np.where(np.arange(n) % errors == 0, CLIENT_ERROR, OK) if errors else OK
    return flows(
        n, kind=KEY, entity=PARTNER, t_ms=t_ms, route=route, path=route * 1000 + np.arange(n) % 40, ip=7_000_021,
        asn=21, outcome=outcome,
    )  # fmt: skip


def told(*parts: Flows, step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    return told_of(PARTNER, "stray", *parts, step_s=step_s, restart_s=restart_s)


def job(hours: int) -> Flows:
    return asked(0, hours * 600, 6, ITEMS)


@pytest.mark.parametrize(("step_s", "restart_s"), [(600, 0), (20, 0), (600, 2 * HOUR_S + 300)])
def test_what_is_done_beside_a_keys_job_is_told_of_and_nobody_is_answered(step_s: int, restart_s: int) -> None:
    beside = asked(2 * HOUR_S + 600, 60, 12, ORDERS, errors=10)
    found = told(job(4), beside, step_s=step_s, restart_s=restart_s)
    assert {one.answer for one in found} == {"notice"}
    assert found[0].first_ms >= (T0_S + 2 * HOUR_S + 600) * 1000
    assert found[0].crossed_ms <= (T0_S + 2 * HOUR_S + 900) * 1000


def test_what_it_asked_for_in_an_hour_that_is_over_it_is_known_for() -> None:
    found = told(job(5), asked(2 * HOUR_S + 600, 900, 10, ORDERS))
    assert found
    assert max(one.at_s for one in found) < T0_S + 3 * HOUR_S


def test_a_key_that_nobody_knew_may_ask_for_anything() -> None:
    assert not told(asked(600, 200, 2, ITEMS), asked(1200, 200, 2, ORDERS))


def test_a_look_at_something_else_is_nothing() -> None:
    assert not told(job(4), asked(2 * HOUR_S + 600, 3, 12, ORDERS))


def test_a_key_that_asks_for_something_else_every_hour_is_used_to_it() -> None:
    wandering = [asked(hour * HOUR_S, 120, 20, 10 + hour) for hour in range(6)]
    found = told(*wandering)
    assert not [one for one in found if one.at_s >= T0_S + 3 * HOUR_S], "two such hours say what is usual of it"
