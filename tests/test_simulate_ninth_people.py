"""The ninth set's good cases of people, many behind one address or changed overnight, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate.scene import Rows, Scene
from floodwarden.simulate.world import ABSENT

GIVERS, LEAVERS, NEWCOMERS, PAYERS, PUPILS, ASKERS = 120, 210, 270, 240, 150, 180  # at three requests a second
SCHOOLS, LIBRARIES, FIRMS, OFFICES = 2, 3, 2, 3  # at 800 accounts
CARRIERS = {64502, 64503}


def behind(made: Rows, scene: Scene, asns: set[int]) -> np.ndarray:
    """Which rows come from those networks."""
    return np.isin(np.array(scene.world.asns)[made["ip"]], list(asns))


def op(made: Rows, scene: Scene, name: str) -> Rows:
    """Requests of one operation."""
    return np.asarray(made[np.array([f"op={name}" in path for path in paths(made, scene)], bool)])


@pytest.mark.parametrize(
    "name",
    ["library_claims", "heic_answers", "donated_nights", "bankrupt_exports", "exodus_signups", "void_banknotes"],
)
def test_nobody_asks_faster_than_people_do_and_all_is_over_with_the_run(name: str) -> None:
    made, scene = good(name)
    assert most_in_a_minute(made, "user") <= 16
    assert made["ts_ms"].max() < scene.span_s * 1000
    assert (made["key"] == ABSENT).all()


def test_copied_computers_are_one_and_whoever_signs_in_throws_another_out() -> None:
    made, scene = good("cloned_classroom")
    logins, ended, registered = of(made, "login"), of(made, "app_feed"), of(made, "device")
    copied = np.array([path.endswith("lab-master-01") for path in paths(registered, scene)])
    pupils = SCHOOLS * 24 * 3
    assert len(np.unique(made["ip"])) == SCHOOLS
    assert copied.sum() == pupils
    assert (registered["status"][copied] == 201).sum() == SCHOOLS * 3, "the first of each lesson"
    assert share(registered[copied], 201, 409) == 1
    times = each(logins["user"])
    assert (len(times), times.min(), times.max()) == (pupils, 3, 6)
    assert share(logins, 200) == share(ended, 401) == 1
    assert len(ended) == len(logins)
    seen = of(made, "app_item")
    assert 2 * len(logins) <= len(seen) <= 3 * len(logins)
    for user in np.unique(logins["user"])[:20].tolist():
        mine = np.sort(np.concatenate([rows["ts_ms"][rows["user"] == user] for rows in (logins, seen, ended)]))
        out = ended["ts_ms"][ended["user"] == user]
        begun = logins["ts_ms"][logins["user"] == user]
        assert (begun < out).all(), "in, pages, and out"
        assert (out[:-1] < begun[1:]).all()
        assert np.ptp(mine) < 0.14 * 1000 * scene.span_s
    own = registered[~copied]
    assert len(own) == len(np.unique(own["path"])) == SCHOOLS * 24
    assert own["ts_ms"].min() > made["ts_ms"][: -len(own)].max() - 60_000
    one = np.sort(own["ts_ms"][own["ip"] == own["ip"][0]])
    assert np.diff(one).mean() == pytest.approx(30_000, rel=0.05)
    assert len(agents(made, scene)) == 1


def test_a_librarys_computers_know_nobody_and_a_quarter_fill_their_form_in_twice() -> None:
    made, scene = good("library_claims")
    logins, forms, codes = of(made, "login"), of(made, "profile"), of(made, "verify")
    assert len(np.unique(made["ip"])) == LIBRARIES
    assert len(agents(made, scene)) == 1
    sittings = len(of(made, "home"))
    assert sittings == LIBRARIES * 10 * 3
    out = forms[forms["status"] == 401]
    assert len(out) == -(-sittings // 4)
    assert (logins["status"] == 200).sum() == sittings + len(out), "in anew"
    assert (codes["status"] == 200).sum() == sittings, "a computer never seen"
    wrong = each(codes["user"][codes["status"] == 401])
    assert sittings / 3 <= (codes["status"] == 401).sum() <= 2 * sittings / 3 + 1
    assert wrong.max() <= 4
    filled = (forms["status"] == 200).sum()
    assert filled == 9 * sittings + 6 * len(out)
    assert (forms["status"] == 400).sum() / (9 * sittings) == pytest.approx(1 / 8, abs=0.03)
    assert len(of(made, "logout")) == sittings / 2
    assert np.ptp(made["ts_ms"]) < 0.76 * 1000 * scene.span_s
    for user in out["user"].tolist():
        mine = forms[forms["user"] == user]
        ms = mine["ts_ms"][mine["status"] == 401].max()
        assert ms - mine["ts_ms"][(mine["ts_ms"] < ms) & (mine["status"] == 200)].max() > 100_000, "it took too long"
        assert (mine["ts_ms"] > ms).sum() >= 9


def test_pictures_of_one_kind_are_not_taken_until_it_is_too_late() -> None:
    made, scene = good("heic_answers")
    calls, told = of(made, "graphql"), np.array(paths(of(made, "graphql"), scene))
    assert len(of(made, "login")) == len(of(made, "exported")) == 2 * PUPILS
    questions = of(made, "exported")
    for exam in (1, 2):
        mine = calls[np.array([f"exam={exam}&" in path for path in told])]
        odd = np.unique(mine["user"][mine["status"] == 415])
        tries, late = each(mine["user"][mine["status"] == 415]), each(mine["user"][mine["status"] == 410])
        assert (len(odd), tries.min() >= 4, tries.max() <= 9) == (PUPILS / 6, True, True)
        assert (late.min(), late.max()) == (2, 3)
        assert len(late) / len(odd) == pytest.approx(2 / 3, abs=0.2)
        assert not np.isin(np.unique(mine["user"][mine["status"] == 410]), mine["user"][mine["status"] == 200]).any()
        assert (mine["status"] == 200).sum() == 2 * (PUPILS - len(late)), "all others have handed both in"
        taken_ms = mine["ts_ms"][mine["status"] != 410]
        assert np.ptp(taken_ms) < 300_000
        assert mine["ts_ms"][mine["status"] == 410].min() > taken_ms.max() - 10_000
        asked = questions[np.array([path.endswith(f"exam-{exam}") for path in paths(questions, scene)])]
        assert np.ptp(asked["ts_ms"]) < 20_000
        assert taken_ms.min() - asked["ts_ms"].min() > 2_580_000
    assert len(of(made, "assistant")) == (calls["status"] == 410).sum()
    assert (calls["status"] == 503).sum() / (4 * PUPILS * 5 / 6) == pytest.approx(1 / 15, abs=0.03)


def test_a_help_desk_reads_number_after_number_and_once_a_script_reads_all() -> None:
    made, scene = good("recovery_keys")
    numbers, logins = op(made, scene, "recoveryKey"), of(made, "login")
    office = behind(numbers, scene, {64504, 64505})
    assert len(np.unique(numbers["ip"][office])) == FIRMS
    scripts = np.array(["PowerShell" in scene.world.agents.texts[ua] for ua in numbers["ua"].tolist()])
    script = numbers[scripts]
    assert len(np.unique(script["ip"])) == 1, "at every second firm"
    assert np.diff(script["ts_ms"]).mean() == pytest.approx(1000 / 1.5, rel=0.01)
    assert paths(script, scene) == sorted(set(paths(script, scene)))
    desk, own = numbers[office & ~scripts], numbers[~office]
    good_ones = desk[desk["status"] == 200]
    misheard = (desk["status"] == 404).sum()
    computers = len(np.unique(good_ones["path"])) + len(own)
    assert 90 * FIRMS <= computers <= 150 * FIRMS
    assert misheard == pytest.approx(len(np.unique(good_ones["path"])) / 9, abs=2)
    assert len(good_ones) - len(np.unique(good_ones["path"])) == pytest.approx(
        len(np.unique(good_ones["path"])) / 8, abs=2
    )
    assert len(own) == pytest.approx(computers / 4, abs=2)
    assert len(np.unique(own["user"])) == len(own)
    assert (logins["status"] == 200).sum() == len(own) + 6 * FIRMS
    assert most_in_a_minute(desk, "user") <= 6
    assert share(own, 200) == share(script, 200) == 1


def test_everybody_looks_himself_and_his_family_up_and_two_in_five_are_not_in_it() -> None:
    made, scene = good("settlement_lookup")
    looked, claims = of(made, "graphql"), of(made, "register")
    assert len(of(made, "article")) == ASKERS
    assert (made["user"] == ABSENT).all()
    people = (looked["status"] == 200).sum() / 0.6
    assert ASKERS * 2.4 < people < ASKERS * 3.6
    assert len(claims) == (looked["status"] == 200).sum()
    assert share(claims, 409) == pytest.approx(1 / 12, abs=0.05)
    assert (looked["status"] == 503).sum() / people == pytest.approx(1 / 8, abs=0.05)
    assert (looked["status"] == 404).sum() / people == pytest.approx(0.4 + 1 / 7, abs=0.08)
    office = behind(made, scene, {64504, 64505})
    assert len(np.unique(made["ip"][office])) == OFFICES
    assert (of(made, "article")["ip"][:, None] == np.unique(made["ip"][office])).any(axis=1).mean() == pytest.approx(
        0.4
    )
    for ip in np.unique(made["ip"][office]).tolist():
        comes = of(made, "article")["ts_ms"][of(made, "article")["ip"] == ip]
        assert (len(comes) > 12, np.ptp(comes) < 1_300_000) == (True, True), "it goes round at noon"
    assert np.ptp(made["ts_ms"][~office]) > 3_000_000


def test_nights_are_given_by_members_who_never_come() -> None:
    made, scene = good("donated_nights")
    opened, put, paid = of(made, "item"), of(made, "cart_add"), of(made, "pay")
    assert len(np.unique(made["user"])) == len(of(made, "login")) == GIVERS
    places = each(opened["user"])
    assert (len(places), places.min(), places.max()) == (GIVERS, 1, 4)
    assert len(np.unique(opened["path"])) <= 150
    assert len(put) == len(opened)
    assert share(put, 409) == pytest.approx(1 / 8, abs=0.05)
    booked = (put["status"] == 200).sum()
    assert booked == len(of(made, "checkout")) == (paid["status"] == 200).sum() == len(op(made, scene, "writeHost"))
    refused = paid["user"][paid["status"] == 402]
    assert len(np.unique(refused)) == pytest.approx(GIVERS / 3, abs=8)
    assert len(refused) <= 2 * booked / 2
    assert len(of(made, "orders")) == GIVERS / 2
    assert np.ptp(made["ts_ms"]) < 0.6 * 1000 * scene.span_s


def test_members_of_long_ago_take_all_that_there_is_of_them_and_are_deleted() -> None:
    made, _ = good("bankrupt_exports")
    logins, asked = of(made, "login"), of(made, "exported")
    assert len(np.unique(made["user"])) == (logins["status"] == 200).sum() == LEAVERS
    for endpoint, done in (("account", 200), ("export", 202), ("profile", 200)):
        rows = of(made, endpoint)
        assert (rows["status"] == done).sum() == LEAVERS
        assert (rows["status"] == 503).sum() / LEAVERS == pytest.approx(1 / 6, abs=0.07)
    waits = each(asked["user"][asked["status"] == 404])
    assert (len(waits), waits.min(), waits.max()) == (LEAVERS, 3, 9)
    assert (asked["status"] == 200).sum() == LEAVERS
    assert len(of(made, "reset")) == LEAVERS / 2
    assert (of(made, "verify")["status"] == 401).sum() == LEAVERS / 3
    before = logins[logins["status"] == 401]
    deleted = of(made, "profile")
    gone = dict(zip(deleted["user"].tolist(), deleted["ts_ms"].tolist(), strict=True))
    back = np.array(
        [ms > gone[user] for user, ms in zip(before["user"].tolist(), before["ts_ms"].tolist(), strict=True)]
    )
    assert back.sum() == LEAVERS / 5
    tries = each(before["user"][~back])
    assert (len(tries), tries.min(), tries.max()) == (LEAVERS, 1, 4)


def test_newcomers_come_by_few_carriers_addresses_and_their_codes_do_not() -> None:
    made, scene = good("exodus_signups")
    assert len(np.unique(made["user"])) == len(of(made, "device")) == len(of(made, "register")) == NEWCOMERS
    carried = behind(of(made, "device"), scene, CARRIERS)
    assert carried.mean() == pytest.approx(0.8, abs=0.01)
    assert len(np.unique(of(made, "device")["ip"][carried])) == NEWCOMERS // 40
    assert share(of(made, "register"), 409) == pytest.approx(1 / 12, abs=0.01)
    codes = op(made, scene, "sendCode")
    times = each(codes["user"])
    assert (times.min(), times.max()) == (2, 5)
    assert share(codes, 503) == pytest.approx(1 / 5, abs=0.04)
    typed = of(made, "verify")
    assert (typed["status"] == 200).sum() == NEWCOMERS
    old = each(typed["user"][typed["status"] == 401])
    assert (len(old), old.max()) == (NEWCOMERS / 3, 2)
    blocks = op(made, scene, "findFriends")
    assert len(np.unique(blocks["path"])) == 4
    assert NEWCOMERS < len(blocks) < 7 * NEWCOMERS
    assert len(of(made, "profile")) == NEWCOMERS
    assert len(np.unique(of(made, "app_feed")["user"], return_counts=True)[1] > 1) == NEWCOMERS
    assert (each(of(made, "app_feed")["user"]) > 1).mean() == pytest.approx(2 / 3, abs=0.01)


def test_money_is_loaded_in_vain_up_to_five_times_and_shopkeepers_look_after_each_customer() -> None:
    made, scene = good("void_banknotes")
    loads = np.array([path.endswith("topup=1") for path in paths(made, scene)])
    topped, paid = made[loads], of(made[~loads], "pay")
    assert len(np.unique(made["user"])) == PAYERS
    assert len(np.unique(made["ip"][behind(made, scene, CARRIERS)])) == PAYERS // 45
    times = each(topped["user"])
    assert (len(times), times.min(), times.max()) == (PAYERS, 1, 6)
    assert (topped["status"] == 200).sum() == PAYERS, "in the end it goes"
    assert (topped["status"] == 402).sum() / (topped["status"] == 504).sum() == pytest.approx(1, abs=0.25)
    assert share(topped, 200, 402, 504) == 1
    assert share(paid, 402) == pytest.approx(1 / 9, abs=0.04)
    assert 2 <= each(paid["user"]).min() <= each(paid["user"]).max() <= 5
    assert len(of(made, "device")) == PAYERS / 2
    looks = each(of(made, "orders")["user"])
    assert (len(looks), looks.min() >= 60, looks.max() <= 120) == (PAYERS / 12, True, True)
    one = of(made, "orders")
    gaps_ms = np.diff(one["ts_ms"][one["user"] == one["user"][0]])
    assert (gaps_ms > 15_000 * 0.8).all()
    assert (gaps_ms < 51_000).all()
    other = np.unique(of(made, "profile")["user"])
    assert (np.unique(topped["user"], return_counts=True)[1][np.isin(np.unique(topped["user"]), other)] > 2).all()
