"""Seven-d's attacks on people and on what is owed to whom are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT


def op(made: Rows, scene: Scene, name: str) -> Rows:
    """Requests of one operation."""
    calls = of(made, "graphql")
    return np.asarray(calls[np.array([f"?op={name}" in path for path in paths(calls, scene)], bool)])


def test_strangers_order_to_one_door_and_nobody_pays() -> None:
    made, scene = attack("doorstep_orders", "strong")
    ordered, typed = of(made, "checkout"), of(made, "suggest")
    assert set(made["user"].tolist()) == {ABSENT}
    assert not len(of(made, "pay"))
    assert len(np.unique(of(made, "item")["path"])) == 12
    spelled = np.unique(typed["path"])
    assert len(spelled) == 2
    assert len({path.rstrip("a") for path in paths(typed, scene)}) == 1
    refused = ordered[ordered["status"] == 403]
    assert len(ordered) == len(typed)
    assert refused["ts_ms"].min() > 750 * scene.span_s >= ordered["ts_ms"][ordered["status"] == 200].max()
    assert len(refused) % 2 == 0
    assert len(refused) > 200, "each is tried in another spelling"
    asns = [scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()]
    assert (np.array(asns) == 65549).mean() == pytest.approx(0.3, abs=0.01), "tunnels"
    orders = each(of(made, "item")["ip"])
    assert (orders.min(), orders.max() >= 10) == (1, True)


def test_who_pays_is_rid_of_six_reviews_and_who_does_not_gets_twelve_more() -> None:
    made, scene = attack("review_extortion", "strong")
    wrote, gone = of(made, "review"), op(made, scene, "deleteReview")
    assert share(wrote, 403) == pytest.approx(0.1, abs=0.005)
    assert each(wrote["user"]).max() == 1, "an account made for it"
    assert len(of(made, "login")) == len(wrote) + len(gone)
    targets = sorted(each(wrote["path"]).tolist())
    half = len(targets) // 2
    assert targets == [6] * half + [18] * half
    of_whom = dict(zip(wrote["user"].tolist(), wrote["path"].tolist(), strict=True))
    paid = {of_whom[user] for user in gone["user"].tolist()}
    taken = wrote[(wrote["status"] == 200) & np.isin(wrote["path"], list(paid))]
    assert sorted(gone["user"].tolist()) == sorted(taken["user"].tolist())
    assert len(paid) == half
    for path in list(paid)[:20]:
        mine = taken[taken["path"] == path]
        assert gone["ts_ms"][np.isin(gone["user"], mine["user"])].min() - mine["ts_ms"].max() > 150 * scene.span_s
    order = [gone["user"].tolist().index(user) for user in taken["user"][taken["path"] == min(paid)].tolist()]
    assert np.corrcoef(order, np.arange(len(order)))[0, 1] > 0.6, "in the order in which they wrote"


@pytest.mark.parametrize("strength", ["weak", "medium"])
def test_a_card_is_bought_and_its_balance_asked_for_far_away_within_minutes(strength: str) -> None:
    made, scene = attack("coached_purchases", strength)
    asked, redeemed, paid = of(made, "balance"), of(made, "coupon"), of(made, "pay")
    bought = paid[paid["status"] == 200]
    assert len(asked) == len(redeemed) == len(bought) == len(of(made, "cart_add"))
    assert share(paid, 402) == pytest.approx(0.2, abs=0.04), "for one purchase in four"
    desks = np.unique(asked["ip"])
    assert len(desks) == max(1, len(np.unique(made["ip"])) // 10)
    assert set(np.unique(redeemed["ip"]).tolist()) == set(desks.tolist())
    assert min(scene.world.asns[ip] for ip in desks.tolist()) >= 65536
    assert not np.isin(bought["ip"], desks).any()
    waits = asked["ts_ms"][:, None] - bought["ts_ms"][None, :]
    soonest = np.where(waits > 0, waits, waits.max() + 1).min(axis=1)
    assert soonest.max() <= 111_000
    assert {path.split("/")[2] for path in paths(of(made, "item"), scene)} <= {"518", "519", "520"}
    members = len(np.unique(bought["user"]))
    signed = of(made, "login")
    assert (signed["status"] == 200).sum() == members == len(np.unique(bought["ip"]))
    assert each(signed["user"][signed["status"] == 401]).max() <= 2
    assert (each(bought["user"]) == len(bought) // members).all()


def test_credit_is_built_up_paid_for_and_run_up_in_one_night() -> None:
    made, scene = attack("bust_out", "strong")
    paid = of(made, "pay")
    accounts = len(np.unique(made["user"]))
    assert (each(made["user"]) == each(made["user"])[0]).all()
    assert (each(paid["user"][paid["status"] == 402]) == 2).all()
    asked = op(made, scene, "raiseLimit")
    assert len(asked) == accounts
    assert share(asked, 409) == pytest.approx(1 / 8, abs=0.01)
    night = 750 * scene.span_s
    early, late = paid[paid["ts_ms"] < night], paid[paid["ts_ms"] >= night]
    assert share(early, 200) == 1
    assert (each(early["user"]) == 2).all()
    assert (each(late["user"][late["status"] == 200]) == 6).all()
    last = [made["status"][made["user"] == user][-2:] for user in np.unique(made["user"])[:30].tolist()]
    assert {int(statuses[-1]) for statuses in last} == {402}
    signed = of(made, "login")
    begun = signed["ts_ms"][signed["ts_ms"] >= night]
    assert len(begun) == accounts
    assert np.ptp(begun) <= 126 * scene.span_s
    assert len(np.unique(of(made, "item")["path"][of(made, "item")["ts_ms"] >= night])) == 8
    homes = each(np.unique(np.stack([made["ip"], made["user"]]), axis=1)[0])
    assert (homes.min() >= 3, homes.max() <= 4) == (True, True)


def test_an_order_is_brought_forty_times_by_drivers_in_turn() -> None:
    made, scene = attack("redelivered_orders", "strong")
    opened, given = of(made, "backoffice"), op(made, scene, "assignOrder")
    brought, back = op(made, scene, "orderDelivered"), op(made, scene, "reopenOrder")
    assert len(opened) == len(given) == len(brought) == len(back)
    assert share(given, 409) == pytest.approx(1 / 25, abs=0.02)
    times = each(brought["path"])
    assert times.max() == 40
    assert len(of(made, "pay")) == len(of(made, "checkout")) == len(times)
    staff = np.unique(opened["user"])
    assert len(staff) == len(of(made, "sso")) == 6
    assert all(scene.world.users.texts[user].startswith("staff") for user in staff.tolist())
    assert len(np.unique(brought["user"])) == len(np.unique(brought["ip"])) == 18
    assert {scene.world.asns[ip] for ip in brought["ip"].tolist()} == {64502, 64503}
    desk = opened["ip"][0]
    mine = np.concatenate([made_of[made_of["ip"] == desk] for made_of in (given, back)])
    number = paths(mine[:1], scene)[0].rpartition("=")[2]
    drives = [path.endswith(number) for path in paths(brought, scene)]
    assert len(np.unique(brought["user"][np.array(drives)])) == 3
    one = np.sort(brought["ts_ms"][np.array(drives)])
    assert np.diff(one).max() < 300_000, "in under five minutes"
    assert len(of(made, "balance")) / len(brought) == pytest.approx(0.2, abs=0.01)


def test_a_house_is_let_under_three_names_and_two_bookings_of_three_cancelled() -> None:
    made, scene = attack("double_letting", "strong")
    cancelled, told = op(made, scene, "cancelBooking"), op(made, scene, "sendMessage")
    turns = len(of(made, "token")) // 3
    assert len(of(made, "api_orders")) == 3 * turns
    assert len(cancelled) == len(told) == 2 * turns
    refused, new = told[told["status"] == 403], of(made, "register")
    assert len(refused) == len(new) == len(of(made, "profile"))
    assert len(refused) / turns == pytest.approx(0.2, abs=0.005)
    assert len(of(made, "item_put")) == turns + 2 * len(new)
    for user, at in zip(refused["user"].tolist(), refused["ts_ms"].tolist(), strict=True):
        assert made["ts_ms"][made["user"] == user].max() <= at, "a host that is refused does nothing more"
    came = dict(zip(new["user"].tolist(), new["ts_ms"].tolist(), strict=True))
    assert all(made["ts_ms"][made["user"] == user].min() == at for user, at in came.items())
    lost = (cancelled["user"] == told["user"]).mean()
    assert lost > 0.5, "who is cancelled is written to"
    for ip in np.unique(made["ip"]).tolist():
        hosts = np.unique(made["user"][made["ip"] == ip])
        assert len(hosts) == 3 + np.isin(new["user"], hosts).sum()
