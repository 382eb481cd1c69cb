"""The sixth set's attacks by who says he is another, and on money that is due, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, attack, each, of, paths, share

from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, Rows


def codes(*endpoints: str) -> list[int]:
    return [ENDPOINT_CODES[name] for name in endpoints]


def by_user(made: Rows, user: int) -> Rows:
    return np.asarray(made[made["user"] == user])


def test_four_questions_are_answered_and_half_the_accounts_opened() -> None:
    made, scene = attack("answered_questions", "strong")
    begun, answers = of(made, "reset"), of(made, "verify")
    n = len(begun)
    assert each(begun["user"]).max() == 1
    wrong = answers[answers["status"] == 401]
    assert len(wrong) / n == pytest.approx(0.5, abs=0.01)
    for endpoint, many in (("account", 1), ("orders", 1), ("invoice", 3)):
        assert len(of(made, endpoint)) == many * (n - len(wrong))
    assert not np.isin(of(made, "account")["user"], wrong["user"]).any()
    asked = each(answers["user"][np.isin(answers["user"], wrong["user"])])
    assert (asked >= 3).mean() == pytest.approx(0.7, abs=0.06)
    assert asked.max() == 4
    one = by_user(made, int(of(made, "invoice")["user"][0]))
    assert one["endpoint"].tolist() == codes("reset", *["verify"] * 4, "account", "orders", *["invoice"] * 3)
    assert len(set(paths(of(one, "invoice"), scene))) == 3


def test_eight_mailboxes_of_a_lapsed_domain_are_asked_in_order_and_a_half_is_there() -> None:
    made, scene = attack("lapsed_domains", "medium")
    asked = of(made, "reset")
    names = [scene.world.users.texts[user].split("@") for user in asked["user"].tolist()]
    domains = {domain for _, domain in names}
    assert len(asked) == 8 * len(domains)
    assert share(asked, 404) == share(asked, 202) == 0.5
    one = [box for box, domain in names if domain == names[0][1]]
    assert one == sorted(one)
    assert len(one) == 8
    there = asked["user"][asked["status"] == 202]
    for endpoint in ("verify", "login", "account", "orders", "invoice"):
        assert sorted(of(made, endpoint)["user"].tolist()) == sorted(there.tolist())
        assert share(of(made, endpoint), 200) == 1
    first = asked["ts_ms"][[domain == names[0][1] for _, domain in names]]
    assert np.median(np.diff(first)) == pytest.approx(1500, abs=250)
    opened = of(made, "verify")["ts_ms"][np.isin(of(made, "verify")["user"], asked["user"][:8])]
    assert opened.min() > first.max()


def test_a_device_is_planted_where_a_guess_fits_and_used_at_the_very_end() -> None:
    made, scene = attack("planted_devices", "strong")
    tried, planted = of(made, "login"), of(made, "device")
    accounts = len(np.unique(tried["user"]))
    assert each(tried["user"]).max() == 6
    fits = tried["user"][tried["status"] == 200]
    assert len(fits) / accounts == pytest.approx(1 / 3, abs=0.01)
    assert sorted(planted["user"].tolist()) == sorted(fits.tolist())
    assert share(planted, 201) == 1
    assert len(agents(planted, scene)) == 1
    tokens = of(made, "token", "api_orders")
    assert tokens["ts_ms"].min() > 890 * scene.span_s
    assert set(tokens["user"].tolist()) == set(fits.tolist())
    lost = np.setdiff1d(tried["user"], fits)
    assert (each(tried["user"][np.isin(tried["user"], lost)]) == 6).all()
    assert set(made["endpoint"][np.isin(made["user"], lost)].tolist()) == set(codes("login"))


def test_what_the_shop_knows_is_asked_for_in_others_names_by_nobody() -> None:
    made, scene = attack("subject_requests", "strong")
    assert set(made["user"].tolist()) == set(made["key"].tolist()) == {ABSENT}
    asked, looks = of(made, "export"), of(made, "exported")
    names = set(paths(asked, scene))
    assert all("subject=user" in name for name in names)
    assert len(looks) == 3 * len(names)
    assert (looks["status"] == 200).sum() / len(names) == pytest.approx(1 / 4, abs=0.01)
    refused = looks["path"][looks["status"] == 403]
    assert len(np.unique(refused)) / len(names) == pytest.approx(1 / 6, abs=0.01)
    assert len(asked) - len(names) == len(np.unique(refused)), "a forged paper each"
    one = looks["ts_ms"][looks["path"] == looks["path"][0]]
    begun = looks["ts_ms"][0]
    assert len(one) == 3
    assert one[2] - one[1] > 0.5 * (one[1] - begun) > 0


def test_bank_accounts_are_changed_before_the_payout_and_put_back_after_it() -> None:
    made, scene = attack("payout_diversion", "strong")
    tried = of(made, "login")
    payout_ms = 770 * scene.span_s
    eve, after = tried[tried["ts_ms"] < payout_ms], tried[tried["ts_ms"] > payout_ms]
    assert share(eve, 401) == pytest.approx(1 / 9, abs=0.01)
    held = eve["user"][eve["status"] == 200]
    assert sorted(after["user"].tolist()) == sorted(held.tolist())
    changed = of(made, "profile")
    assert (each(changed["user"]) == 2).all()
    for user in np.unique(changed["user"])[:40].tolist():
        first, last = np.sort(changed["ts_ms"][changed["user"] == user]).tolist()
        assert first < payout_ms < last
    early, late = (eve["ts_ms"] < payout_ms * 0.44).sum(), (eve["ts_ms"] >= payout_ms * 0.44).sum()
    assert late > 2 * early, "more and more"
    lapsed = eve["user"][eve["status"] == 401]
    assert (each(made["user"][np.isin(made["user"], lapsed)]) == 1).all()


def test_a_seller_long_gone_offers_what_sells_best_and_looks_at_orders_until_he_is_closed() -> None:
    made, scene = attack("dormant_sellers", "strong")
    sellers = np.unique(made["user"])
    assert (of(made, "login")["status"] == 401).sum() == 2 * len(sellers)
    assert len(of(made, "profile")) == len(sellers)
    for user in sellers.tolist():
        mine = by_user(made, user)
        offers, seen = of(mine, "api_stock"), of(mine, "api_orders")
        assert each(offers["path"]).max() == 1
        best = [int(path.split("/")[4]) for path in paths(offers, scene)]
        assert max(best) <= 1500
        assert seen["status"].tolist() == [200] * (len(seen) - 4) + [403] * 4
        assert of(mine, "profile")["ts_ms"][0] < offers["ts_ms"].min()
        assert offers["ts_ms"].max() < seen["ts_ms"].min()
        assert len(offers) > 3 * len(seen)


def test_the_same_cards_are_asked_after_in_rounds_and_drained_at_once() -> None:
    made, scene = attack("card_draining", "strong")
    looks, paid = of(made, "balance"), of(made, "pay")
    assert set(made["user"].tolist()) == {ABSENT}
    full = (looks["status"] == 200).sum()
    assert len(paid) == len(of(made, "coupon")) == len(of(made, "checkout")) == full
    cards = 6 * full
    round_ms = 950 * scene.span_s / 8
    rounds = np.bincount((looks["ts_ms"] // round_ms).astype(int), minlength=8)
    assert rounds[0] == pytest.approx(cards, abs=6)
    assert (np.diff(rounds) <= 0).all()
    assert rounds[7] / cards == pytest.approx(1 - 7 / 8 / 6, abs=0.02)
    for look in looks[looks["status"] == 200][:30]:
        mine = paid[(paid["ip"] == look["ip"]) & (paid["ts_ms"] > look["ts_ms"])]
        assert mine["ts_ms"].min() - look["ts_ms"] < 60_000
    weak, where = attack("card_draining", "weak")
    asked = of(weak, "balance")
    turn = (asked["ts_ms"] // (950 * where.span_s / 8)).astype(int)
    for later in range(1, 8):
        before, ips = iter(asked["ip"][turn == later - 1].tolist()), asked["ip"][turn == later].tolist()
        assert all(ip in before for ip in ips), "the same cards in the same order"


def test_members_take_orders_back_over_and_over_until_it_is_mended() -> None:
    made, scene = attack("viral_glitch", "medium")
    vouchers, back = of(made, "coupon"), of(made, "graphql")
    assert set(paths(back, scene)) == {"/api/graphql?op=cancelOrder"}
    good = (vouchers["status"] == 200).sum()
    assert len(back) == good
    assert len(of(made, "checkout")) - len(of(made, "pay")) == good
    refused = vouchers[vouchers["status"] == 409]
    mended_ms = 720 * scene.span_s
    assert refused["ts_ms"].min() >= mended_ms - 1
    assert vouchers["ts_ms"][vouchers["status"] == 200].max() <= mended_ms
    assert each(refused["user"]).max() <= 3
    assert len(np.unique(made["ip"])) == len(np.unique(made["user"])) == 150
    logins = of(made, "login")["ts_ms"]
    assert (logins > mended_ms / 2).sum() > (logins <= mended_ms / 2).sum()
    assert np.median(each(vouchers["user"])) >= 3
