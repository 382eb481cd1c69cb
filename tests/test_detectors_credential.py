"""A client whose one key is refused wherever it asks is set up wrongly: throttled or told of, no search to deny."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, flows, site

from detectors.artifact import defaults
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, OK, Finding, Flows
from detectors.credential import NEVER, SEVERAL, joined, refused_with
from detectors.evidence import Engine

KEY_A, KEY_B = 700_001, 700_002


def refused(users: list[int], outcomes: list[int] | None = None, every_ms: int = 9_000) -> Flows:
    """An address that meets an error at one path after the other."""
    n = len(users)
    return flows(
        n, entity=9_100, t_ms=5_000_000 + np.arange(n) * every_ms, route=5, path=800_000 + np.arange(n), user=users,
        outcome=outcomes or AUTH_FAILED,
    )  # fmt: skip


def told(scan: Flows, step_s: int) -> list[Finding]:
    engine, found = Engine(defaults()), []
    traffic = Flows.concat([site(3), scan])
    for begin_s in range(T0_S, T0_S + 5600, step_s):
        here = (traffic.pane_s >= begin_s) & (traffic.pane_s < begin_s + step_s)
        found += engine.close(traffic.take(here), begin_s + step_s)
    return [finding for finding in found if (finding.family, finding.entity) == ("probe", 9_100)]


@pytest.mark.parametrize("step_s", [600, 20])
@pytest.mark.parametrize(
    ("scan", "answer"),
    [
        (refused([KEY_A] * 24, every_ms=2_000), "throttle"),
        (refused([KEY_A] * 24), "notice"),
        (refused([KEY_A] * 2 + [KEY_B] + [KEY_A] * 21), "deny"),
        (refused([0] * 24), "deny"),
        (refused([KEY_A] * 24, [AUTH_FAILED] * 3 + [CLIENT_ERROR] + [AUTH_FAILED] * 20), "deny"),
    ],
    ids=["one key", "one key, seldom", "two keys", "no key", "paths that are not there as well"],
)
def test_what_is_refused_with_one_key_alone_is_not_denied_and_it_is_said(scan: Flows, answer: str, step_s: int) -> None:
    found = told(scan, step_s)
    assert found
    assert {finding.answer for finding in found} == {answer}
    assert all(("credential" in {fact.name for fact in finding.facts}) == (answer != "deny") for finding in found)


def test_one_credential_is_told_from_several_over_any_number_of_runs() -> None:
    rows = flows(6, user=[KEY_A, 0, KEY_A, KEY_A, KEY_B, 7], outcome=[1, 0, 1, 1, 1, 1], login=[0, 0, 0, 0, 0, 1])
    assert refused_with(rows).tolist() == [KEY_A, NEVER, KEY_A, KEY_A, KEY_B, SEVERAL]
    starts, with_one = np.array([0, 3]), np.array([0, KEY_A], np.uint64)
    assert joined(with_one, refused_with(rows), starts).tolist() == [KEY_A, SEVERAL]
    fine = refused_with(flows(2, outcome=OK))
    assert joined(with_one, fine, np.array([0, 1])).tolist() == [NEVER, KEY_A]
