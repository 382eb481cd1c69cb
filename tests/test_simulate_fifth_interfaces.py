"""The fifth set's attacks through interfaces are what their sentences say: whose rights, what order, what answers."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, Rows

BELOW_THE_LIMIT = (
    "forged_signon", "parting_exports", "registry_drain", "skimmer_planting", "catalogue_wipe", "dealer_portal",
    "agentic_intrusion", "hijacked_agents", "first_day_rush", "desync_probing", "cache_denial", "saml_bomb",
)  # fmt: skip
HOMES = range(64496, 64502)


def asns(made: Rows, scene: Scene) -> set[int]:
    return {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}


def agents(made: Rows, scene: Scene) -> set[str]:
    return {scene.world.agents.texts[ua] for ua in np.unique(made["ua"]).tolist()}


def keys(made: Rows, scene: Scene) -> set[str]:
    return {scene.world.keys.texts[key] for key in np.unique(made["key"]).tolist()}


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", BELOW_THE_LIMIT)
def test_no_address_and_no_key_comes_near_its_limit(name: str, strength: str) -> None:
    made, _ = attack(name, strength)
    column = "key" if made["key"].max() != ABSENT else "ip"
    assert most_in_a_minute(made, column) <= 120 * 1.15, "chance may exceed it for a moment"


def test_staff_who_never_signed_on_look_at_orders_in_fours_and_take_exports_along() -> None:
    made, scene = attack("forged_signon", "strong")
    assert not len(of(made, "sso"))
    assert all(scene.world.users.texts[user].startswith("staff") for user in np.unique(made["user"]).tolist())
    assert max(len(np.unique(made["user"][made["ip"] == ip])) for ip in np.unique(made["ip"]).tolist()) == 3
    numbers = np.array([int(path.split("/")[-1]) for path in paths(of(made, "backoffice"), scene)])
    assert (np.diff(numbers) == 1).mean() == pytest.approx(0.72, abs=0.08), "four side by side, then another"
    assert len(of(made, "backoffice")) / len(of(made, "export")) == pytest.approx(12, abs=0.5)
    assert len(of(made, "exported")) == pytest.approx(len(of(made, "export")), abs=1)
    assert share(made, 200, 202) == 1


def test_who_leaves_signs_on_once_and_fetches_report_after_report_from_home() -> None:
    made, scene = attack("parting_exports")
    assert len(of(made, "sso")) == len(np.unique(made["ip"])) == len(np.unique(made["user"])) == 1
    assert made["endpoint"][0] == ENDPOINT_CODES["sso"]
    assert asns(made, scene) <= set(HOMES)
    ordered, fetched = of(made, "export"), of(made, "exported")
    assert each(ordered["path"]).max() == 1
    assert set(each(fetched["path"]).tolist()) == {2}
    assert share(fetched, 202) == share(fetched, 200) == 0.5
    assert len(ordered) == len(of(made, "backoffice"))
    assert share(made, 200, 202) == 1
    regions = [path.split("region=")[1].split("&")[0] for path in paths(ordered, scene)]
    assert regions[:5] == ["north", "south", "east", "west", "abroad"]


def test_beside_a_partners_job_runs_another_that_reads_customers_orders() -> None:
    made, scene = attack("partner_breach", "strong")
    assert len(keys(made, scene)) == 1
    assert keys(made, scene) < {f"key-batch-{number}" for number in range(4)}
    assert all(scene.world.ips.texts[ip].startswith("198.51.100.") for ip in np.unique(made["ip"]).tolist())
    assert agents(made, scene) == {"nightly-import/3.1 python-requests/2.32"}
    orders, items = of(made, "api_orders"), of(made, "api_item")
    assert len(orders) / len(made) == pytest.approx(0.4, abs=0.01)
    assert len(orders) + len(items) == len(made)
    customers = [int(path.split("=")[1]) for path in paths(orders, scene)]
    assert set(np.diff(customers).tolist()) == {1}
    assert share(orders, 404) == pytest.approx(0.1, abs=0.03)
    assert most_in_a_minute(made, "key") <= 1200


def test_every_package_is_taken_with_all_its_versions_each_once() -> None:
    made, scene = attack("registry_drain", "strong")
    asked = paths(made, scene)
    assert each(made["path"]).max() == 1
    assert share(made, 200) == 1
    assert asked[0] == "/api/v1/packages/lib-0"
    names = [path.split("?")[0] for path in asked]
    assert len(set(names)) > 80
    assert (np.diff([int(name.split("-")[1]) for name in names]) >= 0).all(), "in order"
    assert keys(made, scene) == {"key-ci-0", "key-ci-1", "key-ci-2"}
    assert len(keys(*attack("registry_drain", "medium"))) == 1


def test_a_script_is_written_into_items_and_read_back_seconds_later() -> None:
    made, scene = attack("skimmer_planting")
    written, read = of(made, "item_put"), of(made, "item")
    assert len(written) == len(read)
    assert len(written) / len(of(made, "token")) == pytest.approx(10, abs=0.6)
    assert len(written) + len(read) + len(of(made, "token")) == len(made)
    assert paths(written[:2], scene) == ["/items/1", "/items/2"]
    waited_ms = [int(read["ts_ms"][read["path"] == row["path"]][0] - row["ts_ms"]) for row in written]
    assert min(waited_ms) >= 2990
    assert max(waited_ms) <= 9010
    assert share(written, 403) == pytest.approx(1 / 40, abs=0.03)
    assert share(read, 200) == 1


def test_the_shop_is_emptied_list_by_list() -> None:
    made, scene = attack("catalogue_wipe", "strong")
    deleted, looked = of(made, "item_delete"), of(made, "list")
    assert len(deleted) + len(looked) == len(made)
    assert len(deleted) / len(looked) == pytest.approx(30, abs=2)
    assert each(deleted["path"]).max() == 1
    assert share(deleted, 409) == pytest.approx(0.02, abs=0.012)
    assert share(made, 200, 409) == 1
    for ip in np.unique(made["ip"]).tolist():
        numbers = [int(path.split("/")[-1]) for path in paths(deleted[deleted["ip"] == ip], scene)]
        assert set(np.diff(numbers).tolist()) == {1}
        assert made["endpoint"][made["ip"] == ip][0] == ENDPOINT_CODES["list"]


def test_a_dealer_joins_himself_to_others_devices_and_tells_them_what_to_do() -> None:
    made, scene = attack("dealer_portal", "strong")
    looked, joined, told = of(made, "api_orders"), of(made, "device"), of(made, "telemetry")
    assert share(looked, 404) == pytest.approx(0.05, abs=0.025)
    assert len(joined) == (looked["status"] == 200).sum() == len(told) / 2
    assert share(joined, 201) == share(told, 200) == 1
    assert len(np.unique(np.stack([made["ip"], made["user"]]), axis=1).T) == len(np.unique(made["ip"])) == 5
    numbers = np.array([int(path.split("KX")[1]) for path in paths(looked, scene)])
    assert len(np.unique(numbers)) == len(numbers)
    assert (np.abs(np.diff(numbers)) > 100).mean() > 0.95, "in no order"
    device = f"/api/v1/devices/{numbers[-1]}/telemetry"
    mine = told["ts_ms"][[path == device for path in paths(told, scene)]]
    assert len(mine) in (0, 2)


def test_an_agent_tries_six_at_once_errs_less_and_less_and_ends_with_orders() -> None:
    made, scene = attack("agentic_intrusion", "strong")
    gaps_ms = np.sort(made["ts_ms"][made["ip"] == made["ip"][0]])
    assert len(gaps_ms) % 6 == 0
    early, late = made["ts_ms"] < 60_000, made["ts_ms"] > 420_000
    wrong = made["status"] >= 400
    assert wrong[early].mean() == pytest.approx(0.62, abs=0.08)
    assert wrong[late].mean() == pytest.approx(0.13, abs=0.06)
    assert set(made["status"].tolist()) == {200, 400, 401, 403, 404, 405, 422}
    last = made[made["ts_ms"] > 0.76 * 480_000]
    assert set(np.unique(last["endpoint"]).tolist()) == {ENDPOINT_CODES["api_orders"]}
    assert len(np.unique(made["endpoint"])) == 8
    assert len(agents(made, scene)) == 3
    assert all(key.startswith("key-app-") for key in keys(made, scene))
    assert len(keys(made, scene)) == 4


def test_assistants_led_astray_all_buy_the_same_thing() -> None:
    made, scene = attack("hijacked_agents")
    paid, items = of(made, "pay"), of(made, "item")
    assert len(paid) == len(np.unique(made["user"])) == len(of(made, "login")) == len(made) / 8
    assert share(of(made, "login"), 200) == 1
    assert share(paid, 402) == pytest.approx(0.05, abs=0.05)
    lure = int(np.bincount(items["path"]).argmax())
    assert (items["path"] == lure).sum() == len(items) / 2
    assert len(np.unique(items["path"])) > 0.7 * len(items) / 2
    assert len(agents(made, scene)) == 1
    mine = made[made["user"] == made["user"][0]]
    assert np.ptp(mine["ts_ms"]) < 60_000


def test_a_hole_of_today_is_tried_by_more_and_more_each_once_or_twice() -> None:
    made, scene = attack("first_day_rush", "strong")
    looked, tried = of(made, "home"), of(made, "graphql")
    assert len(looked) == len(tried) == len(made) / 2
    assert each(tried["ip"]).max() == 2
    assert (share(tried, 500), share(tried, 400), share(tried, 403)) == pytest.approx((0.6, 0.25, 0.15), abs=0.03)
    assert share(looked, 200) == 1
    first, last = (made["ts_ms"] < 100_000).sum(), (made["ts_ms"] > 200_000).sum()
    assert last > 3 * first, "more from minute to minute"
    assert len(agents(made, scene)) == 6


def test_two_requests_a_few_milliseconds_apart_and_now_and_then_a_wrong_answer() -> None:
    made, _ = attack("desync_probing", "strong")
    first, second = of(made, "cart_add"), of(made, "item")
    assert len(first) == len(second) == len(made) / 2
    assert (share(first, 408), share(first, 200)) == pytest.approx((1 / 6, 0.1), abs=0.04)
    assert share(first, 400) == pytest.approx(0.73, abs=0.05)
    assert share(second, 404, 405) == pytest.approx(1 / 30, abs=0.02)
    for row in first[:40]:
        waited_ms = second["ts_ms"][second["ip"] == row["ip"]] - row["ts_ms"]
        assert ((waited_ms >= 1) & (waited_ms <= 31)).any()


def test_each_page_is_spoilt_once_a_minute_by_the_fault_that_works_on_it() -> None:
    made, scene = attack("cache_denial")
    assert len(np.unique(made["path"])) == 40
    assert set(each(made["path"]).tolist()) == {15}
    assert set(made["status"].tolist()) == {400, 405, 431}
    for path in np.unique(made["path"]).tolist():
        mine = made[made["path"] == path]
        assert len(np.unique(mine["status"])) == 1
        assert np.diff(mine["ts_ms"]).min() > 58_000
        assert np.diff(mine["ts_ms"]).max() < 62_000
    assert len(of(made, "static")) / 15 == 6
    assert len(agents(made, scene)) == 1


def test_sign_on_swells_and_falls_over() -> None:
    made, _ = attack("saml_bomb", "strong")
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES["sso"]}
    assert set(made["user"].tolist()) == {ABSENT}
    assert (share(made, 500), share(made, 504), share(made, 400, 413)) == pytest.approx((0.5, 1 / 3, 1 / 6), abs=0.04)
