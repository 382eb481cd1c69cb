"""A key nobody knew that walks through everything is a customer's machine: people are told, and it is not asked."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, flows, site

from detectors import artifact
from detectors.columns import CLIENT_ERROR, KEY, Finding, Flows
from detectors.evidence import Engine

KEY_A = 8_100
DAY_S = 86_400
NIGHT_S = 4 * 3600  # less than what makes one forgotten


def walk(at_s: int, n: int, every_ms: int = 1000, entity: int = KEY_A) -> Flows:
    """A key that asks for one path after the other, none of them twice."""
    path = 3_000_000 + at_s * 10 + np.arange(n)
    return flows(n, kind=KEY, entity=entity, t_ms=at_s * 1000 + np.arange(n) * every_ms, route=4, path=path)


def told(traffic: Flows, family: str = "sweep") -> list[Finding]:
    found = Engine(artifact.load()).close(Flows.concat([site(3, span_s=DAY_S // 2), traffic]), T0_S + DAY_S // 2)
    return [one for one in found if (one.entity, one.family) == (KEY_A, family)]


def test_a_new_key_that_walks_is_told_of_and_not_asked_however_long_it_goes_on() -> None:
    found = told(walk(5000, 9000))
    assert found
    assert {one.answer for one in found} == {"notice"}


def test_a_key_with_a_past_that_begins_to_walk_is_challenged_as_before() -> None:
    past = flows(200, kind=KEY, entity=KEY_A, t_ms=np.arange(200) * 30_000, route=4, path=3 + np.arange(200) % 2)
    found = told(Flows.concat([past, walk(7200 + 60, 1200)]))
    assert {one.answer for one in found} == {"challenge"}


@pytest.mark.parametrize("walked", [0, 2400])
def test_who_walks_first_wins_nothing_for_a_search_that_follows(walked: int) -> None:
    """Nothing but the walk is spared: errors on new paths are held to what they were before."""
    n, at_s = 60, 5000 + NIGHT_S
    search = flows(
        n, kind=KEY, entity=KEY_A, t_ms=at_s * 1000 + np.arange(n) * 1000, path=9_000_000 + np.arange(n),
        outcome=CLIENT_ERROR,
    )  # fmt: skip
    (first, *_) = told(Flows.concat([walk(5000, walked), search] if walked else [search]), "probe")
    assert first.answer == "throttle"
    assert first.crossed_ms - (T0_S + at_s) * 1000 <= 12_000
