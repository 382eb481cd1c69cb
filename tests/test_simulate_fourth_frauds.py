"""The fourth set's attacks on accounts, money, shop and community are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ENDPOINTS, Rows

NAMES = tuple(ENDPOINTS)


def visits(made: Rows) -> list[list[str]]:
    """The endpoints of each account, in order."""
    return [
        [NAMES[code] for code in made["endpoint"][made["user"] == user].tolist()]
        for user in np.unique(made["user"][made["user"] != ABSENT]).tolist()
    ]


def networks(made: Rows, scene: Scene) -> set[int]:
    return {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}


def test_who_has_a_moved_number_is_in_at_the_first_try_and_one_in_five_is_not() -> None:
    made, scene = attack("number_hijack", "strong")
    bought = ["reset", "verify", "login", "verify", "profile", "cart_add", "checkout", "pay"]
    seen = visits(made)
    assert {tuple(steps) for steps in seen} == {tuple(bought), ("reset", "verify")}
    assert np.mean([len(steps) == 2 for steps in seen]) == pytest.approx(0.2, abs=0.01)
    assert set(of(made, "reset")["status"].tolist()) == {202}
    assert (made["status"] == 401).sum() == sum(len(steps) == 2 for steps in seen)
    assert networks(made, scene) == {64502, 64503}, "telephones at good clients' carriers"


def test_the_weak_hijack_is_four_accounts_in_fifty_minutes() -> None:
    made, scene = attack("number_hijack", "weak")
    assert len(np.unique(made["user"])) == 4
    assert all(scene.world.users.texts[user].startswith("user") for user in made["user"].tolist())


def test_a_borrowed_desk_looks_everybody_up_and_one_customer_in_three_is_taken_over() -> None:
    made, _ = attack("panel_takeover", "strong")
    desk, looked = of(made, "sso"), of(made, "backoffice")
    assert len(np.unique(desk["ip"])) == 4
    for ip in np.unique(desk["ip"]).tolist():
        assert desk["status"][desk["ip"] == ip].tolist() == [401, 401, 200]
    assert looked["ts_ms"].min() > desk["ts_ms"].max()
    assert set(looked["ip"].tolist()) == set(desk["ip"].tolist())
    reset = of(made, "reset")
    assert len(reset) == pytest.approx(len(looked) / 6, abs=1)
    assert not np.isin(reset["ip"], desk["ip"]).any(), "from other machines"
    victims = made[~np.isin(made["ip"], desk["ip"])]
    assert {tuple(steps) for steps in visits(victims)} == {("reset", "login", "profile")}
    assert len(np.unique(of(made, "login")["user"])) == len(of(made, "login"))


def test_one_account_that_was_sold_is_opened_all_over_the_world() -> None:
    made, scene = attack("seat_resale", "weak")
    assert len(np.unique(made["user"])) == 1
    assert len({scene.world.countries[ip] for ip in made["ip"].tolist()}) > 5
    many, _ = attack("seat_resale", "strong")
    assert len(np.unique(many["user"])) == 8
    signed = of(many, "login")
    assert (signed["status"] == 200).sum() * 6 == len(of(many, "app_item"))
    assert share(signed, 401) == pytest.approx(1 / 13, abs=0.03)
    assert each(signed["ip"][signed["status"] == 200]).max() <= 2


def test_a_worm_grows_needs_no_password_and_is_refused_in_the_end() -> None:
    made, scene = attack("consent_worm", "strong")
    assert not len(of(made, "login", "register"))
    tokens, told = of(made, "token"), of(made, "review")
    assert each(tokens["user"]).max() == 1
    tenths = np.histogram(tokens["ts_ms"], bins=10, range=(0, scene.span_s * 1000))[0]
    assert tenths[-2] > 8 * tenths[0]
    assert tokens["ts_ms"][tokens["status"] == 401].min() > 0.88 * scene.span_s * 1000
    assert tokens["ts_ms"][tokens["status"] == 200].max() < 0.9 * scene.span_s * 1000
    assert len(told) == 2 * (tokens["status"] == 200).sum() == 2 * len(of(made, "account"))
    assert share(told, 422) == pytest.approx(0.1, abs=0.03)
    assert most_in_a_minute(made, "ip") <= 120


def test_a_refund_is_talked_for_in_six_messages_and_each_account_comes_once() -> None:
    made, _ = attack("refund_service", "strong")
    for steps in visits(made):
        tries = steps.count("login")
        assert steps[tries:] == ["orders", "invoice", *["assistant"] * 6, "logout"]
    signed = of(made, "login")
    assert set(each(signed["user"][signed["status"] == 200]).tolist()) == {1}
    assert share(of(made, "assistant"), 422) == pytest.approx(1 / 12, abs=0.02)
    weak, _ = attack("refund_service", "weak")
    assert len(np.unique(weak["user"])) == 5


def test_orders_for_somebody_elses_customers_have_another_address_each_and_cards_that_fail() -> None:
    made, scene = attack("triangulation")
    assert len(np.unique(made["user"])) == len(np.unique(made["ip"])) == 5
    orders = len(of(made, "checkout"))
    assert len(of(made, "profile")) == len(of(made, "item")) == len(of(made, "search")) == orders
    paid = of(made, "pay")
    assert (paid["status"] == 200).sum() == orders
    assert (paid["status"] == 402).sum() / orders == pytest.approx(0.2, abs=0.1)
    assert np.median([int(path.split("/")[-1]) for path in paths(of(made, "item"), scene)]) < 2500
    assert networks(made, scene) <= set(range(64496, 64502))
    for user in np.unique(made["user"]).tolist():
        assert made["endpoint"][made["user"] == user][0] == ENDPOINT_CODES["login"]


def test_made_up_people_have_one_mailbox_and_ask_until_one_in_four_has_credit() -> None:
    made, scene = attack("synthetic_credit", "strong")
    names = {scene.world.users.texts[user] for user in made["user"].tolist() if user != ABSENT}
    assert {name.replace(".", "") for name in names} == {"katrinholdsworth"}
    asked = of(made, "checkout")
    assert set(each(asked["user"]).tolist()) == {4}
    assert (asked["status"] == 200).sum() == len(of(made, "pay")) == pytest.approx(len(names) / 4, abs=1)
    assert share(asked, 200, 403) == 1
    granted = of(made, "pay")["user"][0]
    assert asked["status"][asked["user"] == granted].tolist() == [403, 403, 403, 200]
    assert len(of(made, "profile")) == len(asked)
    assert len(of(made, "register")) == len(names)


def test_lists_are_read_in_order_and_four_mistakes_are_bought_by_the_dozen() -> None:
    made, scene = attack("freebie_bots", "strong")
    pages = [int(path.split("=")[-1]) for path in paths(of(made, "list"), scene)]
    assert np.isin(np.diff(pages), (1, -239)).mean() > 0.99
    assert not len(of(made, "item", "static"))
    paid, carts = of(made, "pay"), of(made, "cart_add")
    assert each(paid["user"]).max() == 1
    buyers = np.unique(carts["user"][carts["status"] == 409])
    assert not np.isin(paid["user"], buyers).any(), "too late"
    assert (carts["status"] == 200).sum() == 6 * len(paid)
    gaps_ms = np.sort(np.diff(paid["ts_ms"]))
    assert gaps_ms[-3] > 20_000, "four bursts"
    assert gaps_ms[-4] < 5_000


def test_a_price_is_argued_with_in_four_ways_and_hardly_ever_granted() -> None:
    made, _ = attack("price_tampering", "strong")
    assert len(np.unique(made["user"])) == len(np.unique(made["ip"])) == 4
    for user in np.unique(made["user"]).tolist():
        assert made["endpoint"][made["user"] == user][0] == ENDPOINT_CODES["login"]
    tried = made[made["endpoint"] != ENDPOINT_CODES["login"]]
    assert len(of(tried, "cart_add", "checkout", "coupon", "pay")) == len(tried)
    assert share(tried, 400, 409, 422) == pytest.approx(0.79, abs=0.04)
    assert 0 < share(of(tried, "pay"), 200) < 0.13


def test_ten_cards_are_kept_in_a_profile_and_nothing_is_bought() -> None:
    made, _ = attack("wallet_testing")
    assert {tuple(steps) for steps in visits(made)} == {("login", "account", *["profile"] * 10)}
    kept = of(made, "profile")
    for status, usual in ((402, 0.86), (422, 0.1), (200, 0.04)):
        assert share(kept, status) == pytest.approx(usual, abs=0.025)
    assert most_in_a_minute(made, "ip") < 60


def test_stock_is_counted_twice_item_after_item_by_carts_that_are_refused() -> None:
    made, _ = attack("stock_counting")
    assert set(made["user"].tolist()) == {ABSENT}
    assert len(of(made, "item")) == len(of(made, "cart_add")) == len(made) / 2
    assert set(each(of(made, "item")["path"]).tolist()) == {2}
    half = len(of(made, "item")) // 2
    assert len(np.unique(of(made, "item")["path"][: half - 20])) == half - 20, "the second round comes after the first"
    assert share(of(made, "cart_add"), 200) == pytest.approx(1 / 15, abs=0.03)
    assert share(of(made, "cart_add"), 200, 409) == 1


def test_an_assistant_refuses_four_in_ten_and_its_codes_are_tried() -> None:
    made, _ = attack("assistant_coaxing", "strong")
    assert {tuple(steps) for steps in visits(made)} == {(*["assistant"] * 10, "coupon", "coupon")}
    assert len(of(made, "register")) == len(visits(made))
    assert share(of(made, "assistant"), 422) == pytest.approx(0.4, abs=0.04)
    assert share(of(made, "coupon"), 200) == pytest.approx(1 / 12, abs=0.04)
    assert len(of(made, "home", "item", "list", "search", "static")) == 0


def test_all_vote_on_the_same_twenty_five_reviews_until_a_third_is_hidden() -> None:
    made, scene = attack("pile_on")
    votes = of(made, "vote")
    assert len(np.unique(votes["path"])) == len(np.unique(of(made, "reviews")["path"])) == 25
    assert set(each(votes["user"]).tolist()) == {8}
    one = votes["path"][votes["user"] == votes["user"][0]]
    assert len(np.unique(one)) == 8, "no review twice by one account"
    hidden = votes[votes["status"] == 404]
    assert len(np.unique(hidden["path"])) == 8
    assert hidden["ts_ms"].min() > 600 * scene.span_s
    late = votes[votes["ts_ms"] > 600 * scene.span_s]
    assert share(late, 404) == pytest.approx(8 / 25, abs=0.06)
    at_home = np.isin([scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()], np.arange(64496, 64502))
    assert at_home.mean() == pytest.approx(0.5, abs=0.01)


def test_a_hired_hand_searches_looks_round_pays_and_praises_before_the_parcel_comes() -> None:
    made, _ = attack("brushing")
    bought = ["login", "search", "item", "item", "item", "cart_add", "checkout", "pay"]
    assert {tuple(steps[:8]) for steps in visits(made)} == {tuple(bought)}
    assert len(np.unique(of(made, "search")["path"])) == 2
    praised = of(made, "review")
    assert len(np.unique(praised["path"])) == 6
    assert len(praised) / len(of(made, "pay")) == pytest.approx(0.8, abs=0.08)
    paid_ms = {int(row["user"]): int(row["ts_ms"]) for row in of(made, "pay")}
    waits_ms = [int(row["ts_ms"]) - paid_ms[int(row["user"])] for row in praised]
    assert 0 < np.median(waits_ms) < 60_000
    assert share(made, 200) == 1


def test_three_phrases_are_typed_by_hundreds_who_do_nothing_else() -> None:
    made, scene = attack("suggestion_poisoning")
    asked = of(made, "search")
    assert set(paths(asked, scene)) == {
        "/search?q=veltrano", "/search?q=veltrano+refund", "/search?q=veltrano+fraud"
    }  # fmt: skip
    assert len(of(made, "suggest")) == 3 * len(asked)
    assert len(of(made, "item")) / len(asked) == pytest.approx(0.5, abs=0.05)
    assert len(np.unique(of(made, "item")["path"])) == 4
    assert len(of(made, "suggest", "search", "item")) == len(made)
    assert set(made["user"].tolist()) == {ABSENT}


def test_accounts_are_kept_warm_in_the_same_seven_steps_at_the_same_pace() -> None:
    made, _ = attack("account_warming", "weak")
    warmed = ("login", "home", "list", "item", "item", "vote", "logout")
    assert {tuple(steps) for steps in visits(made)} == {warmed}
    assert len(np.unique(made["user"])) == 12
    ends_ms = [np.ptp(made["ts_ms"][made["user"] == user]) for user in np.unique(made["user"]).tolist()]
    assert np.std(ends_ms) < 0.05 * np.mean(ends_ms)
    assert share(made, 200) == 1
    strong, _ = attack("account_warming", "strong")
    one = strong[strong["ip"] == strong["ip"][0]]
    assert len(np.unique(one["user"])) > 15
    assert len(np.unique(one["ua"])) > 8, "another browser for each"
