"""Seven-d's good cases of homes and of bad luck are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT

CASES = (
    "moving_day", "asking_children", "block_orders", "hailstorm_claims", "festival_thefts", "stranded_travellers",
)  # fmt: skip
MOVED, FAMILIES, BLOCKS, HIT, ROBBED, STRANDED = 90, 36, 3, 120, 24, 240  # at three requests a second
CARRIERS = {64502, 64503}


def op(made: Rows, scene: Scene, name: str) -> Rows:
    """Requests of one operation."""
    calls = of(made, "graphql")
    return np.asarray(calls[np.array([path.endswith(f"?op={name}") for path in paths(calls, scene)], bool)])


def first_of_each(made: Rows) -> dict[int, int]:
    """When each account is first seen."""
    user, at = np.unique(made["user"], return_index=True)
    return dict(zip(user.tolist(), made["ts_ms"][at].tolist(), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_keeps_to_good_clients_networks_and_people_type_no_faster_than_people(name: str) -> None:
    made, scene = good(name)
    assert {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()} <= set(range(64496, 64506))
    assert most_in_a_minute(made[made["user"] != ABSENT], "user") <= 36
    assert made["ts_ms"].max() < scene.span_s * 1000
    assert (made["key"] == ABSENT).all()


def test_a_new_address_is_written_before_anything_is_bought() -> None:
    made, scene = good("moving_day")
    written, paid = of(made, "profile"), of(made, "pay")
    assert (written["status"] == 200).sum() == (paid["status"] == 200).sum() == MOVED
    assert (written["status"] == 422).sum() == MOVED / 10
    assert (paid["status"] == 402).sum() == MOVED / 15
    assert len(of(made, "verify")) == MOVED * 2 / 5
    things = each(of(made, "cart_add")["user"])
    assert (len(things), things.min(), things.max()) == (MOVED, 2, 5)
    bought = first_of_each(of(made, "pay"))
    assert all(bought[user] > at for user, at in first_of_each(written[written["status"] == 200]).items())
    mobile = [scene.world.asns[ip] in CARRIERS for ip in of(made, "checkout")["ip"].tolist()]
    assert np.mean(mobile) == pytest.approx(1 / 3, abs=0.12)


def test_children_ask_again_and_again_and_a_parent_allows_one_time_in_five() -> None:
    made, scene = good("asking_children")
    asked, answered = op(made, scene, "askToBuy"), op(made, scene, "answerRequest")
    begged = each(asked["user"][asked["status"] == 202])
    assert (len(begged), begged.min() >= 5, begged.max() <= 30) == (FAMILIES, True, True)
    assert len(answered) == (asked["status"] == 202).sum()
    assert not np.isin(asked["user"], answered["user"]).any()
    assert len(of(made, "pay")) / len(answered) == pytest.approx(0.2, abs=0.01)
    assert np.isin(of(made, "pay")["user"], answered["user"]).all()
    refused = asked[asked["status"] == 403]
    assert (each(refused["user"]) == 3).all()
    assert len(refused) == 3 * len(of(made, "profile")) == 3 * -(-FAMILIES // 8)
    assert refused["ts_ms"].min() > of(made, "profile")["ts_ms"].min()
    assert len(of(made, "device")) == len(of(made, "token")) == FAMILIES
    same = np.isin(np.unique(answered["ip"]), asked["ip"]).mean()
    assert same > 0.6


def test_a_block_buys_one_thing_in_a_row_and_who_is_late_is_told_so() -> None:
    made, scene = good("block_orders")
    assert len(np.unique(made["ip"])) == 2 * BLOCKS
    shared = of(made, "pay")
    shared = shared[np.array(["?group=" in path for path in paths(shared, scene)])]
    assert len(np.unique(shared["path"])) == 3 * BLOCKS
    homes = each(of(made, "item")["path"])
    assert (len(homes), homes.min() >= 40, homes.max() <= 70) == (3 * BLOCKS, True, True)
    assert (shared["status"] == 200).sum() / len(of(made, "item")) == pytest.approx(0.8, abs=0.02)
    assert (shared["status"] == 402).sum() / (shared["status"] == 200).sum() == pytest.approx(1 / 12, abs=0.03)
    assert (shared["user"] == ABSENT).all()
    assert len(of(made, "item_put")) == 6 * BLOCKS
    added = of(made, "cart_add")
    assert (added["status"] == 409).sum() == 9 * BLOCKS
    assert (added["user"] != ABSENT).sum() == 27 * BLOCKS, "nine boxes of the leader's"
    looks = of(made, "cart")
    assert np.median(np.diff(looks["ts_ms"][looks["ip"] == looks["ip"][0]])) == pytest.approx(60_000, rel=0.2)


def test_damage_is_reported_picture_after_picture() -> None:
    made, scene = good("hailstorm_claims")
    reports, pictures = op(made, scene, "reportDamage"), op(made, scene, "addPicture")
    assert len(reports) == len(of(made, "invoice")) == (of(made, "login")["status"] == 200).sum() == HIT
    assert len(of(made, "reset")) == len(of(made, "verify")) == HIT / 4
    sent = pictures[pictures["status"] == 200]
    many = each(sent["user"])
    assert (len(many), many.min(), many.max()) == (HIT, 4, 20)
    assert (pictures["status"] == 413).sum() / len(sent) == pytest.approx(1 / 9, abs=0.01)
    assert (pictures["status"] == 503).sum() / len(sent) == pytest.approx(1 / 12, abs=0.01)
    gaps = np.concatenate([np.diff(sent["ts_ms"][sent["user"] == user]) for user in np.unique(sent["user"]).tolist()])
    assert (gaps.min() >= 1999, gaps.max() <= 6001) == (True, True)
    begun = first_of_each(pictures)
    assert all(at < begun[user] for user, at in first_of_each(reports).items())
    looks = each(of(made, "orders")["user"])
    assert (looks.min(), looks.max()) == (2, 4)


def test_a_stolen_telephone_is_shut_out_from_a_friends_and_asks_in_vain() -> None:
    made, scene = good("festival_thefts")
    tokens, guesses = of(made, "token"), of(made, "verify")
    tried = of(made, "login")
    assert len(of(made, "reset")) == 2 * ROBBED
    wrong = each(guesses["user"][guesses["status"] == 401])
    assert (len(wrong), wrong.min(), wrong.max()) == (ROBBED, 1, 2)
    forgot = each(tried["user"][tried["status"] == 401])
    assert (len(forgot), forgot.min(), forgot.max()) == (ROBBED, 1, 3)
    out = first_of_each(op(made, scene, "signOutEverywhere"))
    assert len(out) == len(of(made, "profile")) == len(of(made, "invoice")) == ROBBED
    assert share(tokens, 401) == 1
    assert all(at > out[user] for user, at in first_of_each(tokens).items())
    gaps = [np.median(np.diff(tokens["ts_ms"][tokens["user"] == user])) for user in out]
    assert np.median(gaps) == pytest.approx(600_000, rel=0.1)
    assert not np.isin(tokens["ip"], tried["ip"]).any()
    owners = np.unique(np.stack([tried["ip"], tried["ua"], tried["user"]]), axis=1)
    camp = max(np.unique(owners[0]).tolist(), key=lambda ip: (owners[0] == ip).sum())
    assert (owners[0] == camp).sum() == ROBBED / 2
    assert set(each(owners[0][owners[0] != camp]).tolist()) == {3}, "three to a friend's telephone"


def test_an_airport_looks_for_the_same_seats_and_most_are_too_late() -> None:
    made, scene = good("stranded_travellers")
    added, paid = of(made, "cart_add"), of(made, "pay")
    assert len(of(made, "search")) == len(of(made, "item")) == len(added)
    assert len(np.unique(of(made, "search")["path"])) == 9
    assert share(added, 200) == pytest.approx(1 / 16, abs=0.015)
    lucky = added["user"][added["status"] == 200]
    assert each(lucky).max() == 1
    assert sorted(lucky.tolist()) == sorted(paid["user"][paid["status"] == 200].tolist())
    rounds = each(added["user"])
    assert (len(rounds), rounds.max()) == (STRANDED, 12)
    asked = each(of(made, "assistant")["user"])
    assert (len(asked), asked.min(), asked.max()) == (STRANDED - len(lucky), 1, 4)
    assert not np.isin(of(made, "assistant")["user"], lucky).any()
    hall = np.array([scene.world.asns[ip] not in CARRIERS for ip in of(made, "search")["ip"].tolist()])
    assert hall.mean() == pytest.approx(0.7, abs=0.1)
    assert len(np.unique(of(made, "search")["ip"][hall])) == 4
