"""Event time that leaps over hours says what it would have said had it gone through them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from detectors_traffic import T0_S, attacked
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors import artifact
from detectors.cardinality import GAP_S_MAX, Cardinality
from detectors.columns import Flows
from detectors.evidence import Engine
from detectors.families import HOUR_S

HOURS = 3000


class Walking(Cardinality):
    """Judges each silent second as any other."""

    def _silent(self, until_s: int) -> None:
        for silent_s in range(self.next_s, until_s):
            self._judge(silent_s, [0, 0])


@example(gaps=[1, 700, 1, 1, 2, 1, 1, 3, 1, 30, 700, 3600, 1], counts=[0] * 2 + [3] * 38)  # a flood, told of in parts
@settings(max_examples=25, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([1, 1, 2, 3, 30, 700, 3600, GAP_S_MAX - 1, GAP_S_MAX, GAP_S_MAX + 1]), max_size=40),
    counts=st.lists(st.sampled_from([0, 1, 3, 4_000]), min_size=40, max_size=40),
)
def test_seconds_without_strangers_are_leapt_over_to_where_walking_comes_to(gaps: list[int], counts: list[int]) -> None:
    leaping, walking = Cardinality(3600), Walking(3600)
    at_s = T0_S
    for gap, count in zip(gaps, counts, strict=False):
        at_s += gap
        for one in (leaping, walking):
            one.came[at_s] = [count, count // 2]
        assert leaping.close(at_s + 11) == walking.close(at_s + 11)
        for (name, ours), theirs in zip(leaping.arrays("c").items(), walking.arrays("c").values(), strict=True):
            assert ours.tolist() == theirs.tolist(), name


def test_a_leap_of_hours_leaves_an_engine_as_going_through_them_does() -> None:
    model, before, after = artifact.load(), attacked(3), attacked(4)
    later = replace(
        after,
        pane_s=after.pane_s + HOURS * HOUR_S,
        first_ms=after.first_ms + HOURS * HOUR_S * 1000,
        last_ms=after.last_ms + HOURS * HOUR_S * 1000,
    )
    first_s, end_s = T0_S + 2 * HOUR_S, T0_S + (HOURS + 2) * HOUR_S
    engines = [Engine(model), Engine(model)]
    for engine, stops in zip(engines, ([], range(first_s + HOUR_S, first_s + 500 * HOUR_S, HOUR_S)), strict=True):
        engine.close(before, first_s)
        for stop_s in stops:
            assert engine.close(Flows.empty(), stop_s) == []
    leapt, walked = (engine.close(later, end_s) for engine in engines)
    assert [(f.entity, f.family, f.crossed_ms) for f in leapt] == [(f.entity, f.family, f.crossed_ms) for f in walked]
    assert {f.entity for f in leapt} >= {9_001, 9_002}
    for (name, ours), theirs in zip(engines[0].arrays().items(), engines[1].arrays().values(), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9), name
