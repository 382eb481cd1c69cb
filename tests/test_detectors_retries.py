"""A machine that tries again what does not work is told of; who tries one thing after the other is slowed down."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, flows, site, tags_of

from detectors import artifact
from detectors.columns import CLIENT_ERROR, KEY, OK, Finding, Flows
from detectors.evidence import Engine

DEPOT = 8_300
BEGINS_S = 7_260


def told(tried: np.ndarray, *, past: bool = True) -> list[Finding]:
    """A key that reports the stock of one item after the other; then `tried` is refused, an item every two seconds."""
    n = len(tried)
    usual = flows(
        BEGINS_S // 12, kind=KEY, entity=DEPOT, ip=5, route=6, path=6_000 + np.arange(BEGINS_S // 12) % 300,
        t_ms=np.arange(BEGINS_S // 12) * 12_000, outcome=OK, tags=tags_of("refused", marked=False),
    )  # fmt: skip
    stuck = flows(
        n, kind=KEY, entity=DEPOT, ip=5, route=6, path=tried, outcome=CLIENT_ERROR,
        t_ms=BEGINS_S * 1000 + np.arange(n) * 2000, tags=tags_of("refused", marked=True),
    )  # fmt: skip
    parts = [site(3, span_s=10_800), *([usual] if past else []), stuck]
    found = Engine(artifact.load()).close(Flows.concat(parts), T0_S + 14_400)
    return [one for one in found if (one.entity, one.family) == (DEPOT, "refused")]


def test_three_messages_that_cannot_be_worked_off_are_told_of_however_long() -> None:
    found = told(6_000 + np.arange(1800) % 3)
    assert found
    assert {one.answer for one in found} == {"notice"}
    assert all("again" in {fact.name for fact in one.facts} for one in found)


def test_a_key_with_a_past_that_tries_one_thing_after_the_other_is_throttled_all_along() -> None:
    """Also in the hours after the one in which it was found: a past is not lost by an alarm."""
    assert {one.answer for one in told(90_000 + np.arange(2700))} == {"throttle"}


@pytest.mark.parametrize("tried", [np.arange(1800) % 3 + 6_000, np.arange(1800) + 90_000])
def test_a_new_key_is_challenged_as_before(tried: np.ndarray) -> None:
    assert {one.answer for one in told(tried, past=False)} == {"challenge"}
