"""What is said beside a finding: how many marks good clients come to."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from detectors.explain import evidence, percentile


@pytest.mark.parametrize("n", [0, 1, 8, 312, 5_000, 100_000])
@pytest.mark.parametrize("p", [0.0, 0.001, 0.04, 0.19, 0.5, 0.95, 1.0])
def test_how_many_marks_all_but_one_in_ten_thousand_good_clients_come_to(n: int, p: float) -> None:
    exact = int(binom.ppf(0.9999, n, min(p, 0.999))) if n else 0
    assert percentile(n, p) == pytest.approx(exact, rel=0.01, abs=0)


def test_evidence_that_fell_below_its_threshold_again_says_so() -> None:
    assert evidence(16.5, 16.2).sentence == "evidence 16.5 nats against a threshold of 16.2"
    assert evidence(16.0, 16.2).sentence == "evidence went past its threshold of 16.2 nats, 16.0 now"
