"""The sixth set's good cases of an hour that all wait for, and of families, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES

CASES = (
    "results_morning", "lockdown_mornings", "advent_doors", "appointment_helpers", "families_abroad", "care_rounds",
    "midnight_greetings", "school_lists",
)  # fmt: skip
PUPILS, SHOPPERS, HOMES, HELPERS = 180, 150, 240, 12  # at three requests a second
FAMILIES, NURSES, MEMBERS, CLASSES = 24, 15, 180, 6


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_keeps_to_good_clients_networks_and_asks_no_faster_than_people_do(name: str) -> None:
    made, scene = good(name)
    assert {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()} <= set(range(64496, 64504))
    assert set(made["key"].tolist()) == {ABSENT}
    alone = made[[scene.world.asns[ip] < 64502 for ip in made["ip"].tolist()]]
    assert most_in_a_minute(alone, "ip") < 60
    assert (made["ts_ms"] < scene.span_s * 1000).mean() > 0.95


def test_results_are_not_there_then_not_to_be_had_then_there() -> None:
    made, scene = good("results_morning")
    tried = of(made, "orders")
    early, crowd, had = (tried[tried["status"] == status] for status in (404, 503, 200))
    assert len(had) == len(of(made, "invoice")) == len(of(made, "login")) == PUPILS
    hour_ms = crowd["ts_ms"].min()
    assert early["ts_ms"].max() < hour_ms
    assert had["ts_ms"].max() < hour_ms + 100_000
    loads = each(early["user"])
    assert (len(loads), loads.min(), loads.max()) == (PUPILS, 2, 8)
    gaps = np.concatenate(
        [np.diff(crowd["ts_ms"][crowd["user"] == user]) for user in np.unique(crowd["user"]).tolist()]
    )
    assert (gaps.min() >= 2000, gaps.max() <= 5001) == (True, True)
    assert len(crowd) > 5 * len(had)
    assert len(of(made, "logout")) == PUPILS * 4 / 5
    behind = np.array([scene.world.asns[ip] >= 64502 for ip in had["ip"].tolist()])
    assert behind.mean() == pytest.approx(0.5, abs=0.1)


def test_at_six_everybody_presses_the_button_and_one_in_five_is_granted_a_slot() -> None:
    made, _ = good("lockdown_mornings")
    pressed, paid = of(made, "checkout"), of(made, "pay")
    assert len(paid) == (pressed["status"] == 200).sum() == SHOPPERS / 5
    assert len(of(made, "cart")) == 2 * SHOPPERS
    refused = pressed[pressed["status"] != 200]
    assert share(refused, 503) == pytest.approx(0.1, abs=0.01)
    gaps = np.diff(refused["ts_ms"][refused["user"] == paid["user"][0]])
    assert (gaps.min() >= 1000, gaps.max() <= 3001) == (True, True)
    six_ms = pressed["ts_ms"].min()
    later = np.unique(pressed["user"][pressed["ts_ms"] > six_ms + 1_700_000])
    assert len(later) == SHOPPERS * 4 / 5
    assert not np.isin(paid["user"], later).any()
    assert of(made, "cart")["ts_ms"].min() < six_ms


def test_a_door_has_one_page_one_code_and_one_item_and_children_come_after() -> None:
    made, scene = good("advent_doors")
    assert set(paths(of(made, "article"), scene)) == {"/blog/advent-door-7"}
    assert len(of(made, "article")) == len(of(made, "static")) == HOMES
    logins = of(made, "login")
    assert each(logins["user"]).max() == 1
    homes = each(logins["ip"])
    assert (homes > 1).mean() == pytest.approx(1 / 3, abs=0.08)
    assert homes.max() == 3
    tried = of(made, "coupon")
    assert (tried["status"] == 200).sum() == len(logins)
    assert (tried["status"] == 409).sum() / len(logins) == pytest.approx(1 / 6, abs=0.05)
    assert len(of(made, "pay")) == HOMES / 5
    assert len(of(made, "logout")) == len(logins) - HOMES
    assert len(np.unique(of(made, "item")["path"])) == 1
    opened_ms = made["ts_ms"].min()
    assert (of(made, "article")["ts_ms"] < opened_ms + 1_800_000).mean() > 0.7


def test_helpers_make_an_account_a_person_and_wait_for_something_free() -> None:
    made, scene = good("appointment_helpers")
    made_up, booked = of(made, "register"), of(made, "checkout")
    assert len(np.unique(made["ip"])) == len(np.unique(made["ua"].astype(np.int64) * 10**6 + made["ip"])) == HELPERS
    people = each(made_up["ip"])
    assert (people >= 8).all()
    assert people.max() <= 25
    assert len(booked) == len(of(made, "profile")) == len(of(made, "logout")) == len(made_up)
    assert each(booked["user"]).max() == 1
    assert share(of(made, "cart_add"), 409) == pytest.approx(2 / 3, abs=0.07)
    looks = of(made, "list")
    assert len(set(paths(looks, scene))) == 1
    one = np.diff(looks["ts_ms"][looks["user"] == booked["user"][0]])
    assert (one.min() >= 5000, one.max() <= 15_000) == (True, True)


def test_an_account_is_used_in_several_places_at_once_and_codes_are_read_over_the_telephone() -> None:
    made, _ = good("families_abroad")
    users = np.unique(made["user"][made["user"] != ABSENT])
    assert len(users) == FAMILIES
    places = [len(np.unique(made["ip"][made["user"] == user])) for user in users.tolist()]
    assert max(places) <= 6
    assert np.mean(places) == pytest.approx(5, abs=0.6)
    signed, codes = of(made, "login"), of(made, "verify")
    assert (codes["status"] == 200).sum() == (signed["status"] == 200).sum()
    wrong = (codes["status"] == 401).sum() / (codes["status"] == 200).sum()
    assert wrong == pytest.approx(0.75, abs=0.25), "once or twice in a half"
    busiest = np.bincount(made["ts_ms"] // 1_800_000)
    assert busiest.max() > 3 * np.median(busiest)


def test_a_nurse_orders_for_one_client_after_the_other() -> None:
    made, scene = good("care_rounds")
    signed = of(made, "login")
    doors = (signed["status"] == 200).sum()
    assert 7 * NURSES <= doors <= 10 * NURSES
    assert each(signed["user"][signed["status"] == 200]).max() == 1
    carts = each(of(made, "cart_add")["user"])
    assert (carts.min(), carts.max()) == (2, 4)
    assert len(of(made, "item")) == len(of(made, "cart_add"))
    paid = of(made, "pay")
    assert (paid["status"] == 200).sum() == len(of(made, "logout")) == doors
    assert (paid["status"] == 402).sum() / doors == pytest.approx(1 / 12, abs=0.06)
    behind = np.array([scene.world.asns[ip] >= 64502 for ip in of(made, "checkout")["ip"].tolist()])
    assert behind.mean() == pytest.approx(1 / 3, abs=0.1)
    assert len(np.unique(made["ua"])) == 4


def test_everybody_sends_everybody_greetings_at_midnight() -> None:
    made, scene = good("midnight_greetings")
    sent = of(made, "graphql")
    assert set(paths(sent, scene)) == {"/api/graphql?op=sendMessage"}
    good_ones = sent[sent["status"] == 200]
    times = each(good_ones["user"])
    assert (len(times), times.min() >= 5, times.max() <= 60) == (MEMBERS, True, True)
    late = sent[sent["status"] == 503]
    assert np.ptp(late["ts_ms"]) < 120_000
    crowded = sent[(sent["ts_ms"] >= late["ts_ms"].min()) & (sent["ts_ms"] <= late["ts_ms"].max())]
    assert share(crowded, 503) == pytest.approx(1 / 7, abs=0.03), "each is sent again"
    first = of(made, "app_feed")
    assert 2 * MEMBERS <= len(first) <= 7 * MEMBERS
    assert np.isin(made["endpoint"], [ENDPOINT_CODES["graphql"], ENDPOINT_CODES["app_feed"]]).all()


def test_parents_go_down_their_classs_list_in_its_order() -> None:
    made, scene = good("school_lists")
    lists = of(made, "list")
    assert len(lists) == 24 * CLASSES == len(of(made, "pay"))
    assert len(set(paths(lists, scene))) == CLASSES
    orders = set()
    for ip in np.unique(made["ip"]).tolist():
        orders.add(tuple(of(made[made["ip"] == ip], "item")["path"].tolist()))
    assert len(orders) == CLASSES, "each class's parents open the same things in the same order"
    assert all(11 <= len(order) <= 16 for order in orders)
    assert share(of(made, "cart_add"), 409) == pytest.approx(0.05, abs=0.015)
    assert len(of(made, "cart_add")) == len(of(made, "item"))
    assert (lists["user"] == ABSENT).mean() == pytest.approx(0.5, abs=0.1)
