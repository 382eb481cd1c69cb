"""The seventh set's attacks by machines are what their sentences say: who, in what order, with what answers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from simulated_sets import agents, attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, Rows


def networks(made: Rows, scene: Scene) -> set[int]:
    return {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", ["address_lottery", "unguarded_hour", "push_summons", "junk_listings"])
def test_no_address_comes_near_its_limit(name: str, strength: str) -> None:
    assert most_in_a_minute(attack(name, strength)[0], "ip") <= 120


@pytest.mark.parametrize("strength", STRENGTHS)
def test_orders_lie_in_threads_until_a_computer_looks(strength: str) -> None:
    made, scene = attack("assistant_mailbox", strength)
    assert len(of(made, "assistant")) == len(made)
    assert share(made, 200) == 1
    assert most_in_a_minute(made, "key") <= 120
    assert all(scene.world.keys.texts[key].startswith("key-app-") for key in made["key"].tolist())
    hosted = np.isin(np.array(scene.world.asns)[made["ip"]], range(65548, 65551))
    machine, computers = made[hosted], made[~hosted]
    assert len(np.unique(machine["ip"])) == 1
    assert len(machine) / len(made) == pytest.approx(0.14, abs=0.02)
    for ip in np.unique(computers["ip"]).tolist():
        assert len(np.unique(computers["path"][computers["ip"] == ip])) == 1, "a thread of its own"
        assert len(np.unique(computers["key"][computers["ip"] == ip])) == 1
    assert len(np.unique(computers["ip"])) / len(np.unique(made["key"])) > 3.9
    assert len(np.unique(computers["path"])) == len(np.unique(computers["ip"]))
    assert set(machine["path"].tolist()) <= set(computers["path"].tolist())
    for path in np.unique(machine["path"]).tolist():
        visits = machine["ts_ms"][machine["path"] == path]
        assert len(visits) % 2 == 0
        assert visits[-1] - visits[0] > 2000, "an order lies until the computer looks"
        assert computers["ts_ms"][computers["path"] == path].max() > visits[0]
    if strength != "weak":
        assert len(networks(made, scene)) > 10


def test_a_computer_looks_by_its_timer() -> None:
    made, _ = attack("assistant_mailbox", "medium")
    one = made[made["ip"] == np.unique(made["ip"])[3]]
    waits_s = np.diff(one["ts_ms"]) / 1000
    assert np.median(waits_s[waits_s > 10]) == pytest.approx(23 * 1800 / (0.72 * 1440), rel=0.15)


@pytest.mark.parametrize(("strength", "calls", "busy"), [("weak", 8, 0), ("medium", 12, 0.107), ("strong", 18, 0.4)])
def test_all_telephones_wake_at_each_call(strength: str, calls: int, busy: float) -> None:
    made, scene = attack("push_summons", strength)
    fed, shown = of(made, "app_feed"), of(made, "app_item")
    assert len(fed) == len(shown) == len(made) / 2
    assert len(np.unique(shown["path"])) == 1
    phones = len(np.unique(made["ip"]))
    assert len(fed) / phones == pytest.approx(0.9 * calls, rel=0.03)
    every_ms = (scene.span_s - 15) * 1000 / calls
    since_ms = (fed["ts_ms"] - 1000) % every_ms
    assert (since_ms < 10_000).mean() == pytest.approx(0.885, abs=0.03), "one in nine of those that come is late"
    waves = np.bincount(((fed["ts_ms"] - 1000) // every_ms).astype(int))
    assert len(waves) == calls
    assert waves.min() > 0.75 * phones
    assert share(made, 503) == pytest.approx(busy, abs=0.02)
    assert networks(made, scene) <= set(range(64496, 64504))
    assert len(agents(made, scene)) == 3
    assert (made["user"] == ABSENT).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("strength", "winners"), [("weak", 1), ("medium", 4), ("strong", 18)])
def test_an_address_is_given_back_unless_it_is_let_in(strength: str, winners: int) -> None:
    made, scene = attack("address_lottery", strength)
    assert set(made["key"].tolist()) == set(made["user"].tolist()) == {ABSENT}
    refused = made[made["status"] == 403]
    assert set(each(refused["ip"]).tolist()) == {2}
    let_in = made[made["status"] == 200]
    assert len(np.unique(let_in["ip"])) == winners
    assert not np.isin(let_in["ip"], refused["ip"]).any()
    assert len(refused) + len(let_in) == len(made)
    for ip in np.unique(let_in["ip"]).tolist():
        read = [path for path in paths(of(let_in[let_in["ip"] == ip], "api_orders"), scene) if "page" in path]
        pages = [int(path.partition("&page=")[2]) for path in read]
        assert pages == list(range(1, len(pages) + 1))
        assert len({path.partition("&")[0] for path in read}) == 1
        assert let_in["ts_ms"][let_in["ip"] == ip].max() > 0.85 * scene.span_s * 1000, "until the end"
    for ip in np.unique(refused["ip"])[:20].tolist():
        assert np.ptp(refused["ts_ms"][refused["ip"] == ip]) <= 1000


@pytest.mark.parametrize("strength", STRENGTHS)
def test_all_wait_for_the_guard_to_be_gone_and_come_in_at_once(strength: str) -> None:
    made, scene = attack("unguarded_hour", strength)
    asked = np.array(paths(made, scene))
    looks, work = made[np.char.startswith(asked, "/search?q=%3Csvg")], made[~np.char.startswith(asked, "/search?q=%3C")]
    span_ms = scene.span_s * 1000
    seen = looks[looks["status"] == 200]
    assert share(looks, 200, 403) == 1
    assert each(seen["ip"]).max() == 1
    assert seen["ts_ms"].min() > 0.37 * span_ms
    assert work["ts_ms"].min() > 0.37 * span_ms
    assert work["ts_ms"].max() < 0.76 * span_ms
    assert (looks["ts_ms"] < 0.37 * span_ms).sum() > len(looks) / 3
    assert (looks["ts_ms"] > 0.76 * span_ms).sum() > len(looks) / 6
    assert len(work) / len(made) == pytest.approx(0.75, abs=0.05)
    assert len(np.unique(work["endpoint"])) == 4
    for ip in np.unique(work["ip"]).tolist():
        assert len(np.unique(work["endpoint"][work["ip"] == ip])) == 1
    assert share(of(work, "search"), 500) == pytest.approx(1 / 6, abs=0.07)
    assert share(of(work, "login", "backoffice"), 401) > 0.95
    assert share(of(work, "missing"), 404) > 0.95


def test_a_car_is_switched_off_and_later_all_of_them_hoot() -> None:
    made, scene = attack("immobilised_cars")
    assert of(made, "sso")["status"].tolist() == [401, 200]
    own, other = of(made, "sso")["user"].tolist()
    assert own != other
    assert set(made["user"][1:].tolist()) == {other}
    assert len(np.unique(made["ip"])) == 1
    set_ = of(made, "device")
    to = np.array([path.partition("set=")[2] for path in paths(set_, scene)])
    serial = np.array([path.partition("vin=")[2].partition("&")[0] for path in paths(set_, scene)])
    assert serial[to == "starter-off"].tolist() == sorted(serial[to == "starter-off"].tolist())
    assert serial[to == "horn"].tolist() == serial[to == "starter-off"].tolist()
    assert set_["ts_ms"][to == "horn"].min() >= 2 / 3 * scene.span_s * 1000 > set_["ts_ms"][to == "starter-off"].max()
    assert share(set_, 404) == pytest.approx(1 / 15, abs=0.02)
    opened = [int(path.rpartition("/")[2]) for path in paths(of(made, "backoffice"), scene)]
    assert opened == list(range(120_000, 120_000 + len(opened)))
    assert len(of(made, "profile")) == len(opened) // 4


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_same_eight_always_hear_each_other(strength: str) -> None:
    made, scene = attack("faked_witnesses", strength)
    assert scene.world.keys.texts[made["key"][0]] == "key-fleet-hotspots"
    for ip in np.unique(made["ip"]).tolist():
        mine = made[made["ip"] == ip]
        told = paths(mine, scene)
        boxes = [path.split("/")[4] for path in told]
        assert len(set(boxes)) == 8
        called = np.array(["beacon" in path for path in told])
        assert called.sum() * 8 == len(mine)
        heard_s = np.array([np.min(at - mine["ts_ms"][called & (mine["ts_ms"] <= at)]) for at in mine["ts_ms"]])
        assert heard_s.max() <= 2001
        callers = [box for box, calls in zip(boxes, called.tolist(), strict=True) if calls]
        assert np.ptp(each(np.array(callers))) <= 1, "by turns"
        assert share(mine[called], 200) == 1
    assert share(made, 422) == pytest.approx(7 / 8 / 20, abs=0.03)


@pytest.mark.parametrize(("strength", "accounts"), [("weak", 1), ("medium", 3), ("strong", 6)])
def test_things_that_are_nothing_are_published_like_clocks(strength: str, accounts: int) -> None:
    made, scene = attack("junk_listings", strength)
    put, joined = of(made, "item_put"), of(made, "register")
    assert len(put) + len(joined) == len(made)
    assert len(joined) == accounts * len(np.unique(made["ip"])) == len(np.unique(put["user"]))
    new, anew, taken = (put[put["status"] == status] for status in (201, 200, 409))
    assert len(new) + len(anew) + len(taken) == len(put)
    assert each(np.concatenate([new, anew])["user"]).max() == min(150, len(new) + len(anew))
    assert len(anew) / (len(new) + len(anew)) == pytest.approx(0.1, abs=0.01)
    assert len(taken) / (len(new) + len(anew)) == pytest.approx(0.05, abs=0.01)
    one = new[new["ip"] == new["ip"][0]]
    waits_s = np.diff(one["ts_ms"]) / 1000
    period_s = scene.span_s * len(np.unique(made["ip"])) / (len(new) + len(anew))
    assert np.quantile(np.abs(waits_s / period_s - 1), 0.8) < 0.1
    told = [re.match(r"/items/([a-z]+-[a-z]+\d+)\?needs=([a-z]+-[a-z]+\d+)$", path) for path in paths(one, scene)]
    assert all(told)
    names = [found[1] for found in told if found]
    needs = [found[2] for found in told if found]
    assert len(set(names)) > 0.99 * len(names)
    assert np.mean([need == name for need, name in zip(needs[1:], names, strict=False)]) > 0.8
    assert all(path.endswith("&version=2") for path in paths(anew, scene))
    asked = {path[7:].partition("?")[0] for path in paths(anew, scene)}
    assert asked <= {path[7:].partition("?")[0] for path in paths(new, scene)}
