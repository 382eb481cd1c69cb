"""The eighth set's good cases of failing sign-ons, and of many behind one address, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, each, good, keys, most_in_a_minute, of, paths, share

from floodwarden.simulate.world import ABSENT

MEMBERS, MOVED, TICKETS = 150, 240, 600  # at three requests a second
FIRMS, FLIGHTS, SCHOOLS = 2, 3, 4  # at 800 accounts
CARRIERS = {64502, 64503}


@pytest.mark.parametrize(
    "name", ["borrowed_signon", "migration_weekend", "spent_links", "flight_codes", "district_passwords"]
)
def test_nobody_types_faster_than_people_and_all_is_over_with_the_run(name: str) -> None:
    made, scene = good(name)
    assert most_in_a_minute(made[made["user"] != ABSENT], "user") <= 12
    assert made["ts_ms"].max() < scene.span_s * 1000
    assert (made["key"] == ABSENT).all()


def test_nobody_gets_in_by_another_service_until_it_is_back() -> None:
    made, scene = good("borrowed_signon")
    tokens, logins = of(made, "token"), of(made, "login")
    failed, back = tokens[tokens["status"] != 200], tokens[tokens["status"] == 200]
    assert failed["ts_ms"].max() < back["ts_ms"].min()
    assert np.ptp(failed["ts_ms"]) < 2_820_000
    assert 2 * MEMBERS <= len(failed) <= 6 * MEMBERS
    assert (failed["user"] == ABSENT).all()
    assert share(failed, 401) == pytest.approx(1 / 3, abs=0.06)
    assert share(failed, 502) == pytest.approx(2 / 3, abs=0.06)
    guessed = each(logins["user"][logins["status"] == 401])
    assert (len(guessed), guessed.min(), guessed.max()) == (MEMBERS / 3, 2, 4)
    assert len(of(made, "reset")) == len(of(made, "verify")) == (logins["status"] == 200).sum() == MEMBERS / 6
    assert len(back) == len(of(made, "account")) == MEMBERS - MEMBERS / 6
    assert np.ptp(back["ts_ms"]) <= 600_000
    assert {scene.world.paths.texts[path] for path in tokens["path"].tolist()} == {"/api/token?provider=elsewhere"}


def test_right_passwords_do_not_fit_until_an_account_is_mended() -> None:
    made, scene = good("migration_weekend")
    logins = of(made, "login")
    lost = np.unique(of(made, "verify")["user"])
    assert len(np.unique(logins["user"][logins["status"] == 200])) == (logins["status"] == 200).sum() == MOVED
    assert len(lost) == len(of(made, "reset")) == MOVED / 6
    assert share(of(made, "verify"), 400) == 1
    tries = np.unique(logins["user"][logins["status"] == 401], return_counts=True)
    assert (tries[1] >= 6).sum() == MOVED / 3, "two to four times, three or four times over"
    assert tries[1].max() <= 16
    for user in lost[:20].tolist():
        mine = logins[logins["user"] == user]
        refused = mine["ts_ms"][mine["status"] == 401]
        assert refused.max() < mine["ts_ms"][mine["status"] == 200].min()
        assert np.ptp(refused) > 900_000, "it tries again later"
    assert (logins["status"] == 503).sum() / MOVED == pytest.approx(1 / 8, abs=0.05)
    app = [ua for ua in np.unique(made["ua"]).tolist() if "ShopApp" in scene.world.agents.texts[ua]]
    assert len(np.unique(made["user"][np.isin(made["ua"], app)])) == MOVED * 2 / 5
    assert np.ptp(made["ts_ms"]) < 18_000_000


def test_a_guard_opens_each_link_before_its_reader_who_finds_it_spent() -> None:
    made, scene = good("spent_links")
    sent, opened = of(made, "reset"), of(made, "account")
    asns = np.array(scene.world.asns)[made["ip"]]
    office = np.unique(sent["ip"])
    assert len(office) == FIRMS
    assert {scene.world.asns[ip] for ip in np.setdiff1d(made["ip"], office).tolist()} <= {65548, 65549, 65550}
    assert len(np.unique(made["ip"][(asns >= 65548) & (asns <= 65550)])) == 3
    assert share(sent, 202) == 1
    assert len(opened) == 2 * len(sent), "the guard, and who it is for"
    guard = ~np.isin(opened["ip"], office)
    assert share(opened[guard], 200) == 1
    for path in np.unique(opened["path"])[:60].tolist():
        first, second = opened[opened["path"] == path]
        assert first["ip"] not in office
        assert second["ip"] in office
        before_ms = first["ts_ms"] - sent["ts_ms"]
        assert ((before_ms >= 3000) & (before_ms <= 20_000)).any()
    people = len(np.unique(sent["user"]))
    assert 12 * FIRMS <= people <= 30 * FIRMS
    spent = opened["status"] == 410
    got_in = (~spent & ~guard).sum()
    assert got_in == len(of(made, "profile")) == len(of(made, "login")) == pytest.approx(0.75 * people, abs=1)
    assert 2 * people <= spent.sum() <= 5 * people
    assert opened["ts_ms"][~spent & ~guard].min() > sent["ts_ms"][0] + 0.6 * 3_600_000


def test_codes_do_not_come_in_the_air_and_half_way_all_are_behind_another_address() -> None:
    made, scene = good("flight_codes")
    asns = np.array(scene.world.asns)[made["ip"]]
    items = of(made, "item")
    beams = np.unique(items["ip"])
    assert len(beams) == 2 * FLIGHTS
    assert set(asns.tolist()) <= CARRIERS
    ip, users = np.unique(items["ip"], return_counts=True)
    assert users.min() > 10, "a dozen people and more"
    for one in range(FLIGHTS):
        first, second = (items[items["ip"] == beam] for beam in ip[2 * one : 2 * one + 2])
        assert first["ts_ms"].max() <= second["ts_ms"].min()
    logins, codes = of(made, "login"), of(made, "verify")
    aboard = np.isin(logins["ip"], beams)
    people = np.unique(logins["user"][aboard], return_counts=True)[1]
    assert 12 * FLIGHTS <= len(people) <= 24 * FLIGHTS
    assert people.max() <= 4
    assert (people == 1).mean() == pytest.approx(0.5, abs=0.02)
    assert share(logins, 200) == 1
    refused = codes[codes["status"] == 401]
    assert np.isin(refused["ip"], beams).all()
    asked = (people > 1).sum()
    assert len(np.unique(refused["user"])) == pytest.approx(asked / 2, abs=1)
    assert each(refused["user"]).max() <= 2
    taken = codes[codes["status"] == 200]
    assert np.isin(taken["ip"], beams).sum() == pytest.approx(asked / 5, abs=1)
    assert len(taken) == asked, "the others once they have landed"
    assert len(items) / len(people) == pytest.approx(8, abs=0.8)


def test_class_after_class_chooses_new_passwords_behind_its_school() -> None:
    made, scene = good("district_passwords")
    logins, written = of(made, "login"), of(made, "profile")
    pupils = len(np.unique(made["user"]))
    assert len(np.unique(made["ip"])) == SCHOOLS
    assert 18 * 8 * SCHOOLS <= pupils <= 28 * 8 * SCHOOLS
    assert "CrOS" in next(iter(agents(made, scene)))
    assert len(agents(made, scene)) == 1
    assert (logins["status"] == 200).sum() == 2 * pupils
    assert (written["status"] == 200).sum() == len(of(made, "logout")) == len(of(made, "home")) == pupils
    locked = logins["user"][logins["status"] == 423]
    assert len(locked) == len(of(made, "reset"))
    assert len(locked) / pupils == pytest.approx(0.05, abs=0.02)
    for user in locked.tolist():
        mine = logins["status"][logins["user"] == user].tolist()
        assert mine[:5] == [401] * 4 + [423]
    begins = np.array([logins["ts_ms"][logins["user"] == user].min() for user in np.unique(made["user"]).tolist()])
    first_slip = logins["user"][(logins["status"] == 401)]
    assert len(np.unique(first_slip)) / pupils == pytest.approx(0.5 + 0.5 * 0.2, abs=0.04)
    assert np.ptp(begins) < 7_200_000
    short = each(written["user"][written["status"] == 400])
    assert (len(short), short.max()) == (-(-pupils // 4), 2)
    school = made[made["ip"] == made["ip"][0]]
    starts = np.sort([school["ts_ms"][school["user"] == user].min() for user in np.unique(school["user"]).tolist()])
    assert (np.diff(starts) > 200_000).sum() == 7, "eight classes"


def test_tickets_that_are_not_activated_are_read_again_and_what_was_let_in_is_handed_in() -> None:
    made, scene = good("gate_scanners")
    told = paths(made, scene)
    assert keys(made, scene) == {"key-fleet-gates"}
    assert len(np.unique(made["ip"])) == 2
    ticket = np.array([path.split("ticket=")[1].split("&")[0] for path in told])
    gates = {path.split("gate=")[1] for path in told}
    assert len(gates) == 24
    handed = np.array(["op=admitted" in path for path in told])
    assert len(np.unique(ticket)) == TICKETS
    vain = made["status"] == 404
    assert len(np.unique(ticket[vain])) == pytest.approx(TICKETS / 25, abs=6)
    tries = np.unique(ticket[vain], return_counts=True)[1]
    assert (tries.min(), tries.max()) == (2, 5)
    let_in = np.isin(np.unique(ticket[vain]), ticket[made["status"] == 200])
    assert let_in.mean() == pytest.approx(0.5, abs=0.2)
    assert (made["status"] == 409).sum() == pytest.approx(TICKETS / 40, abs=4)
    assert np.diff(made["ts_ms"][handed]).max() <= 84, "a dozen a second"
    assert handed.mean() == pytest.approx(0.12, abs=0.06)
    others = made["ts_ms"][~handed & (made["status"] == 200)]
    assert np.diff(others).max() > 240_000, "the lines are dead"
    assert np.ptp(made["ts_ms"]) < 4_200_000
