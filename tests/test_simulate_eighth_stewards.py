"""The eighth set's good cases of those who read or change very much with a right to it are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate.world import ABSENT

KEPT, VOLUNTEERS, PAGES, FIRMS = 120, 72, 3300, 6  # at three requests a second and 800 accounts


def test_a_keeper_changes_passwords_from_six_machines_and_owners_come_with_the_old_ones() -> None:
    made, scene = good("password_changers")
    keeper = np.array(["VaultChanger" in scene.world.agents.texts[ua] for ua in made["ua"].tolist()])
    at_work, owners = made[keeper], made[~keeper]
    assert len(np.unique(at_work["ip"])) == 6
    assert {scene.world.asns[ip] for ip in at_work["ip"].tolist()} <= {65548, 65549, 65550}
    assert len(of(at_work, "home")) == KEPT
    logins = of(at_work, "login")
    stale = each(logins["user"][logins["status"] == 401])
    assert len(stale) == KEPT / 6
    assert (stale == 2).mean() == pytest.approx(0.5, abs=0.25)
    codes = of(at_work, "verify")
    assert len(codes) / (KEPT / 4) == pytest.approx(0.92, abs=0.09)
    assert 0 < (codes["status"] == 401).sum() <= KEPT / 12
    done = (of(at_work, "profile")["status"] == 200).sum()
    assert done == KEPT - (stale == 2).sum() - (codes["status"] == 401).sum() == len(of(at_work, "logout"))
    assert (of(at_work, "profile")["status"] == 400).sum() == -(-done // 10)
    assert (of(owners, "login")["status"] == 200).sum() == done
    old = each(of(owners, "login")["user"][of(owners, "login")["status"] == 401])
    assert len(old) == pytest.approx(done / 2, abs=1)
    assert old.max() <= 2
    changed = of(at_work, "logout")
    for user in np.unique(changed["user"])[:20].tolist():
        assert owners["ts_ms"][owners["user"] == user].min() > changed["ts_ms"][changed["user"] == user].max()
    assert np.isin(owners["user"], changed["user"]).all()


def test_volunteers_save_each_page_once_by_packets_of_twenty_neighbours() -> None:
    made, scene = good("closing_forum")
    assert len(of(made, "reviews")) == len(made)
    assert len(np.unique(made["ip"])) == VOLUNTEERS
    assert agents(made, scene) == {
        "Mozilla/5.0 (compatible; RescueWarrior/3.1; wget-at/1.21.3; +https://rescue.example/why)"
    }
    hosting = np.array([scene.world.asns[ip] >= 65548 for ip in np.unique(made["ip"]).tolist()])
    assert hosting.sum() == 3 * VOLUNTEERS // 10
    assert (made["user"] == ABSENT).all()
    saved = made[made["status"] != 503]
    assert len(saved) == len(np.unique(saved["path"])) == PAGES
    assert share(saved, 404) == pytest.approx(1 / 25, abs=0.015)
    unheard = made[made["status"] == 503]
    assert np.isin(unheard["path"], saved["path"]).all()
    assert unheard["ts_ms"].max() - made["ts_ms"][0] < 3_600_000
    early = saved["ts_ms"] < unheard["ts_ms"].max()
    assert len(unheard) / early.sum() == pytest.approx(1 / 12, abs=0.03)
    items = np.array([int(path.split("/")[2]) for path in paths(saved, scene)])
    packet = (items - 1) // 20
    assert (each(packet) == 20).all()
    assert each(np.unique(np.stack([packet, saved["ip"]]), axis=1)[0]).max() == 1, "a packet is one volunteer's"
    assert most_in_a_minute(made, "ip") < 120


def test_firms_fetch_all_files_in_order_and_the_table_anew_once_it_has_lapsed() -> None:
    made, scene = good("mandated_files")
    assert len(of(made, "exported")) == len(made)
    assert len(np.unique(made["ip"])) == FIRMS
    assert (made["key"] == ABSENT).all()
    told = np.array(paths(made, scene))
    table = np.array([path.endswith("index.json") for path in told])
    whole = ~table & (made["status"] == 200)
    for ip in np.unique(made["ip"]).tolist():
        mine = told[whole & (made["ip"] == ip)].tolist()
        assert mine == sorted(mine)
        assert len(set(mine)) == len(mine) == 240
        refused = (made["ip"] == ip) & (made["status"] == 403)
        tables = made["ts_ms"][table & (made["ip"] == ip)]
        assert refused.sum() == pytest.approx(6 * (len(tables) - 1), abs=5)
        if refused.any():
            assert made["ts_ms"][refused].min() >= tables[0] + 3_600_000
    assert (made["status"] == 403).any(), "some are slower than an hour"
    assert (made["status"] == 206).sum() / whole.sum() == pytest.approx(1 / 12, abs=0.02)
    assert most_in_a_minute(made, "ip") < 60
    early = [made["ts_ms"][made["ip"] == ip].min() for ip in np.unique(made["ip"]).tolist()]
    assert (np.array(early) - min(early) < 600_000).sum() >= FIRMS / 2
    assert len(agents(made, scene)) == 4
