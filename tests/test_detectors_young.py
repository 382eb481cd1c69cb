"""What is known while nobody can have been here for an hour: a worker that has just begun."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, flows, probe, site

from detectors import artifact
from detectors.columns import AUTH_FAILED, OK, Finding, Flows
from detectors.entities import established_ms
from detectors.evidence import Engine

STOCK_ROUTE = 55
AGENT = 3
LOST_S, RENEWED_S, INSTALLATIONS, EVERY_S = 3_000, 4_500, 60, 60


def app() -> Flows:
    """Installations of one app, each from its own address; for twenty-five minutes their token has expired."""
    ticks = np.arange(5_400 // EVERY_S)
    at_s = (ticks[:, None] * EVERY_S + np.arange(INSTALLATIONS)[None, :]).ravel()
    lost = (at_s >= LOST_S) & (at_s < RENEWED_S)
    return flows(
        len(at_s),
        entity=70_000 + np.tile(np.arange(INSTALLATIONS), len(ticks)),
        t_ms=at_s * 1000,
        route=STOCK_ROUTE,
        path=300_000 + np.random.default_rng(1).integers(0, 5_000, len(at_s)),
        outcome=np.where(lost, AUTH_FAILED, OK),
        agent=AGENT,
    )


def told(*traffic: Flows) -> list[Finding]:
    return Engine(artifact.load()).close(Flows.concat([site(1, span_s=5_400), *traffic]), T0_S + 5_400)


def test_an_app_whose_token_expires_within_the_first_hour_is_not_answered() -> None:
    """They were there all along and fare alike: as established as anybody can be, so each other's control group."""
    assert not [one.family for one in told(app()) if one.entity >= 70_000]


def test_who_searches_for_what_is_not_there_is_denied_in_the_first_hour_all_the_same() -> None:
    found = told(app(), probe(3_200))
    assert {(one.family, one.answer) for one in found if one.entity == 9_004} >= {("probe", "deny")}


@pytest.mark.parametrize(("age_min", "least_min"), [(10, 60), (29, 60), (30, 15), (60, 30), (120, 60), (6_000, 60)])
def test_who_is_established_was_here_for_an_hour_or_half_of_the_time_there_was(age_min: int, least_min: int) -> None:
    assert established_ms(age_min * 60_000) == least_min * 60_000
