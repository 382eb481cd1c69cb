"""What docs/simulate.md says of the ninth set: how many, how often, every case once, with its source, none too big."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from simulated_rows import DOCS, begins_late, is_told_once, row_says
from simulated_sets import good, grows_with_the_site

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import Rows, World

NAMES = (
    "invoice_ambush", "cargo_diversion", "micro_deposits", "shill_bidding", "lobby_stalking", "parcel_walk",
    "relay_keys", "unlock_mill",
)  # fmt: skip
# At a site of 2,000 accounts and 5 requests a second so many addresses, accounts or keys.
SIZES = {
    "cloned_classroom": ("ip", 5), "library_claims": ("ip", 8), "heic_answers": ("user", 250),
    "donated_nights": ("user", 200), "bankrupt_exports": ("user", 350), "exodus_signups": ("user", 450),
    "void_banknotes": ("user", 400), "leap_day_pumps": ("ip", 25), "pollbook_sync": ("ip", 8), "wipe_day": ("key", 25),
    "changed_checksums": ("key", 33), "unsubscribe_posts": ("user", 600), "clearinghouse_switch": ("key", 80),
    "quota_midnight": ("key", 16), "settlement_lookup": ("user", 1),
}  # fmt: skip
CASES = (*SIZES, "recovery_keys")
GOOD_NETWORKS = {*range(64496, 64509), *range(65548, 65551)}  # homes, carriers, offices, things, partners, hosting


def made(name: str, seed: int, span_s: float, per_s: float, clients: int) -> Rows:
    make = catalogue.cases()[name].make
    assert make is not None
    return make(Scene(np.random.default_rng(seed), World(), span_s, START_MS, per_s, clients))


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    row_says(name)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_begins_seconds_before_the_run_is_over_does_what_it_can(name: str) -> None:
    begins_late(name)


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of_once(name: str) -> None:
    is_told_once(name)


@pytest.mark.parametrize("name", SIZES)
def test_a_case_grows_with_the_site_and_stays_within_a_day(name: str) -> None:
    grows_with_the_site(name, *SIZES[name])


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_a_larger_site_is_larger(name: str) -> None:
    sizes = [len(made(name, 3, 14_400.0, per_s, clients)) for per_s, clients in ((1.0, 800), (3.0, 2400), (9.0, 7200))]
    assert all(2 * before < after for before, after in pairwise(sizes))


@pytest.mark.parametrize("name", CASES)
def test_the_same_seed_gives_the_same_case_and_another_seed_another(name: str) -> None:
    first, second = (made(name, 3, 7200.0, 1.0, 200) for _ in range(2))
    assert (first == second).all()
    other = made(name, 4, 7200.0, 1.0, 200)
    assert len(other) != len(first) or (other["ts_ms"] != first["ts_ms"]).any()


@pytest.mark.parametrize("name", CASES)
def test_a_case_says_who_has_seen_such_a_thing_and_when(name: str) -> None:
    case = catalogue.cases(first_sight=True)[name]
    assert case.make is not None
    _, _, source = (case.make.__doc__ or "").partition("\n    Source: ")
    assert re.search(r"\b20[012]\d\b", source)


@pytest.mark.parametrize("name", CASES)
def test_a_case_keeps_to_good_clients_networks(name: str) -> None:
    rows, scene = good(name)
    assert {scene.world.asns[ip] for ip in np.unique(rows["ip"]).tolist()} <= GOOD_NETWORKS


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_a_short_run_at_a_small_site_has_something_in_it_that_could_mislead(name: str) -> None:
    rows = made(name, 4, 3600.0, 1.0, 100)
    assert len(rows) > 60
    assert (rows["ts_ms"] < 3_600_000).mean() > 0.9


def test_the_set_is_as_many_as_it_says() -> None:
    assert len(CASES) == len(set(CASES)) == 16
    told = DOCS[DOCS.index("The ninth set.") : DOCS.index("**Tuned** are those")]
    assert set(re.findall(r"`(\w+)`\s\(", told)) == set(CASES)
    assert set(re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)) == set(NAMES)
