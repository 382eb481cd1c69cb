"""The sixth set's floods and herds are what their sentences say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from simulated_sets import agents, attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES

BELOW_THE_LIMIT_OF_AN_ADDRESS = (
    "yoyo_scaling", "ransom_demonstration", "borrowed_browsers", "cracked_servers", "nonsense_agents", "exit_testing",
    "worm_spreading", "model_hunting", "confused_paths", "embargo_guessing", "short_link_scan", "map_scanning",
    "face_harvest", "thread_reading", "cloned_site", "cookie_stuffing", "planted_number", "doorway_pages",
    "sponsored_drain",
)  # fmt: skip


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", BELOW_THE_LIMIT_OF_AN_ADDRESS)
def test_no_address_comes_near_its_limit(name: str, strength: str) -> None:
    assert most_in_a_minute(attack(name, strength)[0], "ip") <= 120


@pytest.mark.parametrize("strength", STRENGTHS)
def test_load_comes_and_goes_and_one_machine_looks_whether_the_site_has_grown(strength: str) -> None:
    made, _ = attack("yoyo_scaling", strength)
    probe, load = of(made, "health"), of(made, "search", "app_feed")
    assert len(probe) + len(load) == len(made)
    assert len(np.unique(probe["ip"])) == 1
    assert np.median(np.diff(probe["ts_ms"])) == pytest.approx(15_000, rel=0.02)
    assert (load["ts_ms"] % 600_000 < 280_000).all(), "five minutes in ten"
    assert len(np.unique(load["ts_ms"] // 600_000)) >= 3
    early = load["ts_ms"] % 600_000 < 60_000
    assert share(load[~early], 200) == 1
    assert 0 < share(load[early], 503) < 0.27
    assert share(attack("yoyo_scaling", "strong")[0], 503) > share(attack("yoyo_scaling", "weak")[0], 503)
    assert len(of(load, "search")) == pytest.approx(len(load) / 2, rel=0.05)


def test_a_demonstration_with_the_letter_in_its_address_and_silence_and_then_three_steps() -> None:
    made, scene = attack("ransom_demonstration")
    lasts_ms = scene.span_s * 1000
    shown = made[made["ts_ms"] < lasts_ms * 0.1]
    assert len(shown) / len(made) == pytest.approx(1 / 7, abs=0.01)
    assert set(paths(shown, scene)) == {"/?this-is-only-a-demonstration-the-next-one-stays-pay-before-noon"}
    assert not ((made["ts_ms"] > lasts_ms * 0.1) & (made["ts_ms"] < lasts_ms * 0.6)).any(), "half the time nothing"
    rest = made[made["ts_ms"] >= lasts_ms * 0.6]
    steps = np.bincount(((rest["ts_ms"] / lasts_ms - 0.6) / (0.4 / 3)).astype(int), minlength=3)[:3]
    assert steps[1:] / steps[:2] == pytest.approx([2, 2], rel=0.1)
    assert set(paths(of(rest, "home"), scene)) == {"/"}
    signs = of(rest, "login")
    assert share(signs, 401, 503, 504) == 1
    assert len(signs) / len(rest) == pytest.approx(0.2, abs=0.02)
    assert share(attack("ransom_demonstration", "strong")[0], 503, 504) == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_browser_asks_two_pages_by_turns_every_two_seconds_while_its_page_is_open(strength: str) -> None:
    made, scene = attack("borrowed_browsers", strength)
    assert each(made["path"]).max() <= 6, "a number behind it, by the millisecond"
    for ip in np.unique(made["ip"])[:40].tolist():
        mine = made[made["ip"] == ip]
        gaps_ms = np.diff(mine["ts_ms"])
        assert abs(np.median(gaps_ms) - 2000) < 60
        assert gaps_ms.max() < 2300, "one sitting"
        assert (np.diff(mine["endpoint"]) != 0).all()
        assert len(np.unique(mine["ua"])) == 1
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES["list"], ENDPOINT_CODES["article"]}
    sittings_s = [np.ptp(made["ts_ms"][made["ip"] == ip]) / 1000 for ip in np.unique(made["ip"])[:60].tolist()]
    assert 40 < np.mean(sittings_s) < 120
    assert paths(made[:1], scene)[0].startswith("/items?page=1&_=17")


def test_servers_follow_four_orders_one_by_one_and_an_eighth_is_cleaned_up_each_time() -> None:
    made, scene = attack("cracked_servers")
    order = (made["ts_ms"] / (scene.span_s * 250)).astype(int)
    for number, endpoint in enumerate(("missing", "search", "login", "home")):
        assert set(np.unique(made["endpoint"][order == number]).tolist()) == {ENDPOINT_CODES[endpoint]}
    assert set(paths(made[order == 0], scene)) == {"/downloads/catalogue-autumn.pdf"}
    at = [set(np.unique(made["ip"][order == number]).tolist()) for number in range(4)]
    for before, after in pairwise(at):
        assert len(before - after) == len(after - before) == 10
    assert share(made[order == 2], 401, 503) == 1
    assert len(agents(made, scene)) == 12
    assert share(attack("cracked_servers", "strong")[0], 503) == pytest.approx(1 / 3, abs=0.02)


def test_telephones_have_the_alphabet_for_a_name_and_become_ever_more() -> None:
    made, scene = attack("nonsense_agents")
    names = agents(made, scene)
    assert all(sorted(name) == list("abcdefghijklmnopqrstuvwxyz") for name in names)
    assert len(names) == len(np.unique(made["ip"])) == 300
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= {64502, 64503}, "carriers of good clients"
    firsts_ms = np.array([made["ts_ms"][made["ip"] == ip].min() for ip in np.unique(made["ip"]).tolist()])
    assert (firsts_ms > scene.span_s * 700).mean() == pytest.approx(0.5, abs=0.1)
    assert len(np.unique(made["path"])) == 1
    half = len(made) // 2
    assert made["ts_ms"][half] > scene.span_s * 700


@pytest.mark.parametrize(("strength", "served"), [("weak", 0.78), ("medium", 0.5), ("strong", 0.2)])
def test_long_passwords_are_refused_at_first_and_given_up_the_more_there_are(strength: str, served: float) -> None:
    made, _ = attack("long_passwords", strength)
    assert share(made, 401, 422) == pytest.approx(served, abs=0.12)
    assert share(of(made, "login"), 401, 503, 504) == 1
    assert share(of(made, "register"), 422, 503, 504) == 1
    assert len(of(made, "register")) / len(made) == pytest.approx(0.2, abs=0.08)
    assert each(of(made, "login")["user"]).max() == 1, "nobody is guessed"


@pytest.mark.parametrize(("strength", "ordered"), [("weak", 100), ("medium", 240), ("strong", 400)])
def test_a_fetcher_is_handed_hundreds_of_addresses_of_one_page_within_two_seconds(strength: str, ordered: int) -> None:
    made, scene = attack("fetcher_reflection", strength)
    assert each(made["path"]).max() == 1
    assert len(of(made, "home")) == len(made)
    assert len(agents(made, scene)) == 1
    assert len(made) % ordered == 0
    numbers = np.array([int(path.split("=")[1]) for path in paths(made, scene)])
    order = (numbers - numbers.min()) // ordered
    for number in range(order.max() + 1):
        assert np.ptp(made["ts_ms"][order == number]) < 2000


def test_exits_are_tried_with_one_script_like_a_clock_and_a_third_is_not_tried_again() -> None:
    made, scene = attack("exit_testing")
    assert len(of(made, "static")) == len(made)
    assert len(np.unique(made["path"])) == len(agents(made, scene)) == 1
    assert share(made, 200) == 1
    tests = each(made["ip"])
    assert (tests == 1).mean() == pytest.approx(1 / 3, abs=0.05)
    assert set(tests.tolist()) == {1, 4}
    gaps_ms = np.concatenate([np.diff(made["ts_ms"][made["ip"] == ip]) for ip in np.unique(made["ip"])[:60].tolist()])
    assert np.ptp(gaps_ms) < 5000
    assert set(made["user"].tolist()) == {ABSENT}
