"""The fifth set's attacks on accounts and their doors are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.world import ABSENT, ENDPOINTS, Rows

NAMES = tuple(ENDPOINTS)


def visits(made: Rows) -> list[list[str]]:
    """The endpoints of each account, in order."""
    return [
        [NAMES[code] for code in made["endpoint"][made["user"] == user].tolist()]
        for user in np.unique(made["user"][made["user"] != ABSENT]).tolist()
    ]


def test_a_code_is_asked_about_every_five_seconds_and_one_in_four_is_typed_in() -> None:
    made, _ = attack("device_code_phishing")
    asked = of(made, "token")
    waiting = asked[asked["user"] == ABSENT]
    assert set(waiting["status"].tolist()) == {400}
    lanes = most_in_a_minute(made, "ip") / 12
    assert 3.5 < lanes < 5
    assert set(map(tuple, visits(made))) == {("token", "account", "orders", "invoice", "invoice")}
    assert share(made[made["user"] != ABSENT], 200) == 1
    weak, _ = attack("device_code_phishing", "weak")
    gaps_ms = np.diff(of(weak, "token")["ts_ms"])
    assert np.median(gaps_ms) == pytest.approx(5000, abs=150)
    assert len(visits(weak)) >= 1, "somebody falls for it"
    assert not len(of(made, "login"))


def test_codes_lapse_after_a_quarter_of_an_hour() -> None:
    typed = codes = 0
    for strength in ("weak", "medium", "strong"):
        made, _ = attack("device_code_phishing", strength)
        for ip in np.unique(made["ip"]).tolist():
            asked = made[(made["ip"] == ip) & (made["status"] == 400)]
            assert np.ptp(asked["ts_ms"]) < 1_800_000
        typed += len(visits(made))
        codes += len(made) / 180
    assert 0.1 < typed / codes < 0.8


def test_a_forged_token_is_refused_forty_times_and_then_good_for_everybody_in_order() -> None:
    made, scene = attack("forged_tokens", "strong")
    refused = of(made, "token")
    assert len(refused) == 40
    assert share(refused, 401) == 1
    taken = made[made["status"] == 200]
    assert refused["ts_ms"].max() <= taken["ts_ms"].min()
    assert len(of(made, "login")) == 0
    opened = [int(scene.world.users.texts[user].removeprefix("user")) for user in of(made, "account")["user"].tolist()]
    assert np.isin(np.diff(opened) % 2000, (1, 1999, 2, 1998)).mean() > 0.9
    assert {len(steps) for steps in visits(made)} == {3}
    assert set(map(tuple, map(sorted, visits(made)))) == {("account", "invoice", "orders")}
    assert most_in_a_minute(made, "ip") <= 120 * 1.15


def test_hundreds_of_guesses_are_one_request_and_one_in_ten_requests_has_a_hit() -> None:
    made, _ = attack("graphql_batching", "strong")
    packed = of(made, "graphql")
    assert share(packed, 413) == pytest.approx(0.03, abs=0.02)
    assert share(packed, 200, 413) == 1
    assert set(packed["user"].tolist()) == {ABSENT}
    assert len(visits(made)) / len(packed) == pytest.approx(0.1, abs=0.01)
    assert set(map(tuple, visits(made))) == {("token", "orders", "invoice", "invoice")}
    assert len(np.unique(of(made, "invoice")["path"])) > len(visits(made))
    assert len(made) == len(packed) + 4 * len(visits(made))


def test_people_sign_in_by_hand_and_a_machine_elsewhere_buys_seconds_later() -> None:
    made, scene = attack("session_handover", "strong")
    signed = of(made, "login")
    desks = np.unique(signed["ip"])
    assert len(desks) == 12
    assert not np.isin(made[~np.isin(made["ip"], desks)]["endpoint"], signed["endpoint"][0]).any()
    assert not len(made[np.isin(made["ip"], desks) & (made["endpoint"] != signed["endpoint"][0])])
    right = (signed["status"] == 200).sum()
    assert share(signed, 401) == pytest.approx(0.09, abs=0.03)
    assert len(of(made, "item")) == 3 * right
    assert len(np.unique(of(made, "item")["path"])) == 3
    carts = of(made, "cart_add")
    assert share(carts, 409) == pytest.approx(1 / 3, abs=0.01)
    assert (carts["status"] == 200).sum() == len(of(made, "pay")) == len(of(made, "checkout"))
    by_account = np.argsort(made["user"], kind="stable")
    shopped = made[by_account][~np.isin(made["ip"][by_account], desks)]
    begun = shopped["ts_ms"][np.flatnonzero(np.diff(shopped["user"], prepend=-1))]
    lasted = np.array([np.ptp(shopped["ts_ms"][shopped["user"] == user]) for user in np.unique(shopped["user"])[:50]])
    assert np.median(lasted) < 3000
    assert (begun > 0).all()
    assert {scene.world.asns[ip] for ip in desks.tolist()} <= set(range(65536, 65548))


def test_a_victims_reset_lies_between_two_others_and_tokens_are_tried_until_one_fits() -> None:
    made, scene = attack("reset_sandwich")
    asked, tried = of(made, "reset"), of(made, "verify")
    assert share(asked, 202) == 1
    assert len(asked) % 3 == 0
    victims = set(of(made, "login")["user"].tolist())
    assert len(victims) == len(of(made, "profile")) == len(of(made, "orders")) == (tried["status"] == 200).sum()
    assert len(victims) == len(asked) // 3
    own = asked[~np.isin(asked["user"], list(victims))]
    assert len(own) == 2 * len(victims)
    for ip in np.unique(made["ip"]).tolist():
        three = asked[asked["ip"] == ip]["ts_ms"].reshape(-1, 3)
        assert (np.ptp(three, axis=1) < 520).all()
        mine = tried[tried["ip"] == ip]
        runs = np.diff(np.flatnonzero(mine["status"] == 200), prepend=-1)
        assert runs.min() >= 5
        assert runs.max() <= 87
    assert each(tried["path"]).max() == 1
    assert share(tried, 200, 401) == 1
    assert all("token=" in path for path in paths(tried, scene))


def test_one_in_twelve_follows_a_reset_that_leads_astray() -> None:
    made, _ = attack("reset_poisoning", "strong")
    asked = of(made, "reset")
    assert share(made, 200, 202) == 1
    assert each(asked["user"]).max() == 1
    taken = of(made, "login")
    assert len(taken) / len(asked) == pytest.approx(1 / 12, abs=0.005)
    for endpoint in ("verify", "account", "orders", "invoice", "profile"):
        assert len(of(made, endpoint)) == len(taken)
    begun = {int(row["user"]): row for row in asked}
    for row in of(made, "verify")[:60]:
        first = begun[int(row["user"])]
        assert row["ip"] == first["ip"]
        assert row["ts_ms"] - first["ts_ms"] > 10_000
    weak, _ = attack("reset_poisoning", "weak")
    assert len(of(weak, "login")) >= 4, "a weak one takes something too"


def test_accounts_are_made_for_others_kept_open_and_one_in_fifteen_is_robbed() -> None:
    made, _ = attack("pre_hijacking")
    joined = of(made, "register")
    assert share(joined, 409) == pytest.approx(1 / 8, abs=0.01)
    new = (joined["status"] == 200).sum()
    assert len(of(made, "login")) == len(of(made, "profile")) == new
    assert len(of(made, "pay")) / new == pytest.approx(1 / 15, abs=0.025)
    kept = of(made, "account")
    one = kept["ts_ms"][kept["user"] == of(made, "login")["user"][0]]
    assert len(one) in (5, 6)
    assert np.median(np.diff(one)) == pytest.approx(300_000, rel=0.12)
    assert share(made, 200, 409) == 1
    weak, _ = attack("pre_hijacking", "weak")
    assert len(of(weak, "pay")) >= 1


def test_a_profile_is_written_and_looked_at_until_the_back_office_opens() -> None:
    made, scene = attack("mass_assignment", "strong")
    assert len(np.unique(made["user"])) == len(np.unique(made["ip"])) == 4
    office = of(made, "backoffice")
    stuck_ms = 600 * scene.span_s
    assert set(office["status"][office["ts_ms"] < stuck_ms].tolist()) == {403}
    later = made[made["ts_ms"] > stuck_ms]
    assert len(of(later, "backoffice")) == len(later)
    assert share(later, 200) == 1
    early = made[made["ts_ms"] < stuck_ms]
    assert len(of(early, "backoffice")) / len(early) == pytest.approx(1 / 21, abs=0.015)
    assert len(of(early, "profile")) / len(of(early, "account")) == pytest.approx(1.1, abs=0.1)
    for status, usual in ((200, 0.45), (400, 0.3), (422, 0.25)):
        assert share(of(early, "profile"), status) == pytest.approx(usual, abs=0.06)
    for user in np.unique(made["user"]).tolist():
        assert NAMES[made["endpoint"][made["user"] == user][0]] == "login"
