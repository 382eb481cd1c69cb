"""The sixth set's copyists and lures are what their sentences say."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from simulated_sets import agents, attack, each, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.world import ABSENT, ITEMS

GOOD_PROVIDERS = set(range(64496, 64502))


def test_players_walk_round_in_forty_cells_and_the_next_goes_on_where_one_is_found_out() -> None:
    made, scene = attack("map_scanning")
    steps, tokens = of(made, "app_feed"), of(made, "token")
    assert len(steps) + len(tokens) == len(made)
    assert share(steps, 403) == pytest.approx(1 / 250, abs=0.003)
    assert len(tokens) == 20 + (steps["status"] == 403).sum() - np.isin(steps[-20:]["status"], [403]).sum()
    for ip in np.unique(steps["ip"]).tolist():
        mine = steps[steps["ip"] == ip]
        assert len(np.unique(mine["path"])) == 40
        assert (mine["path"][40:] == mine["path"][:-40]).all(), "round after round"
        changes = np.flatnonzero(np.diff(mine["user"]))
        assert set(mine["status"][changes].tolist()) <= {403}
        gaps_ms = np.diff(mine["ts_ms"])
        assert gaps_ms.std() < 0.15 * gaps_ms.mean(), "never a rest"
    spots = [tuple(float(one.split("=")[1]) for one in path.split("?")[1].split("&")) for path in paths(mine, scene)]
    metres = [np.hypot((a - c) * 111_000, (b - d) * 74_000) for (a, b), (c, d) in pairwise(spots[:39])]
    assert np.median(metres) == pytest.approx(70, rel=0.5)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_page_of_reviews_and_the_seven_portraits_on_it(strength: str) -> None:
    made, scene = attack("face_harvest", strength)
    read, seen = of(made, "reviews"), of(made, "missing")
    assert len(seen) == 7 * len(read)
    assert len(read) + len(seen) == len(made)
    assert each(seen["path"]).max() == 1
    assert share(seen, 404) == pytest.approx(0.03, abs=0.015)
    numbers = [int(path.split("/")[2]) for path in paths(read, scene)]
    assert set(np.diff(numbers).tolist()) <= {1, 1 - ITEMS}, "in order"
    assert all(path.startswith("/media/people/") for path in paths(seen[:50], scene))
    for row in read[:20]:
        after = seen[(seen["ip"] == row["ip"]) & (seen["ts_ms"] > row["ts_ms"]) & (seen["ts_ms"] < row["ts_ms"] + 6000)]
        assert len(after) >= 7


def test_who_is_shut_out_is_followed_by_another_that_reads_on_at_the_same_page() -> None:
    made, scene = attack("thread_reading")
    assert len(of(made, "reviews")) == len(made)
    ends: dict[str, int] = {}
    followed = 0
    for ip in np.unique(made["ip"]).tolist():
        mine = made[made["ip"] == ip]
        assert mine["status"].tolist() == [200] * (len(mine) - 3) + [403] * 3
        asked = paths(mine, scene)
        assert len(set(asked[-3:])) == 1, "the same page, three times"
        assert len(set(asked[:-3])) == len(asked) - 3
        assert len(np.unique(mine["ua"])) == 1
        ends[asked[-1]] = int(mine["ts_ms"][-1])
    for ip in np.unique(made["ip"]).tolist():
        mine = made[made["ip"] == ip]
        first = paths(mine[:1], scene)[0]
        followed += ends.get(first, 1 << 60) < mine["ts_ms"][0]
    assert followed == 40 - 8, "but for the eight that begin"
    assert all(1 <= int(path.split("page=")[1]) <= 12 for path in paths(made[:300], scene))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_front_is_copied_and_its_visitors_fetch_four_scripts_and_no_page(strength: str) -> None:
    made, scene = attack("cloned_site", strength)
    copying = made["ua"] == scene.world.agents.code("HTTrack/3.49 (Windows)")
    copied, entered = made[copying], of(made, "login", "account")
    assert len(copied) == 60
    assert np.ptp(copied["ts_ms"]) <= 60_000
    fetched = of(made[~copying], "static")
    assert len(copied) + len(fetched) + len(entered) == len(made)
    assert set(each(fetched["ip"]).tolist()) == {4}
    assert share(fetched, 200) == 1
    assert fetched["ts_ms"].min() > copied["ts_ms"].max()
    assert {scene.world.asns[ip] for ip in fetched["ip"].tolist()} <= GOOD_PROVIDERS
    victims = len(np.unique(fetched["ip"]))
    assert len(np.unique(entered["user"])) / victims == pytest.approx(0.05, abs=0.03)
    assert len(np.unique(entered["ip"])) == 1
    assert not np.isin(entered["ip"], fetched["ip"]).any()


@pytest.mark.parametrize("strength", STRENGTHS)
def test_one_partners_front_page_is_opened_by_browsers_that_look_at_nothing(strength: str) -> None:
    made, scene = attack("cookie_stuffing", strength)
    assert len(of(made, "home")) == len(made)
    assert each(made["path"]).max() == 1
    assert {path.split("&")[0] for path in paths(made, scene)} == {"/?partner=bargain-widget-4417"}
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= GOOD_PROVIDERS
    assert 1.8 < each(made["ip"]).mean() < 3.2
    one = made[made["ip"] == made["ip"][0]]
    assert len(np.unique(one["ua"])) == 1


def test_a_swindlers_number_is_searched_for_by_people_who_follow_an_advertisement() -> None:
    made, scene = attack("planted_number")
    searches, scripts = of(made, "search"), of(made, "static")
    assert len(searches) + len(scripts) == len(made)
    trier = searches["ip"][0]
    assert (made["ip"] == trier).sum() == 12
    people = searches[searches["ip"] != trier]
    assert len(scripts) == len(np.unique(people["ip"])) == 299
    assert (each(people["ip"]) == 2).mean() == pytest.approx(1 / 3, abs=0.07)
    numbers = {number for path in paths(people, scene) for number in re.findall(r"555-(\d+)", path)}
    assert 2 <= len(numbers) <= 4, "it changes after a while"
    assert all("Call+us+now" in path for path in paths(searches, scene))
    assert {scene.world.asns[ip] for ip in people["ip"].tolist()} <= GOOD_PROVIDERS
    assert set(made["user"].tolist()) == {ABSENT}


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_engine_reads_pages_that_are_not_ours_and_people_are_sent_on(strength: str) -> None:
    made, scene = attack("doorway_pages", strength)
    assert len(of(made, "missing")) == len(made)
    engine = np.array([scene.world.asns[ip] == 64509 for ip in made["ip"].tolist()])
    crawled, others = made[engine], made[~engine]
    assert share(crawled, 200) == 1
    assert each(crawled["path"]).max() == 1
    led = others[others["status"] == 302]
    looks = np.unique(others["ip"][others["status"] == 200])
    assert len(looks) == 1, "whoever put them up looks whether the engine gets its page"
    assert (each(led["ip"][led["ip"] != looks[0]]) == 1).all()
    assert np.isin(others["path"], crawled["path"]).all()
    assert 0.35 < len(crawled) / len(made) < 0.65
    assert all(path.startswith("/shop/") for path in paths(made, scene))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_what_a_rival_pays_for_is_clicked_until_it_is_no_longer_shown(strength: str) -> None:
    made, scene = attack("sponsored_drain", strength)
    searches, clicks = of(made, "search"), of(made, "item")
    assert len(searches) + len(clicks) == len(made)
    assert len(np.unique(searches["path"])) == 1
    assert clicks["ts_ms"].max() < scene.span_s * 700
    assert len({path.split("?")[0] for path in paths(clicks, scene)}) == 5
    assert all("sponsored=" in path for path in paths(clicks, scene))
    assert each(clicks["path"]).max() == 1
    before = searches[searches["ts_ms"] < scene.span_s * 700]
    assert len(before) == len(clicks)
    assert (len(searches) - len(before)) / len(before) == pytest.approx(0.1, abs=0.03)
    at_home = [ip for ip in np.unique(made["ip"]).tolist() if scene.world.asns[ip] in GOOD_PROVIDERS]
    assert len(at_home) == 1
    assert len(agents(made, scene)) <= len(np.unique(made["ip"]))
