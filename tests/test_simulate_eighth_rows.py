"""What docs/simulate.md says of the eighth set: every case told of once, with its source, none of them too big."""

from __future__ import annotations

import re

import numpy as np
import pytest
from simulated_rows import DOCS, is_told_once
from simulated_sets import good, grows_with_the_site

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import World

# At a site of 2,000 accounts and 5 requests a second so many addresses, accounts or keys.
SIZES = {
    "borrowed_signon": ("user", 251), "migration_weekend": ("user", 400), "spent_links": ("ip", 8),
    "district_passwords": ("ip", 10), "gate_scanners": ("ip", 2), "crashing_sdk": ("user", 300),
    "rotated_twice": ("user", 100), "quiz_night": ("user", 600), "expired_casters": ("ip", 125),
    "moved_packages": ("key", 20), "unknown_events": ("ip", 2), "password_changers": ("user", 200),
    "closing_forum": ("ip", 120), "mandated_files": ("ip", 16), "locked_cars": ("key", 2),
}  # fmt: skip
CASES = (*SIZES, "flight_codes")
GOOD_NETWORKS = {*range(64496, 64509), *range(65548, 65551)}  # homes, carriers, offices, things, partners, hosting


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of_once(name: str) -> None:
    is_told_once(name)


@pytest.mark.parametrize("name", SIZES)
def test_a_case_grows_with_the_site_and_stays_within_a_day(name: str) -> None:
    grows_with_the_site(name, *SIZES[name])


@pytest.mark.parametrize("name", CASES)
def test_a_case_says_who_has_seen_such_a_thing_and_when(name: str) -> None:
    case = catalogue.cases()[name]
    assert case.make is not None
    _, _, source = (case.make.__doc__ or "").partition("\n    Source: ")
    assert re.search(r"\b20[012]\d\b", source)


@pytest.mark.parametrize("name", CASES)
def test_a_case_keeps_to_good_clients_networks(name: str) -> None:
    made, scene = good(name)
    assert {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()} <= GOOD_NETWORKS


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_a_short_run_at_a_small_site_has_something_in_it_that_could_mislead(name: str) -> None:
    make = catalogue.cases()[name].make
    assert make is not None
    made = make(Scene(np.random.default_rng(4), World(), 3600.0, START_MS, 1.0, 100))
    assert len(made) > 60
    assert (made["ts_ms"] < 3_600_000).mean() > 0.9


def test_the_set_is_as_many_as_it_says() -> None:
    assert len(CASES) == len(set(CASES)) == 16
    told = DOCS[DOCS.index("The eighth set.") : DOCS.index("The ninth set.")]
    assert set(re.findall(r"`(\w+)`\s\(", told)) == set(CASES)
