"""The sixth set's good cases out there and at desks are what their sentences say: together, in turn, and until when."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, bouts, each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import Rows


def keys(made: Rows, scene: Scene) -> set[str]:
    return {scene.world.keys.texts[key] for key in np.unique(made["key"]).tolist()}


def test_heat_pumps_go_off_within_twenty_seconds_and_each_says_so() -> None:
    made, scene = good("demand_response")
    told, reports = of(made, "device"), of(made, "telemetry")
    assert len(told) + len(reports) == len(made)
    assert len(np.unique(told["ip"])) == 2
    assert keys(told, scene) == {"key-batch-utility"}
    events = bouts(told, 300_000)
    assert [paths(one, scene)[0][-3:] for one in events] == ["off", "=on", "off", "=on"]
    for one in events:
        assert len(np.unique(one["path"])) == 80
        first_ms = one["ts_ms"].min()
        assert (one["ts_ms"] < first_ms + 20_000).sum() == 80
        deaf = one[one["status"] == 404]
        assert len(deaf) == 3 * len(np.unique(deaf["path"]))
        soon = reports[(reports["ts_ms"] >= first_ms) & (reports["ts_ms"] < first_ms + 60_000)]
        assert len(soon) >= 80 - len(np.unique(deaf["path"]))
    assert events[1]["ts_ms"].min() - events[0]["ts_ms"].min() == pytest.approx(0.15 * 14_400_000, rel=0.02)
    assert len(np.unique(reports["ip"])) == 80
    assert most_in_a_minute(told, "key") <= 1200


def test_vending_machines_register_anew_every_minute_from_another_address() -> None:
    made, scene = good("flapping_modems")
    joined = of(made, "device")
    assert share(joined, 201) == 1
    assert len(joined) == len(of(made, "token"))
    assert len(np.unique(joined["path"])) == 16
    for path in np.unique(joined["path"])[:8].tolist():
        mine = joined[joined["path"] == path]
        assert np.diff(mine["ts_ms"]).mean() == pytest.approx(65_000, rel=0.15)
        assert (np.diff(mine["ip"]) != 0).mean() > 0.9
    assert np.ptp(joined["ts_ms"]) <= 0.2 * scene.span_s * 1000
    during = of(made[(made["ts_ms"] > joined["ts_ms"].min()) & (made["ts_ms"] < joined["ts_ms"].max())], "telemetry")
    assert share(during, 499) == pytest.approx(0.25, abs=0.04)
    calm = of(made[made["ts_ms"] < joined["ts_ms"].min()], "telemetry")
    assert share(calm, 200) == 1
    one = calm[calm["path"] == calm["path"][0]]
    assert np.diff(one["ts_ms"]).mean() == pytest.approx(600_000, rel=0.1)
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= {64502, 64503}


def test_shops_read_their_shelves_before_they_open_and_what_is_lowered_at_noon() -> None:
    made, scene = good("shelf_labels")
    assert len(np.unique(made["ip"])) == 3
    assert keys(made, scene) == {"key-fleet-shelves"}
    for ip in np.unique(made["ip"]).tolist():
        mine = made[made["ip"] == ip]
        shelves, told = of(mine, "api_item")[:1500], of(mine, "telemetry")
        numbers = np.array([int(path.rpartition("/")[2]) for path in paths(shelves, scene)])
        assert set((np.diff(numbers) % 6000).tolist()) == {1}
        assert len(shelves) / (np.ptp(shelves["ts_ms"]) / 1000) == pytest.approx(2, rel=0.05)
        assert len(told) == 1500 // 25
        assert share(shelves, 304) == pytest.approx(7 / 8, abs=0.03)
        noon = of(mine, "api_item")[1500:]
        assert len(noon) == 40
        assert np.ptp(noon["ts_ms"]) < 60_000
    assert most_in_a_minute(made, "key") <= 1200


def test_couriers_reload_and_press_at_the_full_hour() -> None:
    made, _ = good("shift_release")
    assert len(np.unique(made["user"])) == len(np.unique(made["ip"])) == len(of(made, "token")) == 100
    takes = of(made, "checkout")
    hour_ms = int(takes["ts_ms"].min() // 60_000 * 60_000)
    before = of(made[made["ts_ms"] < hour_ms], "app_feed")
    assert len(before) > 500
    for user in np.unique(before["user"])[:20].tolist():
        waits = np.diff(before["ts_ms"][before["user"] == user])
        assert not len(waits) or (waits.min() > 4900 and waits.max() < 15_100)
    first = takes[np.unique(takes["user"], return_index=True)[1]]
    assert share(first, 409) == pytest.approx(0.7, abs=0.13)
    assert each(takes["user"]).max() <= 4
    assert np.median(takes["ts_ms"] - hour_ms) < 15_000
    later = of(made[made["ts_ms"] > hour_ms + 20_000], "app_feed")
    assert len(later) == 18 * 100
    assert 600_000 < later["ts_ms"].max() - hour_ms < 1_200_000
    assert most_in_a_minute(made, "ip") < 60


def test_a_team_abroad_opens_the_same_ten_orders_and_then_its_own() -> None:
    made, scene = good("overseas_shift")
    assert len(np.unique(made["ip"])) == 1
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= set(range(65548, 65551))
    signed, looked = of(made, "sso"), of(made, "backoffice")
    assert len(np.unique(signed["user"])) == (signed["status"] == 200).sum() == 10
    orders, times = np.unique(looked["path"], return_counts=True)
    lessons = orders[times >= 10]
    assert len(lessons) == 10
    assert (times[times >= 10] == 10).all()
    for user in np.unique(looked["user"]).tolist():
        mine = looked[looked["user"] == user]
        followed = mine[np.isin(mine["path"], lessons)]
        assert followed["path"].tolist() == looked[np.isin(looked["path"], lessons)]["path"][::10].tolist()
        own = mine[~np.isin(mine["path"], lessons)]
        assert own["ts_ms"].min() > followed["ts_ms"].max()
        assert np.median(np.diff(own["ts_ms"])) == pytest.approx(32_000, rel=0.3)
    assert np.sort(times)[:-10].max() <= 3, "others come once, but for chance"
    assert most_in_a_minute(made, "ip") <= 120


def test_three_of_the_staff_go_through_the_same_sixty_orders_again_and_again() -> None:
    made, scene = good("fraud_desk")
    assert len(np.unique(made["ip"])) == 1
    assert len(of(made, "sso")) == len(np.unique(made["user"])) == 3
    looked = of(made, "backoffice")
    assert len(np.unique(looked["path"])) == 60
    assert each(looked["path"]).min() >= 3 * 8
    assert len(of(made, "invoice")) == len(looked) // 2
    for user in np.unique(made["user"]).tolist():
        mine = looked[looked["user"] == user]
        gaps = np.diff(mine["ts_ms"])
        assert gaps.min() > 4900
        assert gaps.max() < 15_100
        assert len(np.unique(mine["path"][:60])) == 60
    assert len(of(made, "export")) == 14
    assert each(of(made, "exported")["path"]).tolist() == [3] * 14
    assert len(agents(made, scene)) == 1


def test_reports_are_looked_for_every_five_seconds_until_they_are_there() -> None:
    made, scene = good("year_end_exports")
    assert len(keys(made, scene)) == 32
    assert len(of(made, "export")) == 5 * 32
    files = of(made, "exported")
    waits, broke = [], 0
    for path in np.unique(files["path"]).tolist():
        mine = files[files["path"] == path]
        assert len(np.unique(mine["key"])) == 1
        asked = mine[mine["status"] == 202]
        got = mine[mine["status"] != 202]
        assert np.abs(np.diff(asked["ts_ms"]) - 5000).max() <= 1
        assert asked["ts_ms"].max() < got["ts_ms"].min()
        assert got["status"].tolist() in ([200], [206] * 3)
        broke += len(got) == 3
        waits.append((int(got["ts_ms"][0]), int(got["ts_ms"][0] - asked["ts_ms"][0]) // 1000))
    assert broke / len(waits) == pytest.approx(0.1, abs=0.06)
    assert min(wait for _, wait in waits) >= 25
    assert 60 < max(wait for _, wait in waits) < 240


def test_monitors_look_from_everywhere_when_they_see_an_outage() -> None:
    made, scene = good("outage_watchers")
    assert len(np.unique(made["ip"])) == 12
    assert len(agents(made, scene)) == 4
    assert len(of(made, "home")) == len(made)
    failed = made[made["status"] == 503]
    begin_ms, end_ms = failed["ts_ms"].min(), failed["ts_ms"].max()
    assert end_ms - begin_ms <= 660_000
    assert share(made[(made["ts_ms"] >= begin_ms) & (made["ts_ms"] <= end_ms)], 503) == 1
    monitors = 800 // 33
    before = made[made["ts_ms"] < begin_ms]
    assert len(before) / (begin_ms / 180_000) == pytest.approx(monitors, rel=0.05)
    calm = most_in_a_minute(before, "ip")
    assert most_in_a_minute(failed, "ip") > 2 * calm
    again = made[(made["ts_ms"] > end_ms) & (made["ts_ms"] < end_ms + 25_000)]
    assert len(again) == pytest.approx(12 * monitors, rel=0.1), "once more from all places"
