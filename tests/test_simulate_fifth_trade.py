"""The fifth set's attacks on what is worth money, and by what is written, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, of, paths, share

from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ENDPOINTS

NAMES = tuple(ENDPOINTS)


def test_a_card_is_tried_eighteen_times_or_until_it_fits_and_then_left() -> None:
    made, scene = attack("card_cracking", "strong")
    assert set(made["user"].tolist()) == {ABSENT}
    carts, paid = of(made, "cart_add"), of(made, "pay")
    cards = len(carts)
    assert len(of(made, "checkout")) == cards
    assert (paid["status"] == 200).sum() / cards == pytest.approx(1 / 12, abs=0.005)
    assert share(paid, 200, 402) == 1
    assert 16 * cards < len(paid) <= 18 * cards
    weak, _ = attack("card_cracking", "weak")
    assert (of(weak, "pay")["status"] == 200).sum() == 1
    one = weak[weak["ip"] == weak["ip"][0]]
    assert np.median(np.diff(of(one, "pay")["ts_ms"])) == pytest.approx(20_000, rel=0.45)
    assert len({scene.world.asns[ip] for ip in made["ip"].tolist()}) > 8


def test_ten_members_points_pay_for_one_cart_of_somebody_else() -> None:
    made, scene = attack("points_pooling", "strong")
    tokens, paid = of(made, "token"), of(made, "pay")
    assert share(tokens, 401) == pytest.approx(1 / 12, abs=0.005)
    assert each(tokens["user"]).max() == 1
    given = (tokens["status"] == 200).sum()
    assert len(of(made, "balance")) == given
    assert len(paid) == given // 10
    assert len(of(made, "coupon")) == given + 10 * len(paid)
    assert len(of(made, "cart_add")) == 2 * len(paid)
    assert not np.isin(paid["user"], tokens["user"]).any()
    assert all("collector" in scene.world.users.texts[user] for user in np.unique(paid["user"]).tolist())
    lapsed = tokens["user"][tokens["status"] == 401]
    assert not np.isin(made["user"][made["endpoint"] != ENDPOINT_CODES["token"]], lapsed).any()
    assert len(of(attack("points_pooling", "weak")[0], "pay")) >= 1


def test_friends_are_made_up_and_who_recommends_them_spends_it_all_in_the_end() -> None:
    made, scene = attack("referral_ring")
    forms = of(made, "register")
    friends = (forms["status"] == 200).sum()
    assert share(forms, 422) == pytest.approx(0.09, abs=0.05)
    codes = np.unique(of(made, "home")["path"])
    assert len(codes) == 4, "an old account for five addresses, and one"
    assert all("?ref=" in path for path in paths(of(made, "home"), scene))
    old = {
        user for user in made["user"].tolist() if user != ABSENT and scene.world.users.texts[user].startswith("user")
    }
    assert len(old) == 4
    bought = of(made, "pay")
    assert len(bought) == friends + 4
    assert len(of(made, "coupon")) == friends
    balances = of(made, "balance")
    assert len(balances) - 4 == pytest.approx(friends / 5, abs=4)
    spent = bought[np.isin(bought["user"], list(old))]
    assert spent["ts_ms"].min() > 950 * scene.span_s
    assert len(np.unique(of(made, "cart_add")["path"])) == 1


def test_bids_come_in_the_last_two_seconds_and_whoever_was_last_pays() -> None:
    made, scene = attack("bid_sniping")
    bids, looks = of(made, "cart_add"), of(made, "item")
    assert len(bids) == 2 * len(looks)
    lots = len(np.unique(looks["path"]))
    assert len(of(made, "pay")) == len(of(made, "checkout")) == lots
    every_ms = 90_000
    closes_ms = 0.6 * every_ms + every_ms * np.arange(lots)
    before_ms = closes_ms[:, None] - bids["ts_ms"][None, :]
    nearest = np.where(before_ms >= 0, before_ms, np.inf).min(axis=0)
    assert (nearest <= 2001).all()
    assert share(bids, 409) == pytest.approx(0.575, abs=0.06)
    assert len(np.unique(made["user"])) == len(np.unique(made["ip"])) == 20
    for paid in of(made, "checkout"):
        last = bids[bids["ts_ms"] < paid["ts_ms"]][-1]
        assert (last["user"], last["status"]) == (paid["user"], 200)
    assert not len(of(made, "login"))
    assert scene.span_s == 1200


def test_true_messages_are_posted_again_and_what_they_bring_is_spent() -> None:
    made, scene = attack("webhook_replay", "strong")
    posted = of(made, "callback")
    assert share(posted, 409) == pytest.approx(1 / 3, abs=0.04)
    assert share(posted, 200, 409) == 1
    assert {scene.world.agents.texts[ua] for ua in posted["ua"].tolist()} == {"PayBridge-Hooks/2.1"}
    for endpoint in ("balance", "cart_add", "checkout", "pay"):
        assert len(of(made, endpoint)) == len(posted) // 8
    assert len(np.unique(made["user"][made["user"] != ABSENT])) <= 6


def test_strangers_are_signed_up_for_the_mail_and_never_heard_of_again() -> None:
    made, _ = attack("name_field_spam", "strong")
    forms = of(made, "register")
    assert len(forms) == len(of(made, "home")) == len(made) / 2
    for status, usual in ((200, 0.86), (409, 0.08), (422, 0.06)):
        assert share(forms, status) == pytest.approx(usual, abs=0.01)
    assert set(made["user"].tolist()) == {ABSENT}


def test_a_review_is_rewritten_until_the_assistant_says_what_it_shall() -> None:
    made, _ = attack("assistant_poisoning", "strong")
    wrote, asked = of(made, "review"), of(made, "assistant")
    assert share(wrote, 422) == pytest.approx(1 / 7, abs=0.03)
    assert len(asked) == (wrote["status"] == 200).sum()
    rounds = each(wrote["path"])
    assert (rounds.min(), rounds.max()) == (2, 6)
    read = of(made, "reviews")
    assert len(read) == len(np.unique(wrote["path"])) == len(rounds)
    items = [len(np.unique(wrote["path"][wrote["user"] == user])) for user in np.unique(wrote["user"]).tolist()]
    assert max(items) == 5
    assert len(of(made, "login")) == len(np.unique(made["user"]))
    assert not len(of(made, "cart_add", "pay", "item"))
    one = made[(made["user"] == wrote["user"][0])]
    assert NAMES[one["endpoint"][0]] == "login"


def test_a_script_lies_in_ten_fields_until_the_staff_opens_one() -> None:
    made, scene = attack("blind_xss", "strong")
    late = made["ts_ms"] > 700 * scene.span_s
    left, seen = made[~late], made[late]
    assert len(of(seen, "backoffice")) == len(seen)
    assert share(seen, 200) == 1
    assert len(np.unique(seen["user"])) == 1
    assert scene.world.users.texts[int(seen["user"][0])].startswith("staff")
    fields = {NAMES[code] for code in left["endpoint"].tolist()}
    assert len(fields) == 10
    assert np.ptp(each(left["endpoint"])) <= 1
    assert share(left, 400, 422) + share(of(left, "login"), 401) / 10 == pytest.approx(0.55, abs=0.05)
    assert all("script" in path for path in paths(of(left, "search", "missing"), scene))
    assert len(np.unique(left["user"][left["user"] != ABSENT])) == 1
