"""The sixth set's insiders and footholds are what their sentences say: whom they look at, in what sequence."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, attack, each, keys, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, Rows


def names(made: Rows, scene: Scene) -> set[str]:
    return {scene.world.users.texts[user] for user in np.unique(made["user"]).tolist() if user != ABSENT}


@pytest.mark.parametrize("name", ["celebrity_snooping", "staff_stalking", "listing_favours", "laptop_farm"])
def test_those_who_work_here_keep_their_own_names_at_home(name: str) -> None:
    made, scene = attack(name, "strong")
    assert all(user.startswith("staff") for user in names(made, scene))
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= set(range(64496, 64502))
    assert most_in_a_minute(made, "ip") <= 120


def test_all_look_at_the_same_five_orders_most_of_them_soon() -> None:
    made, _ = attack("celebrity_snooping", "strong")
    looked = of(made, "backoffice")
    orders, times = np.unique(looked["path"], return_counts=True)
    wanted = orders[times > 20]
    assert len(wanted) == 5
    curious = looked[np.isin(looked["path"], wanted)]
    assert len(curious) / len(looked) == pytest.approx(0.6, abs=0.05)
    assert np.sort(times)[:-5].max() <= 2, "what they are paid for comes once"
    assert len(np.unique(curious["user"])) == 50
    half_ms = made["ts_ms"].max() / 2
    assert (curious["ts_ms"] < half_ms).mean() > 0.7
    assert 8 < len(of(made, "sso")) < 25


@pytest.mark.parametrize("strength", STRENGTHS)
def test_one_of_the_staff_goes_round_the_same_twelve_orders(strength: str) -> None:
    made, scene = attack("staff_stalking", strength)
    looked = made[1:] if strength != "strong" else made[made["user"] == made["user"][0]][1:]
    orders = [int("".join(sign for sign in path if sign.isdigit())) for path in paths(looked, scene)]
    assert len(set(orders)) == 13 if strength != "weak" else len(set(orders)) <= 13
    assert orders[:3] == orders[17:20], "the same sequence"
    assert len(of(made, "sso")) == len(np.unique(made["ip"]))
    gone = looked["status"] == 404
    assert {order for order, missing in zip(orders, gone.tolist(), strict=True) if missing} == {160_001}
    assert len(of(looked, "invoice")) / len(looked) == pytest.approx(4 / 17, abs=0.06)


def test_rivals_vanish_and_clients_come_back() -> None:
    made, scene = attack("listing_favours", "strong")
    gone, back = of(made, "item_delete"), of(made, "item_put")
    assert len(gone) == pytest.approx(2 * len(back), abs=2)
    assert len(of(made, "backoffice")) == len(gone)
    assert share(gone, 200) == share(back, 200) == 1
    looks = of(made, "item")
    for one in gone[:20]:
        mine = looks[(looks["path"] == one["path"]) & (np.abs(looks["ts_ms"] - one["ts_ms"]) < 20_000)]
        assert mine["status"].tolist()[:2] == [200, 404]
    for one in back[:20]:
        mine = looks[(looks["path"] == one["path"]) & (np.abs(looks["ts_ms"] - one["ts_ms"]) < 20_000)]
        assert mine["status"].tolist()[:2] == [404, 200]
    assert len(of(made, "sso")) == 4
    assert len(names(made, scene)) == 4


def test_six_of_the_staff_live_in_one_house_and_their_sessions_are_kept_open_to_the_second() -> None:
    made, scene = attack("laptop_farm")
    assert len(agents(made, scene)) == 1
    for ip in np.unique(made["ip"]).tolist():
        house = made[made["ip"] == ip]
        assert len(np.unique(house["user"])) == 6
        signed = of(house, "sso")
        assert len(signed) == 6
        assert 15_000 < np.diff(signed["ts_ms"]).mean() < 45_000
    one = made[(made["user"] == made["user"][0]) & (made["endpoint"] == of(made, "backoffice")["endpoint"][0])]
    page, times = np.unique(one["path"], return_counts=True)
    kept = one[one["path"] == page[times.argmax()]]["ts_ms"]
    assert times.max() / len(one) == pytest.approx(5 / 6, abs=0.12)
    assert np.abs(np.diff(kept) / 30_000 - np.round(np.diff(kept) / 30_000)).max() < 0.01, "every half minute exactly"
    assert len(of(made, "export")) / len(made) == pytest.approx(1 / 40, abs=0.015)


def test_staff_are_shut_out_first_and_members_by_their_numbers() -> None:
    made, scene = attack("logic_bomb", "strong")
    assert keys(made, scene) == {"key-batch-housekeeping"}
    who = [scene.world.users.texts[user] for user in made["user"].tolist()]
    assert all(name.startswith("staff") for name in who[:120])
    assert who[120:140] == [f"user{one:05d}" for one in range(20)]
    assert not any(name.startswith("staff") for name in who[120:])
    assert len(of(made, "profile")) == 60
    members = made[120:]
    assert len(of(members, "logout")) == len(members)
    assert share(members, 404) == pytest.approx(1 / 6, abs=0.02)
    assert who[120] == who[120 + 2000] == "user00000", "it begins anew"
    assert most_in_a_minute(made, "key") <= 1200 * 1.1


def test_each_key_makes_the_next_before_it_is_revoked() -> None:
    made, scene = attack("key_hydra")
    for ip in np.unique(made["ip"]).tolist():
        mine = made[made["ip"] == ip]
        turns = np.flatnonzero(np.diff(mine["key"])) + 1
        lives = np.split(mine, turns)
        assert len(lives) == 8
        for life in lives[:-1]:
            refused = np.flatnonzero(life["status"] == 401)
            assert len(refused) in (3, 4)
            assert refused[0] == len(life) - len(refused), "and nothing after it"
            assert (of(life, "token")["status"] == 201).sum() == 1
        assert share(lives[-1], 200) == 1
        pages = [int(path.split("=")[1]) for path in paths(of(mine, "api_orders"), scene)]
        assert (np.diff(pages) > 0).all()
    assert sum(name.count("-") == 2 for name in keys(made, scene)) == 2, "customers' own"
    assert most_in_a_minute(attack("key_hydra", "strong")[0], "key") <= 120


def test_what_lies_in_memory_is_used_half_a_minute_later() -> None:
    made, scene = attack("heap_dumps")
    doors = of(made, "missing")
    assert doors["status"][:6].tolist() == [404] * 6
    dumps = doors[6:]
    assert set(paths(dumps, scene)) == {"/management/heapdump"}
    assert share(dumps, 200) == 1
    accounts, orders = of(made, "account"), of(made, "orders")
    assert len(accounts) == 2 * len(dumps)
    assert share(accounts, 401) == pytest.approx(0.2, abs=0.07)
    assert len(orders) == (accounts["status"] == 200).sum()
    waits_ms = accounts["ts_ms"][:2] - dumps["ts_ms"][0]
    assert 20_000 < waits_ms.min() <= waits_ms.max() < 40_000
    assert not len(of(made, "login", "token"))


def test_every_firm_is_asked_once_and_one_in_six_opens() -> None:
    made, scene = attack("tenant_hopping", "strong")
    asked = of(made, "token")
    assert each(asked["path"]).max() == 1
    assert share(asked, 403) == pytest.approx(5 / 6, abs=0.02)
    opened = (asked["status"] == 200).sum()
    heads = {name for name in names(made, scene) if name.endswith("-admin")}
    assert len(heads) == opened == len(of(made, "export")) == len(of(made, "account")) == len(of(made, "invoice")) / 2
    assert len(names(asked, scene)) == 4
    firms = {
        path.split("=")[1] for path, status in zip(paths(asked, scene), asked["status"], strict=True) if status == 200
    }
    assert {head.removeprefix("firm").removesuffix("-admin") for head in heads} == firms


def test_gift_cards_are_bought_with_the_shops_own_accounts_and_all_are_paid() -> None:
    made, scene = attack("tester_cashout", "strong")
    assert all(name.startswith("e2e-test-") for name in names(made, scene))
    bought = each(of(made, "pay")["user"])
    assert bought.max() == 25
    assert (bought == 25).sum() == len(of(made, "orders")), "the codes, once an account is full"
    assert share(made, 200) == 1
    assert len(of(made, "cart_add")) == len(of(made, "checkout")) == len(of(made, "pay")) == len(of(made, "balance"))
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= set(range(65548, 65551))
