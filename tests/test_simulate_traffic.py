from __future__ import annotations

import ipaddress
from collections import Counter

import numpy as np
import pytest

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import (
    Attack,
    SimulationConfig,
    SimulationError,
    attack_of,
    attacks_of,
    cases_of,
    every_attack,
)
from floodwarden.simulate.generate import simulate
from schemas import codec
from schemas.checked import check

HOUR = SimulationConfig(seed=7, duration_s=3600, attacks=(Attack("brute_force"), Attack("stuffing", "weak")))
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10", "198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24",
           "198.18.0.0/15")  # fmt: skip


EVERYTHING = SimulationConfig(
    seed=4,
    duration_s=7200,
    requests_per_s=2,
    clients=500,
    attacks=every_attack() + every_attack(first_sight=True),
    cases=frozenset(catalogue.cases()),
)


def rows_of(config: SimulationConfig) -> list[tuple[str, codec.Decision]]:
    return [
        (label, row)
        for batch, labels in simulate(config)
        for label, row in zip(labels, codec.to_rows(batch), strict=True)
    ]


def test_the_same_seed_gives_the_same_decisions_and_another_seed_others() -> None:
    def first(seed: int) -> tuple[bytes, list[str]]:
        batch, labels = next(simulate(SimulationConfig(seed=seed, duration_s=600)))
        return codec.encode(batch), labels.tolist()

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_decisions_come_in_time_order_within_their_span_and_are_ones_we_take() -> None:
    last_ms = HOUR.start_ms
    for batch, labels in simulate(HOUR):
        check(batch)
        at_ms = batch.column("ts_ms").to_numpy()
        assert len(labels) == batch.num_rows <= HOUR.batch_rows
        assert at_ms[0] >= last_ms
        assert (np.diff(at_ms) >= 0).all()
        last_ms = at_ms[-1]
    assert last_ms < HOUR.start_ms + 3_600_000


@pytest.fixture(scope="module")
def everything() -> list[tuple[str, str]]:
    """(label, address) of every decision of a run with every family and case there is."""
    return [
        pair
        for batch, labels in simulate(EVERYTHING)
        for pair in zip(labels.tolist(), batch.column("ip").to_pylist(), strict=True)
    ]


def test_every_row_of_an_attack_and_of_a_hard_good_case_says_so(everything: list[tuple[str, str]]) -> None:
    labels = Counter(label for label, _ in everything)
    for number, attack in enumerate(EVERYTHING.attacks, start=1):
        assert labels[f"attack/{attack.family}/{attack.strength}/{number}"] >= 3
    for case in catalogue.cases():
        assert labels[f"benign/{case}"] > 0
    assert set(labels) == {""} | {label for label in labels if label.startswith(("attack/", "benign/"))}
    assert labels[""] > 1000


def test_leaving_out_an_attack_changes_no_good_row() -> None:
    with_attacks = [(label, row.ts_ms, row.ip, row.path) for label, row in rows_of(HOUR) if label[:6] != "attack"]
    quiet = SimulationConfig(seed=7, duration_s=3600)
    assert with_attacks == [(label, row.ts_ms, row.ip, row.path) for label, row in rows_of(quiet)]


def test_nobody_real_is_named_and_no_attacker_shares_an_address_with_good_traffic(
    everything: list[tuple[str, str]],
) -> None:
    good = {ip for label, ip in everything if not label.startswith("attack/")}
    bad = {ip for label, ip in everything if label.startswith("attack/")}
    networks = [ipaddress.ip_network(network) for network in (*PRIVATE, "2001:db8::/32")]
    for ip in good | bad:
        address = ipaddress.ip_address(ip)
        assert any(address in network for network in networks if network.version == address.version), ip
    assert not good & bad


def test_good_logins_mostly_succeed_and_a_brute_force_never_does() -> None:
    statuses: dict[str, Counter[int]] = {"good": Counter(), "bad": Counter()}
    for label, row in rows_of(HOUR):
        if row.route == "/api/login":
            statuses["bad" if label.startswith("attack/brute") else "good"][row.status] += not label.startswith(
                "attack/stuffing"
            )
    assert set(statuses["bad"]) <= {401, 429}
    assert 0.08 < statuses["good"][401] / statuses["good"].total() < 0.3


def test_who_asks_beyond_a_limit_is_refused_and_the_rule_is_named() -> None:
    config = SimulationConfig(seed=1, duration_s=1200, attacks=(Attack("hammer", "medium"),))
    hammer = [row for label, row in rows_of(config) if label.startswith("attack/hammer")]
    limited = [row for row in hammer if row.verdict == "limit"]
    assert len(limited) > len(hammer) / 2
    assert {(row.status, row.rule) for row in limited} == {(429, "per-ip")}
    assert all(row.status != 429 for row in hammer if row.verdict == "allow")


def test_the_night_is_quieter_than_the_evening() -> None:
    config = SimulationConfig(seed=1, requests_per_s=1.0, clients=200, cases=frozenset())
    hours = Counter((row.ts_ms // 3_600_000) % 24 for _, row in rows_of(config))
    assert hours[20] > 3 * hours[4]


@pytest.mark.parametrize(
    ("text", "attack"),
    [
        ("hammer", Attack("hammer", "medium")),
        ("brute-force:strong", Attack("brute_force", "strong")),
        ("probing:weak@90", Attack("probing", "weak", 90.0)),
    ],
)
def test_an_attack_is_written_as_family_strength_and_second(text: str, attack: Attack) -> None:
    assert attack_of(text) == attack


@pytest.mark.parametrize("text", ["slowloris", "hammer:huge", "hammer:weak@noon"])
def test_what_cannot_be_simulated_is_refused_with_what_can(text: str) -> None:
    with pytest.raises(SimulationError):
        attack_of(text)


def test_all_means_what_is_tuned_with_and_first_sight_is_asked_for_by_name() -> None:
    tuned, kept = catalogue.families(first_sight=False), catalogue.families(first_sight=True)
    assert {attack.family for attack in attacks_of(["all"])} == set(tuned)
    assert {attack.family for attack in attacks_of(["first-sight"])} == set(kept)
    assert len(attacks_of(["all", "first-sight"])) == 3 * len(catalogue.families())
    assert cases_of(["all"], []) == frozenset(catalogue.cases(first_sight=False))
    assert cases_of(["first-sight"], []) == catalogue.usual_cases() | catalogue.cases(first_sight=True).keys()
    assert "ci" not in cases_of([], ["ci"])
    with pytest.raises(SimulationError, match="flashmob"):
        cases_of([], ["flashmob"])
