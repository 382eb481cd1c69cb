"""The tenth set's good cases of people, on one day or waiting for something, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, keys, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT

CLOCKS, ORDERERS, SHOPPERS, PARENTS, SHAKEN, READERS, BUYERS = 180, 270, 210, 72, 450, 60, 180  # three a second
OFFICES, HOUSES, PROGRAMS = 6, 3, 8  # at 800 accounts
CARRIERS = {64502, 64503}


def behind(made: Rows, scene: Scene, asns: set[int]) -> np.ndarray:
    """Which rows come from those networks."""
    return np.isin(np.array(scene.world.asns)[made["ip"]], list(asns))


def op(made: Rows, scene: Scene, name: str) -> Rows:
    """Requests of one operation."""
    return np.asarray(made[np.array([f"op={name}" in path for path in paths(made, scene)], bool)])


def told(made: Rows, *statuses: int) -> Rows:
    return np.asarray(made[np.isin(made["status"], statuses)])


@pytest.mark.parametrize("name", ["two_clocks", "last_day_returns", "free_tests", "soft_declines", "felt_earthquake"])
def test_nobody_asks_faster_than_people_do_and_all_is_over_with_the_run(name: str) -> None:
    made, scene = good(name)
    if name != "felt_earthquake":
        who = made[made["user"] != ABSENT]
        assert not len(who) or most_in_a_minute(who, "user") <= 16
    assert made["ts_ms"].max() < scene.span_s * 1000
    assert (made["key"] == ABSENT).all()


def test_codes_of_an_hour_off_do_not_fit_though_the_password_does() -> None:
    made, scene = good("two_clocks")
    codes, logins = of(made, "verify"), of(made, "login")
    assert len(np.unique(made["user"])) == CLOCKS
    assert len(np.unique(made["ip"][behind(made, scene, CARRIERS)])) == CLOCKS * 3 // 5 // 30
    wrong = each(told(codes, 401)["user"])
    assert (len(wrong), wrong.min()) == (CLOCKS, 3)
    assert wrong.max() <= 8 + 4
    assert len(told(codes, 200)) == CLOCKS * 3 / 5
    assert len(op(made, scene, "sendCode")) == len(of(made, "account")) / 2 == CLOCKS / 5
    assert len(told(logins, 200)) > CLOCKS * 4 / 3
    assert share(logins, 401) < 0.2, "it is not the password"
    one = told(codes, 401)
    gaps_ms = np.concatenate([np.diff(one["ts_ms"][one["user"] == user]) for user in np.unique(one["user"])[:40]])
    assert gaps_ms.min() > 20_000, "each when the last is over"


def test_two_at_an_office_hand_in_customer_after_customers_return() -> None:
    made, scene = good("last_day_returns")
    logins, codes, sent = of(made, "login"), of(made, "verify"), op(made, scene, "fileReturn")
    customers = len(np.unique(made["user"]))
    assert len(np.unique(made["ip"])) == OFFICES
    assert 20 * OFFICES <= customers <= 40 * OFFICES
    assert (each(np.unique(np.stack([made["ip"], made["ua"]]), axis=1)[0]) == 2).all()
    assert (each(np.unique(np.stack([made["user"], made["ip"]]), axis=1)[0]) == 1).all()
    assert len(told(sent, 200)) == len(of(made, "invoice")) == len(of(made, "logout")) == customers
    vain = told(sent, 503, 504)
    times = each(vain["user"])
    assert len(times) / customers == pytest.approx(1 / 2, abs=0.05)
    assert (times.min(), times.max()) == (1, 4)
    assert share(vain, 503) == pytest.approx(0.6, abs=0.08)
    lost = len(of(made, "reset")) / customers
    assert lost == pytest.approx(1 / 4, abs=0.05)
    assert len(np.unique(told(logins, 401)["user"])) == len(of(made, "reset"))
    assert len(told(codes, 401)) / customers == pytest.approx(1 / 4 + 1 / 12, abs=0.06)
    assert len(told(of(made, "account"), 401)) / customers == pytest.approx(1 / 5, abs=0.05)


def test_of_a_house_with_many_flats_only_the_first_may_and_the_others_write_theirs_in_other_ways() -> None:
    made, scene = good("free_tests")
    orders, come = of(made, "checkout"), of(made, "article")
    assert (made["user"] == ABSENT).all()
    assert len(come) == ORDERERS == len(of(made, "static")) / 2
    assert not len(of(made, "pay", "login"))
    ips, many = np.unique(come["ip"], return_counts=True)
    houses = ips[many > 1]
    assert len(houses) == HOUSES
    assert many[many > 1].sum() == ORDERERS * 2 / 5
    refused = told(orders, 409)
    assert np.isin(refused["ip"], houses).all()
    helped = op(made, scene, "addressHelp")
    assert set(helped["status"].tolist()) == {202}
    inside = told(orders, 200)
    assert len(inside) + len(helped) == ORDERERS
    for house in houses.tolist():
        assert len(refused[refused["ip"] == house]) > 2 * len(inside[inside["ip"] == house]) / 2
    assert 3.2 < len(refused) / (len(helped) / 0.75) < 5.6
    assert len(told(orders, 422)) / ORDERERS == pytest.approx(1.5 / 9, abs=0.05)


def test_what_was_not_confirmed_is_declined_and_mostly_paid_after_it() -> None:
    made, _ = good("soft_declines")
    paid, codes = of(made, "pay"), of(made, "verify")
    assert len(np.unique(made["user"])) == len(of(made, "cart")) == len(of(made, "checkout")) == SHOPPERS
    first = {user: paid["status"][paid["user"] == user][0] for user in np.unique(paid["user"]).tolist()}
    assert set(first.values()) == {402}, "the first one is declined"
    confirmed = told(codes, 200)
    assert len(confirmed) == pytest.approx(0.85 * SHOPPERS, abs=3)
    wrong = each(told(codes, 401)["user"])
    assert len(wrong) == pytest.approx(0.25 * SHOPPERS, abs=3)
    assert wrong.max() == 2
    assert len(told(codes, 504)) == pytest.approx(0.085 * SHOPPERS, abs=6)
    more = each(told(paid, 402)["user"])
    assert (more > 1).sum() == SHOPPERS - len(confirmed)
    assert more.max() <= 6
    assert 0.86 < len(told(paid, 200)) / SHOPPERS < 0.98


def test_parents_apps_find_nobody_and_are_opened_signed_out_and_installed_anew() -> None:
    made, scene = good("silent_monitors")
    feeds = of(made, "app_feed")
    assert len(np.unique(made["user"])) == PARENTS
    assert len(of(made, "device")) == PARENTS / 4 == len(of(made, "verify"))
    assert len(of(made, "logout")) == PARENTS / 3
    vain = told(feeds, 503)
    assert np.ptp(vain["ts_ms"]) < 1000 * (0.3 * scene.span_s + 3600)
    quiet = feeds[feeds["ts_ms"] < vain["ts_ms"].min() - 1000]
    assert share(quiet, 200) == 1
    one = np.diff(quiet["ts_ms"][quiet["user"] == quiet["user"][0]])
    assert np.median(one) == pytest.approx(300_000, rel=0.03)
    assert 0.05 < share(of(made, "login"), 401) < 0.6
    assert most_in_a_minute(vain, "user") <= 12


def test_a_whole_valley_comes_within_minutes_and_again_at_two_aftershocks() -> None:
    made, scene = good("felt_earthquake")
    assert (made["user"] == ABSENT).all()
    mobile = behind(made, scene, CARRIERS)
    assert len(np.unique(made["ip"][mobile])) == SHAKEN * 2 // 5 // 25
    assert len(np.unique(made["ip"][~mobile])) == SHAKEN * 3 // 5
    began_ms = made["ts_ms"].min()
    assert (made["ts_ms"] < began_ms + 180_000).mean() > 0.25
    after = np.histogram(made["ts_ms"], bins=np.arange(began_ms, began_ms + 5_000_000, 120_000))[0]
    assert (after[11:15].max() > 3 * after[9], after[33:37].max() > 3 * after[30]) == (True, True)
    reports = op(made, scene, "feltReport")
    people = SHAKEN * (1 + 1 / 3 + 1 / 5)
    assert len(told(reports, 200)) / people == pytest.approx(1 / 3, abs=0.02)
    assert len(told(reports, 409)) / len(told(reports, 200)) == pytest.approx(1 / 10, abs=0.03)
    assert 3 <= len(of(made, "suggest")) / len(told(reports, 200)) <= 6
    assert len(told(made, 503)) / people == pytest.approx(2.5 / 4, abs=0.12)


def test_who_has_read_enough_is_refused_and_his_page_asks_on() -> None:
    made, scene = good("reading_ration")
    posts, pages = op(made, scene, "post&"), op(made, scene, "timeline")
    assert len(np.unique(made["user"])) == READERS + READERS / 5
    assert share(posts, 200) == 1
    refused = told(pages, 429)
    assert len(np.unique(refused["user"])) == READERS + READERS / 5
    read = each(posts["user"])
    assert (np.sort(read)[: READERS // 5] == 15).all()
    assert 25 <= np.sort(read)[READERS // 5] < 55 < read.max() <= 60
    gaps_ms = np.concatenate(
        [np.diff(refused["ts_ms"][refused["user"] == user]) for user in np.unique(refused["user"])]
    )
    assert np.median(gaps_ms) == pytest.approx(3000, abs=60)
    assert most_in_a_minute(refused, "user") <= 25
    assert len(of(made, "logout")) == READERS / 4
    assert len(of(made, "login")) == READERS / 4 + READERS / 5


def test_nobody_may_buy_and_people_and_programs_try_on() -> None:
    made, scene = good("halted_stock")
    people, programs = made[made["key"] == ABSENT], made[made["key"] != ABSENT]
    tried, refused = op(people, scene, "buy"), op(programs, scene, "buy")
    assert len(keys(made, scene)) == len(np.unique(programs["ip"])) == PROGRAMS
    times = each(tried["user"])
    assert (len(times), times.min(), times.max()) == (BUYERS, 3, 10)
    assert share(tried, 403) == share(refused, 403) == 1
    assert len({path.partition("symbol=")[2][:3] for path in paths(tried, scene)}) == 13
    assert len(op(made, scene, "sell")) == BUYERS / 3
    assert len(of(made, "export")) == BUYERS / 5
    assert len(of(made, "assistant")) == BUYERS / 2
    stopped = each(refused["ip"])
    assert (stopped == 5).sum() >= PROGRAMS / 2
    looked = of(programs, "api_item")
    assert share(looked, 200) == 1
    gaps_ms = np.diff(looked["ts_ms"][looked["ip"] == looked["ip"][0]])
    assert 55_000 < np.median(gaps_ms) < 185_000
