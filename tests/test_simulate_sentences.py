"""Families and good cases are what their sentences say: how often, by how many, with what answers."""

from __future__ import annotations

import numpy as np
import pytest

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS, SimulationConfig
from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.generate import simulate
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ENDPOINT_CODES, ENDPOINTS, Ints, Rows, World

NAMES = tuple(ENDPOINTS)
# The first fourteen and those of IPv6 say how hard they are in other words.
OTHERWISE = {
    "brute_force", "stuffing", "stuffing_single", "slow", "spraying", "takeover", "scraper", "probing", "enumeration",
    "stolen_key", "key_sharing", "hammer", "hoarding", "card_testing", "v6_rotation", "v6_scraping",
}  # fmt: skip
FAMILIES = sorted(catalogue.families().keys() - OTHERWISE)


def attack(name: str, strength: str) -> tuple[Rows, Scene]:
    family = catalogue.families()[name]
    how = family.strengths[strength]
    scene = Scene(np.random.default_rng([7, len(name)]), World(), how.lasts_s, START_MS, 5.0, 2000)
    return family.make(scene, how), scene


def shares(made: Rows) -> dict[int, float]:
    status, counts = np.unique(made["status"], return_counts=True)
    return dict(zip(status.tolist(), (counts / len(made)).tolist(), strict=True))


def most_of_one(codes: Ints) -> int:
    return int(np.unique(codes, return_counts=True)[1].max())


def of(made: Rows, endpoint: str) -> Rows:
    return np.asarray(made[made["endpoint"] == ENDPOINT_CODES[endpoint]])


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", FAMILIES)
def test_it_comes_from_as_many_addresses_and_asks_as_often_as_its_strength_says(name: str, strength: str) -> None:
    how = catalogue.families()[name].strengths[strength]
    made, scene = attack(name, strength)
    assert len(made) == pytest.approx(how.sources * how.per_s * how.lasts_s, rel=0.35)
    clients = np.array(scene.world.clients)[made["ip"]]  # an IPv6 /64 is one
    assert 0.8 * how.sources <= len(np.unique(clients)) <= how.sources


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_seed_gives_the_same_attack(name: str) -> None:
    assert (attack(name, "medium")[0] == attack(name, "medium")[0]).all()


def test_a_scraper_at_home_asks_no_item_more_often_than_others() -> None:
    made, scene = attack("residential_scraping", "medium")
    assert most_of_one(of(made, "item")["path"]) <= 3
    assert most_of_one(made["ip"]) < 25
    assert 0.1 < len(of(made, "static")) / len(made) < 0.25
    assert len({scene.world.asns[ip] for ip in made["ip"].tolist()}) > 8


def test_no_guessed_key_comes_twice_and_one_that_fits_is_used() -> None:
    made, scene = attack("key_guessing", "strong")
    guesses = of(made, "api_orders")
    assert most_of_one(guesses["key"][guesses["status"] == 401]) == 1
    fits = np.unique(guesses["key"][guesses["status"] == 200])
    assert all(scene.world.keys.texts[key].startswith("key-app-") for key in fits.tolist())
    assert set(np.unique(of(made, "api_item")["key"])) == set(fits)


def test_a_harvest_mostly_gets_in_and_nothing_follows_where_it_does_not() -> None:
    made, _ = attack("account_harvest", "medium")
    logins = of(made, "login")
    refused = logins["user"][logins["status"] == 401]
    assert 0.04 < len(refused) / len(logins) < 0.13
    assert not np.isin(made["user"][made["endpoint"] != ENDPOINT_CODES["login"]], refused).any()


def test_codes_are_pumped_to_neighbouring_numbers_none_of_them_twice() -> None:
    made, scene = attack("sms_pumping", "medium")
    numbers = sorted(int(scene.world.users.texts[user]) for user in made["user"].tolist())
    assert (np.diff(numbers) == 1).all()
    assert str(numbers[0]).startswith("999"), "no country's"


def test_what_breaks_caches_never_asks_twice_and_stays_below_the_limit_of_an_address() -> None:
    made, _ = attack("cache_busting", "strong")
    assert most_of_one(made["path"]) == 1
    minutes = made["ip"].astype(np.int64) * 1000 + made["ts_ms"] // 60_000
    assert most_of_one(minutes) <= 120


def test_a_scalper_changes_its_browser_and_buys_once_it_is_on_sale() -> None:
    made, _ = attack("scalping", "medium")
    assert len(np.unique(made["ua"])) > 200
    on_sale_ms = made["ts_ms"][(made["endpoint"] == ENDPOINT_CODES["item"]) & (made["status"] == 200)].min()
    assert of(made, "pay")["ts_ms"].min() > on_sale_ms


def test_a_slow_scan_waits_longer_than_a_leaky_bucket_of_ten_forgets() -> None:
    made, _ = attack("paced_scan", "medium")
    for ip in np.unique(made["ip"]):
        missed = np.sort(made["ts_ms"][(made["ip"] == ip) & np.isin(made["status"], (400, 403, 404))])
        level, last = 0.0, int(missed[0])
        for at_ms in missed.tolist():
            level, last = max(0.0, level - (at_ms - last) / 10_000) + 1, at_ms
            assert level <= 10


@pytest.mark.parametrize(
    ("name", "right"),
    [("gift_codes", {404: (0.9, 1.0)}), ("order_enumeration", {200: (0.5, 0.7), 404: (0.2, 0.4)}),
     ("fake_accounts", {200: (0.9, 1.0), 422: (0.01, 0.05)}), ("costly_search", {200: (0.9, 1.0)})],
)  # fmt: skip
def test_the_site_answers_as_it_would(name: str, right: dict[int, tuple[float, float]]) -> None:
    told = shares(attack(name, "medium")[0])
    for status, (least, most) in right.items():
        assert least < told[status] < most


def good(name: str) -> tuple[Rows, Scene]:
    case = catalogue.cases()[name]
    scene = Scene(np.random.default_rng(3), World(), 28_800.0, START_MS, 5.0, 2000)
    if case.change is None:
        assert case.make is not None
        return case.make(scene), scene
    everybody = people(scene, frozenset())
    return everybody[case.change(scene, everybody)], scene


def test_a_new_office_is_one_address_and_mostly_gets_in() -> None:
    made, _ = good("new_office")
    assert len(np.unique(made["ip"])) == 1
    assert len(np.unique(made["user"])) > 40
    assert (of(made, "login")["status"] == 200).sum() > 30


def test_a_dead_link_is_followed_until_the_right_one_goes_out() -> None:
    made, scene = good("newsletter")
    dead, live = (
        scene.world.paths.code(f"/blog/autumn-{w}?utm_source=mail&utm_campaign=41") for w in ("colection", "collection")
    )
    assert set(made["status"][made["path"] == dead]) == {404}
    assert set(made["status"][made["path"] == live]) == {200}
    assert (made["path"] == dead).sum() > 600
    assert (made["path"] == live).sum() > 20


def test_members_that_must_choose_a_new_password_all_get_in_in_the_end() -> None:
    made, _ = good("forced_reset")
    logins = of(made, "login")
    assert len(np.unique(logins["user"][logins["status"] == 200])) == len(np.unique(made["user"])) == 400
    assert (logins["status"] == 401).sum() > 800


def test_an_update_spreads_to_a_third_with_a_new_agent_and_new_routes() -> None:
    made, scene = good("app_update")
    assert {scene.world.agents.texts[ua][:11] for ua in made["ua"].tolist()} == {"ShopApp/6.0"}
    assert {NAMES[e] for e in made["endpoint"].tolist()} == {"app_item", "app_feed", "missing"}


def test_a_provider_puts_many_behind_few_and_throws_out_who_was_signed_in() -> None:
    made, _ = good("carrier_switch")
    assert len(np.unique(made["ip"])) == 8
    assert (of(made, "token")["status"] == 401).sum() > 50


def test_a_monitor_comes_like_a_clock_and_expects_its_404() -> None:
    made, scene = good("health_checker")
    assert len(np.unique(made["ip"])) == 6
    assert set(of(made, "missing")["status"]) == {404, 503}
    one = np.sort(of(made, "health")["ts_ms"][of(made, "health")["ip"] == made["ip"][0]])
    assert np.diff(one).std() < 1000 < np.diff(one).mean()
    assert scene.world.users.texts[made["user"].max()] == "user-monitoring"


def test_a_new_integration_goes_from_errors_by_hand_to_four_a_second() -> None:
    made, _ = good("partner_ramp")
    hours = np.bincount(made["ts_ms"] // 3_600_000, minlength=8)
    assert hours[:2].sum() < 1000
    assert hours[-1] == pytest.approx(14_400, rel=0.1)
    first = made[np.argsort(made["ts_ms"])][:100]
    assert 0.2 < (first["status"] >= 400).mean() < 0.5


def test_a_sale_and_a_stadium_meet_the_limit_of_an_address() -> None:
    wanted = frozenset({"flash_sale", "stadium_wifi"})
    refused = dict.fromkeys(wanted, 0)
    for batch, labels in simulate(
        SimulationConfig(seed=3, duration_s=14_400, requests_per_s=5, clients=2000, cases=wanted)
    ):
        for name in wanted:
            refused[name] += int((batch.column("status").to_numpy()[labels == f"benign/{name}"] == 429).sum())
    assert min(refused.values()) > 20
