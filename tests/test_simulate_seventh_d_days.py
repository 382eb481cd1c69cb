"""Seven-d's good cases of people with one reason to come, and of those at the shelf, are what their sentences say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from simulated_sets import each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate.world import ABSENT

CASES = (
    "reception_centre", "shared_bills", "switching_deadline", "formula_shortage", "paper_catalogue",
    "register_readers",
)  # fmt: skip
ARRIVED, GROUPS, INSURED, PARENTS, READERS, HEIRS = 90, 18, 180, 150, 120, 48  # at three requests a second


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_keeps_to_good_clients_networks_and_ends_with_the_run(name: str) -> None:
    made, scene = good(name)
    assert {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()} <= set(range(64496, 64506))
    assert most_in_a_minute(made, "ip") <= 30
    assert made["ts_ms"].max() < scene.span_s * 1000
    assert (made["key"] == ABSENT).all()


def test_helpers_make_accounts_in_turn_and_nobody_pays() -> None:
    made, scene = good("reception_centre")
    forms, codes, vouchers = of(made, "register"), of(made, "verify"), of(made, "coupon")
    assert len(np.unique(made["ip"])) == 1
    for done in (forms, codes, vouchers, of(made, "profile"), of(made, "checkout"), of(made, "logout")):
        assert (done["status"] == 200).sum() == ARRIVED
    unfit = each(forms["user"][forms["status"] == 422])
    assert (len(unfit), unfit.max() <= 2) == (ARRIVED / 6, True)
    assert (codes["status"] == 401).sum() == ARRIVED / 5
    assert (vouchers["status"] == 409).sum() == -(-ARRIVED // 12)
    wants = each(of(made, "cart_add")["user"])
    assert (len(wants), wants.min(), wants.max()) == (ARRIVED, 3, 7)
    assert not len(of(made, "pay"))
    desks = [ua for ua in np.unique(made["ua"]).tolist() if not scene.world.agents.texts[ua].count("Android")]
    assert len(desks) == 4
    assert np.isin(of(made, "logout")["ua"], desks).mean() == pytest.approx(0.6, abs=0.01)
    for desk in desks:
        at = made[made["ua"] == desk]
        begins = [at["ts_ms"][at["user"] == user].min() for user in np.unique(at["user"]).tolist()]
        assert np.diff(np.sort(begins)).min() > 60_000


def test_each_friend_pays_once_at_the_link_that_went_round() -> None:
    made, scene = good("shared_bills")
    paid, booked = of(made, "pay"), of(made, "checkout")
    assert len(booked) == len(of(made, "search")) == len(np.unique(booked["ip"])) == GROUPS
    assert all("?share=" in path for path in paths(paid, scene))
    assert (paid["user"] == ABSENT).all()
    friends = each(paid["path"][paid["status"] == 200])
    assert (len(friends), friends.min() >= 6, friends.max() <= 14) == (GROUPS, True, True)
    assert each(paid["ip"][paid["status"] == 200]).max() == 1
    tries = each(paid["ip"][paid["status"] == 402])
    assert len(tries) / friends.sum() == pytest.approx(1 / 8, abs=0.06)
    assert tries.max() <= 2
    looks = each(of(made, "orders")["user"])
    assert (looks.min() >= 4, looks.max() <= 20) == (True, True)
    one = paid[(paid["path"] == paid["path"][0]) & (paid["status"] == 200)]
    assert np.diff(one["ts_ms"]).max() > 900_000, "some only after a reminder"
    assert len(of(made, "item")) == friends.sum() + 5 * GROUPS


def test_quotes_change_one_thing_at_a_time_and_late_notices_are_refused() -> None:
    made, scene = good("switching_deadline")
    calls = of(made, "graphql")
    told = paths(calls, scene)
    quote = np.array(["op=quote" in path for path in told])
    quotes, ended = calls[quote], calls[~quote]
    assert (quotes["user"] == ABSENT).all()
    people = np.unique(np.stack([quotes["ip"], quotes["ua"]]), axis=1, return_counts=True)[1]
    assert np.median(people) == pytest.approx(19, abs=4)
    home = [ip for ip in np.unique(quotes["ip"]).tolist() if scene.world.asns[ip] not in (64502, 64503)]
    for ip in home[:30]:
        mine = [path.split("&") for path in paths(quotes[quotes["ip"] == ip], scene)]
        assert 8 <= len(mine) <= 30
        assert max(sum(a != b for a, b in zip(*two, strict=True)) for two in pairwise(mine)) <= 1
    forms = of(made, "register")
    assert len(forms) == INSURED * 3 / 10
    assert (forms["status"] == 409).sum() == len(of(made, "login")) == -(-len(forms) // 10)
    assert len(of(made, "profile")) == len(of(made, "checkout")) == len(forms)
    late, timely = ended[ended["status"] == 410], ended[ended["status"] == 200]
    assert (each(late["user"]) == 2).all()
    assert late["ts_ms"].min() > timely["ts_ms"].max()
    assert 0 < len(late) < len(ended) / 2
    first, last = np.histogram(of(made, "article")["ts_ms"], bins=2)[0]
    assert last > 3 * first


def test_parents_look_at_five_tins_and_get_two_when_some_have_come_in() -> None:
    made, _ = good("formula_shortage")
    added, paid = of(made, "cart_add"), of(made, "pay")
    assert len(np.unique(of(made, "item")["path"])) == 5
    assert len(np.unique(made["user"])) == PARENTS
    families = 4 * 2 * (PARENTS // 2) // 3
    assert len(paid) == len(of(made, "checkout")) == families
    assert (added["status"] == 200).sum() == 2 * families
    assert np.ptp(made["ts_ms"]) == pytest.approx(0.7 * 14_400_000, rel=0.05)
    bursts = np.flatnonzero(np.diff(paid["ts_ms"]) > 900_000)
    assert len(bursts) == 3, "four times some have come in"
    for part in np.split(paid["ts_ms"], bursts + 1):
        assert np.ptp(part) < 480_000
    refused = added[added["status"] == 409]
    visits = len(refused) - 4 * (PARENTS // 2)
    assert visits / PARENTS == pytest.approx(9.5 / 3, abs=0.6), "one visit of three"


def test_numbers_are_typed_from_paper_neighbour_after_neighbour() -> None:
    made, scene = good("paper_catalogue")
    typed, items = of(made, "suggest"), of(made, "item")
    right, slips = items[items["status"] == 200], items[items["status"] == 404]
    assert len(typed) == 2 * len(right)
    assert {len(path.partition("=")[2]) for path in paths(typed, scene)} == {2, 4}
    assert len(slips) / len(right) == pytest.approx(1 / 8, abs=0.01)
    assert {len(path) for path in paths(slips, scene)} == {len("/items/12345")}
    assert len(of(made, "cart_add")) / len(right) == pytest.approx(0.5, abs=0.05)
    assert len(of(made, "checkout")) == len(of(made, "pay")) == READERS * 2 / 3
    assert len(of(made, "assistant")) == READERS / 3
    assert (of(made, "login")["status"] == 200).sum() == READERS * 3 / 5
    member = int(of(made, "login")["user"][0])
    numbers = [int(path.rpartition("/")[2]) for path in paths(right[right["user"] == member], scene)]
    steps = np.diff(numbers)
    assert (steps == 1).mean() > 0.4
    assert 1 <= (steps != 1).sum() <= 4, "two to five pages"


def test_registers_are_read_page_after_page_and_not_given_in_the_first_rush() -> None:
    made, scene = good("register_readers")
    read, saved = of(made, "article"), of(made, "graphql")
    refused = read["status"] == 503
    assert len(np.unique(made["user"])) == HEIRS
    assert np.ptp(read["ts_ms"][refused]) <= 1_440_000
    rush = read["ts_ms"] < read["ts_ms"][0] + 1_440_000
    assert refused[rush].mean() == pytest.approx(1 / 7, abs=0.03)
    pages = each(read["user"][~refused])
    assert (len(pages), pages.min() >= 60, pages.max() <= 200) == (HEIRS, True, True)
    assert len(np.unique(saved["user"])) == HEIRS / 3
    volumes = {path.rpartition("-")[0] for path in paths(read, scene)}
    assert 15 < len(volumes) <= 30
    for user in np.unique(read["user"])[:10].tolist():
        mine = read[(read["user"] == user) & ~refused]
        number = np.array([int(path.rpartition("-")[2]) for path in paths(mine, scene)])
        assert set(np.diff(number).tolist()) <= {1, -1}
        assert (np.diff(number) == -1).mean() < 0.25
    assert share(read, 200, 503) == 1
