"""The sixth set's good cases of ways, libraries, surveyors and occasions are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.machines import customers
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene, together
from floodwarden.simulate.services import services
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, World

CASES = (
    "cable_cut", "vpn_evening", "password_checkup", "bookmark_icons", "feed_readers", "saved_links", "page_savers",
    "link_rot_check", "crawler_trap", "landing_review", "statistics_office", "answer_engine", "race_photographs",
    "advent_door", "riddle_hunt", "switch_control",
)  # fmt: skip
RENTED = ("vpn_evening", "feed_readers", "saved_links", "page_savers", "link_rot_check", "answer_engine")


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_stays_below_the_limit_of_an_address_and_in_good_networks(name: str) -> None:
    made, scene = good(name)
    assert most_in_a_minute(made, "ip") <= 120
    asns = {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}
    assert asns <= set(range(64496, 64510)) | ({65548, 65549, 65550} if name in RENTED else set())


@pytest.mark.parametrize("name", CASES)
def test_in_nine_hours_of_a_site_with_five_requests_a_second_it_stays_small(name: str) -> None:
    case = catalogue.cases()[name]
    assert case.make is not None
    made = case.make(Scene(np.random.default_rng(4), World(), 32_400.0, START_MS, 5.0, 2000))
    assert 300 < len(made) <= 15_000


@pytest.fixture(scope="module")
def used_by_others() -> set[int]:
    """Endpoints of good clients who are not of this set."""
    scene = Scene(np.random.default_rng(3), World(), 14_400.0, START_MS, 3.0, 800)
    parts = [people(scene, frozenset()), customers(scene)]
    parts.append(services(scene, together(*parts)))
    return set(np.unique(together(*parts)["endpoint"]).tolist())


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_keeps_to_routes_that_other_good_clients_use(name: str, used_by_others: set[int]) -> None:
    assert set(np.unique(good(name)[0]["endpoint"]).tolist()) <= used_by_others


def test_who_is_here_when_the_cable_is_cut_breaks_off_and_half_come_back_by_telephone() -> None:
    made, scene = good("cable_cut")
    broken = made[made["status"] == 499]
    (cut_ms,) = np.unique(broken["ts_ms"]).tolist()
    assert len(broken) > 8
    phones = np.array([scene.world.asns[ip] in (64502, 64503) for ip in made["ip"].tolist()])
    assert made["ts_ms"][phones].min() > cut_ms
    before = made[made["ts_ms"] < cut_ms]
    assert not phones[: len(before)].any()
    assert len(np.unique(before["user"][before["user"] != ABSENT])) == 180
    by_phone = np.unique(made["user"][phones])
    assert len(by_phone) == pytest.approx(90, abs=20)
    signed = of(made[phones], "login")
    assert len(np.unique(signed["user"][signed["status"] == 200])) == pytest.approx(0.9 * len(by_phone), abs=9)
    at_home = made[~phones & (made["ts_ms"] > cut_ms)]
    assert at_home["ts_ms"].min() >= cut_ms + 0.29 * 14_400_000
    assert len(np.unique(at_home["user"])) == pytest.approx(120, abs=20)
    assert np.isin(at_home["ip"], before["ip"]).all()


def test_members_come_by_rented_exits_and_are_asked_for_a_code_as_well() -> None:
    made, scene = good("vpn_evening")
    assert len(np.unique(made["ip"])) == 24
    assert len({scene.world.countries[ip] for ip in made["ip"].tolist()}) == 3
    codes = of(made, "verify")
    right = codes[codes["status"] == 200]
    assert len(right) == len(np.unique(right["user"])) == pytest.approx(0.8 * 150, abs=15)
    assert (codes["status"] == 401).sum() / len(right) == pytest.approx(0.1, abs=0.06)
    signed = of(made, "login")
    signed = signed[signed["status"] == 200]
    assert set(np.unique(right["user"]).tolist()) == set(np.unique(signed["user"]).tolist())


def test_a_browser_asks_for_two_places_that_are_not_there_and_then_passwords_are_changed() -> None:
    made, scene = good("password_checkup")
    asked = of(made, "missing")
    assert share(asked, 404) == 1
    assert len(set(paths(asked, scene))) == 2
    assert set(each(asked["ip"]).tolist()) == {2}
    people_ = len(np.unique(made["ip"]))
    assert len(of(made, "home")) == people_ == 120
    assert len(of(made, "profile")) / people_ == pytest.approx(2 / 3, abs=0.1)
    assert len(of(made, "profile")) + len(of(made, "reset")) == people_
    assert share(of(made, "reset"), 202) == 1
    assert (of(made, "login")["status"] == 200).sum() == people_
    assert len(agents(made, scene)) <= 4
    for ip in np.unique(made["ip"])[:20].tolist():
        assert made["endpoint"][made["ip"] == ip][:3].tolist() == [
            ENDPOINT_CODES[one] for one in ("missing", "missing", "home")
        ]


def test_a_telephone_looks_for_eight_icons_at_each_visit_in_half_a_second() -> None:
    made, scene = good("bookmark_icons")
    asked = made[[path.startswith("/apple-touch-icon") for path in paths(made, scene)]]
    asked = asked[asked["status"] == 404]
    assert len(agents(made, scene)) == 1
    assert 180 * 8 <= len(asked) <= 180 * 8 * 1.6
    names = {scene.world.paths.texts[path] for path in np.unique(asked["path"]).tolist()}
    assert len(names - {"/apple-touch-icon.png"}) == 7
    assert len(made) - len(asked) > 180 * 6, "and then they look at the shop"
    phones = [scene.world.asns[ip] in (64502, 64503) for ip in made["ip"].tolist()]
    assert np.mean(phones) == pytest.approx(0.4, abs=0.12)


def test_readers_ask_by_their_timers_and_fetch_what_is_new() -> None:
    made, scene = good("feed_readers")
    feed = made[made["path"] == scene.world.paths.code("/blog/feed.xml")]
    fetched = made[made["path"] != scene.world.paths.code("/blog/feed.xml")]
    assert len(np.unique(fetched["path"])) == 1
    assert len(fetched) / 120 == pytest.approx(0.4, abs=0.08)
    assert len(np.unique(feed["ip"])) == 120
    gaps_s = np.array([np.median(np.diff(feed["ts_ms"][feed["ip"] == ip])) for ip in np.unique(feed["ip"])]) / 1000
    assert set(np.round(gaps_s / 60).astype(int).tolist()) == {1, 15, 30, 60}
    assert (gaps_s < 70).mean() == pytest.approx(1 / 12, abs=0.02)
    never = [share(feed[feed["ip"] == ip], 200) == 1 for ip in np.unique(feed["ip"]).tolist()]
    assert np.mean(never) == pytest.approx(0.1, abs=0.02)
    assert share(feed, 304) > 0.7
    assert len(agents(made, scene)) > 20


def test_lists_of_links_are_fetched_in_order_and_a_third_is_gone() -> None:
    made, scene = good("saved_links")
    assert len(np.unique(made["ip"])) == 12
    assert len(agents(made, scene)) == 4
    assert share(made, 404) == pytest.approx(1 / 3, abs=0.03)
    gone = made[made["status"] == 404]
    assert all(path.startswith("/blog/20") for path in paths(gone, scene))
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES[one] for one in ("article", "item", "reviews")}
    assert 90 * 40 < len(made) < 90 * 60


def test_one_page_is_kept_again_and_again_with_all_that_it_links_to() -> None:
    made, _ = good("page_savers")
    assert len(np.unique(made["ip"])) == 6
    kept = each(of(made, "article")["path"]).max()
    assert kept == 72
    assert len(np.unique(made["path"])) <= 27
    scripts = of(made, "static")
    assert share(scripts, 200) == 1
    assert len(scripts) == 6 * kept
    rest = len(made) - kept - len(scripts)
    assert rest / (20 * kept) == pytest.approx(0.95, abs=0.05), "one in ten is given up half-way"
    assert share(made, 404) == pytest.approx(20 / 27 / 15, abs=0.02)


def test_links_are_looked_at_in_three_rounds_and_dead_ones_under_another_name() -> None:
    made, scene = good("link_rot_check")
    assert len(np.unique(made["ip"])) == 1
    robot = made[made["ua"] == scene.world.agents.code("LinkKeeperBot/2.0 (https://encyclopaedia.example/robots)")]
    again = made[made["ua"] != robot["ua"][0]]
    assert set(each(robot["path"]).tolist()) == {3}
    assert len(robot) == 3 * 540
    assert share(again, 404) == 1
    assert sorted(again["path"].tolist()) == sorted(robot["path"][robot["status"] == 404].tolist())
    assert share(robot, 404) == pytest.approx(0.4, abs=0.05)
    assert np.median(np.diff(robot["ts_ms"])) == pytest.approx(2500, rel=0.05)
