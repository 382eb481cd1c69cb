"""The sixth set's attacks between machines are what their sentences say: hooks, things, chains, crews."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, attack, each, keys, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, Rows

BELOW_THE_LIMIT_OF_AN_ADDRESS = (
    "redirect_stealing", "open_bucket_raid", "backup_fetching", "shift_grabbing", "kiosk_breakout", "tenant_hopping",
)  # fmt: skip
BELOW_THE_LIMIT_OF_A_KEY = (
    "covert_reports", "skill_skimming", "surge_collusion", "charger_eviction", "load_switching", "meter_tampering",
)  # fmt: skip


def networks(made: Rows, scene: Scene) -> set[int]:
    return {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", BELOW_THE_LIMIT_OF_AN_ADDRESS)
def test_no_address_comes_near_its_limit(name: str, strength: str) -> None:
    assert most_in_a_minute(attack(name, strength)[0], "ip") <= 120 * 1.15, "chance may exceed it for a moment"


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", BELOW_THE_LIMIT_OF_A_KEY)
def test_no_key_comes_near_its_limit(name: str, strength: str) -> None:
    made, scene = attack(name, strength)
    partners = all(key.startswith(("key-batch-", "key-fleet-")) for key in keys(made, scene))
    assert most_in_a_minute(made, "key") <= (1200 if partners else 120) * 1.15


def test_forty_events_go_round_between_two_services_ever_faster() -> None:
    made, scene = attack("callback_loop", "strong")
    assert len(of(made, "callback")) == len(made)
    assert len(agents(made, scene)) == 2
    assert len(each(made["path"])) == 40
    assert each(made["path"]).min() > 300
    assert networks(made, scene) == {64508}
    thirds = np.bincount(made["ts_ms"] // 140_000, minlength=3)[:3]
    assert thirds[0] < thirds[1] / 2 < thirds[1] < thirds[2] / 1.5
    failed = made[made["status"] == 503]
    assert len(failed) / len(made) == pytest.approx(1 / 24, abs=0.01)
    assert failed["ts_ms"].min() > 0.8 * 420_000
    assert share(attack("callback_loop", "weak")[0], 200) == 1


def test_a_way_back_is_sought_until_one_is_taken_and_then_members_come() -> None:
    made, scene = attack("redirect_stealing", "strong")
    tokens = of(made, "token")
    tried = tokens[tokens["user"] == ABSENT]
    assert (tried["status"] == 200).sum() == 1
    assert tried["status"][-1] == 200
    assert len(tried) / len(made) == pytest.approx(0.25, abs=0.02)
    codes = tokens[tokens["user"] != ABSENT]
    assert codes["ts_ms"].min() > tried["ts_ms"].max()
    assert set(codes["path"].tolist()) == {int(tried["path"][-1])}
    assert share(codes, 400) == pytest.approx(1 / 6, abs=0.02)
    got = codes["user"][codes["status"] == 200]
    for endpoint in ("account", "orders", "invoice"):
        assert sorted(of(made, endpoint)["user"].tolist()) == sorted(got.tolist())
    assert len(set(paths(of(made, "invoice"), scene))) > 0.9 * len(got)


def test_everybody_begins_at_the_first_file_until_it_is_closed() -> None:
    made, scene = attack("open_bucket_raid", "strong")
    assert set(made["key"].tolist()) == {ABSENT}
    assert len(agents(made, scene)) == 4
    again = 0
    for ip in np.unique(made["ip"]).tolist():
        files = [int(path[-10:-4]) for path in paths(made[made["ip"] == ip], scene)]
        assert files[0] == 0
        steps = np.diff(files)
        assert ((steps == 1) | (np.array(files[1:]) == 0)).all()
        again += files.count(0) > 1
    assert again / 400 == pytest.approx(0.4, abs=0.03)
    closed_ms = made["ts_ms"][made["status"] == 403].min()
    assert share(made[made["ts_ms"] > closed_ms], 403) == 1
    assert share(made, 403) == pytest.approx(0.1, abs=0.01)
    firsts = np.array([made["ts_ms"][made["ip"] == ip].min() for ip in np.unique(made["ip"])])
    assert np.median(firsts) < 120_000


def test_a_backup_that_is_there_is_fetched_with_the_two_before_it() -> None:
    made, scene = attack("backup_fetching", "strong")
    asked = paths(made, scene)
    first = np.array(["version" not in path for path in asked])
    assert share(made[first], 404) == pytest.approx(8 / 9, abs=0.01)
    assert share(made[~first], 200) == 1
    assert (~first).sum() == 2 * (made["status"][first] == 200).sum()
    one = made[first & (made["ip"] == made["ip"][0])]
    serials = [int(path.rpartition("-")[2], 16) for path in paths(one, scene)]
    assert set(np.diff(serials).tolist()) == {1}
    assert set(made["key"].tolist()) == set(made["user"].tolist()) == {ABSENT}


def test_a_meter_tells_its_day_anew_backwards() -> None:
    made, scene = attack("meter_tampering", "strong")
    assert keys(made, scene) == {"key-fleet-0"}
    one = made[made["ip"] == made["ip"][0]]
    assert one["status"].tolist() == [409, 200] * (len(one) // 2)
    slots = [path.split("=")[1][:5] for path in paths(one, scene)]
    assert slots[::2] == slots[1::2]
    minutes = np.array([int(slot[:2]) * 60 + int(slot[3:]) for slot in slots[::2]])
    assert set((np.diff(minutes) % 1440).tolist()) == {1425}
    meters = [{path.split("/")[4] for path in paths(made[made["ip"] == ip], scene)} for ip in np.unique(made["ip"])]
    assert [len(meter) for meter in meters] == [1] * 80
    assert len(set.union(*meters)) == 80


def test_all_inverters_go_off_in_one_second_and_on_a_minute_later() -> None:
    made, scene = attack("load_switching")
    rounds = np.split(made, np.flatnonzero(np.diff(made["ts_ms"]) > 20_000) + 1)
    assert len(rounds) == 15
    assert len({len(one) for one in rounds}) == 1
    for at, one in enumerate(rounds):
        assert all(path.endswith(("set=off", "set=on")[at % 2]) for path in paths(one, scene))
        assert np.quantile(one["ts_ms"], 0.95) - one["ts_ms"].min() < 1000
    assert np.abs(np.diff([one["ts_ms"].min() for one in rounds]) - 60_000).max() < 500
    assert share(made, 404) == pytest.approx(0.05, abs=0.01)
    assert keys(made, scene) == {f"key-batch-installer-{one}" for one in range(3)}


def test_charging_points_are_registered_again_and_again() -> None:
    made, scene = attack("charger_eviction", "strong")
    joined, told = of(made, "device"), of(made, "telemetry")
    assert share(joined, 201) == share(told, 200) == 1
    assert len(joined) + len(told) == len(made)
    assert len(told) / len(joined) == pytest.approx(0.2, abs=0.01)
    assert len(each(joined["path"])) == 120
    assert np.ptp(each(joined["path"])) <= 1
    one = joined[joined["ip"] == joined["ip"][0]]
    assert len(np.unique(one["path"])) == 20
    assert all(path.endswith("state=faulted") for path in paths(told, scene))


@pytest.mark.parametrize(("strength", "devices"), [("weak", 1), ("medium", 1), ("strong", 8)])
def test_browsers_report_once_and_open_no_page(strength: str, devices: int) -> None:
    made, scene = attack("covert_reports", strength)
    assert len(of(made, "telemetry")) == len(made)
    assert len(np.unique(made["path"])) == len(keys(made, scene)) == devices
    assert all(agent.startswith("Mozilla/5.0") for agent in agents(made, scene))
    assert each(made["ip"]).min() >= 3
    for ip in np.unique(made["ip"])[:50]:
        assert np.ptp(made["ts_ms"][made["ip"] == ip]) < 20_000, "within some seconds"
    assert share(made, 200) == 1
    assert {scene.world.countries[ip] for ip in made["ip"].tolist()} > {"BR", "VN"}


def test_a_build_looks_around_by_itself_after_a_release_was_fetched() -> None:
    made, scene = attack("install_script")
    assert keys(made, scene) == {"key-ci-0", "key-ci-1", "key-ci-2"}
    assert networks(made, scene) == {64508}
    fetched = [path.endswith("lib-17?version=4.1.1") for path in paths(made, scene)]
    n = sum(fetched)
    assert len(made) == 7 * n
    assert len(of(made, "token", "device")) == len(of(made, "api_orders", "export")) == 2 * n
    assert share(of(made, "api_orders", "export"), 403) == 1
    assert share(of(made, "token", "device"), 201) == 1
    assert {path.split("packages/")[1] for path in paths(of(made, "build"), scene)} == {
        "lib-17?version=4.1.1", "-/whoami", "-/owned?by=me",
    }  # fmt: skip
    joined = of(made, "device")
    assert each(joined["path"]).max() == 1
    starts_ms = made["ts_ms"][np.array(fetched)]
    assert np.mean([np.min(at - starts_ms[starts_ms <= at]) < 6000 for at in joined["ts_ms"].tolist()]) > 0.97


def test_the_same_three_follow_every_item_with_every_customer() -> None:
    made, scene = attack("skill_skimming", "strong")
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == 40
    assert len(agents(made, scene)) == 1
    counts = [len(of(made, name)) for name in ("api_item", "api_orders", "export", "exported")]
    assert counts == [len(made) // 4] * 4
    one = of(made[made["key"] == made["key"][0]], "api_orders")
    assert sorted(int(path.split("=")[1]) for path in paths(one, scene)) == list(range(1, len(one) + 1))
    assert len({int(made["ip"][at]) for at in np.flatnonzero(made["key"] == made["key"][0])}) == 1
    assert networks(made, scene) <= set(range(64496, 64502))


def test_the_assistants_own_machine_reads_three_strangers_after_each_answer() -> None:
    made, scene = attack("confused_assistant", "strong")
    said, read = of(made, "assistant"), of(made, "api_orders")
    assert len(said) + len(read) == len(made)
    assert share(said, 422) == pytest.approx(1 / 8, abs=0.01)
    assert len(read) == 3 * (said["status"] == 200).sum()
    customers = [int(path.split("=")[1]) for path in paths(read, scene)]
    assert set(np.diff(customers).tolist()) == {1}
    assert share(read, 404) == pytest.approx(0.1, abs=0.02)
    assert keys(read, scene) == {"key-poll-assistant"}
    assert set(said["key"].tolist()) == {ABSENT}
    assert not np.isin(read["ip"], said["ip"]).any()
    assert len(np.unique(read["ip"])) == 2


def test_every_route_of_the_description_is_tried_in_its_sequence() -> None:
    made, scene = attack("spec_fuzzing", "medium")
    first = made[:2]
    assert paths(first, scene) == ["/openapi.json"] * 2
    rest = made[2:]
    assert len(np.unique(rest["endpoint"])) == 26
    one = rest[rest["key"] == rest["key"][0]]
    routes = one["endpoint"][np.concatenate([[True], np.diff(one["endpoint"]) != 0])]
    assert len(routes) < 60, "one after the other"
    tried = np.unique(rest[["path", "key", "status"]])
    assert share(rest, 400) / share(rest, 422) == pytest.approx(2, rel=0.2)
    errors = rest[rest["status"] == 500]
    assert len(errors) % 3 == 0
    assert len(errors) / 3 / (len(rest) - 2 * len(errors) / 3) == pytest.approx(1 / 15, abs=0.02)
    assert len(tried) > 800
    assert len(keys(made, scene)) == 2


def test_sellers_run_short_together_and_come_back_together() -> None:
    made, scene = attack("surge_collusion", "strong")
    wrote = of(made, "api_stock")
    asked = paths(wrote, scene)
    none = wrote[[path.endswith("quantity=0") for path in asked]]
    rounds = np.split(none, np.flatnonzero(np.diff(none["ts_ms"]) > 60_000) + 1)
    assert len(rounds) == 5
    for one in rounds:
        assert np.ptp(one["ts_ms"]) <= 10_000
        assert len(np.unique(one["key"])) == len(one) == 100
    assert len(wrote) == 2 * len(none)
    assert share(wrote, 409) == pytest.approx(1 / 40, abs=0.015)
    assert len({path.split("?")[0] for path in asked}) == 100, "the same items every time"
    assert len(np.unique(of(made, "api_item")["path"])) <= 100


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_program_takes_tours_within_a_fifth_of_a_second(strength: str) -> None:
    made, scene = attack("shift_grabbing", strength)
    taken, feeds = of(made, "checkout"), of(made, "app_feed")
    assert networks(made, scene) <= {64502, 64503}
    assert len(of(made, "token")) == len(np.unique(made["user"])) == len(np.unique(made["ip"]))
    assert len(feeds) / len(made) > 0.9
    tours = np.split(taken, np.flatnonzero(np.diff(taken["ts_ms"]) > 2000) + 1)
    assert all(np.ptp(tour["ts_ms"]) < 200 for tour in tours)
    assert share(taken, 200) == pytest.approx(1 / 12, abs=0.09)
    assert share(taken, 200, 409) == 1


def test_dashes_list_orders_at_a_kiosk() -> None:
    made, scene = attack("kiosk_breakout", "strong")
    assert agents(made, scene) == {"ShopKiosk/3.1 (Windows NT 10.0; Touch) Chrome/109.0.0.0"}
    assert set(made["user"].tolist()) == {ABSENT}
    out, lists, opened = of(made, "missing"), of(made, "orders"), of(made, "invoice")
    assert len(out) + len(lists) + len(opened) == len(made)
    assert len(out) / len(made) == pytest.approx(1 / 6, abs=0.02)
    assert share(out, 404) == 1
    assert len(set(paths(out, scene))) == 8
    assert all("number=------&" in path for path in paths(lists, scene))
    assert len(opened) == 4 * len(lists)
    assert share(opened, 404) == pytest.approx(0.1, abs=0.02)
    assert networks(made, scene) <= {64504, 64505}
