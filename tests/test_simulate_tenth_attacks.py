"""The tenth set's attacks are what their sentences say: notices, names, orders that are not meant, free minutes."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, keys, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT


def op(made: Rows, scene: Scene, name: str) -> Rows:
    """Requests of one operation."""
    return np.asarray(made[np.array([f"op={name}" in path for path in paths(made, scene)], bool)])


def field(made: Rows, scene: Scene, name: str) -> list[str]:
    """What stands after `name=` in each path."""
    return [path.partition(f"{name}=")[2].partition("&")[0] for path in paths(made, scene)]


def test_four_rivals_items_are_looked_at_and_sworn_away_in_order() -> None:
    made, scene = attack("takedown_mill", "strong")
    looks, notices, states = of(made, "item"), op(made, scene, "copyrightNotice"), op(made, scene, "noticeState")
    assert len(of(made, "login")) == len(np.unique(made["user"])) == 80
    assert len(looks) == len(notices)
    assert len(states) == len(notices) // 4
    assert share(notices, 422) == pytest.approx(1 / 9, abs=0.02)
    assert share(notices, 202, 422) == 1
    assert each(notices["user"]).max() == 40
    numbers = np.array(field(notices, scene, "item"), int)
    blocks = np.unique((np.sort(np.unique(numbers)) - 1) // 290)
    assert len(blocks) == 4
    assert (np.diff(numbers) == 1).mean() > 0.6, "in their order"
    opened = np.array([int(path.rpartition("/")[2]) for path in paths(looks, scene)])
    assert sorted(opened.tolist()) == sorted(numbers.tolist())
    assert set(np.unique(made["endpoint"]).tolist()) == {
        int(of(made, one)["endpoint"][0]) for one in ("login", "item", "graphql")
    }


@pytest.mark.parametrize("strength", ["medium", "strong"])
def test_names_are_asked_after_in_turn_and_claimed_by_all_in_the_moment_one_is_free(strength: str) -> None:
    made, scene = attack("name_turbos", strength)
    asked, claims = op(made, scene, "nameFree"), of(made, "profile")
    machines = len(np.unique(made["ip"]))
    assert len(np.unique(made["user"])) == machines
    assert share(asked, 409) == 1
    claimed, many = np.unique(claims["path"], return_counts=True)
    assert (many == machines).all()
    assert len(claimed) == pytest.approx(12 * machines / 10, abs=1)
    for path in claimed.tolist():
        one = claims[claims["path"] == path]
        assert one["status"].tolist() == [200] + [409] * (machines - 1)
        assert np.ptp(one["ts_ms"]) <= 340
        name = scene.world.paths.texts[path].partition("name=")[2]
        after = asked[np.array(field(asked, scene, "name")) == name]["ts_ms"]
        assert not len(after) or after.max() <= one["ts_ms"].min()
    assert len(asked) + len(claims) == len(made)
    assert {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()} <= {65548, 65549, 65550}


def test_five_orders_are_placed_moved_and_taken_back_once_the_small_one_is_filled() -> None:
    made, scene = attack("spoofed_orders", "strong")
    placed, moved, back = (op(made, scene, f"{name}Order") for name in ("place", "replace", "cancel"))
    small = placed[np.array(["qty=-4" in path for path in paths(placed, scene)])]
    rounds = len(small)
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == 5
    assert len(placed) == 6 * rounds
    assert len(moved) == 4 * len(back) == 20 * rounds
    assert len(of(made, "api_item")) == 5 * rounds
    assert share(back, 409) == pytest.approx(1 / 30, abs=0.02)
    assert share(placed, 200) == share(moved, 200) == 1
    for key in np.unique(made["key"]).tolist():
        filled = small["ts_ms"][small["key"] == key]
        gone = back["ts_ms"][back["key"] == key]
        last = np.array([gone[gone >= one][:5].max() - one for one in filled.tolist()])
        assert last.max() < 1000, "within a second"
        other = moved["ts_ms"][moved["key"] == key]
        before = np.searchsorted(other, filled)
        assert (before == 20 * (1 + np.arange(len(filled)))).all(), "moved before, never after"
    assert sorted(set(field(back, scene, "order"))) == sorted(set(field(moved, scene, "order")))
    assert most_in_a_minute(made, "key") <= 140
    assert (made["user"] == ABSENT).all()


def test_accounts_use_their_free_minutes_up_and_are_left() -> None:
    made, scene = attack("free_mining", "strong")
    accounts = len(of(made, "verify"))
    registered, runs = of(made, "register"), op(made, scene, "startRun")
    assert len(np.unique(made["user"])) == len(of(made, "token")) == accounts
    assert (registered["status"] == 200).sum() == accounts
    assert (registered["status"] == 403).sum() / accounts == pytest.approx(1 / 8, abs=0.01)
    assert set(op(made, scene, "createProject")["status"].tolist()) == {201}
    assert len(op(made, scene, "createProject")) == 4 * accounts
    assert len(op(made, scene, "runState")) == 12 * accounts
    assert (runs["status"] == 202).sum() == 4 * accounts
    refused = runs[runs["status"] == 402]
    assert (each(refused["user"]) == 2).all()
    assert len(refused) == 2 * accounts
    for user in np.unique(made["user"])[:40].tolist():
        mine = made[made["user"] == user]
        assert mine["status"][-2:].tolist() == [402, 402], "and nothing after it"
        assert len(np.unique(mine["ip"])) == 1
        gaps_ms = np.diff(mine["ts_ms"][mine["status"] != 403])
        assert gaps_ms.max() < 3 * np.median(gaps_ms)
