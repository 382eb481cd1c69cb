"""The seventh set's good cases of reading, listening, searching and caches are what their sentences say."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from simulated_sets import agents, each, good, of, paths, share

from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, Rows

SPAN_MS = 14_400_000


def like(made: Rows, scene: Scene, pattern: str) -> Rows:
    """Its rows whose path has `pattern` in it."""
    return np.asarray(made[[re.search(pattern, path) is not None for path in paths(made, scene)]])


def test_visitors_read_the_same_pages_in_the_order_of_the_rooms_half_of_them_behind_one_address() -> None:
    made, scene = good("museum_codes")
    read, played = of(made, "article"), of(made, "missing")
    assert len(read) + len(played) == len(made)
    assert len(read) == pytest.approx(120 * 36 * 0.75, rel=0.05), "one in four passed over"
    assert len(played) == pytest.approx(len(read) * 2 / 3, rel=0.1)
    assert share(played, 206) == share(read, 200) == 1
    _, often = np.unique(made["ip"], return_counts=True)
    assert often.max() / len(made) == pytest.approx(0.5, abs=0.12)
    room = np.array([int(re.findall(r"exhibit-(\d\d)", path)[0]) for path in paths(read, scene)])
    assert set(room.tolist()) == set(range(1, 37))
    third = len(read) // 3
    assert room[:third].mean() < room[-third:].mean(), "nobody begins at the end"
    assert len(agents(made, scene)) == 4


def test_leaf_after_leaf_is_turned_and_each_drawn_in_four_to_seven_tiles() -> None:
    made, scene = good("old_registers")
    leaves, tiles = of(made, "article"), of(made, "missing")
    assert len(np.unique(made["ip"])) == 5
    assert len(tiles) / len(leaves) == pytest.approx(5.5, abs=0.2)
    assert 0 < share(tiles, 404) < 0.02
    for ip in np.unique(made["ip"]).tolist():
        mine = leaves[leaves["ip"] == ip]
        leaf = np.array([int(path.split("=")[1]) for path in paths(mine, scene)])
        steps = np.diff(leaf)
        steps = steps[np.abs(steps) < 250]
        assert set(steps.tolist()) == {1, -1}
        assert (steps == -1).mean() == pytest.approx(1 / 15, abs=0.04)
        gaps_s = np.diff(mine["ts_ms"]) / 1000
        assert gaps_s.min() > 7.9
        assert gaps_s.max() < 25.1
        assert len({path.split("?")[0] for path in paths(mine, scene)}) == 1, "a book of his own"
        assert 2900 < np.ptp(mine["ts_ms"]) / 1000 < 8600


def test_an_episode_comes_at_a_full_hour_and_is_fetched_in_pieces() -> None:
    made, scene = good("podcast_morning")
    feed, pieces = like(made, scene, "feed.xml$"), like(made, scene, "episode-112.mp3$")
    assert len(feed) + len(pieces) == len(made)
    assert share(pieces, 206) == 1
    out_ms = int(pieces["ts_ms"].min()) // 3_600_000 * 3_600_000
    assert START_MS % 3_600_000 == 0
    first = pieces[pieces["ts_ms"] < out_ms + 30_100]
    platforms = [ua for ua in agents(first, scene) if re.match("podcast-directory|AudioFeed|episode|castindex|air", ua)]
    assert len(platforms) == 5
    listeners = pieces[np.isin(pieces["ip"], feed["ip"])]
    assert len(pieces) - len(listeners) == 40
    assert len(listeners) / 210 == pytest.approx(8.2, abs=1), "four to twelve, and some anew"
    assert 0.7 < share(feed, 304) < 0.92
    home = [ip for ip in np.unique(feed["ip"]).tolist() if scene.world.asns[ip] < 64502]
    assert len(home) == pytest.approx(0.6 * 210, rel=0.15)
    for ip in home:
        gaps_s = np.diff(feed["ts_ms"][feed["ip"] == ip]) / 1000
        assert min(abs(np.median(gaps_s) / every_s - 1) for every_s in (900, 1800, 3600)) < 0.1, "its timer"
        assert (feed["status"][(feed["ip"] == ip) & (feed["ts_ms"] > out_ms)] == 200).any(), "it has the new one"


def test_who_cannot_see_listens_more_than_once_and_takes_his_time_and_is_wrong_half_the_time() -> None:
    made, scene = good("spoken_questions")
    spoken, answers = like(made, scene, "speech.mp3$"), like(made, scene, "answer=speech$")
    pictures, shown = like(made, scene, "picture.jpg$"), like(made, scene, "^/contact/")
    assert len(np.unique(made["ip"])) == 36
    assert len(pictures) == len(of(made, "item")), "it comes first whoever one is"
    assert share(answers, 403) == pytest.approx(0.5, abs=0.1)
    assert len(shown) == (answers["status"] == 200).sum()
    assert len(shown) + len(of(made, "assistant")) == len(of(made, "item"))
    assert len(spoken) / len(answers) == pytest.approx(2, abs=0.25)
    heard = dict(zip([path.split("/")[2] for path in paths(spoken, scene)], spoken["ts_ms"].tolist(), strict=True))
    for path, at_ms in zip(paths(answers, scene), answers["ts_ms"].tolist(), strict=True):
        assert 22_000 <= at_ms - heard[path.split("/")[2].split("?")[0]] <= 56_000, "after the last time"


def test_a_phrase_is_searched_for_letter_by_letter_and_three_in_five_are_given_up() -> None:
    made, scene = good("letter_by_letter")
    searches = of(made, "search")
    assert len(searches) + len(of(made, "item")) == len(made)
    assert share(searches, 200, 499) == 1
    assert share(searches, 499) == pytest.approx(0.6 * 12 / 13, abs=0.04)
    one = searches[searches["ip"] == searches["ip"][0]]
    typed = [path.split("=")[1] for path in paths(one, scene)]
    longer = [b.startswith(a) and len(b) == len(a) + 1 for a, b in pairwise(typed)]
    assert np.mean(longer) > 0.7
    mistyped = [path for path in paths(searches, scene) if path.endswith("x") and not path.endswith("box")]
    assert len(mistyped) / len(of(made, "item")) == pytest.approx(0.25, abs=0.08)
    phrases = len(of(made, "item"))
    assert phrases / 120 == pytest.approx(3, abs=0.3)
    assert np.ptp(made["ts_ms"]) < 0.4 * SPAN_MS


def test_forty_machines_fetch_a_picture_for_each_reader_before_anybody_has_opened_the_letter() -> None:
    made, scene = good("mail_pictures")
    own, heads, items = like(made, scene, "seen.gif$"), like(made, scene, "head.jpg$"), of(made, "item")
    assert len(own) + len(heads) + len(items) == len(made)
    assert share(made, 200) == 1
    assert each(own["path"]).max() == 1
    assert len(own) == pytest.approx(400 * 2 / 3, rel=0.12)
    assert len(np.unique(own["ip"])) == 40
    assert len(agents(own, scene)) == 2
    assert len(heads) / len(own) == pytest.approx(0.25, abs=0.07)
    assert len(items) == 50
    assert not np.isin(items["ip"], own["ip"]).any()
    assert np.median(own["ts_ms"]) < items["ts_ms"].min() + 3_600_000
    assert np.ptp(own["ts_ms"]) <= 0.2 * SPAN_MS


def test_volunteers_machines_search_by_the_hour_with_another_browsers_name_each_time() -> None:
    made, scene = good("metasearch_instances")
    searches, items = of(made, "search"), of(made, "item")
    questions = like(searches, scene, r"q=term\d+$")
    assert len(questions) == round(3 * 14_400 * 0.014)
    assert len(searches) == pytest.approx(len(questions) * 4 / 3, abs=3)
    assert len(items) == pytest.approx(len(questions) / 5, abs=1)
    assert len(np.unique(searches["ip"])) <= 30
    assert not np.isin(items["ip"], searches["ip"]).any()
    busiest = searches[searches["ip"] == np.bincount(searches["ip"]).argmax()]
    assert len(np.unique(busiest["ua"])) == 16
    assert (np.diff(busiest["ua"]) != 0).mean() > 0.85
    assert 0.015 < share(questions, 503) < 0.07


def test_twenty_four_places_open_one_thing_in_the_same_second() -> None:
    made, scene = good("price_study")
    for endpoint in ("search", "item"):
        asked = of(made, endpoint)
        assert len(asked) == 24 * 24 * 6
        looks = asked.reshape(-1, 24)
        assert (np.ptp(looks["ts_ms"], axis=1) <= 600).all()
        assert all(len(np.unique(one["path"])) == 1 and len(np.unique(one["ip"])) == 24 for one in looks)
    assert len(np.unique(of(made, "item")["path"])) <= 24
    assert len(np.unique(made["user"][made["user"] != ABSENT])) == 6
    assert len(agents(made, scene)) == 16


def test_old_browsers_ask_for_what_no_script_has_filled_in_and_cannot_sign_in() -> None:
    made, scene = good("old_browsers")
    unfilled, pages, signs = of(made, "missing"), of(made, "item"), of(made, "login")
    assert len(np.unique(pages["ip"])) == 75
    assert len(of(made, "static")) == 2 * len(pages)
    assert len(unfilled) / len(pages) == pytest.approx(3, abs=0.2)
    assert share(unfilled, 404) == 1
    assert set(paths(unfilled, scene)) == {
        "/%7B%7Bitem.picture%7D%7D", "/items/%7B%7Bnext.id%7D%7D", "/undefined", "/%5Bobject%20Object%5D",
    }  # fmt: skip
    wanted = np.unique(signs["ip"][signs["status"] == 400])
    got_in = signs[signs["status"] == 200]
    assert len(wanted) == 30
    assert len(got_in) == 15
    assert np.isin(got_in["ip"], wanted).all()
    assert not np.isin(got_in["ua"], pages["ua"]).any(), "by their telephones"
    for ip in got_in["ip"].tolist():
        mine = signs[signs["ip"] == ip]
        assert mine["status"].tolist() == [400] * (len(mine) - 1) + [200]


def test_a_hotels_guests_devices_ask_us_whether_there_is_a_network_and_show_our_front_page_once() -> None:
    made, scene = good("captive_portals")
    probes = like(made, scene, r"^/(hotspot-detect.html|generate_204|connecttest.txt|success.txt\?ipv4)$")
    shown, strays = of(made, "home"), of(made, "missing")
    assert len(np.unique(made["ip"])) <= 15
    assert len(shown) == 270 + 54
    assert len(of(made, "static")) == 2 * len(shown)
    assert len(probes) / len(shown) == pytest.approx(6, abs=0.4)
    assert (len(strays) - len(probes)) / len(shown) == pytest.approx(1.5, abs=0.25)
    assert share(strays, 404) == share(shown, 200) == 1
    assert len(agents(probes, scene)) == 4
    assert (made["user"] == ABSENT).all()


def test_emptied_edges_ask_for_everything_at_once_and_again_after_an_hour() -> None:
    made, scene = good("purged_edges")
    machines, often = np.unique(made["ip"], return_counts=True)
    shield = machines[np.argsort(often)[-2:]]
    usual, pulled = made[np.isin(made["ip"], shield)], made[~np.isin(made["ip"], shield)]
    assert len(np.unique(pulled["ip"])) == 36
    assert share(usual, 304) == pytest.approx(0.9, abs=0.02)
    assert len(usual) / (SPAN_MS / 60_000) == pytest.approx(20, rel=0.1)
    assert len(agents(made, scene)) == 1
    times = np.flatnonzero(np.diff(pulled["ts_ms"]) > 600_000)
    assert len(times) == 1, "twice"
    for part in np.split(pulled, times + 1):
        good_ones = part[part["status"] == 200]
        counts = each(good_ones["ip"])
        assert counts.min() >= 75
        assert counts.max() <= 201
        assert (part["ts_ms"] < part["ts_ms"].min() + 180_000).mean() > 0.35, "most within the first minutes"
        assert 0.01 < share(part, 503) < 0.045
        assert each(good_ones["ip"].astype(np.int64) * 1_000_000 + good_ones["path"]).max() <= 2
