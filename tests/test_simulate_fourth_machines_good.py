"""The fourth set's good cases of machines and networks are what their sentences say: who, how often, how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.declare import Mask
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ITEMS, Rows, World


def changed(name: str) -> tuple[Rows, Rows, Mask, Scene]:
    """Everybody's rows before and after, which the case names, and the scene."""
    scene = Scene(np.random.default_rng(3), World(), 14_400.0, START_MS, 3.0, 800)
    change = catalogue.cases()[name].change
    before = people(scene, frozenset())
    after = before.copy()
    assert change is not None
    return before, after, change(scene, after), scene


def test_every_server_of_a_network_makes_its_own_preview_within_a_minute() -> None:
    made, scene = good("link_previews")
    pages = of(made, "article")
    assert len(np.unique(pages["ip"])) == len(np.unique(pages["ua"])) == len(pages) == 240 * 3 // 2
    assert len(np.unique(pages["path"])) == 1
    first_ms = int(pages["ts_ms"][0])
    assert 200 < (pages["ts_ms"] < first_ms + 60_000).sum() <= 240
    assert (pages["ts_ms"] > first_ms + 1_150_000).sum() == 120
    assert len(of(made, "static")) == (pages["status"] == 200).sum()
    assert share(pages, 503) == pytest.approx(0.03, abs=0.03)
    assert all("Mastodon" in scene.world.agents.texts[ua] for ua in np.unique(made["ua"]).tolist())


def test_a_gateway_opens_a_quarter_again_without_a_session() -> None:
    made, scene = good("web_gateway")
    again = made[[scene.world.agents.texts[ua].startswith("Mozilla/4.0") for ua in made["ua"].tolist()]]
    staff = made[~np.isin(made["ua"], again["ua"])]
    assert len(np.unique(staff["ip"])) == 2
    assert len(np.unique(staff["user"])) == 80
    assert len(np.unique(again["ip"])) == 6
    assert set(again["user"].tolist()) == {ABSENT}
    assert share(of(again, "account", "orders"), 401) == 1
    assert share(of(again, "item", "list", "search"), 401) == 0
    opened = of(staff, "item", "list", "search", "reviews", "article", "account", "orders")
    assert len(again) / len(opened) == pytest.approx(0.25, abs=0.04)
    for row in again[:50]:
        same = opened["ts_ms"][opened["path"] == row["path"]]
        assert ((row["ts_ms"] - same >= 1000) & (row["ts_ms"] - same <= 6000)).any()


def test_prices_are_checked_through_to_the_checkout_and_nothing_is_paid() -> None:
    made, scene = good("merchant_checker")
    assert all(scene.world.ips.texts[ip].startswith("192.0.2.") for ip in np.unique(made["ip"]).tolist())
    assert len(np.unique(made["ip"])) == 12
    assert set(made["user"].tolist()) == {ABSENT}
    items, carts = of(made, "item"), of(made, "cart_add")
    assert np.diff(items["ts_ms"]).mean() == pytest.approx(12_000, rel=0.1)
    assert len(carts) == (items["status"] == 200).sum()
    assert len(of(made, "checkout")) == len(of(made, "cart")) == (carts["status"] == 200).sum()
    assert share(carts, 409) == pytest.approx(1 / 25, abs=0.02)
    assert share(items, 404) == pytest.approx(1 / 50, abs=0.015)
    assert not len(of(made, "pay"))


def test_assistants_buy_for_one_member_after_the_other_and_get_in() -> None:
    made, scene = good("shopping_agents")
    logins, paid = of(made, "login"), of(made, "pay")
    assert len(np.unique(paid["user"])) == len(paid) == 54
    assert len(np.unique(made["ip"])) == 8
    assert len(np.unique(made["ua"])) == 1
    assert (logins["status"] == 200).sum() == 54
    assert 0 < (logins["status"] == 401).sum() < 12
    assert set(paid["status"].tolist()) <= {200, 402}
    assert set(of(made, "home", "search", "item", "reviews")["user"].tolist()) == {ABSENT}
    assert len(of(made, "item")) == 2 * len(paid)
    assert scene.world.users.texts[int(paid["user"][0])].startswith("user")


def test_a_stores_robots_try_a_release_twice_and_never_get_in() -> None:
    made, scene = good("prelaunch_robots")
    assert len(np.unique(made["ip"])) == 10
    assert len(np.unique(made["ua"])) == 40
    assert len(of(made, "device")) == len(of(made, "token")) == 80
    assert share(of(made, "login"), 401) == 1
    assert 80 <= len(of(made, "login")) <= 240
    assert share(of(made, "app_item"), 404) == pytest.approx(1 / 8, abs=0.03)
    assert all("rc1" in scene.world.agents.texts[ua] for ua in np.unique(made["ua"]).tolist())
    gaps_ms = np.diff(made["ts_ms"])
    assert gaps_ms.max() > 600_000, "an hour or more between the two"
    first = made[: int(gaps_ms.argmax()) + 1]
    assert np.ptp(first["ts_ms"]) < 20 * 60_000
    assert most_in_a_minute(made, "ip") <= 120


def test_old_pages_miss_their_scripts_and_load_anew() -> None:
    made, scene = good("stale_tabs")
    missed = made[made["status"] == 404]
    assert set(np.unique(missed["endpoint"]).tolist()) == {ENDPOINT_CODES["static"]}
    assert all("/static/chunk-" in path for path in paths(missed, scene))
    assert len(np.unique(made["ip"])) == len(of(made, "home")) == 120
    assert each(missed["ip"]).min() >= 2
    assert each(missed["ip"]).max() <= 10
    assert 0.1 < (each(missed["ip"]) > 5).mean() < 0.3
    for ip in np.unique(made["ip"]).tolist()[:30]:
        mine = made[made["ip"] == ip]
        assert mine["status"][-1] == 200, "in the end it works"


def test_messages_with_a_new_secret_are_refused_and_all_of_them_are_taken_in_the_end() -> None:
    made, _ = good("secret_rotation")
    refused = made[made["status"] == 401]
    assert np.ptp(refused["ts_ms"]) < 2_400_000
    assert len(refused) / 400 == pytest.approx(4.2, abs=0.8)
    assert (made["status"] == 200).sum() == pytest.approx(14_400 / 6, abs=3), "each message once"
    firsts = made["ts_ms"][: np.flatnonzero(made["status"] == 401)[0]]
    assert np.diff(firsts).mean() == pytest.approx(6000, rel=0.05)
    assert len(np.unique(made["ip"])) == 3
    last_ms = int(refused["ts_ms"].max())
    assert share(made[made["ts_ms"] > last_ms + 1000], 200) == 1


def test_two_machines_with_wrong_clocks_are_refused_and_try_thrice() -> None:
    made, scene = good("clock_skew")
    refused = made[made["status"] == 401]
    assert len(np.unique(made["key"])) == 1
    assert len(np.unique(made["ip"])) == 6
    assert len(np.unique(refused["ip"])) == 2
    tried = refused[refused["ip"] == refused["ip"][0]]
    whose = each(tried["path"][tried["endpoint"] != ENDPOINT_CODES["api_orders"]])
    assert (whose % 3 == 0).all(), "once, and twice more"
    alone = tried["path"] == of(tried, "api_item")["path"][0]
    assert np.ptp(tried["ts_ms"][alone][:3]) <= 2000
    well = made[~np.isin(made["ip"], refused["ip"])]
    assert len(well) == pytest.approx(4 * 14_400 / 15, rel=0.05)
    assert len(of(well, "api_orders", "api_item", "api_stock")) == len(well)
    assert np.ptp(refused["ts_ms"]) == pytest.approx(0.35 * 14_400_000, rel=0.02)
    assert most_in_a_minute(made, "key") <= 1200
    assert scene.world.keys.texts[int(made["key"][0])].startswith("key-batch-")
    for ip in np.unique(refused["ip"]).tolist():
        assert made["status"][made["ip"] == ip][-1] == 200, "then the clocks are set"


def test_a_new_system_writes_all_stock_in_order_reads_it_and_the_old_one_falls_silent() -> None:
    made, scene = good("erp_cutover")
    new = made[[scene.world.keys.texts[key] == "key-batch-erp" for key in made["key"].tolist()]]
    old = made[~np.isin(made["key"], new["key"])]
    written, read = of(new, "api_stock"), of(new, "api_item")
    numbers = [int(path.split("/")[-1]) for path in paths(written[written["ts_ms"] < read["ts_ms"][0] - 18_000], scene)]
    assert set(numbers) == set(range(1, ITEMS + 1))
    assert (np.diff(numbers) == 1).mean() > 0.95
    assert np.diff(read["ts_ms"]).mean() == pytest.approx(100, rel=0.05)
    assert each(read["path"]).max() == 1
    assert len(read) == ITEMS
    assert share(written, 409) == pytest.approx(0.01, abs=0.004)
    assert old["ts_ms"].max() < read["ts_ms"][0]
    assert np.diff(old["ts_ms"]).mean() == pytest.approx(6000, rel=0.1)
    after = written[written["ts_ms"] > read["ts_ms"][-1]]
    assert np.diff(after["ts_ms"]).mean() == pytest.approx(6000, rel=0.15)
    assert most_in_a_minute(made, "key") <= 1200
    assert len(np.unique(new["ip"])) == 1


def test_devices_fetch_new_firmware_in_waves_and_have_another_name_then() -> None:
    made, scene = good("firmware_rollout")
    fetched, registered, told = of(made, "build"), of(made, "device"), of(made, "telemetry")
    assert len(np.unique(made["ip"])) == len(registered) == 200
    assert share(registered, 409) == pytest.approx(0.1, abs=0.06)
    assert share(registered, 201, 409) == 1
    stuck = np.flatnonzero(np.bincount(fetched["ip"]) > 4)
    assert len(stuck) == 6
    assert set(np.bincount(fetched["ip"])[stuck].tolist()) == {160}
    assert set(each(fetched["ip"]).tolist()) == {4, 160}
    begun_ms = np.sort([int(fetched["ts_ms"][fetched["ip"] == ip].min()) for ip in np.unique(made["ip"]).tolist()])
    assert np.flatnonzero(np.diff(begun_ms) > 800_000).tolist() == [4, 39], "five, then 35, then 160"
    old = int(fetched["ua"][0])
    for ip in np.unique(made["ip"]).tolist()[::20]:
        mine = told[told["ip"] == ip]
        new_ms = int(registered["ts_ms"][registered["ip"] == ip][0])
        assert (mine["ua"][mine["ts_ms"] < new_ms] == old).all()
        assert (mine["ua"][mine["ts_ms"] > new_ms] != old).all()
    assert {path.split("?")[0] for path in paths(fetched, scene)} == {"/api/v1/packages/meter-fw-4.0.0"}
    assert most_in_a_minute(made, "key") <= 1200


def test_a_provider_gives_out_other_prefixes_and_sessions_go_on() -> None:
    before, after, touched, scene = changed("prefix_renumbering")
    moved = after[touched]
    asns, texts = np.array(scene.world.asns), scene.world.ips.texts
    assert set(asns[moved["ip"]].tolist()) == {64497}
    assert (moved["ip"] != before["ip"][touched]).all()
    for column in ("user", "ua", "status", "endpoint", "path"):
        assert (after[column] == before[column]).all()
    pairs = np.unique(np.stack([before["ip"][touched], moved["ip"]]), axis=1).T
    assert len(pairs) == len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) > 10
    networks = {texts[ip].split("::")[0] for ip in pairs[:, 1].tolist()}
    assert len(networks) == len(pairs)
    assert not networks & {texts[ip].split("::")[0] for ip in pairs[:, 0].tolist()}
    assert touched[before["ts_ms"] < before["ts_ms"][touched].min()].sum() == 0
    late = before["ts_ms"] > before["ts_ms"][touched].min() + 60_000
    assert not np.isin(after["ip"][late], pairs[:, 0]).any(), "nobody kept the old one"


def test_browsers_change_between_their_two_addresses_in_mid_visit() -> None:
    before, after, touched, scene = changed("happy_eyeballs")
    asns, texts = np.array(scene.world.asns), scene.world.ips.texts
    assert set(asns[after["ip"][touched]].tolist()) == {64498}
    assert np.ptp(before["ts_ms"][touched]) <= 0.3 * 14_400_000
    six = np.array([":" in texts[ip] for ip in after["ip"][touched].tolist()])
    assert 0.35 < six.mean() < 0.65
    moved = np.unique(np.stack([before["ip"][touched][six], after["ip"][touched][six]]), axis=1).T
    assert len(moved) == len(np.unique(moved[:, 0])) == len(np.unique(moved[:, 1])), "both are the customer's own"
    users = before["user"][touched]
    both = [len(np.unique(after["ip"][touched][users == user])) for user in np.unique(users[users != ABSENT]).tolist()]
    assert max(both) >= 2
    assert (after["user"] == before["user"]).all()
