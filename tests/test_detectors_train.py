from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detectors_traffic import T0_S, brute_force, flows, probe, scraper, site

from detectors import artifact
from detectors.columns import Finding, Flows
from detectors.evidence import Engine
from stream import train

END_S = T0_S + 10_800


def judged(traffic: Flows) -> list[Finding]:
    """As replay does: fit the shipped model to the log, then judge the log."""
    return Engine(train.adapt_flows(artifact.load(), traffic)).close(traffic, END_S)


def test_seven_dead_links_in_a_burst_deny_nobody_on_a_strange_site() -> None:
    assert judged(probe(10, n=7)) == []


def test_a_dozen_names_that_are_not_there_are_a_probe_even_in_a_log_of_nothing_else() -> None:
    assert {(f.family, f.answer) for f in judged(probe(10, n=12))} == {("probe", "deny")}


def test_a_site_where_everything_fails_half_of_the_time_is_not_denied() -> None:
    # The shipped model knows clients that hardly ever meet an error; here all do.
    traffic = site(1, owners=300, span_s=9_000)
    broken = ~traffic.login & (np.random.default_rng(1).random(len(traffic)) < 0.4)
    traffic = replace(traffic, outcome=np.where(broken, 2, traffic.outcome).astype(np.uint8))
    assert [f for f in judged(traffic) if f.answer == "deny"] == []


def test_a_few_bad_owners_in_the_training_file_are_still_found_afterwards() -> None:
    clean = site(2, owners=400, span_s=9_000, requests=30_000)
    dirty = Flows.concat([clean, brute_force(4_000), probe(5_000)])
    model = train.learn(dirty)
    found = {f.family for f in Engine(model).close(Flows.concat([site(3), brute_force(600, entity=77_001)]), END_S)}
    assert "guess" in found


def test_a_regular_walk_in_the_training_file_is_no_sweep_afterwards() -> None:
    walk = [scraper(at_s, n=300, entity=5_001) for at_s in (100, 4_000, 8_000)]
    walk = [replace(part, path=part.path + np.uint64(1_000 * i)) for i, part in enumerate(walk)]
    model = train.learn(Flows.concat([site(4, span_s=9_000, requests=30_000), *walk]), clean=True)
    again = replace(walk[0], path=walk[0].path + np.uint64(50_000))
    assert [f for f in Engine(model).close(again, END_S) if f.family == "sweep"] == []
    stranger = scraper(100, n=300, entity=5_002)
    assert {f.family for f in Engine(model).close(stranger, END_S)} == {"sweep"}


def test_nothing_to_learn_from_gives_the_defaults() -> None:
    model = train.learn(Flows.empty())
    assert np.array_equal(model.prior, artifact.defaults().prior)
    assert model.span_s == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_training_is_the_same_for_the_same_traffic(seed: int) -> None:
    traffic = site(5, span_s=9_000)
    assert train.learn(traffic, seed=seed).version == train.learn(traffic, seed=seed).version


def test_an_hour_of_one_request_an_owner_teaches_without_dividing_by_nothing() -> None:
    model = train.learn(flows(500, entity=1 + np.arange(500), t_ms=np.arange(500) * 20_000))
    assert np.isfinite(model.h).all()
