"""Nobody makes his abuse usual by patience: a week of event time, in which he trains us slowly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, flows

from detectors import artifact
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, Flows
from detectors.evidence import Engine

WEEK_S = 7 * 86_400
BURST_N = 30


def failures(at_s: np.ndarray) -> Flows:
    """Logins that fail, each at another account."""
    n = len(at_s)
    return flows(
        n, entity=7, t_ms=at_s * 1000, route=LOGIN_ROUTE, path=LOGIN_ROUTE,
        user=1_000_000 + at_s, outcome=AUTH_FAILED, login=True,
    )  # fmt: skip


def missing(at_s: np.ndarray) -> Flows:
    """Paths that are not there, each another one."""
    return flows(len(at_s), entity=7, t_ms=at_s * 1000, path=2_000_000 + at_s, outcome=CLIENT_ERROR)


def denied_after_s(traffic: Flows, family: str) -> int | None:
    """Seconds of the burst at the week's end until he is denied."""
    found = Engine(artifact.load()).close(traffic, T0_S + WEEK_S + 3600)
    late = [f.pane_s for f in found if f.family == family and f.answer == "deny" and f.pane_s >= T0_S + WEEK_S]
    return min(late) - T0_S - WEEK_S if late else None


@pytest.mark.parametrize(("bad", "family"), [(failures, "guess"), (missing, "probe")])
def test_who_trains_us_slowly_for_a_week_is_denied_as_soon_as_a_stranger(
    bad: Callable[[np.ndarray], Flows], family: str
) -> None:
    burst = bad(WEEK_S + 2 * np.arange(BURST_N))
    stranger = denied_after_s(burst, family)
    assert stranger is not None
    slowly = bad(np.arange(0, WEEK_S - 3600, 3600))
    trained = denied_after_s(Flows.concat([slowly, burst]), family)
    assert trained is not None
    assert trained <= stranger
