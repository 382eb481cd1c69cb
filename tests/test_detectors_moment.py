from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, flows

from detectors import artifact
from detectors.columns import AUTH_FAILED, KEY, LIMITED, Finding, Flows
from detectors.evidence import Engine


def one_by_one(t_ms: np.ndarray, accounts: np.ndarray) -> Flows:
    """Failed logins, a flow each: the engine makes like ones of a pane one row, as combine does."""
    return flows(
        len(t_ms), entity=7, t_ms=t_ms, route=LOGIN_ROUTE, path=LOGIN_ROUTE, user=accounts, outcome=AUTH_FAILED,
        login=True,
    )  # fmt: skip


def first(found: list[Finding], family: str) -> Finding | None:
    return next((f for f in found if f.family == family), None)


@pytest.mark.parametrize("accounts", [1, 2, 3, 1000])
@pytest.mark.parametrize("gap_ms", [5, 20, 130, 700])
def test_a_guesser_crosses_after_the_requests_it_made_before_told_early_and_told_when_closed(
    gap_ms: int, accounts: int
) -> None:
    engine = Engine(artifact.load())
    at = np.arange(60)
    traffic = one_by_one(at * gap_ms, 1 + at % accounts)
    for made in range(1, 61):
        newest_s = int(traffic.pane_s[made - 1])
        open_from_s = newest_s - 2
        known = traffic.take(slice(0, made))
        engine.close(
            known.take(known.pane_s < open_from_s).take(known.pane_s[known.pane_s < open_from_s] >= engine.closed_s),
            open_from_s,
        )
        early = first(engine.peek(known.take(known.pane_s >= open_from_s)), "guess")
        if early:
            break
    else:
        pytest.fail("not found")
    # It was told with the request that crossed, so all others came before.
    assert (early.crossed_after, early.crossed_ms) == (made - 1, int(traffic.first_ms[made - 1]))
    closed = first(engine.close(traffic.take(traffic.pane_s >= engine.closed_s), T0_S + 100), "guess")
    assert closed is not None
    assert (closed.crossed_after, closed.crossed_ms) == (early.crossed_after, early.crossed_ms)


def test_requests_of_other_kinds_between_the_marks_count_as_seen_before() -> None:
    at = np.arange(40)
    pages = flows(40, entity=7, t_ms=at * 20 + 7, path=5)
    engine = Engine(artifact.load())
    found = first(engine.close(Flows.concat([one_by_one(at * 20, 1 + at % 2), pages]), T0_S + 10), "guess")
    alone = first(Engine(artifact.load()).close(one_by_one(at * 20, 1 + at % 2), T0_S + 10), "guess")
    assert found is not None
    assert alone is not None
    assert (found.crossed_ms, found.crossed_after) == (alone.crossed_ms, 2 * alone.crossed_after)


def test_requests_of_closed_panes_count_as_seen_before() -> None:
    engine = Engine(artifact.load())
    engine.close(flows(100, entity=7, t_ms=np.arange(100) * 30, path=1), T0_S + 3)
    found = first(engine.peek(one_by_one(3000 + np.arange(30), np.arange(1, 31))), "guess")
    assert found is not None
    assert 100 < found.crossed_after < 110


def test_a_hammer_that_is_one_row_a_pane_crosses_within_it() -> None:
    t_ms = np.arange(200) * 5
    found = first(
        Engine(artifact.load()).close(flows(200, kind=KEY, entity=7, t_ms=t_ms, outcome=LIMITED), T0_S + 1), "hammer"
    )
    assert found is not None
    assert 10 < found.crossed_after < 60
    assert found.crossed_ms == T0_S * 1000 + 5 * found.crossed_after
