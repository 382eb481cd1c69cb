"""Attacks of the third set that judged are what their sentences say: how often, by how many, in what order."""

from __future__ import annotations

import ipaddress

import numpy as np
import pytest
from simulated_sets import attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES


def test_sign_up_is_asked_and_nobody_is_registered() -> None:
    made, _ = attack("registration_oracle", "strong")
    assert set(of(made, "register")["status"].tolist()) == {409, 422, 403}
    assert share(of(made, "register"), 409) == pytest.approx(0.4, abs=0.05)
    for ip in np.unique(made["ip"]).tolist():
        assert made["endpoint"][made["ip"] == ip][0] == ENDPOINT_CODES["home"], "the form is loaded first"


def test_a_mailbox_is_filled_for_a_victim_or_a_few_from_many_homes() -> None:
    made, scene = attack("mail_bombing", "strong")
    victims = np.unique(of(made, "reset")["user"])
    assert len(victims) == 5
    assert all(scene.world.users.texts[user].startswith("user") for user in victims.tolist())
    assert each(of(made, "reset")["user"]).min() > 1000


def test_who_is_worn_down_is_asked_twenty_times_and_gives_in_now_and_then() -> None:
    made, _ = attack("push_fatigue", "strong")
    logins, asked = of(made, "login"), of(made, "verify")
    assert set(logins["status"].tolist()) == {200}
    assert len(asked) == len(logins)
    assert np.median(each(logins["user"])) == 20
    assert 0 < (asked["status"] == 200).sum() < 0.08 * len(asked)
    assert set(of(made, "profile")["user"].tolist()) <= set(asked["user"][asked["status"] == 200].tolist())


def test_who_follows_a_false_mail_comes_through_a_few_machines_with_his_own_browser() -> None:
    made, scene = attack("phishing_relay")
    assert len(np.unique(made["ip"])) == 2
    assert len(np.unique(made["ua"])) == len(scene.world.browsers)
    right = of(made, "login")["user"][of(made, "login")["status"] == 200]
    assert each(right).max() == 1
    assert 0.7 < len(of(made, "orders")) / len(right) < 0.95


def test_who_collects_orders_comes_twice_to_each_account_and_tries_a_changed_password_again() -> None:
    made, _ = attack("aggregator")
    assert set(each(of(made, "login")["user"]).tolist()) == {2}
    refused = np.unique(made["user"][made["status"] == 401])
    assert each(made["user"][np.isin(made["user"], refused)]).max() == 2


def test_an_insider_looks_each_order_up_once_and_far_more_than_a_colleague() -> None:
    made, scene = attack("insider_lookup")
    assert made["endpoint"][0] == ENDPOINT_CODES["sso"]
    assert each(of(made, "backoffice")["path"]).max() == 1
    assert scene.world.users.texts[made["user"][0]].startswith("staff0")
    assert len(made) / scene.span_s > 5 * 60 / 10_000


def test_free_keys_are_used_in_turn_and_none_comes_near_its_limit() -> None:
    made, scene = attack("trial_key_rotation", "strong")
    assert set(each(made["key"]).tolist()) <= {25, 26}
    assert most_in_a_minute(made, "key") < 15
    numbers = [int(path.split("/")[-1]) for path in paths(of(made, "api_item"), scene)]
    assert np.isin(np.diff(numbers), (1, 2, 3, 4, 5, -5999, -5998)).mean() > 0.99


def test_a_machine_reports_for_all_devices_and_is_nearly_always_believed() -> None:
    made, scene = attack("telemetry_forgery")
    assert len(np.unique(made["path"])) == 300
    assert share(made, 200) > 0.95
    assert {scene.world.agents.texts[ua] for ua in made["ua"].tolist()} == {"sensor-fw/4.0.1"}


def test_a_key_is_tried_on_what_it_is_not_for_within_its_limit() -> None:
    made, _ = attack("scope_probing", "strong")
    assert len(np.unique(made["key"])) == 1
    assert most_in_a_minute(made, "key") <= 120
    assert len(np.unique(made["endpoint"])) == 7
    assert share(made[made["endpoint"] != ENDPOINT_CODES["api_item"]], 401, 403) > 0.8


def test_names_of_packages_are_guessed_once_each() -> None:
    made, _ = attack("package_guessing", "strong")
    assert each(made["path"]).max() == 1
    assert share(made, 404) == pytest.approx(11 / 12, abs=0.03)


def test_filters_are_followed_and_hardly_a_page_comes_twice() -> None:
    made, scene = attack("facet_crawl")
    lists = of(made, "list")
    assert len(np.unique(lists["path"])) > 0.99 * len(lists)
    assert most_in_a_minute(made, "ip") < 20
    assert not len(of(made, "static", "missing"))
    assert all("Chrome/7" in scene.world.agents.texts[ua] for ua in np.unique(made["ua"]).tolist())


def test_an_impostor_has_the_engines_name_and_none_of_its_addresses() -> None:
    made, scene = attack("impostor_crawler")
    assert {scene.world.agents.texts[ua] for ua in made["ua"].tolist()} == {ENGINE}
    assert not any(scene.world.ips.texts[ip].startswith("192.0.2.") for ip in made["ip"].tolist())


def test_an_app_in_a_rack_registers_and_reads_and_is_another_one_then() -> None:
    made, scene = attack("sim_farm_scraping")
    assert set(of(made, "device")["user"].tolist()) == {ABSENT}
    for user in np.unique(made["user"][made["user"] != ABSENT]).tolist():
        mine = made[made["user"] == user]
        assert len(np.unique(mine["ip"])) == 1
        assert (len(of(mine, "app_item")), len(of(mine, "app_feed"))) == (22, 4)
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} == {64502, 64503}, "carriers that good clients have"


def test_what_is_suggested_is_taken_beginning_by_beginning_below_the_limit() -> None:
    made, scene = attack("suggest_walk", "strong")
    assert len(np.unique(made["path"])) == len(made)
    assert most_in_a_minute(made, "ip") <= 120
    assert paths(made, scene) == sorted(paths(made, scene), key=lambda path: (len(path), path))


def test_scripts_that_are_not_there_and_pages_that_tell() -> None:
    made, _ = attack("asset_guessing")
    assert share(of(made, "static"), 404) > 0.93
    assert len(of(made, "static")) > 0.8 * len(made)


def test_the_attack_stands_in_the_user_agent_and_the_pages_are_there() -> None:
    made, scene = attack("agent_injection")
    agents = {scene.world.agents.texts[ua] for ua in made["ua"].tolist()}
    assert len(agents) > 250
    assert any("jndi" in agent for agent in agents)
    assert share(made, 404) == 0


def test_spam_comes_from_networks_side_by_side_five_reviews_an_account() -> None:
    made, scene = attack("review_spam", "strong")
    networks = {ipaddress.ip_network(f"{scene.world.ips.texts[ip]}/48", strict=False) for ip in made["ip"].tolist()}
    assert len(networks) == 1
    assert set(each(of(made, "review")["user"]).tolist()) == {5}
    assert each(of(made, "review")["path"]).max() < 8


def test_a_click_has_a_number_of_its_own_and_nothing_follows() -> None:
    made, scene = attack("ad_clicks")
    landed = of(made, "item")
    assert len(np.unique(landed["path"])) == len(landed)
    assert len({path.split("?")[0] for path in paths(landed, scene)}) == 3
    assert len(of(made, "static")) == pytest.approx(0.75 * len(landed), rel=0.05)
    assert len(landed) + len(of(made, "static")) == len(made)


def test_a_place_that_comes_up_is_used_at_once_and_nothing_is_looked_at() -> None:
    made, scene = attack("queue_jumping")
    assert len(of(made, "cart_add")) == pytest.approx(len(made) / 31, rel=0.25)
    assert len(of(made, "queue", "cart_add")) == len(made)
    assert len(np.unique(made["ip"])) == 8 * len(np.unique(np.array(scene.world.clients)[made["ip"]])) == 320


def test_a_coupon_is_used_two_dozen_times_at_once() -> None:
    made, _ = attack("limit_overrun")
    for user in np.unique(made["user"]).tolist():
        used = of(made[made["user"] == user], "coupon")
        assert len(used) == 24
        assert np.ptp(used["ts_ms"]) < 1000
        assert 1 <= (used["status"] == 200).sum() <= 4


def test_cards_become_gift_cards_and_who_is_declined_goes() -> None:
    made, _ = attack("gift_card_cashout")
    assert len(np.unique(of(made, "item")["path"])) == 1
    assert len(of(made, "balance")) == (of(made, "pay")["status"] == 200).sum()
    assert share(of(made, "pay"), 402) == pytest.approx(1 / 6, abs=0.05)


def test_a_wave_comes_in_pulses_and_each_address_stays_below_its_limit() -> None:
    made, _ = attack("pulse_wave", "strong")
    assert most_in_a_minute(made, "ip") <= 120
    quiet, _ = attack("pulse_wave")
    seconds = np.bincount(quiet["ts_ms"] // 1000, minlength=900)
    assert (seconds == 0).mean() > 0.75
