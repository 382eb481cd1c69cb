"""The sixth set's good cases that begin with a letter, and of what is replaced, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate.world import ABSENT

CASES = (
    "cancelled_concert", "courier_strike", "lapsing_points", "phishing_scare", "passkey_campaign", "new_telephones",
    "reissued_cards", "consumer_testers",
)  # fmt: skip
HOLDERS, WAITERS, COLLECTORS, WORRIED = 210, 150, 180, 210  # at three requests a second
MEMBERS, BUYERS, DECLINED, TESTERS = 150, 90, 120, 12


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_keeps_to_good_clients_networks_and_asks_no_faster_than_people_do(name: str) -> None:
    made, scene = good(name)
    bills = {64508} if name == "reissued_cards" else set()
    assert {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()} <= set(range(64496, 64504)) | bills
    assert most_in_a_minute(made[made["key"] == ABSENT], "ip") <= 15
    assert made["ts_ms"].max() < scene.span_s * 1000


def test_whoever_has_tickets_signs_in_asks_and_looks_again() -> None:
    made, _ = good("cancelled_concert")
    signed, asked = of(made, "login"), of(made, "assistant")
    assert (signed["status"] == 200).sum() == len(of(made, "invoice")) == HOLDERS
    assert len(of(made, "reset")) == len(of(made, "verify")) == -(-HOLDERS // 8)
    forgot = of(made, "reset")["user"]
    assert (each(signed["user"][(signed["status"] == 401) & np.isin(signed["user"], forgot)]) == 3).all()
    asks = each(asked["user"])
    assert (len(asks), asks.min(), asks.max()) == (HOLDERS, 1, 4)
    assert share(asked, 503) == pytest.approx(0.1, abs=0.03)
    looks = each(of(made, "orders")["user"])
    assert (looks.min(), looks.max()) == (3, 6), "the first, and two to five more"
    assert np.ptp(signed["ts_ms"]) < 3_800_000


def test_orders_are_looked_at_all_day_and_some_changes_come_too_late() -> None:
    made, scene = good("courier_strike")
    looks = each(of(made, "orders")["user"])
    assert (len(looks), looks.min(), looks.max()) == (WAITERS, 6, 20)
    asks = each(of(made, "assistant")["user"])
    assert len(asks) / WAITERS == pytest.approx(1 / 3, abs=0.1)
    assert asks.max() <= 3
    moved = of(made, "profile")
    who = len(np.unique(moved["user"]))
    assert who / WAITERS == pytest.approx(1 / 3, abs=0.1)
    assert (moved["status"] == 200).sum() == who // 2
    assert (moved["status"] == 409).sum() == 2 * (who - who // 2)
    assert np.ptp(made["ts_ms"]) == pytest.approx(500 * scene.span_s, rel=0.03)


def test_points_become_vouchers_more_and_more_until_they_lapse() -> None:
    made, _ = good("lapsing_points")
    assert len(of(made, "balance")) == COLLECTORS
    assert len(of(made, "reset")) == COLLECTORS / 3
    vouchers = of(made, "coupon")
    times = each(vouchers["user"][vouchers["status"] == 200])
    assert (len(times), times.min(), times.max()) == (COLLECTORS, 1, 6)
    assert (vouchers["status"] == 409).sum() == COLLECTORS / 10
    gaps = [np.diff(vouchers["ts_ms"][vouchers["user"] == user]) for user in np.unique(vouchers["user"]).tolist()]
    assert np.concatenate(gaps).max() < 4300
    assert len(of(made, "pay")) == COLLECTORS / 4
    first, second = np.histogram(of(made, "balance")["ts_ms"], bins=2)[0]
    assert second > 3 * first


def test_passwords_are_changed_and_other_devices_try_the_old_one() -> None:
    made, _ = good("phishing_scare")
    changed = of(made, "profile")
    assert (changed["status"] == 200).sum() == len(of(made, "logout")) == WORRIED
    assert (changed["status"] == 422).sum() == WORRIED / 5
    assert len(of(made, "assistant")) == WORRIED / 3
    signed = of(made, "login")
    done = dict(zip(changed["user"].tolist(), changed["ts_ms"].tolist(), strict=True))
    after = np.array(
        [at > done[user] for user, at in zip(signed["user"].tolist(), signed["ts_ms"].tolist(), strict=True)]
    )
    other = signed[after]
    assert (other["status"] == 200).sum() == WORRIED / 2
    old = each(other["user"][other["status"] == 401])
    assert (len(old), old.min(), old.max()) == (WORRIED / 2, 1, 2)


def test_devices_are_registered_and_used_and_one_member_in_six_gives_up() -> None:
    made, _ = good("passkey_campaign")
    tried, devices = of(made, "verify"), of(made, "device")
    assert share(devices, 201) == 1
    gone = np.setdiff1d(devices["user"], tried["user"][tried["status"] == 200])
    assert len(gone) == MEMBERS / 6
    assert (each(tried["user"][np.isin(tried["user"], gone)]) == 3).all()
    assert each(tried["user"][tried["status"] == 401]).max() == 3
    assert len(of(made, "token")) == len(of(made, "logout")) == MEMBERS - len(gone)
    second = len(devices) - MEMBERS
    assert second / (MEMBERS - len(gone)) == pytest.approx(0.5, abs=0.12)
    assert len(of(made, "login")) == MEMBERS + second


def test_apps_wake_up_on_new_telephones_with_tokens_that_are_not_for_them() -> None:
    made, scene = good("new_telephones")
    tokens = of(made, "token")
    old = np.array(["5.8" in scene.world.agents.texts[ua] for ua in tokens["ua"].tolist()])
    woke = each(tokens["user"][~old & (tokens["status"] == 401)])
    assert (len(woke), woke.min(), woke.max()) == (BUYERS, 3, 8)
    assert (each(tokens["user"][old]) == 2).all()
    assert share(tokens[old], 401) == 1
    for endpoint in ("verify", "device", "app_feed"):
        assert sorted(of(made, endpoint)["user"].tolist()) == sorted(np.unique(tokens["user"]).tolist())
    items = each(of(made, "app_item")["user"])
    assert (items.min(), items.max()) == (4, 12)
    assert len(agents(made, scene)) == 2
    assert tokens["ts_ms"][old].min() > of(made, "device")["ts_ms"].min()


def test_a_quarter_of_the_subscriptions_is_declined_three_times_and_most_bring_another_card() -> None:
    made, scene = good("reissued_cards")
    paid = of(made, "pay")
    billed = paid[paid["key"] != ABSENT]
    assert {scene.world.keys.texts[key] for key in np.unique(billed["key"]).tolist()} == {"key-batch-billing"}
    assert len(np.unique(billed["ip"])) == 1
    assert len(billed) == 4 * DECLINED + 2 * DECLINED
    assert (each(billed["user"][billed["status"] == 402]) == 3).all()
    assert (billed["status"] == 200).sum() == 3 * DECLINED
    came = paid[paid["key"] == ABSENT]
    assert len(came) == DECLINED * 4 / 5 == (of(made, "profile")["status"] == 200).sum()
    assert np.isin(came["user"], billed["user"][billed["status"] == 402]).all()
    assert (of(made, "profile")["status"] == 402).sum() / len(came) == pytest.approx(1 / 6, abs=0.01)
    assert came["ts_ms"].min() > billed["ts_ms"].max()
    assert np.median(np.diff(billed["ts_ms"])) == pytest.approx(500, rel=0.1)


def test_testers_buy_the_same_nine_things_under_made_up_names_and_take_them_back() -> None:
    made, scene = good("consumer_testers")
    accounts = len(of(made, "register"))
    assert len(np.unique(made["ip"])) == TESTERS
    assert 3 * TESTERS <= accounts <= 5 * TESTERS
    assert len(of(made, "pay")) == len(of(made, "graphql")) == accounts
    assert len(of(made, "assistant")) == 3 * accounts
    assert len(of(made, "orders")) == 2 * accounts
    opened = of(made, "item")
    orders = {tuple(opened["path"][opened["user"] == user].tolist()) for user in np.unique(opened["user"]).tolist()}
    assert len(orders) == 1
    assert len(set(orders.pop())) == 9
    assert set(paths(of(made, "graphql"), scene)) == {"/api/graphql?op=cancelOrder"}
    assert of(made, "graphql")["ts_ms"].min() > of(made, "pay")["ts_ms"].min()
