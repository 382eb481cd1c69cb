"""The ninth set's good cases of machines and of partners' keys are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, each, good, keys, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Rows
from floodwarden.simulate.world import ABSENT

STATIONS, PLACES, SERVERS, BUILDERS = 10, 4, 10, 13  # at 800 accounts
PRESSED, PHARMACIES, PARTNERS = 360, 32, 8


def told(made: Rows, status: int) -> Rows:
    return np.asarray(made[made["status"] == status])


def test_no_card_is_good_on_a_leap_day() -> None:
    made, scene = good("leap_day_pumps")
    paid, reports = of(made, "pay"), of(made, "telemetry")
    assert keys(made, scene) == {"key-fleet-pumps"}
    assert (made["user"] == ABSENT).all()
    assert len(np.unique(made["ip"])) == STATIONS
    ill = told(reports, 422)
    begin_ms, over_ms = ill["ts_ms"].min() - 600_000, ill["ts_ms"].max() + 600_000
    assert np.ptp(ill["ts_ms"]) == pytest.approx(0.4 * 14_400_000, rel=0.12)
    refused = told(paid, 422)
    assert share(paid[(paid["ts_ms"] > begin_ms + 1_200_000) & (paid["ts_ms"] < over_ms - 1_200_000)], 422) == 1
    assert refused["ts_ms"].min() > begin_ms
    assert refused["ts_ms"].max() < over_ms
    well = paid[paid["status"] != 422]
    assert share(well, 402) == pytest.approx(1 / 25, abs=0.04)
    station = np.array([path.partition("station=")[2].partition("&")[0] for path in paths(refused, scene)], int)
    early = refused["ts_ms"] < refused["ts_ms"].min() + 0.4 * 14_400_000 / 3
    hung = station % 2 == 0
    assert (hung & early).sum() > 0.6 * (~hung & early).sum()
    assert (hung & ~early).sum() < 0.5 * (~hung & ~early).sum(), "a sheet hangs at the pump"
    assert len(refused) / (STATIONS * 0.4 * 40) > 2, "each driver tries some times"
    anew = of(made, "device")
    assert len(anew) == len(of(made, "token"))
    assert 0 < len(anew) <= len(refused) / 5
    one = refused["ts_ms"][station == 1]
    assert (np.diff(one) < 32_000).mean() > 0.5
    assert len(told(reports, 200)) > 0


def test_tablets_of_a_poll_cannot_tell_each_other_who_has_voted() -> None:
    made, scene = good("pollbook_sync")
    sought, checked, synced = of(made, "api_orders"), of(made, "graphql"), of(made, "exported")
    assert (keys(made, scene), len(np.unique(made["ip"]))) == ({"key-fleet-polls"}, PLACES)
    voters = len(told(sought, 200))
    day_s = 0.88 * 14_400
    assert voters == PLACES * 6 * round(day_s / 480)
    assert len(told(sought, 404)) / voters == pytest.approx(1.5, abs=0.2)
    unheard = told(checked, 503)
    assert len(unheard) / voters == pytest.approx(0.2, abs=0.04), "every second in two fifths of the day"
    once = each(checked["path"])
    assert (len(once), (once == 2).sum()) == (voters, len(unheard)), "all are handed in"
    late = checked[np.isin(checked["path"], unheard["path"]) & (checked["status"] != 503)]
    assert late["ts_ms"].min() > unheard["ts_ms"].max()
    assert share(late, 200, 409) == 1
    assert set(np.unique(told(checked, 409)["path"])) <= set(np.unique(late["path"]))
    place = late["ts_ms"][late["ip"] == late["ip"][0]]
    assert np.diff(place).max() == pytest.approx(250, abs=3), "four a second"
    slow = told(synced, 504)
    assert len(slow) / (PLACES * 6) == pytest.approx(4 * 0.4 * day_s / 240, rel=0.1)
    assert len(told(synced, 200)) / (PLACES * 6) == pytest.approx(0.6 * day_s / 240, rel=0.1)
    within = (synced["ts_ms"] > slow["ts_ms"].min() + 300_000) & (synced["ts_ms"] < slow["ts_ms"].max() - 60_000)
    assert share(synced[within], 504) == 1


def test_all_of_a_games_servers_begin_anew_and_ask_about_their_players() -> None:
    made, scene = good("wipe_day")
    tickets, starts, beats = of(made, "token"), of(made, "device"), of(made, "telemetry")
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == SERVERS
    assert len(told(starts, 201)) == 3 * SERVERS
    old = told(starts, 400)
    assert len(np.unique(old["ip"])) == -(-(SERVERS - 3) // 8)
    players = len(told(tickets, 200))
    assert 40 * SERVERS <= players <= 90 * SERVERS
    assert len(of(made, "api_orders")) == players
    assert len(told(tickets, 409)) / players == pytest.approx(1 / 6, abs=0.02)
    assert len(told(tickets, 401)) / players == pytest.approx(2.5 / 2, abs=0.15)
    wiped_ms = starts["ts_ms"].min()
    assert tickets["ts_ms"].min() > wiped_ms
    for ip in np.unique(made["ip"]).tolist():
        mine = tickets[tickets["ip"] == ip]
        opened_ms = told(starts, 201)["ts_ms"][told(starts, 201)["ip"] == ip].max()
        assert 5000 <= mine["ts_ms"].min() - opened_ms < 60_000
        assert np.ptp(mine["ts_ms"]) < 360_000
        silent = np.diff(beats["ts_ms"][beats["ip"] == ip])
        assert (silent > 180_000).sum() == 1, "they are gone once"
        assert np.median(silent) == pytest.approx(120_000, rel=0.05)
    refused = old["ts_ms"][old["ip"] == old["ip"][0]]
    assert np.diff(refused).mean() == pytest.approx(60_000, rel=0.1)
    assert most_in_a_minute(tickets, "ip") > 30


def test_builds_fetch_the_same_archives_again_and_again_and_all_is_well() -> None:
    made, scene = good("changed_checksums")
    assert len(of(made, "build")) == len(made)
    assert share(made, 200) == 1
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == BUILDERS
    assert {one.partition("/")[0] for one in agents(made, scene)} == {"Bazel", "conan", "Homebrew"}
    path = np.array(paths(made, scene))
    other = np.array([one.endswith("?mirror=1") for one in path])
    odd_ms = made["ts_ms"][other]
    assert np.ptp(odd_ms) < 14_400_000 / 3 + 700_000
    for ip in np.unique(made["ip"]).tolist():
        mine = made["ip"] == ip
        changed = np.unique([one.partition("?")[0] for one in path[mine & other]])
        assert len(changed) in (0, 5)
        assert len(np.unique(path[mine & ~other])) == 12
        starts = (mine & other).sum() / 5
        builds = (mine & ~other).sum() - starts * (12 + 15)
        assert builds % 12 == 0, "else each package once"
        assert starts % 3 == 0 or starts % 4 == 0
    late = made[(made["ts_ms"] > odd_ms.max() + 60_000) & ~other]
    assert each(late["ip"].astype(np.int64) * 10**6 + late["path"]).max() <= 5
    assert most_in_a_minute(made, "key") <= 120


def test_mail_providers_machines_press_the_button_for_hundreds() -> None:
    made, scene = good("unsubscribe_posts")
    posts, logins = of(made, "graphql"), of(made, "login")
    assert len(np.unique(posts["ip"])) == 9
    assert {scene.world.asns[ip] for ip in posts["ip"].tolist()} <= {65548, 65549, 65550}
    assert len(agents(posts, scene)) == 3
    assert len(np.unique(posts["user"])) == len(np.unique(posts["path"])) == PRESSED
    refused, taken = told(posts, 403), told(posts, 200)
    mended_ms = taken["ts_ms"].min()
    assert refused["ts_ms"].max() <= mended_ms + 60_000
    tries = each(refused["path"])
    assert tries.max() <= 5
    assert (tries > 1).mean() > 0.5, "again after two, ten and thirty minutes"
    heeded = np.unique(taken["path"])
    assert len(heeded) > 0.8 * PRESSED
    twice = each(taken["path"])
    assert (twice == 2).mean() == pytest.approx(1 / 5, abs=0.06)
    assert twice.max() == 2
    first = refused["ts_ms"] - posts["ts_ms"].min()
    assert 0 <= first.min() < first.max() < 14_400_000 * 0.6 / 8 + 1_000
    assert len(logins) == len(of(made, "account")) == len(of(made, "profile")) == PRESSED / 8
    assert not np.isin(logins["ip"], posts["ip"]).any()


def test_pharmacies_come_over_with_new_keys_and_all_that_was_left_lying() -> None:
    made, scene = good("clearinghouse_switch")
    tokens, claims, asked = of(made, "token"), of(made, "graphql"), of(made, "api_orders")
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == PHARMACIES
    assert each(told(tokens, 401)["key"]).max() <= 3
    assert len(np.unique(told(tokens, 401)["key"])) == PHARMACIES == len(told(tokens, 200))
    early = each(told(asked, 403)["key"])
    assert (len(early), early.min() >= 2, early.max() <= 6) == (PHARMACIES, True, True)
    firsts = len(np.unique(claims["path"]))
    assert 50 * PHARMACIES <= firsts <= 110 * PHARMACIES
    assert len(told(claims, 422)) / firsts == pytest.approx(0.3, abs=0.03)
    assert len(told(claims, 409)) / firsts == pytest.approx(0.1, abs=0.02)
    again = len(claims) - firsts
    assert again / len(told(claims, 422)) == pytest.approx(0.5, abs=0.05)
    assert np.isin(told(claims, 422)["path"], told(claims, 200)["path"]).sum() == again
    for key in np.unique(made["key"])[:12].tolist():
        mine = made[made["key"] == key]
        let_in = told(of(mine, "token"), 200)["ts_ms"][0]
        assert told(mine, 403)["ts_ms"].max() < let_in < of(mine, "graphql")["ts_ms"].min()
    rests = told(asked, 200)
    one = np.diff(rests["ts_ms"][rests["key"] == rests["key"][0]])
    assert np.median(one) == pytest.approx(900_000, rel=0.05)
    begins = np.array([made["ts_ms"][made["key"] == key].min() for key in np.unique(made["key"]).tolist()])
    assert 0.2 * 14_400_000 < np.ptp(begins) < 0.46 * 14_400_000


def test_keys_are_used_up_and_all_begin_in_the_seconds_of_midnight() -> None:
    made, scene = good("quota_midnight")
    refused = told(made, 403)
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == PARTNERS
    assert all(one.startswith("key-poll-day-") for one in keys(made, scene))
    paces, begins = [], []
    spent = set()
    for key in np.unique(made["key"]).tolist():
        mine = made[made["key"] == key]
        vain = told(mine, 403)
        served = told(mine, 200)["ts_ms"]
        pause = int(np.argmax(np.diff(served)))
        used_ms, begins_ms = served[pause], served[pause + 1]
        begins.append(begins_ms)
        assert 0.12 * 14_400_000 < used_ms < 0.38 * 14_400_000
        before = vain["ts_ms"][(vain["ts_ms"] < begins_ms)]
        assert before.min() >= used_ms
        paces.append(round(float(np.median(np.diff(before))) / 1000))
        kept = served[(served >= begins_ms) & (served < begins_ms + 110_000)]
        assert len(kept) >= 100
        assert np.diff(served[served < used_ms]).mean() == pytest.approx(25_000, rel=0.05)
        if (vain["ts_ms"] > begins_ms).any():
            spent.add(key)
            assert served.max() < begins_ms + 110_000
    assert np.ptp(begins) <= 4500
    assert 0.57 * 14_400_000 < min(begins) < 0.63 * 14_400_000
    assert sorted(paces) == pytest.approx([15] * 3 + [60] * 3 + [300] * 2, rel=0.05)
    assert len(spent) == 1, "every eighth"
    assert len(refused) > 500
