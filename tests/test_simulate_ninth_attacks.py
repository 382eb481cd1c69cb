"""The ninth set's attacks are what their sentences say: whom they wait for, what they count, where they pretend."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, bouts, each, keys, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT


def op(made: Rows, scene: Scene, name: str) -> Rows:
    """Requests of one operation."""
    return np.asarray(made[np.array([f"op={name}" in path for path in paths(made, scene)], bool)])


def numbers(made: Rows, scene: Scene, field: str) -> list[str]:
    """What stands after `field=` in each path."""
    return [path.partition(f"{field}=")[2].partition("&")[0] for path in paths(made, scene)]


def test_accounts_are_read_four_times_and_struck_in_the_last_seventh() -> None:
    made, scene = attack("invoice_ambush", "strong")
    visits, struck = of(made, "login"), of(made, "graphql")
    assert share(made, 200) == 1, "no password is wrong"
    accounts = len(np.unique(made["user"]))
    assert set(each(visits["user"]).tolist()) <= {3, 4}
    assert len(of(made, "orders")) == 5 * len(visits)
    assert len(of(made, "invoice")) == 3 * len(visits)
    assert len({path.partition("=")[2] for path in paths(of(made, "orders"), scene)}) == 5
    assert len(of(made, "profile")) == accounts
    assert (each(struck["user"]) == 3).all()
    assert struck["ts_ms"].min() > 860 * scene.span_s > 850 * scene.span_s > visits["ts_ms"].max()
    assert len(op(made, scene, "hideThread")) * 2 == len(op(made, scene, "writeCustomer")) == 2 * accounts
    assert each(np.unique(np.stack([made["user"], made["ip"]]), axis=1)[0]).max() == 1, "the same machine always"


def test_loads_are_given_back_bid_for_and_put_up_anew_in_one_hauliers_name_after_the_other() -> None:
    made, scene = attack("cargo_diversion", "strong")
    bids, posted = op(made, scene, "bidLoad"), op(made, scene, "postLoad")
    hauliers = len(np.unique(made["user"]))
    assert len(of(made, "login")) == len(of(made, "profile")) == hauliers
    assert share(of(made, "login"), 200) == 1
    assert len(op(made, scene, "releaseLoad")) == 3 * hauliers
    assert len(of(made, "list")) == 2 * hauliers
    assert (each(bids["user"]) == 12).all()
    won = bids[bids["status"] == 200]
    assert len(won) / len(bids) == pytest.approx(0.2, abs=0.03)
    assert set(posted["status"].tolist()) == {201}
    assert sorted(numbers(posted, scene, "load")) == sorted(numbers(won, scene, "load"))
    for user in np.unique(bids["user"])[:20].tolist():
        assert np.ptp(bids["ts_ms"][bids["user"] == user]) < 60_000
        assert np.ptp(made["ts_ms"][made["user"] == user]) < 130_000, "none is come back to"
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} == {65549}


def test_banks_are_linked_told_their_cents_and_taken_away() -> None:
    made, scene = attack("micro_deposits", "strong")
    linked, told = op(made, scene, "linkBank"), of(made, "verify")
    accounts = len(of(made, "register"))
    assert len(np.unique(made["user"])) == pytest.approx(accounts, rel=0.01)
    assert len(linked) == 6 * accounts
    assert share(linked, 409) == pytest.approx(0.1, abs=0.015)
    assert share(told, 200) == 1
    assert len(told) == len(op(made, scene, "unlinkBank")) == (linked["status"] == 202).sum()
    later = np.sort(told["ts_ms"]) - np.sort(linked["ts_ms"][linked["status"] == 202])
    assert np.abs(later - 250 * scene.span_s).max() < 1500
    assert set(np.unique(made["endpoint"]).tolist()) == set(
        np.unique(np.concatenate([of(made, one)["endpoint"] for one in ("register", "graphql", "verify")])).tolist()
    )


def test_a_ring_bids_for_one_sellers_lots_and_never_at_their_end() -> None:
    made, scene = attack("shill_bidding", "strong")
    bids, back, looks = op(made, scene, "bid&"), op(made, scene, "retractBid"), of(made, "item")
    assert share(bids, 409) == pytest.approx(1 / 8, abs=0.02)
    assert len(back) / len(bids) == pytest.approx(1 / 6, abs=0.01)
    assert len(looks) / len(bids) == pytest.approx(1 / 2, abs=0.01)
    lot = np.array(numbers(bids, scene, "lot"))
    assert not len(of(made, "pay"))
    assert len(np.unique(lot)) == pytest.approx(8 * 8, abs=1), "eight rings, eight lots each"
    a_lot_ms = 1000 * scene.span_s / 8
    for one in np.unique(lot)[:20].tolist():
        mine = bids[lot == one]
        assert 3 <= len(np.unique(mine["user"])) <= 4
        assert (np.diff(mine["user"]) != 0).mean() > 0.9, "by turns"
        assert np.ptp(mine["ts_ms"]) < 0.95 * a_lot_ms
        assert mine["ts_ms"].max() % a_lot_ms < 0.93 * a_lot_ms
        amounts = np.array(numbers(mine, scene, "amount"), int)
        assert (np.diff(amounts) >= 0).mean() > 0.8
        assert np.diff(amounts).max() <= 6, "small steps"
    rings = {frozenset(bids["user"][lot == one].tolist()) for one in np.unique(lot).tolist()}
    assert len(rings) == 8


@pytest.mark.parametrize("strength", ["weak", "strong"])
def test_six_lobbies_fall_one_after_the_other_and_nobody_comes_between(strength: str) -> None:
    made, scene = attack("lobby_stalking", strength)
    joins, asks = of(made, "queue"), of(made, "app_feed")
    assert len(np.unique(asks["ip"])) == len(np.unique(asks["path"])) == 1
    assert np.diff(asks["ts_ms"]).max() < 2.5 * np.diff(asks["ts_ms"]).mean(), "it asks all the time"
    assert not np.isin(asks["ip"], joins["ip"]).any()
    waves = bouts(joins, int(130 * scene.span_s / 6))
    assert len(waves) == len(np.unique(joins["path"])) == 6
    for wave in waves:
        assert len(np.unique(wave["path"])) == 1
        assert np.ptp(wave["ts_ms"]) <= 1000 * (0.35 * scene.span_s / 6 + 2)
        late = wave[len(wave) // 2 :]
        assert share(late, 503) > share(wave[: len(wave) // 2], 503), "it falls"
        assert share(wave, 401) == pytest.approx(1 / 5, abs=0.08)
        assert share(late, 503) / (1 - share(late, 401)) < 0.75
    assert len(np.unique(joins["ip"])) == len(np.unique(waves[0]["ip"]))


def test_parcels_are_counted_through_and_their_postcodes_guessed() -> None:
    made, scene = attack("parcel_walk", "strong")
    maps, guesses, shown = (op(made, scene, name) for name in ("parcelMap", "parcel&", "parcelDetails"))
    walked = np.sort(np.array(numbers(maps, scene, "parcel"), np.int64))
    assert (np.diff(walked) == 1).all()
    assert share(maps, 404) == pytest.approx(1 / 5, abs=0.005)
    of_parcel = np.array(numbers(guesses, scene, "parcel"), np.int64)
    tried = each(of_parcel)
    assert (tried.min(), tried.max()) == (1, 6)
    right = of_parcel[guesses["status"] == 200]
    assert each(right).max() == 1
    assert len(right) / len(tried) == pytest.approx(6 / 7, abs=0.02)
    assert share(guesses, 200, 403) == 1
    assert sorted(numbers(shown, scene, "parcel")) == sorted(str(one) for one in right.tolist())
    absent = np.array(numbers(maps[maps["status"] == 404], scene, "parcel"), np.int64)
    assert not np.isin(absent, of_parcel).any()
    codes = np.array(numbers(guesses, scene, "code"), int)
    assert max(np.ptp(codes[of_parcel == one]) for one in np.unique(of_parcel)[:50].tolist()) <= 5, "neighbours"
    assert (made["user"] == ABSENT).all()


def test_a_key_that_is_alive_is_asked_what_it_may_send_and_then_sends() -> None:
    made, scene = attack("relay_keys", "strong")
    alive = np.isin(made["key"], [scene.world.keys.codes[one] for one in keys(made, scene) if len(one) == 10])
    dead = made[~alive]
    assert set(dead["status"].tolist()) == {401}
    for ip in np.unique(made["ip"]).tolist():
        mine = made[made["ip"] == ip]
        assert mine["status"][:3].tolist() == [401] * 3
        asked = op(mine[3:], scene, "sendingLimit")
        assert len(asked) == 8 == len(set(numbers(asked, scene, "region")))
        assert sorted(asked["status"].tolist()) == [200] * 3 + [403] * 5
        sent = op(mine, scene, "sendNotice")
        assert len(sent) == len(mine) - 3 - 8 - 2
        assert sent["ts_ms"].min() > asked["ts_ms"].max()
        may = {
            one for one, status in zip(numbers(asked, scene, "region"), asked["status"], strict=True) if status == 200
        }
        assert set(numbers(sent, scene, "region")) == may
        assert np.diff(sent["ts_ms"]).std() < 5, "an even pace"
        assert len(np.unique(mine["key"])) == 4
    assert share(op(made, scene, "sendNotice"), 422) == pytest.approx(1 / 40, abs=0.006)
    assert set(op(made, scene, "raiseLimit")["status"].tolist()) == {202}
    assert most_in_a_minute(made, "key") <= 120, "below the limit of a key"


def test_lists_of_devices_are_unlocked_like_a_clock() -> None:
    made, scene = attack("unlock_mill", "strong")
    signed, looked, done = of(made, "sso"), of(made, "backoffice"), op(made, scene, "unlockDevice")
    assert len(signed) == 4 == len(np.unique(made["user"]))
    assert all(scene.world.users.texts[user].startswith("staff") for user in np.unique(made["user"]).tolist())
    forced = done[np.array([path.endswith("&force=1") for path in paths(done, scene)])]
    refused = done[done["status"] == 409]
    assert len(done) - len(forced) == len(looked) == len(np.unique(numbers(done, scene, "imei")))
    assert sorted(numbers(forced, scene, "imei")) == sorted(numbers(refused, scene, "imei"))
    assert len(refused) / len(looked) == pytest.approx(1 / 9, abs=0.01)
    one = looked["ts_ms"][looked["user"] == signed["user"][0]]
    gaps_ms = np.diff(one)
    pauses = gaps_ms > 6 * np.median(gaps_ms)
    assert pauses.sum() == -(-len(one) // 25) - 1
    assert gaps_ms[~pauses].std() < 60, "like a clock"
    assert gaps_ms[pauses].mean() == pytest.approx(25 * np.median(gaps_ms), rel=0.15)
