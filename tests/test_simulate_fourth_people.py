"""The fourth set's good cases of people and organisations are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, of, paths, share

from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, Ints, Rows

CASES = (
    "charity_evening", "election_night", "tv_mention", "review_storm", "hospital_shifts", "company_merger",
    "corporate_gifts", "helpers_login", "product_recall", "lost_sessions", "cruise_ship", "seniors_course",
)  # fmt: skip
# What people and their browsers use on other days: `people`, and `services` for those who are signed in.
USED: Ints = np.array(
    [
        ENDPOINT_CODES[name]
        for name in (
            "home", "list", "item", "reviews", "search", "suggest", "article", "static", "cart", "cart_add", "coupon",
            "checkout", "pay", "review", "account", "profile", "orders", "login", "logout", "reset", "register",
            "token", "verify", "invoice", "vote", "assistant", "missing", "api_items",
        )
    ]
)  # fmt: skip


def right(made: Rows, endpoint: str) -> set[int]:
    """Whose request to it was answered well."""
    answered = of(made, endpoint)
    return set(answered["user"][answered["status"] < 300].tolist())


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_keeps_to_what_people_use_and_to_addresses_of_good_clients(name: str) -> None:
    made, scene = good(name)
    assert np.isin(made["endpoint"], USED).all()
    asns = {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}
    assert asns <= set(range(64496, 64510)), "none of a machine for rent"
    assert set(made["key"].tolist()) == {ABSENT}


def test_gifts_come_after_each_of_six_calls_and_a_seventh_of_the_cards_fail_first() -> None:
    made, scene = good("charity_evening")
    gifts = of(made, "item")
    assert len(gifts) == 180
    assert len(np.unique(gifts["path"])) == 1
    calls_s = (gifts["ts_ms"] - gifts["ts_ms"][0]) / 1000 % 720
    assert np.minimum(calls_s, 720 - calls_s).max() < 490
    paid = of(made, "pay")
    assert (paid["status"] == 402).sum() / 180 == pytest.approx(1 / 7, abs=0.06)
    assert (paid["status"] == 200).sum() / 180 == pytest.approx(1.2, abs=0.08)
    assert {int(ip) for ip in paid["ip"][paid["status"] == 402]} <= {
        int(ip) for ip in paid["ip"][paid["status"] == 200]
    }
    behind = np.array([scene.world.ips.texts[ip].startswith("100.") for ip in gifts["ip"].tolist()])
    assert behind.mean() == pytest.approx(1 / 3, abs=0.1)


def test_a_page_of_results_loads_itself_like_a_clock_for_hundreds() -> None:
    made, _ = good("election_night")
    assert len(np.unique(made["path"])) == 1
    addresses, seen = np.unique(made["ip"], return_counts=True)
    assert len(addresses) == 241
    hall = addresses[np.argmax(seen)]
    assert seen.max() > 1000
    gaps_ms = np.concatenate([np.diff(made["ts_ms"][made["ip"] == ip]) for ip in addresses.tolist() if ip != hall])
    assert (np.minimum(abs(gaps_ms - 30_000), abs(gaps_ms - 60_000)) < 2500).all()
    assert max(np.ptp(made["ts_ms"][made["ip"] == ip]) for ip in addresses.tolist() if ip != hall) <= 2_400_000
    assert share(made, 304) == pytest.approx(0.5, abs=0.03)
    failed = made["ts_ms"][made["status"] == 503]
    assert np.ptp(failed) <= 121_000
    firsts = np.array([made["ts_ms"][made["ip"] == ip][0] for ip in addresses.tolist()])
    assert (firsts < firsts.min() + 300_000).mean() == pytest.approx(0.7, abs=0.08)


def test_a_word_on_television_is_typed_in_five_spellings_within_minutes() -> None:
    made, scene = good("tv_mention")
    spelt = {path for path in paths(of(made, "search"), scene) if "sili" in path}
    assert len(spelt) == 5
    typed = of(made, "suggest")[["/suggest?q=sil" in path for path in paths(of(made, "suggest"), scene)]]
    assert 2 * 210 < len(typed) < 5 * 210
    assert np.ptp(typed["ts_ms"]) < 255_000
    opened = [path for path in paths(of(made, "item"), scene) if path == "/items/1618"]
    assert len(opened) / 210 == pytest.approx(0.9, abs=0.06)
    right_word = sum(path == "/search?q=silikomart" for path in paths(of(made, "search"), scene))
    assert right_word == 210, "everybody spells it right in the end"


def test_the_angry_write_once_each_under_one_item_and_a_quarter_is_held_back_first() -> None:
    made, _ = good("review_storm")
    wrote = of(made, "review")
    assert len(np.unique(wrote["path"])) == len(np.unique(of(made, "item")["path"])) == 1
    assert set(each(wrote["user"][wrote["status"] == 200]).tolist()) == {1}
    assert len(right(made, "review")) == 120
    assert (wrote["status"] == 422).sum() / 120 == pytest.approx(0.25, abs=0.1)
    votes = each(of(made, "vote")["user"])
    assert (votes.min(), votes.max()) == (2, 4)
    assert len(of(made, "register")) / 120 == pytest.approx(0.4, abs=0.1)
    assert len(right(made, "login")) == 120 - len(of(made, "register"))
    assert np.ptp(of(made, "item")["ts_ms"]) <= 10_800_000


def test_a_ward_signs_in_and_out_at_nine_terminals_behind_one_address() -> None:
    made, scene = good("hospital_shifts")
    assert len(np.unique(made["ip"])) == 1
    assert len(np.unique(made["ua"])) == 9
    assert len(right(made, "login")) == 3 * 70
    signed = of(made, "login")
    assert (signed["status"] == 200).sum() == len(of(made, "logout")) == len(of(made, "orders"))
    often = each(signed["user"][signed["status"] == 200])
    assert (often.min(), often.max()) == (3, 7)
    assert (signed["status"] == 401).sum() / len(of(made, "logout")) == pytest.approx(1 / 9, abs=0.03)
    assert len(of(made, "cart_add")) / len(of(made, "logout")) == pytest.approx(2, abs=0.1)
    one = signed[signed["user"] == signed["user"][-1]]
    assert len(np.unique(one["ua"])) > 1, "whatever terminal is free"
    assert all("nurse" in scene.world.users.texts[user] for user in np.unique(made["user"]).tolist())


def test_everybody_of_a_firm_changes_his_address_and_confirms_it() -> None:
    made, _ = good("company_merger")
    for endpoint in ("login", "profile", "verify", "logout"):
        assert len(right(made, endpoint)) == 90
    by, often = np.unique(of(made, "logout")["ip"], return_counts=True)
    assert np.sort(often)[-2:].sum() / 90 == pytest.approx(0.8, abs=0.1)
    assert len(by) == pytest.approx(2 + 18, abs=8)
    assert (of(made, "profile")["status"] == 400).sum() / 90 == pytest.approx(1 / 12, abs=0.06)
    assert (of(made, "verify")["status"] == 401).sum() / 90 == pytest.approx(1 / 8, abs=0.08)


def test_presents_go_to_another_address_each_and_a_bank_says_no_for_a_while() -> None:
    made, _ = good("corporate_gifts")
    assert len(np.unique(made["ip"])) == len(np.unique(made["user"])) == 8
    assert len(np.unique(of(made, "item")["path"])) == 3
    for user in np.unique(made["user"]).tolist():
        firm = made[made["user"] == user]
        presents = len(of(firm, "profile"))
        assert 30 <= presents <= 90
        assert (of(firm, "pay")["status"] == 200).sum() == presents
        declined = of(firm, "pay")[of(firm, "pay")["status"] == 402]
        assert 3 <= len(declined) <= 7
        assert np.ptp(declined["ts_ms"]) < 480_000
        during = of(firm, "pay")
        first, last = declined["ts_ms"][0], declined["ts_ms"][-1]
        between = during[(during["ts_ms"] >= first) & (during["ts_ms"] <= last)]
        assert share(between, 402) >= 0.75, "the bank takes nearly none meanwhile"


def test_helpers_share_one_account_and_are_all_thrown_out_in_the_middle() -> None:
    made, _ = good("helpers_login")
    assert len(np.unique(made["user"])) == 1
    assert len(np.unique(made["ip"])) == 25
    signed = of(made, "login")
    assert (signed["status"] == 200).sum() == 80
    reset = of(made, "reset")
    assert reset["status"].tolist() == [202]
    after = signed[signed["ts_ms"] > reset["ts_ms"][0]]
    assert 40 <= (after["status"] == 401).sum() <= 80
    assert after["ts_ms"].max() - reset["ts_ms"][0] <= 900_000
    looks = of(made, "orders")
    soon = (looks["ts_ms"] > reset["ts_ms"][0]) & (looks["ts_ms"] < reset["ts_ms"][0] + 60_000)
    assert soon.sum() == 0, "nobody is signed in"


def test_buyers_of_what_is_recalled_all_get_their_invoices() -> None:
    made, _ = good("product_recall")
    for endpoint in ("login", "orders", "invoice"):
        assert len(right(made, endpoint)) == 150
    reset = of(made, "reset")
    assert len(reset) / 150 == pytest.approx(0.25, abs=0.08)
    failed = of(made, "login")[of(made, "login")["status"] == 401]
    forgot = each(failed["user"][np.isin(failed["user"], reset["user"])])
    assert (forgot.min(), forgot.max()) == (2, 4)
    invoices, talked = each(of(made, "invoice")["user"]), each(of(made, "assistant")["user"])
    assert (invoices.min(), invoices.max(), talked.min(), talked.max()) == (1, 4, 2, 5)
    assert share(of(made, "assistant"), 503) == pytest.approx(0.1, abs=0.04)


def test_all_who_are_thrown_out_sign_in_again_within_minutes() -> None:
    made, _ = good("lost_sessions")
    thrown = of(made, "account", "cart", "orders")
    refused = thrown[(thrown["status"] == 401) & (thrown["user"] == ABSENT)]
    signed = of(made, "login")
    assert len(right(made, "login")) == (signed["status"] == 200).sum() == 120
    assert 120 <= len(refused) <= 480
    assert np.ptp(refused["ts_ms"]) < 320_000
    assert np.ptp(signed["ts_ms"][signed["status"] == 200]) < 400_000
    assert len(of(made, "reset")) / 120 == pytest.approx(1 / 12, abs=0.05)


def test_a_ship_has_four_addresses_and_four_others_the_next_hour() -> None:
    made, _ = good("cruise_ship")
    hours = made["ts_ms"] // 3_600_000
    for hour in np.unique(hours).tolist():
        assert len(np.unique(made["ip"][hours == hour])) <= 4
        assert not np.isin(made["ip"][hours == hour], made["ip"][hours != hour]).any()
    asked, codes = right(made, "login"), of(made, "verify")
    assert set(codes["user"].tolist()) == asked
    assert share(codes, 401) > 0.6
    assert 0.45 < len(right(made, "verify")) / len(asked) < 0.9


def test_beginners_do_all_that_their_teacher_does_and_his_coupon_is_for_one() -> None:
    made, scene = good("seniors_course")
    assert len(np.unique(made["ip"])) == 1
    forms = of(made, "register")
    assert (forms["status"] == 200).sum() == len(right(made, "login")) == len(right(made, "verify")) == 18
    assert set(forms["status"].tolist()) == {200, 409, 422}
    wrong = of(made, "login")
    wrong_each = each(wrong["user"][wrong["status"] == 401])
    assert (len(wrong_each), wrong_each.min(), wrong_each.max()) == (18, 1, 5)
    assert len(of(made, "reset")) == 5
    coupon = of(made, "coupon")["status"].tolist()
    assert coupon == [200, *[409] * 17]
    assert len(set(paths(of(made, "search", "item"), scene))) == 2
    for endpoint in ("home", "logout", "search", "item", "cart_add", "coupon"):
        assert np.ptp(of(made, endpoint)["ts_ms"]) < 180_000
