"""What a fleet is refused when all of it comes back at once is not what one machine is refused that runs on."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import T0_S, flows, site

from detectors import artifact
from detectors.columns import KEY, LIMITED, Finding, Flows
from detectors.evidence import Engine

FLEET = 8_200


def refused(addresses: int, per_s: float, seconds: int = 60) -> Flows:
    """One key, refused all along at so many addresses, each of them so often."""
    n = int(addresses * per_s * seconds)
    t_ms = 1_800_000 + np.arange(n) * seconds * 1000 // n
    ip = 90_000 + np.arange(n) % addresses
    return flows(n, kind=KEY, entity=FLEET, ip=ip, path=ip, t_ms=t_ms, outcome=LIMITED)


def told(traffic: Flows, step_s: int) -> list[Finding]:
    engine, found = Engine(artifact.load()), []
    everybody = Flows.concat([site(3), traffic])
    for begin_s in range(T0_S, T0_S + 5400, step_s):
        here = (everybody.pane_s >= begin_s) & (everybody.pane_s < begin_s + step_s)
        found += engine.close(everybody.take(here), begin_s + step_s)
    return [one for one in found if (one.entity, one.family) == (FLEET, "hammer")]


@pytest.mark.parametrize("step_s", [5400, 20])
@pytest.mark.parametrize(
    ("addresses", "per_s", "answer"),
    [(250, 0.2, "notice"), (40, 1.0, "notice"), (1, 40.0, "throttle"), (4, 10.0, "throttle"), (10, 3.0, "throttle")],
)
def test_a_key_is_throttled_where_its_addresses_run_on_and_not_where_there_are_many(
    addresses: int, per_s: float, answer: str, step_s: int
) -> None:
    found = told(refused(addresses, per_s), step_s)
    assert found
    assert {one.answer for one in found} == {answer}
    assert all(("each_address" in {fact.name for fact in one.facts}) == (answer == "notice") for one in found)


def test_one_machine_among_a_fleet_is_found_when_it_makes_half_of_what_is_refused() -> None:
    """What the fleet buys an abuser: as many refusals a second as it has of its own, and no more."""
    both = Flows.concat([refused(20, 1.0), flows(60, kind=KEY, entity=FLEET, ip=5, path=5, outcome=LIMITED, n=40,
                                                 t_ms=1_800_000 + np.arange(60) * 1000)])  # fmt: skip
    assert "throttle" in {one.answer for one in told(both, 5400)}
