"""The fifth set's good cases of programs, appliances, contracts are what their sentences say: who and how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, Rows


def agents(made: Rows, scene: Scene) -> set[str]:
    return {scene.world.agents.texts[ua] for ua in np.unique(made["ua"]).tolist()}


def keys(made: Rows, scene: Scene) -> set[str]:
    return {scene.world.keys.texts[key] for key in np.unique(made["key"]).tolist()}


def test_hired_testers_try_what_attackers_try_at_the_rate_that_was_agreed() -> None:
    made, scene = good("announced_pentest")
    assert len(np.unique(made["ip"])) == 2
    assert all("contract PT-2026-014" in agent for agent in agents(made, scene))
    gap = int(np.diff(made["ts_ms"]).argmax())
    first = made[: gap + 1]
    assert len(first) / 2 / (np.ptp(first["ts_ms"]) / 1000) == pytest.approx(1, rel=0.05), "a request a second each"
    assert np.diff(made["ts_ms"]).max() > 600_000, "two bouts"
    logins = of(made, "login")
    assert share(logins, 401) == 1
    assert len(np.unique(logins["user"])) == 2
    assert most_in_a_minute(logins, "ip") < 30
    assert share(of(made, "item_delete"), 405) == 1
    assert share(of(made, "account"), 200) == pytest.approx(0.02, abs=0.015)
    assert share(of(made, "missing"), 403, 404) == 1
    assert most_in_a_minute(made, "ip") <= 120


def test_auditors_look_every_fiftieth_order_up_with_its_invoice() -> None:
    made, scene = good("auditors_sample")
    assert len(np.unique(made["ip"])) == 1
    assert len(of(made, "sso")) == len(np.unique(made["user"])) == 3
    orders, invoices = of(made, "backoffice"), of(made, "invoice")
    assert len(orders) == len(invoices) == 1200
    assert share(invoices, 404) == pytest.approx(0.01, abs=0.01)
    for user in np.unique(made["user"]).tolist():
        mine = orders[orders["user"] == user]
        numbers = [int(path.split("/")[-1]) for path in paths(mine, scene)]
        assert set(np.diff(numbers).tolist()) == {50}
        assert np.median(np.diff(mine["ts_ms"])) == pytest.approx(12_000, rel=0.1)
        assert np.diff(mine["ts_ms"]).max() > 600_000, "a break"
    assert most_in_a_minute(made, "ip") <= 120


def test_the_library_copies_everything_once_and_asks_for_what_is_long_gone() -> None:
    made, scene = good("legal_deposit")
    assert len(np.unique(made["ip"])) == 4
    assert paths(made[:4], scene) == ["/robots.txt"] * 4
    assert agents(made, scene) == {"Mozilla/5.0 (compatible; heritrix/3.4 +https://library.example)"}
    rest = made[4:]
    assert len(rest) / (np.ptp(rest["ts_ms"]) / 1000) == pytest.approx(2, rel=0.05)
    assert len(of(rest, "missing")) / len(rest) == pytest.approx(1 / 12, abs=0.015)
    assert share(of(rest, "missing"), 404, 410) == 1
    assert len(np.unique(rest["endpoint"])) == 6
    assert most_in_a_minute(made, "ip") <= 120


def test_head_office_makes_all_accounts_and_the_branches_come_for_their_passwords() -> None:
    made, scene = good("branch_onboarding")
    joined = of(made, "register")
    office = made[made["ip"] == joined["ip"][0]]
    assert len(joined) == len(of(office, "login")) == len(of(office, "profile")) == 300
    assert len(office) == 900
    assert share(joined, 409) == pytest.approx(1 / 30, abs=0.03)
    assert share(joined, 201, 409) == 1
    assert np.diff(joined["ts_ms"]).mean() == pytest.approx(4000, rel=0.1)
    assert most_in_a_minute(office, "ip") <= 120
    assert most_in_a_minute(of(office, "login"), "ip") <= 30
    branches = made[made["ip"] != joined["ip"][0]]
    assert len(np.unique(branches["ip"])) == len(np.unique(branches["user"])) == len(of(branches, "reset")) == 300
    logins = of(branches, "login")
    assert (logins["status"] == 200).sum() == 300
    assert (logins["status"] == 401).sum() / 300 == pytest.approx(0.2, abs=0.06)
    assert branches["ts_ms"].min() > office["ts_ms"].max()
    assert scene.world.users.texts[int(branches["user"][0])].startswith("branch")


def test_televisions_ask_until_the_code_is_typed_and_then_all_at_the_half_hour() -> None:
    made, scene = good("new_televisions")
    homes = 60
    polls, got = of(made, "token"), of(made, "app_feed")
    assert len(np.unique(made["ip"])) == homes
    assert (polls["status"] == 200).sum() == homes, "in the end it works"
    assert share(polls, 400) > 0.9
    codes = of(made, "device")
    assert share(codes, 201) == 1
    assert len(codes) - homes == pytest.approx(homes / 6, abs=7)
    asked = polls[(polls["status"] == 400) & (polls["ip"] == polls["ip"][0])]
    assert np.median(np.diff(asked["ts_ms"])) == pytest.approx(5000, abs=400)
    later = [int(ms) for ms in ((START_MS + got["ts_ms"]) % 1_800_000).tolist()]
    assert np.mean([ms <= 3000 for ms in later]) > 0.6
    assert len(of(made, "app_item")) == 2 * homes
    assert not len(of(made, "login"))
    assert all(agent.startswith("ShopTV/2.1") for agent in agents(made, scene))


def test_an_extension_looks_every_hour_to_the_second() -> None:
    made, _ = good("wish_watchers")
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES["api_item"]}
    assert len(np.unique(made["ip"])) == 48
    assert set(made["user"].tolist()) == set(made["key"].tolist()) == {ABSENT}
    assert (share(made, 304), share(made, 404)) == pytest.approx((0.6, 1 / 30), abs=0.04)
    for ip in np.unique(made["ip"]).tolist()[:20]:
        at_ms = made["ts_ms"][made["ip"] == ip]
        begins = at_ms[np.flatnonzero(np.diff(at_ms, prepend=-10_000_000) > 600_000)]
        assert len(begins) >= 1
        assert not len(np.diff(begins)) or np.abs(np.diff(begins) - 3_600_000).max() < 300


def test_readers_of_a_newspaper_ask_for_three_items_and_open_no_page() -> None:
    made, scene = good("embedded_widget")
    boxes = [path == "/static/box.js" for path in paths(made, scene)]
    assert sum(boxes) == 540
    items = of(made, "api_item")
    assert len(items) >= 3 * 540
    assert {f"/api/v1/items/{number}" for number in (3500, 3501, 3502)} <= set(paths(items, scene))
    asked = each(items["path"])
    assert (asked == 540).sum() == 3
    assert len(of(made, "item", "list", "search", "home")) > 0, "one in thirty looks round"
    assert 60 < len(made) - 4 * 540 < 400
    first_ms = int(made["ts_ms"][0])
    assert np.mean(made["ts_ms"] < first_ms + 3_600_000) > 0.6


def test_a_box_in_the_living_room_asks_for_parcels_from_its_makers_cloud() -> None:
    made, scene = good("parcel_questions")
    assert len(np.unique(made["ip"])) == 6
    assert len(agents(made, scene)) == 1
    tokens, orders = of(made, "token"), of(made, "orders")
    assert len(tokens) + len(orders) == len(made)
    assert (tokens["status"] == 200).sum() == len(orders)
    lapsed = np.unique(tokens["user"][tokens["status"] == 401])
    assert not np.isin(orders["user"], lapsed).any()
    assert (each(tokens["user"][tokens["status"] == 401]) % 3 == 0).all(), "tried twice more"
    assert len(np.unique(made["user"])) == 120
    assert most_in_a_minute(made, "ip") <= 120


def test_a_village_is_one_address_and_its_cache_asks_for_all_it_keeps() -> None:
    made, scene = good("village_cache")
    assert len(np.unique(made["ip"])) == 1
    cache = made[[scene.world.agents.texts[ua].startswith("squid") for ua in made["ua"].tolist()]]
    people = made[~np.isin(made["ua"], cache["ua"])]
    assert len(np.unique(people["ua"])) > 5
    kept = each(cache["path"])
    assert 200 < len(kept) <= 320
    assert share(cache, 304) == pytest.approx(0.88, abs=0.05)
    assert len(of(cache, "static")) >= 6 * 3
    gaps_ms = np.diff(cache["ts_ms"])
    assert np.median(gaps_ms) == pytest.approx(1000, abs=150)
    given_up = made[made["status"] == 499]
    assert len(given_up)
    assert np.ptp(given_up["ts_ms"]) <= 240_000
    again = cache[(cache["ts_ms"] >= given_up["ts_ms"].max()) & (cache["status"] == 200)]
    assert np.isin(given_up["path"], again["path"]).all(), "asked for again"


def test_twenty_programs_lack_a_field_until_each_is_put_right() -> None:
    made, scene = good("schema_break")
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == 20
    refused = made[made["status"] == 400]
    release_ms = int(refused["ts_ms"].min())
    mended = np.sort([int(refused["ts_ms"][refused["key"] == key].max()) for key in np.unique(made["key"]).tolist()])
    assert mended[0] - release_ms < 1_300_000
    assert mended[-1] - release_ms > 5_500_000
    for key in np.unique(made["key"]).tolist():
        mine = made[made["key"] == key]
        assert (mine["status"] == 400).sum() % 4 == 0, "once, and three times again"
        assert mine["status"][-1] == 200
    good_ones = (made["status"] == 200) & (made["ts_ms"] < release_ms)
    assert np.diff(made["ts_ms"][good_ones & (made["key"] == made["key"][0])]).mean() == pytest.approx(75_000, rel=0.1)
    assert most_in_a_minute(made, "key") <= 120


def test_a_partner_stands_up_elsewhere_with_the_same_key_and_goes_back() -> None:
    made, scene = good("region_failover")
    assert len(keys(made, scene)) == 1
    here = np.array([scene.world.asns[ip] == 64508 for ip in made["ip"].tolist()])
    assert len(np.unique(made["ip"][here])) == len(np.unique(made["ip"][~here])) == 6
    away = made[~here]
    assert len({scene.world.countries[ip] for ip in away["ip"].tolist()}) == 3
    silent_ms = int(away["ts_ms"][0] - made["ts_ms"][here & (made["ts_ms"] < away["ts_ms"][0])].max())
    assert silent_ms > 470_000
    busy = away[away["ts_ms"] < away["ts_ms"][0] + 600_000]
    assert len(busy) / 600 == pytest.approx(4.1, rel=0.1)
    assert share(busy, 409) == pytest.approx(1 / 3, abs=0.04)
    assert share(away[away["ts_ms"] > away["ts_ms"][0] + 620_000], 200) == 1
    assert made["ts_ms"][here].max() > away["ts_ms"].max()
    assert share(made[here], 200) == 1
    assert most_in_a_minute(made, "key") <= 1200


def test_fifty_copies_start_at_once_and_five_never_become_ready() -> None:
    made, scene = good("scaled_out_pods")
    assert keys(made, scene) == {"key-batch-autoscaled"}
    assert len(np.unique(made["ip"])) == 3
    starts, lists = of(made, "token"), of(made, "api_items")
    assert len(starts) == 50 + 5 * 12
    assert len(lists) == 60 * len(starts)
    assert each(lists["path"]).tolist() == [len(starts)] * 60
    assert np.ptp(starts["ts_ms"]) < (240 + 12 * 60 + 10) * 1000
    probes = of(made, "api_item")
    assert len(np.unique(probes["path"])) == 1
    before = probes[probes["ts_ms"] < starts["ts_ms"].min()]
    assert len(before) / (np.ptp(before["ts_ms"]) / 60_000) == pytest.approx(4, rel=0.15)
    late = probes[probes["ts_ms"] > 14_400_000 - 1_800_000]
    assert len(late) == pytest.approx(4 * 30, abs=5), "most are shut down again"
    assert share(made, 200) == 1
    assert most_in_a_minute(made, "key") <= 1200
