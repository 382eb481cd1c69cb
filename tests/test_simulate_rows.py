"""What docs/simulate.md says of every family and good case, and what all of them keep to, whichever set they are of."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from simulated_sets import good, grows_with_the_site

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import Rows, World

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()
SAYS = re.compile(r"([\d,]+) / ([\d,]+) / ([\d,]+) .*; ([\d.,]+), ([\d.,]+), ([\d.,]+) a (minute|second) in")
ROWS = {name: line for line in DOCS.splitlines() for name in re.findall(r"^\| `(\w+)` \|", line) if SAYS.search(line)}
MADE = [name for name, one in catalogue.cases().items() if one.make is not None]
# Of these the first requests come later than in twenty seconds, or fewer than three of them.
LATE = {
    "takeover", "forged_callbacks", "push_fatigue", "phishing_relay", "insider_lookup", "trial_key_rotation",
    "number_hijack", "refund_service", "price_tampering", "assistant_coaxing", "ssrf_probing", "cache_denial",
    "token_keeping", "forged_signon", "range_amplification", "imitated_visitors", "blind_xss", "bid_sniping",
    "leaked_link_reaping", "long_passwords",
}  # fmt: skip
# These are shut out before they have done all they would.
BLOCKED = {"consent_worm": 0.06, "price_tampering": 0.06}
# The first ones; `simulate --list` alone tells of them.
LISTED = {
    "cgnat", "forgetful", "flash_crowd", "poller", "batch", "ci", "crawler", "fleet", "carrier_churn", "new_partner",
    "failed_deploy", "expired_token",
}  # fmt: skip
GOOD_NETWORKS = {*range(64496, 64509), *range(65548, 65551)}  # homes, carriers, offices, things, partners, hosting
ENGINES, TESTERS = {64509}, {64510}
ELSEWHERE = {
    "crawler": ENGINES, "recrawl": ENGINES, "merchant_checker": ENGINES, "crawler_trap": ENGINES,
    "landing_review": ENGINES, "announced_pentest": TESTERS,
}  # fmt: skip
# At a site of 2,000 accounts and 5 requests a second so many addresses, accounts or keys.
EIGHTH = {
    "borrowed_signon": ("user", 251), "migration_weekend": ("user", 400), "spent_links": ("ip", 8),
    "district_passwords": ("ip", 10), "gate_scanners": ("ip", 2), "crashing_sdk": ("user", 300),
    "rotated_twice": ("user", 100), "quiz_night": ("user", 600), "expired_casters": ("ip", 125),
    "moved_packages": ("key", 20), "unknown_events": ("ip", 2), "password_changers": ("user", 200),
    "closing_forum": ("ip", 120), "mandated_files": ("ip", 16), "locked_cars": ("key", 2),
}  # fmt: skip
NINTH = {
    "cloned_classroom": ("ip", 5), "library_claims": ("ip", 8), "heic_answers": ("user", 250),
    "donated_nights": ("user", 200), "bankrupt_exports": ("user", 350), "exodus_signups": ("user", 450),
    "void_banknotes": ("user", 400), "leap_day_pumps": ("ip", 25), "pollbook_sync": ("ip", 8), "wipe_day": ("key", 25),
    "changed_checksums": ("key", 33), "unsubscribe_posts": ("user", 600), "clearinghouse_switch": ("key", 80),
    "quota_midnight": ("key", 16), "settlement_lookup": ("user", 1),
}  # fmt: skip
TENTH = {
    "two_clocks": ("user", 300), "last_day_returns": ("ip", 16), "free_tests": ("ip", 278),
    "soft_declines": ("user", 350), "halted_stock": ("user", 301),
    "silent_monitors": ("user", 120), "felt_earthquake": ("ip", 462), "reading_ration": ("user", 120),
    "yearly_tokens": ("key", 84), "revoked_certificates": ("key", 80), "shared_prefix": ("ip", 80),
    "redirected_hooks": ("ip", 20),
}  # fmt: skip
SIZES = EIGHTH | NINTH | TENTH
SETS = {
    "eighth": (*EIGHTH, "flight_codes"), "ninth": (*NINTH, "recovery_keys"), "tenth": tuple(TENTH),
}  # fmt: skip
SOURCED = (*SETS["eighth"], *SETS["ninth"], *SETS["tenth"])


def made(name: str, seed: int, span_s: float, per_s: float, clients: int) -> Rows:
    make = catalogue.cases()[name].make
    assert make is not None
    return make(Scene(np.random.default_rng(seed), World(), span_s, START_MS, per_s, clients))


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    said = SAYS.search(ROWS[name])
    assert said is not None
    numbers = [float(one.replace(",", "")) for one in said.groups()[:6]]
    how = catalogue.families()[name].strengths.values()
    assert numbers[:3] == [one.sources for one in how]
    a_second = [one / (60 if said[7] == "minute" else 1) for one in numbers[3:]]
    assert a_second == pytest.approx([one.sources * one.per_s for one in how], rel=BLOCKED.get(name, 0.03))


def test_of_so_many_a_row_says_it() -> None:
    assert len(ROWS) == 186


@pytest.mark.parametrize("name", [name for name in catalogue.families() if name not in LATE])
def test_one_that_begins_seconds_before_the_run_is_over_does_what_it_can(name: str) -> None:
    family = catalogue.families()[name]
    for how in family.strengths.values():
        scene = Scene(np.random.default_rng(3), World(), 20.0, START_MS, 1.0, 50)
        rows = family.make(scene, replace(how, lasts_s=20.0))
        assert len(rows) >= 3
        assert (rows["ts_ms"] >= 0).all()
        assert (rows["ts_ms"] < 140_000).mean() > 0.9


@pytest.mark.parametrize("name", [name for name in catalogue.cases() if name not in LISTED])
def test_a_good_case_is_told_of_once(name: str) -> None:
    assert len(re.findall(rf"`{name}`\s\(", DOCS)) == 1


@pytest.mark.parametrize("name", MADE)
def test_a_good_case_of_a_long_run_stays_small(name: str) -> None:
    grown = {"fleet": 33_000, "partner_ramp": 70_000, "retry_storm": 38_000}
    assert 250 < len(made(name, 3, 32_400.0, 5.0, 2000)) < grown.get(name, 30_000)


@pytest.mark.parametrize("name", MADE)
def test_the_same_seed_gives_the_same_case_and_another_seed_another(name: str) -> None:
    first, second = (made(name, 3, 7200.0, 1.0, 200) for _ in range(2))
    assert (first == second).all()
    other = made(name, 4, 7200.0, 1.0, 200)
    assert len(other) != len(first) or (other["ts_ms"] != first["ts_ms"]).any()


@pytest.mark.parametrize("name", MADE)
def test_a_case_keeps_to_good_clients_networks(name: str) -> None:
    rows, scene = good(name)
    assert {scene.world.asns[ip] for ip in np.unique(rows["ip"]).tolist()} <= GOOD_NETWORKS | ELSEWHERE.get(name, set())


@pytest.mark.parametrize("name", SIZES)
def test_a_case_grows_with_the_site_and_stays_within_a_day(name: str) -> None:
    grows_with_the_site(name, *SIZES[name])


@pytest.mark.parametrize("name", [*SETS["ninth"], *SETS["tenth"]])
def test_a_case_of_a_larger_site_is_larger(name: str) -> None:
    sizes = [len(made(name, 3, 14_400.0, per_s, clients)) for per_s, clients in ((1.0, 800), (3.0, 2400), (9.0, 7200))]
    assert all(2 * before < after for before, after in pairwise(sizes))


@pytest.mark.parametrize("name", SOURCED)
def test_a_case_says_who_has_seen_such_a_thing_and_when(name: str) -> None:
    assert re.search(r"\b20[012]\d\b", catalogue.cases()[name].source)


@pytest.mark.parametrize("name", SOURCED)
def test_a_case_of_a_short_run_at_a_small_site_has_something_in_it_that_could_mislead(name: str) -> None:
    rows = made(name, 4, 3600.0, 1.0, 100)
    assert len(rows) > 60
    assert (rows["ts_ms"] < 3_600_000).mean() > 0.9


@pytest.mark.parametrize(
    ("one", "ends", "families", "cases"),
    [
        ("eighth", "The ninth set.", 0, 16),
        ("ninth", "The tenth set.", 8, 16),
        ("tenth", "**Tuned** are", 4, 12),
    ],
)
def test_the_set_is_as_many_as_it_says(one: str, ends: str, families: int, cases: int) -> None:
    assert len(SETS[one]) == len(set(SETS[one])) == cases
    told = DOCS[DOCS.index(f"The {one} set.") : DOCS.index(ends)]
    assert set(re.findall(r"`(\w+)`\s\(", told)) == set(SETS[one])
    assert len(re.findall(r"^\| `\w+` \|", told, re.MULTILINE)) == families
