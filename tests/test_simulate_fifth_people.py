"""The fifth set's good cases of people, and of how they get here, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, of, paths, share

from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES

CASES = (
    "coupon_extensions", "gift_registry", "new_terms", "monday_tabs", "impatient_proxy", "cdn_bypass", "text_browsers",
    "accessibility_audit",
)  # fmt: skip
SHOPPERS, TABS, TERMS, VISITS, VISITORS = 60, 90, 120, 54, 120  # at three requests a second


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_keeps_to_addresses_of_good_clients_or_says_so(name: str) -> None:
    made, scene = good(name)
    asns = {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}
    rented = {65548, 65549, 65550} if name == "accessibility_audit" else set()
    assert asns <= set(range(64496, 64510)) | rented
    assert set(made["key"].tolist()) == {ABSENT}


def test_a_helper_in_the_browser_tries_two_dozen_codes_within_seconds() -> None:
    made, _ = good("coupon_extensions")
    assert len(np.unique(made["ip"])) == SHOPPERS
    tried = of(made, "coupon")
    bursts = []
    for ip in np.unique(made["ip"]).tolist():
        at_ms = np.sort(tried["ts_ms"][tried["ip"] == ip])
        burst = int((np.diff(at_ms) < 701).sum()) + 1
        bursts.append(burst)
        assert burst >= len(at_ms) - 1, "one may be typed while looking round"
    assert (min(bursts), max(bursts)) == (8, 24)
    assert (tried["status"] == 200).sum() / SHOPPERS == pytest.approx(0.2, abs=0.06)
    assert share(tried, 409) == pytest.approx(0.2, abs=0.05)
    assert len(np.unique(of(made, "pay")["ip"])) / SHOPPERS == pytest.approx(0.8, abs=0.1)
    known = made["ip"][made["user"] != ABSENT]
    assert len(np.unique(known)) / SHOPPERS == pytest.approx(0.6, abs=0.15)


def test_guests_of_a_wedding_find_that_others_were_faster() -> None:
    made, scene = good("gift_registry")
    lists = of(made, "list")
    assert {path.split("?")[0] for path in paths(lists, scene)} == {"/items"}
    assert len(np.unique(lists["path"])) == 1
    assert len(of(made, "pay")) == len(of(made, "checkout")) == 110
    assert len(np.unique(of(made, "item")["path"])) <= 45
    given = of(made, "cart_add")
    assert share(given, 200, 409) == 1
    assert (given["status"] == 200).sum() == 110
    early, *_, late = np.array_split(given, 5)
    assert share(early, 409) < 0.3
    assert share(late, 409) > 0.6
    assert set(made["user"].tolist()) == {ABSENT}
    behind = np.array([scene.world.ips.texts[ip].startswith("100.") for ip in of(made, "pay")["ip"].tolist()])
    assert behind.mean() == pytest.approx(1 / 3, abs=0.1)


def test_nobody_goes_further_before_he_has_agreed() -> None:
    made, scene = good("new_terms")
    met = made[made["status"] == 403]
    times = each(met["user"])
    assert (len(times), times.min(), times.max()) == (TERMS, 1, 3)
    assert np.isin(met["endpoint"], [ENDPOINT_CODES[name] for name in ("account", "orders", "checkout")]).all()
    assert (of(made, "article")["path"] == scene.world.paths.code("/blog/new-terms")).sum() == TERMS
    left = of(made, "logout")
    assert len(left) == TERMS / 12
    agreed = of(made, "profile")
    assert len(np.unique(agreed["user"][agreed["status"] == 200])) >= TERMS - len(left)
    assert not np.isin(of(made, "invoice")["user"], left["user"]).any()
    for user in np.unique(of(made, "invoice")["user"])[:20].tolist():
        mine = made[made["user"] == user]
        assert mine["ts_ms"][mine["status"] == 403].max() < of(mine, "invoice")["ts_ms"].min()


def test_all_tabs_of_a_lid_that_goes_up_load_themselves_within_two_seconds() -> None:
    made, scene = good("monday_tabs")
    over = made[(made["status"] == 401) & (made["user"] == ABSENT)]
    assert np.isin(over["endpoint"], [ENDPOINT_CODES["account"], ENDPOINT_CODES["orders"]]).all()
    assert TABS <= len(over) <= 2 * TABS
    tabs = of(made, "item", "search", "list")
    assert 4 * TABS <= len(tabs) + len(over) <= 12 * TABS
    assert share(tabs, 304) == pytest.approx(0.4, abs=0.05)
    assert np.ptp(tabs["ts_ms"]) <= 602_000
    alone = [ip for ip in np.unique(tabs["ip"]).tolist() if scene.world.asns[ip] < 64502]
    assert all(np.ptp(tabs["ts_ms"][tabs["ip"] == ip]) <= 1500 for ip in alone)
    signed = of(made, "login")
    assert (signed["status"] == 200).sum() / TABS == pytest.approx(0.8, abs=0.1)
    offices = np.unique(made["ip"][[scene.world.asns[ip] >= 64502 for ip in made["ip"].tolist()]])
    assert len(offices) == 6


def test_a_proxy_asks_three_in_ten_requests_a_second_time_and_forms_not_twice() -> None:
    made, _ = good("impatient_proxy")
    assert len(np.unique(made["ip"])) == 4
    twice = 0
    for index in range(len(made)):
        later = made[index + 1 : index + 40]
        same = np.ones(len(later), bool)
        for column in ("ip", "user", "ua", "endpoint", "path"):
            same &= later[column] == made[column][index]
        gap_ms = later["ts_ms"] - made["ts_ms"][index]
        twice += bool((same & (gap_ms >= 2000) & (gap_ms < 3000)).any())
    assert twice / (len(made) - twice) == pytest.approx(0.3, abs=0.06)
    starts = made["ts_ms"].max() - made["ts_ms"].min()
    assert starts < 7_200_000
    assert len(made) > VISITS * 10


def test_with_every_page_all_six_scripts_are_fetched_anew() -> None:
    made, _ = good("cdn_bypass")
    pages, scripts = of(made, "item"), of(made, "static")
    assert share(scripts, 200, 503) == 1
    assert (scripts["status"] == 200).sum() == 6 * len(pages)
    assert share(scripts, 503) == pytest.approx(0.05, abs=0.015)
    assert 3 * VISITORS <= len(pages) <= 6 * VISITORS
    assert np.ptp(made["ts_ms"]) < 1_700_000
    assert len(np.unique(scripts["path"])) == 6


def test_who_reads_with_a_voice_loads_no_script_and_goes_down_a_list_in_order() -> None:
    made, scene = good("text_browsers")
    assert len(np.unique(made["ip"])) == 1
    assert not len(of(made, "static", "suggest", "search"))
    assert {scene.world.agents.texts[ua].split("/")[0] for ua in made["ua"].tolist()} == {"Lynx", "w3m", "ELinks"}
    signed = of(made, "login")
    assert ((signed["status"] == 200).sum(), (signed["status"] == 401).sum()) == (3, 2)
    one = made[made["user"] == signed["user"][-1]]
    heard = [int(path.split("/")[2]) for path in paths(of(one, "item", "reviews"), scene)]
    assert (np.diff(heard) == 1).mean() > 0.9
    assert np.median(np.diff(of(one, "item")["ts_ms"])) == pytest.approx(30_000, rel=0.35)
    assert len(of(made, "list")) / len(made) == pytest.approx(1 / 25, abs=0.02)


def test_forty_pages_are_seen_in_ten_ways_and_forms_are_wrong_on_purpose() -> None:
    made, scene = good("accessibility_audit")
    assert len(np.unique(made["ip"])) == 3
    assert len(np.unique(made["ua"])) == 10
    assert len(of(made, "item", "article", "list", "search")) == 400
    assert len(of(made, "static")) == 800
    for endpoint, status in (("login", 401), ("register", 422), ("profile", 401), ("checkout", 400)):
        assert set(of(made, endpoint)["status"].tolist()) == {status}
        assert len(of(made, endpoint)) == 10
    first = of(made, "item")[:10]
    assert len(np.unique(first["path"])) == 1
    assert np.ptp(first["ts_ms"]) < 120_000
    assert scene.span_s == 14_400
