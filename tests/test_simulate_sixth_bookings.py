"""The sixth set's attacks on bookings and on games are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT


def op(made: Rows, scene: Scene, name: str) -> Rows:
    wanted = [text.startswith(f"/api/graphql?op={name}") for text in paths(made, scene)]
    return np.asarray(made[np.array(wanted, bool)])


def test_each_third_order_that_is_looked_at_is_fetched_by_somebody_else() -> None:
    made, scene = attack("diverted_tickets", "strong")
    looked, fetched = of(made, "backoffice"), of(made, "invoice")
    seen = {path.split("/")[3]: at for path, at in zip(paths(looked, scene), looked["ts_ms"].tolist(), strict=True)}
    assert len(seen) == len(looked)
    numbers = [path.split("/")[3] for path in paths(fetched, scene)]
    assert len(set(numbers)) == len(looked) / 3
    waits = [at - seen[number] for number, at in zip(numbers, fetched["ts_ms"].tolist(), strict=True)]
    assert min(waits) > 0
    assert np.median(waits) == pytest.approx(33_000, rel=0.25)
    assert not np.isin(fetched["ip"], looked["ip"]).any()
    assert set(fetched["user"].tolist()) == {ABSENT}
    assert (fetched["status"] == 403).sum() / len(set(numbers)) == pytest.approx(0.1, abs=0.01)
    assert len(of(made, "sso")) == len(np.unique(looked["user"])) == len(np.unique(looked["ip"])) == 8
    assert most_in_a_minute(looked, "user") < 45


def test_a_tickets_code_is_fetched_every_fifteen_seconds_until_the_doors_open() -> None:
    made, scene = attack("ticket_cloning")
    tokens, codes = of(made, "token"), of(made, "app_item")
    assert len(np.unique(codes["path"])) == len(tokens)
    times = each(codes["path"])
    assert (times.min(), times.max()) == (4, 22)
    for path in np.unique(codes["path"])[:30].tolist():
        gaps = np.diff(codes["ts_ms"][codes["path"] == path])
        assert np.allclose(gaps, 15_000, atol=102)
    assert each(tokens["user"]).max() == 6
    quarters = np.bincount((tokens["ts_ms"] // (250 * scene.span_s)).astype(int), minlength=4)
    assert quarters[0] < quarters[1] < quarters[2]
    assert quarters[3] == 0


def test_bookings_change_hands_within_a_fifth_of_a_second() -> None:
    made, scene = attack("slot_resale")
    back = op(made, scene, "cancelOrder")
    names = {user: scene.world.users.texts[user] for user in np.unique(made["user"]).tolist() if user != ABSENT}
    buyer = np.array([names.get(user, "").startswith("applicant") for user in made["user"].tolist()])
    bought, taken = of(made[buyer], "checkout"), of(made[~buyer], "checkout")
    assert len(back) == len(bought) == len(taken) == len(of(made, "register"))
    gaps = bought["ts_ms"] - back["ts_ms"][np.searchsorted(back["ts_ms"], bought["ts_ms"]) - 1]
    assert (gaps <= 201).all()
    assert share(of(made[~buyer], "cart_add"), 409) == pytest.approx(1 / 3, abs=0.05)
    at_s = taken["ts_ms"] / 1000
    for free in (0.02, 0.32, 0.62):
        assert ((at_s > free * scene.span_s) & (at_s < free * scene.span_s + 20)).sum() > len(taken) / 4
    assert back["ts_ms"].min() > taken["ts_ms"].min() + 20_000


def test_two_orders_in_three_are_taken_back_and_none_is_paid() -> None:
    made, scene = attack("phantom_orders")
    assert not len(of(made, "pay"))
    ordered = of(made, "checkout")
    accounts = len(of(made, "register"))
    assert (ordered["status"] == 200).sum() == 8 * accounts == len(of(made, "item"))
    assert (ordered["status"] == 403).sum() == 2 * accounts
    back = op(made, scene, "cancelOrder")
    assert len(back) / (8 * accounts) == pytest.approx(2 / 3, abs=0.01)
    assert (each(ordered["user"]) == 10).all()
    user = int(back["user"][0])
    first = ordered["ts_ms"][ordered["user"] == user].min()
    assert back["ts_ms"][back["user"] == user].min() - first > 0.8 * 180_000


def test_matches_are_won_two_seconds_after_they_began() -> None:
    made, scene = attack("unplayed_matches")
    begun, won, passed = (op(made, scene, name) for name in ("matchStart", "matchWon", "giftPoints"))
    assert len(begun) == len(won)
    assert share(won, 422) == pytest.approx(0.01, abs=0.008)
    accounts = np.unique(made["user"])
    assert len(passed) == len(of(made, "balance")) == len(accounts)
    assert each(won["user"]).max() == 40
    one = (begun["user"] == accounts[0]), (won["user"] == accounts[0])
    lasted = won["ts_ms"][one[1]] - begun["ts_ms"][one[0]]
    assert np.median(lasted) < 2500
    assert passed["ts_ms"][passed["user"] == accounts[0]] > won["ts_ms"][one[1]].max()
    assert len(np.unique(made["ua"])) == 1


def test_an_address_book_is_a_countrys_numbers_in_order() -> None:
    made, scene = attack("contact_upload")
    handed = op(made, scene, "syncContacts")
    assert len(handed) / len(made) > 0.98
    assert len(np.unique(made["ip"])) == len(np.unique(made["user"][made["user"] != ABSENT])) == 5
    for ip in np.unique(made["ip"]).tolist():
        mine = handed[handed["ip"] == ip]
        first = [int(path.rpartition("+")[2]) for path in paths(mine, scene)]
        assert (np.diff(first) == 500).all()
    assert len(of(made, "device")) == len(of(made, "register")) == 5
    assert len(of(made, "token")) == 10
    assert share(made, 200, 201) == 1


def test_things_are_given_away_a_second_apart_and_pass_through_four_hands() -> None:
    made, scene = attack("item_beaming", "strong")
    robbed, gave = of(made, "account"), op(made, scene, "giveItem")
    gave = gave[[text.endswith("giveItem") for text in paths(gave, scene)]]
    n = len(robbed)
    things = each(gave["user"])
    assert len(things) == n
    assert (things.min(), things.max()) == (3, 10)
    assert len(op(made, scene, "takeItems")) == len(of(made, "login")) == len(of(made, "logout")) == 4 * n
    assert not np.isin(of(made, "login")["user"], robbed["user"]).any()
    gaps = np.diff(gave["ts_ms"][gave["user"] == gave["user"][0]])
    assert np.allclose(gaps, 1000, atol=301)
    assert (each(of(made, "login")["user"]) == 1).all()


def test_one_mans_songs_are_played_evenly_by_accounts_that_do_nothing_else() -> None:
    made, scene = attack("royalty_streams")
    plays, tokens = of(made, "app_item"), of(made, "token")
    assert len(plays) + len(tokens) == len(made)
    assert each(tokens["user"]).max() == 1
    assert len(np.unique(plays["path"])) == 320
    assert np.ptp(each(plays["path"])) <= 1
    gaps = np.concatenate([np.diff(plays["ts_ms"][plays["user"] == user]) for user in tokens["user"].tolist()])
    assert gaps.min() > 30_000
    assert np.median(gaps) < 60_000
    assert np.ptp(each(plays["user"])) == 0
    assert len({scene.world.asns[ip] for ip in made["ip"].tolist()}) == 3
