"""The fifth set's attacks by those who gather, flood and live on others' telephones are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ITEMS

BELOW_THE_LIMIT_OF_AN_ADDRESS = (
    "one_hit_crawl", "price_watching", "covisit_injection", "quote_mining", "download_inflation", "volunteer_flood",
    "cart_flood", "assistant_drain", "smokescreen", "subscription_trojan", "free_hosting", "token_keeping",
)  # fmt: skip


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", BELOW_THE_LIMIT_OF_AN_ADDRESS)
def test_no_address_comes_near_its_limit(name: str, strength: str) -> None:
    assert most_in_a_minute(attack(name, strength)[0], "ip") <= 120


@pytest.mark.parametrize("strength", STRENGTHS)
def test_no_address_makes_more_than_one_request_and_no_page_comes_twice(strength: str) -> None:
    made, scene = attack("one_hit_crawl", strength)
    assert each(made["ip"]).max() == 1
    assert each(made["path"]).max() == 1
    assert set(np.unique(made["endpoint"]).tolist()) == {
        ENDPOINT_CODES[name] for name in ("item", "reviews", "article", "list")
    }
    assert share(made, 404) == pytest.approx(0.01, abs=0.012)
    assert 40 < len(agents(made, scene)) <= 60
    assert not len(of(made, "static"))


@pytest.mark.parametrize(
    ("strength", "items", "every_s"), [("weak", 120, 1200), ("medium", 200, 150), ("strong", 400, 30)]
)
def test_the_same_items_are_looked_at_round_after_round(strength: str, items: int, every_s: float) -> None:
    made, _ = attack("price_watching", strength)
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES["item"]}
    assert len(np.unique(made["path"])) == items
    assert np.ptp(each(made["path"])) <= 1
    rounds = made["ts_ms"] // int(every_s * 1000)
    for number in range(3):
        assert len(np.unique(made["path"][rounds == number])) >= items * 0.98
    one = made[made["path"] == made["path"][0]]
    assert len(np.unique(one["ip"])) > len(one) / 2, "another of its homes each time"
    order = [tuple(made["path"][rounds == number][:20].tolist()) for number in range(3)]
    assert len(set(order)) == 3, "in another order each round"


def test_popular_items_are_paired_with_four_of_the_sellers_own() -> None:
    made, scene = attack("covisit_injection")
    items, scripts = of(made, "item"), of(made, "static")
    numbers = np.array([int(path.split("/")[-1]) for path in paths(items, scene)])
    popular, own = items[numbers <= 50], items[numbers > ITEMS - 900]
    assert len(popular) == len(own) == len(scripts) == len(made) / 3
    assert len(np.unique(own["path"])) == 4
    for row in popular[:60]:
        waited_ms = own["ts_ms"][own["ip"] == row["ip"]] - row["ts_ms"]
        assert ((waited_ms >= 4000) & (waited_ms <= 9000)).any()
    assert set(made["user"].tolist()) == {ABSENT}


def test_a_cart_is_asked_for_thirty_postcodes_and_never_paid() -> None:
    made, scene = attack("quote_mining")
    quotes, carts = of(made, "checkout"), of(made, "cart_add")
    assert len(quotes) + len(carts) == len(made)
    assert share(quotes, 422) == pytest.approx(1 / 15, abs=0.02)
    mine = made[made["ip"] == made["ip"][0]]
    begins = np.flatnonzero(mine["endpoint"] == ENDPOINT_CODES["cart_add"])
    assert begins[0] == 0
    assert set(np.diff(begins).tolist()) == {31}, "thirty postcodes, then the next piece"
    assert each(of(mine, "checkout")["path"]).max() == 1
    assert "zip=" in paths(of(mine, "checkout")[:1], scene)[0]


def test_one_package_is_fetched_over_and_over_by_builds_that_there_are_not() -> None:
    made, scene = attack("download_inflation")
    assert len(np.unique(made["path"])) == 1
    assert share(made, 200) == 1
    assert len(np.unique(np.stack([made["ip"], made["key"]]), axis=1).T) == len(np.unique(made["ip"]))
    assert all(scene.world.keys.texts[key].startswith("key-trial-") for key in np.unique(made["key"]).tolist())
    assert len(agents(made, scene)) == 5
    a_minute = np.bincount(made["ts_ms"] // 60_000)[:14]
    assert np.ptp(a_minute) < 0.25 * a_minute.mean(), "an even trickle"


def test_volunteers_go_through_one_list_of_eight_each_by_himself() -> None:
    made, scene = attack("volunteer_flood", "weak")
    targets = [
        ENDPOINT_CODES[name]
        for name in ("search", "suggest", "list", "login", "reset", "coupon", "register", "graphql")
    ]
    assert set(np.unique(made["endpoint"]).tolist()) == set(targets)
    mine = made[made["ip"] == made["ip"][0]]
    assert mine["endpoint"].tolist() == [targets[number % 8] for number in range(len(mine))]
    assert len(np.unique(mine["ua"])) > 8, "another name with every request"
    assert share(of(made, "login"), 401) > 0.9
    strong, _ = attack("volunteer_flood", "strong")
    assert share(strong, 503, 504) == pytest.approx(0.29, abs=0.03)
    searches = of(strong, "search")
    assert len(np.unique(searches["path"])) > 0.99 * len(searches)
    at_home = {scene.world.asns[ip] in range(64496, 64502) for ip in np.unique(made["ip"]).tolist()}
    assert at_home == {True, False}


def test_carts_are_opened_for_nobody_with_anything_in_them() -> None:
    made, _ = attack("cart_flood", "strong")
    filled, looked = of(made, "cart_add"), of(made, "cart")
    assert len(filled) + len(looked) == len(made)
    assert len(looked) / len(made) == pytest.approx(0.1, abs=0.01)
    assert share(made, 500, 503) == pytest.approx(0.25, abs=0.02)
    assert each(filled["path"]).max() < 20
    assert set(made["user"].tolist()) == {ABSENT}
    assert share(attack("cart_flood", "weak")[0], 500, 503) < 0.02


def test_the_assistant_is_asked_three_times_by_visitors_who_are_nobody() -> None:
    made, _ = attack("assistant_drain", "strong")
    asked, opened = of(made, "assistant"), of(made, "item")
    assert len(asked) == 3 * len(opened)
    assert len(asked) + len(opened) == len(made)
    assert set(made["user"].tolist()) == {ABSENT}
    assert share(asked, 503, 504) == pytest.approx(0.4, abs=0.03)
    assert share(of(attack("assistant_drain", "weak")[0], "assistant"), 503, 504) < 0.02


def test_behind_the_noise_accounts_are_read_by_a_few_machines() -> None:
    made, scene = attack("smokescreen", "strong")
    noise = of(made, "search")
    stolen = made[made["endpoint"] != ENDPOINT_CODES["search"]]
    assert len(stolen) / len(made) == pytest.approx(1 / 25, abs=0.005)
    assert share(noise, 503) == pytest.approx(1 / 3, abs=0.08)
    assert share(stolen, 200) == 1
    assert not np.isin(stolen["ip"], noise["ip"]).any()
    assert len(np.unique(stolen["ip"])) == 6
    assert len(of(stolen, "account")) == len(of(stolen, "orders")) == len(of(stolen, "invoice")) / 2
    assert len(np.unique(stolen["user"])) == len(of(stolen, "account"))
    assert scene.world.users.texts[int(stolen["user"][0])].startswith("user")


def test_a_telephone_buys_the_one_thing_by_itself_in_seconds() -> None:
    made, scene = attack("subscription_trojan")
    steps = [ENDPOINT_CODES[name] for name in ("token", "app_item", "cart_add", "checkout", "verify", "pay")]
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= {64502, 64503}, "carriers of good clients"
    for ip in np.unique(made["ip"]).tolist():
        mine = made[made["ip"] == ip]
        assert mine["endpoint"].tolist() == steps
        assert len(np.unique(mine["user"])) == 1
        assert np.ptp(mine["ts_ms"]) < 25_000
    assert np.median([np.ptp(made["ts_ms"][made["ip"] == ip]) for ip in np.unique(made["ip"]).tolist()]) < 6000
    assert len(np.unique(of(made, "app_item")["path"])) == 1
    assert share(of(made, "pay"), 402) == pytest.approx(0.1, abs=0.08)
    assert each(made["user"]).max() == 6


def test_five_files_are_put_up_and_fetched_one_after_the_other() -> None:
    made, scene = attack("free_hosting")
    put, fetched = of(made, "profile"), of(made, "missing")
    assert len(put) + len(fetched) == len(made)
    assert len(put) == 5 * 2 * 5
    assert len(np.unique(put["user"])) == len(put)
    assert len(np.unique(fetched["path"])) == 5
    begins = [int(fetched["ts_ms"][fetched["path"] == path].min()) for path in np.unique(fetched["path"]).tolist()]
    assert np.diff(np.sort(begins)).min() > 170_000, "one after the other"
    assert share(fetched, 404) == pytest.approx(0.05, abs=0.02)
    for path in np.unique(fetched["path"]).tolist():
        status = fetched["status"][fetched["path"] == path]
        assert (np.diff((status == 404).astype(int)) >= 0).all(), "gone once it is gone"
    assert agents(fetched, scene) == {"Microsoft BITS/7.8"}
    assert not np.isin(put["ip"], fetched["ip"]).any()


def test_tokens_are_renewed_every_five_minutes_and_nothing_is_read() -> None:
    made, _ = attack("token_keeping")
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES["token"]}
    lost = made["user"][made["status"] == 401]
    assert len(lost) / len(np.unique(made["user"])) == pytest.approx(0.1, abs=0.05)
    for user in lost.tolist()[:10]:
        assert made["status"][made["user"] == user][-1] == 401, "not asked for again"
    for user in np.unique(made["user"]).tolist()[:60]:
        mine = made[made["user"] == user]
        assert len(np.unique(mine["ip"])) == 1
        gaps_ms = np.diff(mine["ts_ms"])
        assert not len(gaps_ms) or 286_000 < gaps_ms.min() <= gaps_ms.max() < 294_000
