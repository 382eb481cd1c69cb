"""Stolen sessions from two dozen homes, in the closed loop: found, challenged, and nobody else asked for it."""

from __future__ import annotations

import pytest

from detectors.artifact import load
from detectors.family_file import built_in
from floodwarden.closed_loop import ClosedLoop, Floodwarden, sliced
from floodwarden.evaluation.contest import SLICE_MS, SLICE_ROWS
from floodwarden.evaluation.verdict import Verdict
from floodwarden.simulate.config import SimulationConfig, attacks_of
from floodwarden.simulate.generate import simulate
from schemas.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_sessions_replayed_by_two_dozen_homes_are_challenged_and_nobody_at_home_is() -> None:
    config = SimulationConfig(
        seed=4, duration_s=6300.0, requests_per_s=5.0, clients=1500, attacks=attacks_of(["session_replay:weak@4200"])
    )
    settings, verdict, told = Settings(), Verdict(), {}
    loop = ClosedLoop(Floodwarden(load(None, built_in()), settings), settings)
    for judged in loop.run(sliced(simulate(config), span_ms=SLICE_MS, rows_max=SLICE_ROWS)):
        verdict.take(judged)
        told |= {alert.uid: alert for alert in judged.alerts if alert.kind == "elsewhere"}
    outcome = verdict.outcome()
    (incident,) = outcome.incidents
    assert incident.answered_ms is not None
    assert incident.stopped > 0
    asked = [one for one in told.values() if one.answer == "challenge"]
    assert {one.campaign for one in asked} == {"global *"}
    assert {("ip", one.entity.value) for one in asked} <= incident.members
