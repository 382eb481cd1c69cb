"""The sixth set's attacks by who writes to strangers, and schemes of many hands, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, attack, each, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT


def op(made: Rows, scene: Scene, name: str) -> Rows:
    wanted = [text.startswith(f"/api/graphql?op={name}") for text in paths(made, scene)]
    return np.asarray(made[np.array(wanted, bool)])


def test_every_new_thing_is_opened_once_and_its_seller_written_to_within_seconds() -> None:
    made, scene = attack("listing_vultures", "strong")
    opened, wrote = of(made, "item"), op(made, scene, "sendMessage")
    numbers = [int(path.split("/")[2]) for path in paths(opened, scene)]
    assert numbers == list(range(numbers[0], numbers[0] + len(opened)))
    assert set(paths(of(made, "list"), scene)) == {"/items?sort=newest"}
    assert len(of(made, "list")) / len(made) == pytest.approx(0.4, abs=0.02)
    sent, refused = wrote[wrote["status"] == 200], wrote[wrote["status"] == 403]
    assert len(sent) == len(opened)
    assert each(sent["user"]).max() == 12
    closed, times = np.unique(sent["user"], return_counts=True)
    assert set(refused["user"].tolist()) == set(closed[times == 12].tolist())
    assert len(of(made, "login")) == len(refused)
    for seen in opened[:40]:
        later = sent["ts_ms"][(sent["user"] == seen["user"]) & (sent["ts_ms"] > seen["ts_ms"])]
        assert (later - seen["ts_ms"] < 8001).any()


def test_twelve_profiles_write_in_turn_and_all_stop_for_lunch() -> None:
    made, scene = attack("romance_desk")
    turns, wrote = of(made, "token"), op(made, scene, "sendMessage")
    assert len(op(made, scene, "inbox")) == len(of(made, "app_feed")) == len(turns)
    assert len(wrote) / len(turns) == pytest.approx(3, abs=0.25)
    desk = turns[turns["ip"] == turns["ip"][0]]
    assert len(np.unique(desk["user"][:12])) == 12
    refused = wrote[wrote["status"] == 403]
    assert len(refused) / len(turns) == pytest.approx(1 / 15, abs=0.025)
    assert len(of(made, "register")) == len(of(made, "profile")) == len(refused)
    last = [made["ts_ms"][made["user"] == user].max() for user in refused["user"].tolist()]
    assert (np.array(last) <= refused["ts_ms"] + 1000).all(), "who is closed writes no more"
    lunch = np.diff(made["ts_ms"]).max()
    assert lunch > 0.1 * 1000 * scene.span_s
    assert np.sort(np.diff(made["ts_ms"]))[-2] < lunch / 3


def test_guests_are_told_one_after_the_other_with_their_hotels_own_account() -> None:
    made, scene = attack("guest_messages", "strong")
    signed, told = of(made, "login"), op(made, scene, "messageGuest")
    hotels = len(signed)
    assert each(signed["user"]).max() == 1
    assert len(of(made, "verify")) / hotels == pytest.approx(1 / 6, abs=0.01)
    assert each(told["path"]).max() == 1
    guests = each(told["user"])
    assert (len(guests), guests.min() >= 20, guests.max() <= 40) == (hotels, True, True)
    assert share(told, 404) == pytest.approx(1 / 25, abs=0.01)
    pages = each(of(made, "api_orders")["user"])
    assert (pages.min(), pages.max()) == (2, 4)
    one = told["ts_ms"][told["user"] == signed["user"][0]]
    assert np.diff(one).std() < 0.5 * np.diff(one).mean()
    assert of(made, "api_orders")["ts_ms"][of(made, "api_orders")["user"] == signed["user"][0]].max() < one.min()


def test_whom_it_answers_has_been_read_before_it_answers() -> None:
    made, scene = attack("persuasion_bots")
    wrote, read = of(made, "review"), of(made, "reviews")
    past = np.array(["?author=" in path for path in paths(read, scene)])
    n = len(wrote)
    assert (~past).sum() == 2 * n, "before, and later"
    assert past.sum() / n == pytest.approx(11, abs=1)
    assert share(wrote, 422) == pytest.approx(0.05, abs=0.05)
    assert len(of(made, "login")) == len(np.unique(made["ip"])) == len(np.unique(made["user"])) == 10
    user = int(wrote["user"][0])
    mine = made[made["user"] == user]
    answered = of(mine, "review")["ts_ms"][0]
    before = read[(read["user"] == user) & past & (read["ts_ms"] < answered)]
    assert 6 <= len(before) <= 16
    assert before["ts_ms"][-1] - before["ts_ms"][0] < 12_000
    assert 10_000 < answered - before["ts_ms"][-1] < 42_000


def test_one_of_three_receipts_pays_for_everybody_until_they_are_known() -> None:
    made, scene = attack("shared_receipt", "strong")
    paid, opened = of(made, "pay"), of(made, "app_item")
    assert len(np.unique(paid["path"])) == 3
    assert all("?receipt=" in path for path in paths(paid, scene))
    known_ms = 750 * scene.span_s
    assert paid["ts_ms"][paid["status"] == 200].max() <= known_ms
    refused = paid[paid["status"] == 409]
    assert refused["ts_ms"].min() >= known_ms - 1
    assert len(opened) == 2 * (paid["status"] == 200).sum()
    assert len(of(made, "token")) == len(np.unique(made["ip"])) == 300
    assert agents(made, scene) == {"ShopApp/5.9.4-mod (Android 14; unlocked)"}
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} == {64502, 64503}
    assert len(refused) % 3 == 0


def test_accounts_are_opened_for_customers_who_never_come() -> None:
    made, scene = attack("sales_quota", "strong")
    looked, forms, filled = of(made, "backoffice"), of(made, "register"), of(made, "profile")
    assert len(looked) == len(forms)
    assert share(forms, 409) == pytest.approx(0.1, abs=0.005)
    assert len(filled) == (forms["status"] == 200).sum()
    assert each(filled["user"]).max() == 1
    clerks = np.unique(looked["user"])
    assert len(clerks) == len(of(made, "sso")) == 30
    assert all(scene.world.users.texts[clerk].startswith("staff") for clerk in clerks.tolist())
    assert [len(np.unique(looked["user"][looked["ip"] == ip])) for ip in np.unique(made["ip"]).tolist()] == [3] * 10
    assert not len(of(made, "login", "account"))
    hours = np.histogram(looked["ts_ms"], bins=3)[0]
    assert hours[2] / hours[0] == pytest.approx(3, abs=1)


def test_all_reach_for_an_offer_within_a_fifth_of_a_second_and_one_has_it() -> None:
    made, scene = attack("batch_grabbers", "strong")
    reached, had = of(made, "cart_add"), of(made, "checkout")
    offers = len(had)
    assert (reached["status"] == 200).sum() == offers
    assert len(reached) == 40 * offers
    assert share(reached, 200, 409) == 1
    assert len(of(made, "app_feed")) / len(made) == pytest.approx(0.85, abs=0.02)
    for taken in reached[reached["status"] == 200][:20]:
        near = reached[np.abs(reached["ts_ms"] - taken["ts_ms"]) < 201]
        assert len(np.unique(near["user"])) == 40
        assert ((had["user"] == taken["user"]) & (had["ts_ms"] - taken["ts_ms"] < 402)).any()
    assert len(of(made, "token")) == len(np.unique(made["user"])) == 40
    assert scene.span_s == 420


def test_a_form_is_flooded_by_hand_and_by_a_script() -> None:
    made, scene = attack("shortcut_protest")
    script = np.array(["Shortcut" in scene.world.agents.texts[ua] for ua in made["ua"].tolist()])
    forms = of(made, "graphql")
    assert set(paths(forms, scene)) == {"/api/graphql?op=submitTip"}
    assert len(of(made, "article")) == len(np.unique(made["ip"])) / 2 == 125
    by_hand = each(forms["ip"][~np.isin(forms["ip"], made["ip"][script])])
    assert (by_hand.min(), by_hand.max()) == (1, 4)
    scripted = made[script]
    assert np.median(each(scripted["ip"])) > 50
    gaps = np.diff(scripted["ts_ms"][scripted["ip"] == scripted["ip"][0]])
    assert gaps.max() < 12_000
    late = forms["ts_ms"] > 700 * scene.span_s
    assert (forms["status"][~late] != 403).all()
    assert share(forms[late], 403) == pytest.approx(0.5, abs=0.1)
    middle = forms[~late & (forms["ts_ms"] > 600 * scene.span_s)]
    assert share(middle, 503) == pytest.approx(0.28, abs=0.04)
    assert set(made["user"].tolist()) == {ABSENT}
