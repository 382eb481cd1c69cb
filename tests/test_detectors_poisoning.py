"""Nobody makes his abuse usual by patience: a week of event time, in which he trains us slowly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from detectors_traffic import LOGIN_ROUTE, T0_S, flows

from detectors import artifact
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, KEY, OK, Flows
from detectors.drift import refit
from detectors.evidence import Engine

WEEK_S = 7 * 86_400
BURST_N = 30
LATER_S = 1800


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


def crawl(at_s: np.ndarray, entity: np.ndarray, n: int, outcome: int) -> Flows:
    """Each of these clients asks `n` things five seconds apart, that nobody asked for before."""
    t_ms = np.repeat(at_s, n) * 1000 + np.tile(np.arange(n), len(at_s)) * 5_000
    path = np.repeat(at_s, n) * 1_000_000 + np.repeat(entity, n) * 100 + np.tile(np.arange(n), len(at_s))
    return flows(n * len(at_s), entity=np.repeat(entity, n), t_ms=t_ms, path=path, outcome=outcome)


def test_who_trains_the_watch_for_drift_for_a_week_wins_no_more_than_the_stated_thresholds() -> None:
    """Forty addresses keep just below the threshold and never alarm; what they move is taken up every day."""
    hours = np.arange(0, WEEK_S, 3600)
    good, bad = 100 + np.arange(100), 9_000 + np.arange(40)
    engine, took = Engine(artifact.load()), 0
    shipped, stated = engine.model.h.copy(), artifact.defaults().h
    probe = next(f.index for f in engine.model.families if f.name == "probe")
    for day in range(7):
        today = hours[day * 24 : (day + 1) * 24]
        parts = [crawl(np.full(len(good), at) + good, good, 2, OK) for at in today]
        parts += [crawl(np.full(10, at) + 600, bad[(at // 3600 % 4) * 10 :][:10], 4, CLIENT_ERROR) for at in today]
        found = engine.close(Flows.concat(parts), T0_S + (day + 1) * 86_400)
        assert not [f for f in found if f.family == "probe"]
        fresh = refit(engine.model, engine.drift.day)
        if fresh is not None:
            engine.adopt(fresh)
            took += 1
    assert took, "he did move it"
    assert shipped[0, probe] < engine.model.h[0, probe] <= stated[0, probe]
    assert (engine.model.h <= np.maximum(shipped, stated)).all()
    burst = missing(WEEK_S + 2 * np.arange(BURST_N))
    patient = Engine.restore(replace(engine.model, h=stated), engine.arrays())  # it has seen the same week
    soon, late = (
        min(f.pane_s for f in one.close(burst, T0_S + WEEK_S + 3600) if f.family == "probe" and f.answer == "deny")
        for one in (engine, patient)
    )
    assert soon <= late


def agents(at_s: np.ndarray) -> Flows:
    """A key, with another user agent each time."""
    return flows(len(at_s), kind=KEY, entity=7, ip=70, t_ms=at_s * 1000, agent=4_000_000 + at_s)


def moves(at_s: np.ndarray) -> Flows:
    """A key, each time in another network."""
    return flows(len(at_s), kind=KEY, entity=7, ip=5_000_000 + at_s, asn=6_000_000 + at_s, t_ms=at_s * 1000)


def answered_after_s(traffic: Flows) -> dict[str, int]:
    """By family the seconds from the week's end until the key is answered."""
    found = Engine(artifact.load()).close(traffic, T0_S + WEEK_S + 7200)
    late = sorted(
        ((f.pane_s - T0_S - WEEK_S, f.family) for f in found if f.answer != "notice" and f.kind == KEY), reverse=True
    )
    return {family: after_s for after_s, family in late if after_s >= 0}


@pytest.mark.parametrize(("does", "family"), [(agents, "agent"), (moves, "leak")])
def test_who_trains_a_family_that_only_challenges_wins_that_family_and_no_other(
    does: Callable[[np.ndarray], Flows], family: str
) -> None:
    """Where the answer harms least, own ways are believed: once an hour for a week, and they are usual of him."""
    failed = failures(WEEK_S + LATER_S + 2 * np.arange(BURST_N))
    failed = replace(failed, kind=np.full(BURST_N, KEY, np.uint8))
    burst = Flows.concat([does(WEEK_S + 2 * np.arange(2 * BURST_N)), failed])
    stranger = answered_after_s(burst)
    assert stranger[family] < 60
    trained = answered_after_s(Flows.concat([does(np.arange(0, WEEK_S - 3600, 3600)), burst]))
    assert family not in trained
    assert LATER_S < stranger["guess"] <= trained["guess"] < LATER_S + 2 * BURST_N, "denied while he is at it"
