"""The eighth set's good cases of apps, things and machines that are told no are what their sentences say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from simulated_sets import agents, each, good, keys, of, paths, share

from floodwarden.simulate.world import ABSENT

PHONES, ROTATING, PLAYERS = 180, 40, 360  # at three requests a second and 800 accounts
CARS, BOXES, CLUSTERS = 32, 50, 8


def test_an_app_falls_at_each_start_and_is_started_again() -> None:
    made, scene = good("crashing_sdk")
    starts, fed, stays = of(made, "token"), of(made, "app_feed"), of(made, "app_item")
    assert share(starts, 200) == share(fed, 200) == 1, "the server sees nothing wrong"
    assert len(starts) == len(fed)
    anew = of(made, "device")
    assert (share(anew, 201), len(anew)) == (1, PHONES / 5)
    slips = of(made, "login")["status"] == 401
    assert slips.sum() == PHONES / 5 / 4
    assert len(of(made, "home")) == PHONES / 6
    assert len(of(made, "item")) == 4 * PHONES / 6
    assert len(stays) == 3 * PHONES
    over_ms = stays["ts_ms"].min()
    during = starts[starts["ts_ms"] < over_ms - 60_000]
    first_anew = len(anew)
    assert len(during) == len(starts) - PHONES
    a_user = np.unique(during["user"], return_counts=True)[1]
    assert (len(a_user), a_user.min() >= 3, a_user.max() <= 6 * 4 + 1) == (PHONES, True, True)
    assert (len(during) - first_anew) / PHONES == pytest.approx(2.5 * 4.5, rel=0.1)
    one = during["ts_ms"][during["user"] == during["user"][0]]
    assert (np.diff(one) < 14_000).sum() >= 2
    assert {name[:8] for name in agents(fed, scene)} == {"ShopApp/"}
    assert np.ptp(during["ts_ms"]) < 5_040_000
    assert np.ptp(stays["ts_ms"]) < 3_000_000


def test_a_token_asked_for_twice_at_once_ends_all_that_a_member_has() -> None:
    made, _ = good("rotated_twice")
    tokens, logins = of(made, "token"), of(made, "login")
    assert len(np.unique(made["user"])) == ROTATING
    refused = tokens[tokens["status"] == 400]
    out = (logins["status"] == 200).sum()
    assert len(refused) == 2 * out
    assert (of(made, "app_feed")["status"] == 401).sum() == (of(made, "app_item")["status"] == 401).sum() == out
    assert (logins["status"] == 401).sum() / out == pytest.approx(1 / 6, abs=0.12)
    beside = 0
    for user in np.unique(tokens["user"]).tolist():
        mine = tokens[tokens["user"] == user]
        beside += int((np.diff(mine["ts_ms"]) <= 200).sum())
    assert out / beside == pytest.approx(0.6, abs=0.12), "three times in five"
    assert len(of(made, "reset")) == len(of(made, "profile"))
    scared = of(made, "reset")["user"]
    assert len(np.unique(scared)) == len(scared)
    sick_ms = refused["ts_ms"]
    assert np.ptp(sick_ms) < 0.9 * 14_400_000
    assert share(made[made["ts_ms"] < sick_ms[0] - 60_000], 200) == 1
    assert share(made[made["ts_ms"] > sick_ms[-1] + 120_000], 200, 202) == 1
    looked = of(made, "app_item")
    openings = (of(made, "app_feed")["status"] == 200).sum()
    assert (looked["status"] == 200).sum() / openings == pytest.approx(5.5, abs=0.4)


def test_all_answer_within_ten_seconds_and_those_who_are_wrong_are_out() -> None:
    made, scene = good("quiz_night")
    answers = of(made, "graphql")
    told = np.array(paths(answers, scene))
    assert len(np.unique(made["user"])) == PLAYERS
    for quiz in (41, 42):
        left = []
        for question in range(1, 13):
            one = answers[told == f"/api/graphql?op=answer&quiz={quiz}&question={question}"]
            heard = one[one["status"] != 503]
            left.append(len(heard))
            assert np.ptp(one["ts_ms"]) < 17_000
            assert each(heard["user"]).max() == 1
            assert question == 1 or share(one, 200, 410) == 1
        assert left[0] == PLAYERS
        assert left[3] / left[0] == pytest.approx((0.75 * 0.96) ** 3, abs=0.08)
        assert all(after <= before for before, after in pairwise(left))
        first = answers[told == f"/api/graphql?op=answer&quiz={quiz}&question=1"]
        unheard = first["status"] == 503
        assert unheard.sum() == PLAYERS / 8 + -(-PLAYERS // 16)
    assert share(answers[answers["status"] != 503], 410) == pytest.approx(1 / 25, abs=0.02)
    assert len(of(made, "token")) == len(of(made, "app_feed")) == 2 * PLAYERS
    assert 0 < len(of(made, "coupon")) < 0.1 * PLAYERS


def test_no_car_opens_and_the_app_repeats_each_request_after_one_second_two_and_four() -> None:
    made, scene = good("locked_cars")
    told, asked = of(made, "telemetry"), of(made, "device")
    assert keys(made, scene) == {"key-fleet-cars"}
    assert len(np.unique(told["ip"])) == CARS
    failed = told["status"] == 500
    begin_ms, end_ms = told["ts_ms"][failed].min(), told["ts_ms"][failed].max()
    assert end_ms - begin_ms == pytest.approx(3_600_000, rel=0.05)
    within = (told["ts_ms"] >= begin_ms) & (told["ts_ms"] <= end_ms)
    assert share(told[within], 500) == 1
    for ip in np.unique(told["ip"])[:10].tolist():
        mine = told[told["ip"] == ip]
        gaps_ms = np.diff(mine["ts_ms"][mine["status"] == 500])
        assert (gaps_ms == 5000).sum() == pytest.approx((mine["status"] == 500).sum() / 2, abs=1)
        calm = mine["ts_ms"][(mine["status"] == 200) & (mine["ts_ms"] > end_ms)]
        assert np.median(np.diff(calm)) == pytest.approx(600_000, rel=0.1)
    refused = asked["status"] == 500
    drivers = np.unique(asked["user"])
    assert len(drivers) == -(-CARS * 3 // 5)
    presses = each(asked["user"][refused]) / 4
    assert (presses.min() >= 2, presses.max() <= 6) == (True, True)
    assert (asked["status"] == 200).sum() == len(drivers)
    assert asked["ts_ms"][~refused].min() >= end_ms - 5000
    assert np.ptp(asked["ts_ms"][~refused]) < 1_500_000
    dashes = [ua for ua in np.unique(made["ua"]).tolist() if "HomeDash" in scene.world.agents.texts[ua]]
    screens = made[np.isin(made["ua"], dashes)]
    assert len(np.unique(screens["ip"])) == -(-CARS // 10)
    one = screens[screens["ip"] == screens["ip"][0]]
    assert np.median(np.diff(one["ts_ms"])) == pytest.approx(60_000, rel=0.05)
    assert share(one, 500) == pytest.approx(0.25, abs=0.03)


def test_boxes_back_off_and_are_pulled_and_cleared_in_vain() -> None:
    made, scene = good("expired_casters")
    asked = of(made, "device")
    told = np.array(paths(asked, scene))
    setup = np.array([path.endswith("&setup=1") for path in told])
    boxes = asked[~setup]
    assert len(np.unique(made["ip"])) == BOXES
    refused = boxes[boxes["status"] == 403]
    assert (boxes["status"] == 201).sum() == BOXES
    assert np.ptp(refused["ts_ms"]) < 0.45 * 14_400_000
    gaps_ms = np.concatenate(
        [np.diff(refused["ts_ms"][refused["ip"] == ip]) for ip in np.unique(refused["ip"]).tolist()]
    )
    assert gaps_ms.max() <= 700_000
    assert (gaps_ms < 1200).sum() >= BOXES, "from one second on, after each plug again"
    cleared = asked[setup]
    owners = np.unique(cleared["user"])
    assert len(owners) == -(-BOXES // 3)
    tries = each(cleared["user"][cleared["status"] == 403])
    assert (len(tries), tries.min() >= 3, tries.max() <= 6) == (len(owners), True, True)
    assert (cleared["status"] == 201).sum() == len(owners)
    assert np.isin(cleared["ip"], boxes["ip"]).all(), "the telephone is beside it"
    assert share(of(made, "token"), 200) == 1
    assert not ((of(made, "token")["ts_ms"] > refused["ts_ms"].min() + 60_000)
                & (of(made, "token")["ts_ms"] < refused["ts_ms"].max())).any()  # fmt: skip


def test_clusters_ask_for_what_has_moved_ever_more_rarely_until_somebody_mends_them() -> None:
    made, scene = good("moved_packages")
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == CLUSTERS
    assert (made["user"] == ABSENT).all()
    assert {one.partition("/")[0] for one in agents(made, scene)} == {"containerd", "cri-o"}
    told = np.array(paths(made, scene))
    stack = np.array(["/packages/stack-" in path for path in told])
    legacy = np.array(["/packages/legacy-" in path for path in told])
    assert share(made[stack], 404) == share(made[~stack], 200) == 1
    first_ms = made["ts_ms"][stack].min()
    ends = []
    for key in np.unique(made["key"]).tolist():
        mine = made["key"] == key
        has = made[mine & legacy]
        assert 4 <= len(has) <= 20
        assert made["ts_ms"][mine & stack].max() < has["ts_ms"].min() + 1
        assert np.ptp(has["ts_ms"]) < 90_000
        ends.append(has["ts_ms"].min() - first_ms)
    assert min(ends) == pytest.approx(1_440_000, rel=0.3)
    assert max(ends) == pytest.approx(7_200_000, rel=0.1)
    last = made[stack & (made["key"] == made["key"][stack][-1])]
    assert len(last) > 100


def test_events_that_cannot_be_read_come_again_four_times_and_then_all_that_is_owed() -> None:
    made, scene = good("unknown_events")
    told = np.array([path.partition("=")[2] for path in paths(made, scene)])
    dated = np.isin(told, ["invoice.paid", "subscription.updated"])
    refused = made["status"] == 400
    assert len(np.unique(made["ip"])) == 2
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} == {64508}
    assert not (refused & ~dated).any(), "the others are taken as ever"
    well_ms = made["ts_ms"][refused].max()
    sick_ms = made["ts_ms"][refused].min()
    assert well_ms - sick_ms == pytest.approx(0.4 * 14_400_000, rel=0.05)
    others = (~dated).sum()
    assert others / len(made) < 0.6
    assert others == pytest.approx(0.6 * 14_400 * 3 / 60, rel=0.12)
    owed = made[dated & ~refused & (made["ts_ms"] > well_ms)]
    burst = np.sort(owed["ts_ms"])
    assert (np.diff(burst) < 335).sum() >= 80, "three a second"
    assert (np.diff(burst) < 335).sum() < refused.sum() / 2, "each was refused some times"
