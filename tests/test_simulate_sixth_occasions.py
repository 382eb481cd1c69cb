"""The sixth set's good cases of surveyors and occasions are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, each, good, of, paths, share

from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES


def test_the_engine_is_led_ever_deeper_into_lists_that_nobody_else_asks_for() -> None:
    made, scene = good("crawler_trap")
    lists = of(made, "list")
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} == {64509}, "the engine's own addresses"
    assert len(np.unique(made["ip"])) == 12
    assert each(lists["path"]).max() == 1
    assert share(made, 200) == 1
    filters = np.array([path.count("&") for path in paths(lists, scene)])
    assert (np.diff(filters) >= 0).all()
    assert (filters.min(), filters.max()) == (1, 8)
    assert len(of(made, "item")) / len(made) == pytest.approx(1 / 12, abs=0.02)
    assert len(made) / (np.ptp(made["ts_ms"]) / 1000) == pytest.approx(0.9, rel=0.1)


def test_every_landing_page_is_looked_at_as_two_machines_see_it_and_missing_ones_thrice_more() -> None:
    made, scene = good("landing_review")
    pages, scripts = of(made, "item"), of(made, "static")
    assert len(np.unique(pages["path"])) == 2 * 540
    assert len(agents(made, scene)) == 2
    assert len(np.unique(made["ip"])) == 10
    assert len(scripts) == (pages["status"] == 200).sum()
    missing = np.unique(pages["path"][pages["status"] == 404])
    assert len(missing) / (2 * 540) == pytest.approx(1 / 30, abs=0.02)
    for path in missing.tolist():
        assert pages["status"][pages["path"] == path].tolist() == [404, 404, 404, 200]
    first = pages[~np.isin(pages["path"], missing)]
    assert np.ptp(first["ts_ms"]) < 2_400_000
    assert set(each(first["path"]).tolist()) == {1}


def test_a_basket_is_read_in_order_and_what_is_gone_is_looked_for() -> None:
    made, scene = good("statistics_office")
    assert paths(made[:1], scene) == ["/robots.txt"]
    assert len(np.unique(made["ip"])) == 2
    items, searches = of(made, "item"), of(made, "search")
    gone = (items["status"] == 404).sum()
    assert gone / 720 == pytest.approx(1 / 30, abs=0.02)
    assert len(searches) == 2 * gone
    assert len(items) == 720 + 2 * gone
    read = items[items["status"] == 200]
    assert np.median(np.diff(read["ts_ms"])) == pytest.approx(3000, rel=0.05)


def test_an_assistant_reads_a_few_pages_for_each_question_and_some_people_follow() -> None:
    made, scene = good("answer_engine")
    rented = np.array([scene.world.asns[ip] >= 65548 for ip in made["ip"].tolist()])
    read, people = made[rented], made[~rented]
    assert len(np.unique(read["ip"])) == 24
    assert len(agents(read, scene)) == 1
    asked = of(read, "search")
    assert len(asked) == 540
    pages = read[read["endpoint"] != ENDPOINT_CODES["search"]]
    assert len(pages) / len(asked) == pytest.approx(3.5, abs=0.15)
    assert share(pages, 404) == pytest.approx(0.05, abs=0.015)
    assert len(of(people, "item")) == len(of(people, "static")) == pytest.approx(0.4 * 540, rel=0.15)
    since = asked["ts_ms"][np.searchsorted(asked["ts_ms"], pages["ts_ms"]) - 1]
    assert (pages["ts_ms"] - since).max() <= 1500
    assert set(made["user"].tolist()) == {ABSENT}


def test_runners_look_for_their_own_number_and_for_those_next_to_it() -> None:
    made, scene = good("race_photographs")
    searches, pictures, bought = of(made, "search"), of(made, "missing"), of(made, "pay")
    assert share(made, 200) == 1
    numbers = np.array([int(path.split("+")[2].split("&")[0]) for path in paths(searches, scene)])
    assert len(searches) / 150 == pytest.approx(4 + 2.5, abs=0.5)
    shown = np.array([int(path.split("/")[3].split("-")[0]) for path in paths(pictures, scene)])
    runners = np.unique(shown)
    assert len(runners) == 150
    assert len(pictures) / 150 == pytest.approx(7, abs=0.5)
    assert np.isin(numbers, np.concatenate([runners, runners + 1, runners + 2, runners + 3])).all()
    assert len(bought) / 150 == pytest.approx(1 / 6, abs=0.08)
    for runner in runners[:20].tolist():
        assert pictures["ts_ms"][shown == runner].min() > searches["ts_ms"][numbers == runner].min()


def test_a_door_opens_at_the_full_hour_for_the_first_half_of_those_who_press() -> None:
    made, scene = good("advent_door")
    tries = of(made, "coupon")
    opened = tries[tries["status"] == 200]
    opens_ms = int(np.round(opened["ts_ms"].min() / 3_600_000)) * 3_600_000
    assert opens_ms == pytest.approx(opened["ts_ms"].min(), abs=1500)
    early = tries[tries["status"] == 404]
    assert opens_ms - 30_000 <= early["ts_ms"].min() <= early["ts_ms"].max() <= opens_ms
    assert len(np.unique(early["user"])) / 240 == pytest.approx(2 / 3, abs=0.1)
    assert len(opened) == 120
    late = tries[tries["status"] == 409]
    first = late[late["ts_ms"] >= opened["ts_ms"].max()]
    assert len(first) == len(late), "gone once it is gone"
    assert set(each(late["user"]).tolist()) == {1, 3}
    signed = of(made, "login")
    assert (signed["status"] == 200).sum() == 240
    assert signed["ts_ms"][signed["status"] == 200].max() < opens_ms
    assert paths(of(made, "article")[:1], scene) == ["/blog/advent-calendar"]


def test_players_guess_pages_until_somebody_has_one_and_then_all_open_it() -> None:
    made, scene = good("riddle_hunt")
    pages = of(made, "missing")
    guessed, opened = pages[pages["status"] == 404], pages[pages["status"] == 200]
    assert len(guessed) / 90 == pytest.approx(25, abs=4)
    assert len(np.unique(opened["path"])) == 5
    assert len(of(made, "static")) == len(opened)
    assert all(path.startswith("/hunt/") for path in paths(pages, scene))
    assert not np.isin(opened["path"], guessed["path"]).any()
    for path in np.unique(opened["path"]).tolist():
        mine = opened["ts_ms"][opened["path"] == path]
        assert len(mine) >= 5
        assert np.percentile(mine - mine.min(), 90) < 600_000
    school = max(np.unique(made["ip"]).tolist(), key=lambda ip: (made["ip"] == ip).sum())
    assert len(np.unique(made["ua"][made["ip"] == school])) > 2


def test_a_letter_takes_six_seconds_and_sessions_lapse_again_and_again() -> None:
    made, _ = good("switch_control")
    assert len(np.unique(made["ip"])) == 1
    members = np.unique(made["user"][made["user"] != ABSENT])
    assert len(members) == 12
    letters = of(made, "suggest")
    assert len(letters) == 12 * 37
    assert len(np.unique(letters["path"])) == 37
    lapsed = of(made, "account")
    assert set(each(lapsed["user"][lapsed["status"] == 401]).tolist()) <= {3, 4, 5}
    signed = of(made, "login")
    assert (signed["status"] == 200).sum() == (lapsed["status"] == 401).sum()
    paid = of(made, "pay")
    assert len(paid) == 6
    assert share(paid, 200) == 1
    assert len(of(made, "item")) == 4 * len(of(made, "reviews"))
    assert set(each(of(made, "checkout")["user"][of(made, "checkout")["status"] == 422]).tolist()) == {2}
