"""Who was let through before he came: the testers of an announced test, in the evaluation as on a site."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import numpy as np
import pytest

from floodwarden.evaluation.material import Material, Trials, simulated
from floodwarden.evaluation.run import EvaluationOptions, judged
from floodwarden.simulate.config import SimulationConfig
from floodwarden.simulate.generate import simulate
from floodwarden.simulate.world import INVITED
from schemas.settings import Settings


def announced() -> Material:
    """Half an hour of a small site, in which hired testers try what attackers try."""
    cases = frozenset({"announced_pentest"})
    config = SimulationConfig(seed=4, duration_s=1800, requests_per_s=1, clients=300, cases=cases)
    return Material("a test", (lambda _: simulate(config),), None, "", simulated(Trials()).allowlist)


def test_an_announced_tests_addresses_are_on_the_allowlist_of_made_up_traces() -> None:
    assert simulated(Trials()).allowlist == INVITED
    for part in simulate(SimulationConfig(duration_s=1800, requests_per_s=1, cases=frozenset({"announced_pentest"}))):
        ips = np.array(part.batch.column("ip").to_pylist())[part.labels == "benign/announced_pentest"]
        assert all(ip_address(ip) in ip_network(INVITED) for ip in np.unique(ips).tolist())


@pytest.mark.timeout(300)
def test_nobody_hinders_testers_who_were_announced_and_who_comes_unannounced_is_denied() -> None:
    """What the operator has allowed besides stays allowed."""
    settings = Settings().model_copy(update={"allowlist": "key:partner-1"})
    told = judged(announced(), EvaluationOptions(), settings)["benign_by_case"]["announced_pentest"]
    assert told["decisions"] > 200
    assert [told[effect] for effect in ("denied", "challenged", "throttled")] == [0, 0, 0]
    unannounced = judged(replace(announced(), allowlist=""), EvaluationOptions(), settings)
    assert unannounced["benign_by_case"]["announced_pentest"]["denied"] > 100
