"""Event time that leaps over hours says what it would have said had it gone through them."""

from __future__ import annotations

from detectors_traffic import T0_S
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.cardinality import GAP_S_MAX, Cardinality


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
