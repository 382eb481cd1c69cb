"""The seventh set's good cases of programs and things are what their sentences say: how many, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import bouts, each, good, grows_with_the_site, keys, of, paths, share

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, World

# At a site of 2,000 accounts and 5 requests a second so many keys, addresses or accounts.
SIZES = {
    "rounded_numbers": ("key", 8), "shadowed_requests": ("ip", 6), "smaller_pages": ("key", 20),
    "token_each_time": ("key", 5), "serverless_fanout": ("key", 2), "punchout_carts": ("user", 134),
    "layoff_morning": ("user", 81), "stuck_agents": ("user", 13), "gps_rollover": ("ip", 125),
    "satellite_passes": ("ip", 2), "frost_night": ("ip", 100),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_case_grows_with_the_site_and_stays_within_a_day(name: str) -> None:
    grows_with_the_site(name, *SIZES[name])


def test_seven_numbers_in_eight_come_out_as_another_until_a_program_is_mended() -> None:
    made, scene = good("rounded_numbers")
    assert len(keys(made, scene)) == 4
    numbers = np.array([int(path.partition("=")[2]) for path in paths(made, scene)])
    long = numbers > 10**16
    assert share(made[~long], 200) == 1
    wrong = long & (made["status"] == 404)
    assert (numbers[wrong] % 8 == 0).all(), "what a double can hold"
    for key in np.unique(made["key"]).tolist():
        mine = made["key"] == key
        last_ms = made["ts_ms"][mine & wrong].max()
        right = numbers[mine & long & (made["ts_ms"] > last_ms + 60_000)]
        assert (right % 8 == 0).mean() < 0.4, "mended"
        assert share(made[mine & (made["ts_ms"] > last_ms)], 200) == 1
        before = mine & long & (made["ts_ms"] <= last_ms)
        first = (wrong & before).sum() / 3
        assert first / (first + (before & ~wrong).sum()) == pytest.approx(7 / 8, abs=0.12)
    mended_ms = [made["ts_ms"][(made["key"] == key) & wrong].max() for key in np.unique(made["key"])]
    assert max(mended_ms) - min(mended_ms) > 3_600_000


def test_a_new_system_lives_through_what_the_old_one_does() -> None:
    made, scene = good("shadowed_requests")
    assert len(keys(made, scene)) == 1
    new = np.array(["5.0-rc2" in scene.world.agents.texts[ua] for ua in made["ua"].tolist()])
    again, old = made[new], made[~new]
    assert len(np.unique(old["ip"])) == 2
    assert len(np.unique(again["ip"])) == 4
    span_ms = np.ptp(again["ts_ms"])
    assert span_ms / 1000 == pytest.approx(0.375 * scene.span_s, rel=0.02)
    during = old[(old["ts_ms"] >= again["ts_ms"][0] - 100) & (old["ts_ms"] < again["ts_ms"][-1])]
    assert len(during) == pytest.approx(len(again), abs=2)
    for row in again[:300]:
        same = old[(old["path"] == row["path"]) & (old["endpoint"] == row["endpoint"])]
        assert ((row["ts_ms"] - same["ts_ms"] > 0) & (row["ts_ms"] - same["ts_ms"] <= 100)).any()
    assert share(of(again, "api_stock"), 409) == share(of(again, "api_item"), 200) == share(old, 200) == 1
    assert len(old) / scene.span_s == pytest.approx(0.06 * 3, rel=0.1)


def test_sixty_pages_come_where_six_did() -> None:
    made, scene = good("smaller_pages")
    small_last = 0
    assert len(keys(made, scene)) == 8
    for key in np.unique(made["key"]).tolist():
        rounds = bouts(made[made["key"] == key], 600_000)
        sizes = [len(one) for one in rounds]
        assert set(sizes) == {6, 60}
        assert sizes[0] == 6
        for one in rounds:
            offsets = [int(path.split("=")[1].partition("&")[0]) for path in paths(one, scene)]
            assert offsets == list(range(offsets[0], offsets[0] + 600, 600 // len(one)))
        pace = [59_000 / np.ptp(one["ts_ms"]) for one in rounds if len(one) == 60]
        assert np.mean(pace) == pytest.approx(4, rel=0.1)
        assert np.diff(np.array(sizes) == 60).sum() <= 2, "built once, put back at most once"
        small_last += sizes[-1] == 60
    assert small_last == 4, "of eight two fifths put it back"


def test_there_is_a_token_to_each_request_until_the_next_release() -> None:
    made, scene = good("token_each_time")
    assert len(keys(made, scene)) == 4
    for key in np.unique(made["key"]).tolist():
        mine = made[made["key"] == key]
        tokens = of(mine, "token")["ts_ms"]
        asked = np.sort(mine["ts_ms"][~np.isin(mine["ts_ms"], tokens)])
        near = np.diff(tokens) < 60_000
        sick = (asked > tokens[:-1][near].min() + 60_000) & (asked < tokens[1:][near].max())
        followed = np.array([((at - tokens > 0) & (at - tokens < 500)).any() for at in asked.tolist()])
        assert followed[sick].mean() > 0.97
        assert followed[~sick].mean() < 0.05
        assert (np.diff(tokens) < 400).mean() == pytest.approx(1 / 40, abs=0.02)
        assert 0.45 < sick.sum() * 20 / scene.span_s < 0.55
    assert share(made, 200) == 1


def test_every_function_has_an_address_of_its_own() -> None:
    made, scene = good("serverless_fanout")
    starts = of(made, "token")
    assert each(starts["ip"]).max() == 1
    rounds = bouts(starts, 1_000_000)
    assert [len(one) for one in rounds] == [93] * 3, "ninety pieces, and three begun anew"
    assert all(80_000 < np.ptp(one["ts_ms"]) < 106_000 for one in rounds)
    many = each(made["ip"])
    assert (many < 15).sum() == 3 * 3, "those that broke off"
    assert many.max() == 15
    whole = made[made["ip"] == np.unique(made["ip"])[int(np.argmax(many))]]
    assert (len(of(whole, "api_item")), len(of(whole, "api_stock"))) == (12, 2)
    for one in rounds:
        during = of(made[np.isin(made["ip"], one["ip"])], "api_item")
        assert len(np.unique(during["path"])) == 90 * 12
    assert len(keys(made, scene)) == 1


def test_carts_are_handed_back_and_ordered_by_a_machine_in_the_evening() -> None:
    made, scene = good("punchout_carts")
    assert len(of(made, "checkout", "pay")) == 0
    returned = [path for path in paths(of(made, "cart"), scene) if "return" in path]
    assert len(returned) == len(set(returned)) == len(of(made, "token")) == 53
    ordered = of(made, "graphql")
    assert len(ordered) == pytest.approx(53 * 3 / 4, abs=1)
    assert ordered["ts_ms"].min() > max(of(made, "cart")["ts_ms"])
    assert np.median(np.diff(ordered["ts_ms"])) == pytest.approx(1000, rel=0.3)
    browsed = made[made["user"] != ABSENT]
    assert len(np.unique(browsed["ip"])) == 1
    assert len(np.unique(made["ip"])) == 3
    for user in np.unique(browsed["user"]).tolist():
        mine = browsed[browsed["user"] == user]
        assert 2 <= len(of(mine, "cart_add")) <= 5
        assert paths(mine[-1:], scene)[0].startswith("/cart?return=")


def test_a_directory_closes_accounts_and_their_apps_ask_on_in_vain() -> None:
    made, _ = good("layoff_morning")
    closed = of(made, "account_patch")
    assert len(closed) == len(of(made, "logout")) == 32
    assert np.ptp(closed["ts_ms"]) < 120_000
    apps = made[made["user"] != ABSENT]
    assert share(apps[apps["ts_ms"] < closed["ts_ms"][0]], 200) == 1
    after = apps[apps["ts_ms"] > closed["ts_ms"][-1]]
    assert share(after, 401, 403, 202) == 1
    assert len(np.unique(of(after, "login")["user"])) == pytest.approx(32 * 2 / 3, abs=1)
    assert len(np.unique(of(after, "reset")["user"])) == pytest.approx(32 / 3, abs=1.5)
    assert each(of(after, "login")["user"]).max() <= 4
    feeds, tokens = of(after, "app_feed"), of(after, "token")
    assert len(tokens) / len(feeds) == pytest.approx(0.25, abs=0.03)
    lasts = [np.ptp(feeds["ts_ms"][feeds["user"] == user]) for user in np.unique(feeds["user"])]
    assert max(lasts) > 2 * min(lasts)
    home = each(apps["ip"])
    assert len(home) == 1 + 32 - 11, "a third behind the firm's address"


def test_an_assistant_tries_the_same_checkout_until_it_gives_up_and_its_member_pays() -> None:
    made, _ = good("stuck_agents")
    assert len(np.unique(made["user"])) == 5
    for user in np.unique(made["user"]).tolist():
        mine = made[made["user"] == user]
        refused = of(mine, "checkout")["status"] == 422
        assert 80 <= refused.sum() <= 200
        assert refused.sum() + 1 == len(refused)
        assert of(mine, "checkout")["status"][-1] == 200
        assert len(of(mine, "pay")) == len(of(mine, "cart_add")) == 1
        at_home = mine[mine["ip"] != mine["ip"][0]]
        assert len(at_home) == 3
        assert len(of(mine, "item")) == 1 + len(mine[mine["status"] == 422]) // 5
        assert len(of(mine, "article")) == len(mine[mine["status"] == 422]) // 9
        assert len(np.unique(of(mine, "item")["path"])) == 1
    assert len(np.unique(made["ip"][made["status"] == 422])) == 4
    assert len(np.unique(made["ip"])) == 4 + 5


def test_trackers_of_one_make_are_refused_and_hand_in_what_they_kept() -> None:
    made, scene = good("gps_rollover")
    assert keys(made, scene) == {"key-fleet-trackers"}
    refused = made[made["status"] == 422]
    told = paths(refused, scene)
    assert all(path.endswith("week=0") for path in told)
    assert len(np.unique(refused["ip"])) == pytest.approx(50 * 2 / 3, abs=1)
    assert np.ptp(refused["ts_ms"]) < 0.31 * scene.span_s * 1000
    end_ms = refused["ts_ms"].max()
    for ip in np.unique(refused["ip"])[:12].tolist():
        mine = made[made["ip"] == ip]
        tried = (mine["status"] == 422).sum()
        first = (np.diff(mine["ts_ms"][mine["status"] == 422], prepend=0) > 100_000).sum()
        assert tried / first == pytest.approx(3, abs=0.15)
        late = mine[(mine["ts_ms"] >= end_ms - 15_000) & (mine["status"] == 200)]
        gaps = np.diff(late["ts_ms"])
        assert (gaps == 500).sum() >= 0.8 * first, "two a second"
    assert share(made[~np.isin(made["ip"], refused["ip"])], 200) == 1


def test_all_buoys_are_heard_within_nine_minutes_and_then_none() -> None:
    made, scene = good("satellite_passes")
    passes = bouts(made, 600_000)
    assert 3 <= len(passes) <= 4
    assert all(np.ptp(one["ts_ms"]) < 600_000 for one in passes)
    assert {np.diff([one["ts_ms"][0] for one in passes]).round(-5).min()} == {4_300_000}
    for one in passes:
        told = [path.split("/")[4] for path in paths(one, scene)]
        count = np.unique(told, return_counts=True)[1]
        assert len(count) == 32
        assert 18 <= count.min() <= count.max() <= 36
    broken = made["status"] == 400
    assert broken.mean() == pytest.approx(1 / 30, abs=0.01)
    in_time = broken & (made["ts_ms"] < passes[-1]["ts_ms"][0])
    again = np.isin(made["path"], made["path"][in_time]) & ~broken
    assert again.sum() == in_time.sum()


def test_frost_comes_down_a_valley_and_the_growers_open_their_valves() -> None:
    made, scene = good("frost_night")
    told = of(made, "telemetry")
    begins = []
    for ip in np.unique(told["ip"]).tolist():
        at_ms = told["ts_ms"][told["ip"] == ip]
        waits_ms = np.diff(at_ms)
        fast = waits_ms < 200_000
        assert np.median(waits_ms[fast]) == pytest.approx(90_000, rel=0.05)
        begins.append(at_ms[:-1][fast].min())
    assert np.corrcoef(np.arange(len(begins)), begins)[0, 1] > 0.9, "the lowest first"
    people = made[made["user"] != ABSENT]
    assert len(np.unique(people["user"])) == 8
    assert share(of(people, "login"), 401) == pytest.approx(1 / 6, abs=0.06)
    valves = of(people, "device")
    to = np.array([path.partition("set=")[2] for path in paths(valves, scene)])
    opened = to == "open"
    assert (valves["status"][opened] == 200).sum() == (to == "shut").sum() == 8 * 4
    assert valves["ts_ms"][opened].max() < valves["ts_ms"][to == "shut"].min()
    assert np.ptp(valves["ts_ms"][to == "shut"]) <= 600_000
    assert share(valves[opened], 503) == pytest.approx(1 / 3, abs=0.15)


def test_a_provider_is_taken_for_another_country_at_two_gateways_of_three() -> None:
    scene = Scene(np.random.default_rng(3), World(), 14_400.0, START_MS, 3.0, 800)
    alter = catalogue.cases()["wrong_country"].change
    assert alter is not None
    everybody = people(scene, frozenset())
    touched = alter(scene, everybody)
    refused = everybody[touched]
    assert share(refused, 403) == 1
    assert len({scene.world.asns[ip] for ip in refused["ip"].tolist()}) == 1
    begin_ms, end_ms = refused["ts_ms"].min(), refused["ts_ms"].max()
    assert end_ms - begin_ms == pytest.approx(2_400_000, rel=0.02)
    provider = scene.world.asns[int(refused["ip"][0])]
    theirs = np.array(scene.world.asns)[everybody["ip"]] == provider
    during = theirs & (everybody["ts_ms"] >= begin_ms) & (everybody["ts_ms"] <= end_ms)
    assert touched[during].mean() == pytest.approx(2 / 3, abs=0.04)
    assert len(np.unique(refused["endpoint"])) > 12
