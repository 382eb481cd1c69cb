"""The good cases of the third set that judged are what their sentences say: who comes, how often, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, World


def test_students_all_get_their_account_and_gifts_are_read_in_the_end() -> None:
    made, _ = good("university_enrolment")
    assert len(np.unique(made["ip"])) == 3
    assert len(np.unique(made["user"][made["user"] != ABSENT])) == 180
    assert set(of(made, "register")["status"].tolist()) == {200, 409, 422}
    assert (of(made, "register")["status"] == 200).sum() > 150
    gifts, _ = good("gift_morning")
    assert len(np.unique(gifts["ip"])) == (of(gifts, "balance")["status"] == 200).sum() == 180
    assert 0.4 < share(of(gifts, "balance"), 404) < 0.65


def test_a_club_votes_once_each_and_late_codes_let_everybody_in() -> None:
    made, _ = good("club_vote")
    voted = of(made, "vote")
    assert len(np.unique(voted["user"][voted["status"] == 200])) == (voted["status"] == 200).sum() == 150
    codes, _ = good("late_codes")
    asked = of(codes, "verify")
    assert set(asked["user"][asked["status"] == 200].tolist()) >= set(asked["user"].tolist())
    assert share(asked, 401) > 0.5


def test_a_bargain_is_sold_out_in_a_quarter_of_an_hour_and_a_relay_changes_addresses_within_a_visit() -> None:
    made, _ = good("price_mistake")
    carts = of(made, "cart_add")
    assert carts["ts_ms"][carts["status"] == 409].min() > made["ts_ms"][0] + 800_000
    assert len(np.unique(made["path"][made["endpoint"] == ENDPOINT_CODES["item"]])) == 1
    relayed, scene = good("privacy_relay")
    assert len(np.unique(relayed["ip"])) == 40
    known = relayed[relayed["user"] == relayed["user"].max()]
    assert len(np.unique(known["ip"])) > 1
    assert scene.world.asns[relayed["ip"][0]] >= 65548, "as rented machines are"


def test_payments_fail_until_the_provider_is_back_and_its_messages_come_at_once() -> None:
    made, _ = good("payment_outage")
    paid, told = of(made, "pay"), of(made, "callback")
    assert np.ptp(told["ts_ms"]) <= 180_000
    assert paid["ts_ms"][paid["status"] == 200].min() > told["ts_ms"].min()
    assert len(np.unique(told["ip"])) == 4


def test_the_staff_all_get_in_when_their_sign_on_works_again() -> None:
    made, _ = good("sso_outage")
    signs = of(made, "sso")
    assert len(np.unique(signs["user"][signs["status"] == 200])) == 60
    assert set(signs["status"].tolist()) == {200, 401, 423, 502}
    assert signs["ts_ms"][signs["status"] == 200].min() > np.quantile(signs["ts_ms"][signs["status"] == 401], 0.99)


def test_for_a_while_everybody_comes_from_the_load_balancer() -> None:
    scene = Scene(np.random.default_rng(3), World(), 7200.0, START_MS, 3.0, 800)
    change = catalogue.cases()["lost_forwarding"].change
    everybody = people(scene, frozenset())
    assert change is not None
    touched = change(scene, everybody)
    assert len(np.unique(everybody["ip"][touched])) == 4
    assert 600_000 < np.ptp(everybody["ts_ms"][touched]) < 720_000
    assert not np.isin(everybody["ip"][~touched], everybody["ip"][touched]).any()


def test_shops_sign_in_account_after_account_and_a_browser_loads_ahead() -> None:
    made, _ = good("store_tablets")
    assert len(np.unique(made["ip"])) == 8
    assert len(of(made, "pay")) == len(of(made, "logout")) > 50
    ahead, _ = good("prefetch")
    items, lists = of(ahead, "item"), of(ahead, "list")
    assert 8 < len(items) / len(lists) < 16
    gaps_ms = items["ts_ms"][:, None] - lists["ts_ms"][None, :]
    assert (np.where(gaps_ms >= 0, gaps_ms, 10**9).min(axis=1) < 1200).all()


def test_a_backfill_goes_day_by_day_and_a_stuck_message_is_tried_until_somebody_throws_it_away() -> None:
    made, scene = good("backfill")
    days = [path.split("day=")[1].split("&")[0] for path in paths(made, scene)]
    assert days == sorted(days) or (made["status"] == 504).any()
    assert most_in_a_minute(made, "key") <= 120
    stuck, _ = good("poison_message")
    refused = stuck[stuck["status"] != 200]
    assert len(np.unique(refused["path"])) == 3
    after = (stuck["ts_ms"] > refused["ts_ms"].max()) & (stuck["ts_ms"] < refused["ts_ms"].max() + 180_000)
    assert after.sum() > 550


def test_jobs_begin_in_one_second_twice_and_an_engine_reads_all_from_its_own_addresses() -> None:
    made, _ = good("clock_change")
    firsts = [int(made["ts_ms"][made["key"] == key].min()) for key in np.unique(made["key"]).tolist()]
    assert max(firsts) - min(firsts) < 2500
    assert most_in_a_minute(made, "key") <= 120
    read, scene = good("recrawl")
    assert all(scene.world.ips.texts[ip].startswith("192.0.2.") for ip in np.unique(read["ip"]).tolist())
    assert share(read, 404, 410) == pytest.approx(1 / 9, abs=0.03)


def test_an_app_asks_every_two_seconds_until_it_is_told_to_stop_and_beginners_forget_to_wait() -> None:
    made, _ = good("app_loop")
    user = made["user"][0]
    gaps_ms = np.diff(made["ts_ms"][made["user"] == user])
    assert np.median(gaps_ms) == pytest.approx(2000, abs=150)
    assert each(made["user"][made["status"] == 410]).max() == 1
    course, scene = good("coding_course")
    assert {scene.world.keys.texts[key] for key in course["key"].tolist()} == {"key-app-course"}
    assert 0.15 < share(course, 400, 401, 404, 405) < 0.4
