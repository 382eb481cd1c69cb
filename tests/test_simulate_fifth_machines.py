"""The fifth set's attacks by readers and by weight are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, Rows

BELOW_THE_LIMIT_OF_AN_ADDRESS = (
    "trilateration", "forgotten_version", "integration_breach", "borrowed_crawler", "slow_bodies",
    "range_amplification", "imitated_visitors", "install_fraud",
)  # fmt: skip


def agents(made: Rows, scene: Scene) -> set[str]:
    return {scene.world.agents.texts[ua] for ua in np.unique(made["ua"]).tolist()}


def networks(made: Rows, scene: Scene) -> set[int]:
    return {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", BELOW_THE_LIMIT_OF_AN_ADDRESS)
def test_no_address_comes_near_its_limit(name: str, strength: str) -> None:
    assert most_in_a_minute(attack(name, strength)[0], "ip") <= 120 * 1.15, "chance may exceed it for a moment"


def test_a_seller_is_found_in_thirty_six_places_each_half_as_far() -> None:
    made, scene = attack("trilateration", "strong")
    assert share(made, 200) == 1
    assert len(of(made, "token")) == len(np.unique(made["user"])) == len(np.unique(made["ip"])) == 12
    feeds = of(made, "app_feed")
    assert len(feeds) == len(made) - 12
    one = feeds[feeds["ip"] == feeds["ip"][0]]
    seen = np.array(
        [[float(part.split("=")[1]) for part in path.split("?")[1].split("&")] for path in paths(one, scene)]
    )
    first = seen[:36]
    middle = first[[11, 23, 35]].mean(axis=0)
    far = np.hypot(*(first - middle).T)
    assert far[:12] == pytest.approx(0.45 * 0.5 ** np.arange(12), rel=0.05, abs=2e-4)
    assert far[12] == pytest.approx(0.45, rel=0.01)
    assert np.hypot(*(seen[36] - middle)) > 0.46, "the next one lives elsewhere"


def test_all_customers_are_counted_through_from_an_address_each_time_another() -> None:
    made, scene = attack("forgotten_version")
    numbers = [int(path.removeprefix("/api/beta/customers/")) for path in paths(made, scene)]
    assert (np.diff(numbers) == 1).all()
    assert share(made, 404) == pytest.approx(0.1, abs=0.02)
    assert share(made, 200, 404) == 1
    assert len(of(made, "missing")) == len(made)
    assert np.ptp(each(made["ip"])) <= 1
    assert set(made["key"].tolist()) == set(made["user"].tolist()) == {ABSENT}


@pytest.mark.parametrize(("strength", "keys"), [("weak", 5), ("medium", 20), ("strong", 40)])
def test_customers_keys_are_emptied_one_after_the_other(strength: str, keys: int) -> None:
    made, scene = attack("integration_breach", strength)
    assert len(np.unique(made["key"])) == keys
    assert all(scene.world.keys.texts[key].startswith("key-app-") for key in np.unique(made["key"]).tolist())
    stale = np.unique(made["key"][made["status"] == 401])
    assert len(stale) == pytest.approx(keys / 10, abs=0.5)
    assert (made["status"] == 401).sum() == len(stale)
    assert not np.isin(made["key"][made["status"] != 401], stale).any()
    for ip in np.unique(made["ip"]).tolist():
        taken = made["key"][(made["ip"] == ip) & (made["status"] != 401)]
        assert (np.diff(taken) != 0).sum() == len(np.unique(taken)) - 1, "the next when one is empty"
    assert set(of(made, "export")["status"].tolist()) == {202}
    assert len(of(made, "export")) / len(made) == pytest.approx(1 / 8, abs=0.02)
    assert len(agents(made, scene)) == 1
    assert most_in_a_minute(made, "key") <= 120 * 1.15


def test_the_search_engine_carries_what_others_wrote() -> None:
    made, scene = attack("borrowed_crawler", "strong")
    assert agents(made, scene) == {ENGINE}
    assert networks(made, scene) == {64509}
    items, searches = of(made, "item"), of(made, "search", "search_deep")
    assert len(items) / len(made) == pytest.approx(0.25, abs=0.03)
    assert each(searches["path"]).max() == 1
    assert all("UNION+SELECT" in path for path in paths(searches, scene))
    assert len(of(made, "search_deep")) / len(searches) == pytest.approx(0.2, abs=0.03)
    assert share(searches, 500) == pytest.approx(0.125, abs=0.02)
    assert share(searches, 403) == pytest.approx(0.1, abs=0.02)


def test_forms_end_as_timeouts_and_each_connection_is_begun_anew_like_a_timer() -> None:
    made, _ = attack("slow_bodies")
    assert share(made, 408) == pytest.approx(0.94, abs=0.02)
    assert share(made, 400, 408) == 1
    assert len(np.unique(made["endpoint"])) == 5
    for ip in np.unique(made["ip"])[:8].tolist():
        mine = made[made["ip"] == ip]
        assert len(np.unique(mine["endpoint"])) == 1
        gaps_ms = np.diff(mine["ts_ms"])
        assert gaps_ms.std() < 0.15 * gaps_ms.mean()


def test_two_scripts_are_asked_for_in_pieces() -> None:
    made, scene = attack("range_amplification", "strong")
    assert set(paths(made, scene)) == {"/static/vendor.js", "/static/maps.js"}
    assert share(made, 206, 503) == 1
    assert share(made, 503) == pytest.approx(0.1, abs=0.02)
    assert share(attack("range_amplification", "weak")[0], 206) > 0.98
    assert agents(made, scene) == {"Go-http-client/1.1"}


def test_visitors_who_are_nobody_do_what_people_do_and_none_signs_on() -> None:
    made, scene = attack("imitated_visitors", "strong")
    assert set(made["user"].tolist()) == {ABSENT}
    assert not len(of(made, "login"))
    used = each(made["endpoint"])
    assert len(used) > 15
    assert len(of(made, "item")) / len(made) == pytest.approx(0.3, abs=0.05)
    assert share(made, 503) == pytest.approx(0.25, abs=0.03)
    weak, _ = attack("imitated_visitors", "weak")
    assert share(weak, 503) < 0.02
    assert len(networks(made, scene)) == 12
    assert all(agent.startswith("Mozilla") for agent in agents(made, scene))


def test_a_telephone_is_new_asks_for_its_feed_and_is_gone() -> None:
    made, scene = attack("install_fraud", "strong")
    devices = of(made, "device")
    assert len(devices) == len(of(made, "token")) == len(of(made, "app_feed")) == len(made) / 3
    assert share(devices, 409) == pytest.approx(0.05, abs=0.015)
    assert share(devices, 201, 409) == 1
    assert len(agents(made, scene)) == 60
    assert not np.isin(made["endpoint"], [ENDPOINT_CODES["app_item"], ENDPOINT_CODES["login"]]).any()
    assert set(made["user"].tolist()) == {ABSENT}
