"""The fifth set's good cases of apparatus and jobs are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import each, good, most_in_a_minute, of, paths, share

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.generate import PARTNERS
from floodwarden.simulate.machines import customers
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene, together
from floodwarden.simulate.services import services
from floodwarden.simulate.world import ABSENT, World

RENTED = ("live_spreadsheet", "nightly_tests")
CASES = (
    "old_tablets", "home_dashboards", "stocktaking_night", "overlapping_jobs", "settlement_replay", "repricing_race",
    *RENTED,
)  # fmt: skip
OF_PEOPLE = (
    "coupon_extensions", "gift_registry", "new_terms", "monday_tabs", "impatient_proxy", "cdn_bypass", "text_browsers",
    "accessibility_audit",
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_who_has_a_key_has_a_partners_and_stays_below_its_limit(name: str) -> None:
    made, scene = good(name)
    keys = {scene.world.keys.texts[key] for key in np.unique(made["key"]).tolist() if key != ABSENT}
    assert all(key.startswith(PARTNERS) for key in keys)
    assert most_in_a_minute(made, "key" if keys else "ip") <= (1200 if keys else 120)
    asns = {scene.world.asns[ip] for ip in np.unique(made["ip"]).tolist()}
    assert asns <= set(range(64496, 64510)) | ({65548, 65549, 65550} if name in RENTED else set())


@pytest.fixture(scope="module")
def used_by_others() -> set[int]:
    """Endpoints of good clients who are not of this set."""
    scene = Scene(np.random.default_rng(3), World(), 14_400.0, START_MS, 3.0, 800)
    parts = [people(scene, frozenset()), customers(scene)]
    parts.append(services(scene, together(*parts)))
    others = [case.make for name, case in catalogue.cases().items() if name not in (*CASES, *OF_PEOPLE)]
    parts += [make(scene) for make in others if make is not None]
    return set(np.unique(together(*parts)["endpoint"]).tolist())


@pytest.mark.parametrize("name", [*CASES, *OF_PEOPLE])
def test_a_good_case_keeps_to_routes_that_other_good_clients_use(name: str, used_by_others: set[int]) -> None:
    assert set(np.unique(good(name)[0]["endpoint"]).tolist()) <= used_by_others


def test_a_tablet_tries_the_last_password_by_its_timer_until_somebody_notices() -> None:
    made, scene = good("old_tablets")
    assert len(np.unique(made["ip"])) == len(np.unique(made["user"])) == 40
    old = made[made["ua"] == scene.world.agents.code("ShopApp/4.1.0 (iOS 12.5)")]
    tried = of(made, "login")
    assert len(of(old, "login")) == len(tried)
    assert (tried["status"] == 200).sum() == 40
    assert share(tried, 200, 401, 423) == 1
    for user in np.unique(tried["user"])[:15].tolist():
        mine = tried[tried["user"] == user]
        assert mine["status"][-1] == 200, "the new one at last"
        gaps_ms = np.diff(mine["ts_ms"][:-1])
        assert min(abs(np.median(gaps_ms) - every) for every in (300_000, 600_000, 900_000)) < 30_000
    locked = np.unique(tried["user"][tried["status"] == 423])
    assert 1 <= len(locked) <= 8
    for user in locked.tolist():
        assert tried["status"][tried["user"] == user][:12].tolist() == [401] * 12
    used = made[~np.isin(made["ua"], old["ua"])]
    assert len(np.unique(used["ip"])) == 40
    assert len(of(used, "token")) == len(of(used, "app_feed"))
    assert 2 <= len(of(used, "app_item")) / len(of(used, "token")) <= 7
    assert share(used, 200) == 1


def test_kitchens_ask_for_their_own_orders_and_for_an_hour_twelve_of_them_in_vain() -> None:
    made, _ = good("home_dashboards")
    assert len(np.unique(made["ip"])) == len(np.unique(made["user"])) == 30
    assert len(of(made, "orders")) + len(of(made, "token")) == len(made)
    failed = made[made["status"] == 401]
    assert len(np.unique(failed["user"])) == 12
    assert np.ptp(failed["ts_ms"]) < 3_900_000
    one = failed[failed["user"] == failed["user"][0]]
    assert np.median(np.diff(one["ts_ms"])) == pytest.approx(30_000, rel=0.03)
    usual = of(made, "orders")
    usual = usual[(usual["status"] == 200) & ~np.isin(usual["user"], failed["user"])]
    gaps_ms = np.diff(usual["ts_ms"][usual["user"] == usual["user"][0]])
    assert np.median(gaps_ms) == pytest.approx(300_000, rel=0.03)


def test_scanners_go_along_the_shelves_and_what_is_misread_is_read_again() -> None:
    made, scene = good("stocktaking_night")
    assert len(np.unique(made["ip"])) == 3
    assert len(np.unique(made["key"])) == 1
    scans, counted = of(made, "api_item"), of(made, "api_stock")
    missed = (scans["status"] == 404).sum()
    first = len(scans) - missed
    assert missed / first == pytest.approx(1 / 14, abs=0.015)
    assert len(counted) / first == pytest.approx(1 / 3, abs=0.01)
    assert share(counted, 409) == pytest.approx(1 / 40, abs=0.015)
    assert first / (np.ptp(made["ts_ms"]) / 1000) == pytest.approx(0.6, rel=0.1), "six, every ten seconds"
    lost = {int(path.split("/")[-1]) for path in paths(scans[scans["status"] == 404], scene)}
    assert min(lost) > 10**6 - 1


def test_a_spreadsheet_is_fetched_as_a_whole_every_hour() -> None:
    made, scene = good("live_spreadsheet")
    assert len(np.unique(made["ip"])) == 12
    assert len(np.unique(made["path"])) == 320
    assert len(made) % 320 == 0
    assert len(set(each(made["path"]).tolist())) == 1
    gone = made["path"][made["status"] == 404]
    assert len(np.unique(gone)) / 320 == pytest.approx(0.05, abs=0.03)
    assert not np.isin(made["path"][made["status"] == 200], gone).any(), "the same every time"
    begins_ms = made["ts_ms"][np.flatnonzero(np.diff(made["ts_ms"], prepend=-(10**9)) > 60_000)]
    assert len(begins_ms) == pytest.approx(len(made) / 320, abs=1)
    assert (abs(np.subtract.outer(begins_ms, begins_ms) - 3_600_000) < 2000).sum() >= 2
    assert {scene.world.agents.texts[ua] for ua in made["ua"].tolist()} == {
        "Mozilla/5.0 (compatible; SheetFetcher; apps-spreadsheets)"
    }


def test_ten_runs_of_one_job_stand_side_by_side_until_somebody_stops_them() -> None:
    made, scene = good("overlapping_jobs")
    assert len(np.unique(made["ip"])) == len(np.unique(made["key"])) == 1
    firsts_ms = made["ts_ms"][made["path"] == scene.world.paths.code("/api/v1/orders?page=1")]
    assert len(firsts_ms) > 12
    assert np.median(np.diff(firsts_ms)) == pytest.approx(300_000, rel=0.02)
    assert firsts_ms[-2] - firsts_ms[0] < 8_000_000
    first = made[(made["ts_ms"] >= firsts_ms[0]) & (made["ts_ms"] < firsts_ms[1])]
    assert (len(first), share(first, 200)) == (240, 1)
    last = made[made["ts_ms"] >= firsts_ms[-1]]
    assert (len(last), share(last, 200)) == (240, 1)
    slow = made[(made["ts_ms"] > firsts_ms[3]) & (made["ts_ms"] < firsts_ms[-1])]
    assert share(slow, 504) == pytest.approx(0.03, abs=0.01)
    stopped_ms = slow["ts_ms"].max()
    begun = (firsts_ms[:-1] < stopped_ms).sum()
    ended = (slow["path"] == scene.world.paths.code("/api/v1/orders?page=240")).sum() + 3
    assert begun - ended in (9, 10, 11)


def test_browsers_without_a_screen_fail_on_purpose_every_two_hours() -> None:
    made, scene = good("nightly_tests")
    assert len(np.unique(made["ip"])) == 8
    runs = made["ts_ms"][np.flatnonzero(np.diff(made["ts_ms"], prepend=-(10**9)) > 1_000_000)]
    assert len(made) == len(runs) * 24 * 14
    assert len(np.unique(made["user"][made["user"] != ABSENT])) == len(runs) * 24
    for begin_ms in runs.tolist():
        one = made[(made["ts_ms"] >= begin_ms) & (made["ts_ms"] < begin_ms + 1_000_000)]
        assert np.ptp(one["ts_ms"]) < 200_000
    paid = of(made, "pay")
    assert share(paid, 402) == pytest.approx(2 / 3)
    assert share(of(made, "login"), 401) == 0.5
    assert share(of(made, "coupon"), 404) == 1
    names = {scene.world.users.texts[user] for user in made["user"].tolist() if user != ABSENT}
    assert all(name.startswith("e2e-checkout-") for name in names)


def test_a_month_of_messages_comes_once_more_and_most_are_known() -> None:
    made, scene = good("settlement_replay")
    assert len(of(made, "callback")) == len(made)
    assert len(np.unique(made["ip"])) == 2
    sent = made[[scene.world.agents.texts[ua] == "PayBridge-Hooks/3.0" for ua in made["ua"].tolist()]]
    assert len(sent) == len(made)
    busy = made[: 3600 + 55]
    assert np.ptp(busy["ts_ms"]) == pytest.approx(1_200_000, rel=0.05)
    assert share(busy, 409) == pytest.approx(0.74, abs=0.03)
    calm = made[made["ts_ms"] > busy["ts_ms"].max() + 60_000]
    assert share(calm, 200) == 1
    assert np.median(np.diff(calm["ts_ms"])) == pytest.approx(20_000, rel=0.25)


def test_sellers_programs_write_and_read_by_turns_until_one_gives_up() -> None:
    made, scene = good("repricing_race")
    written, read = of(made, "api_stock"), of(made, "api_item")
    assert len(np.unique(made["key"])) == len(np.unique(made["ip"])) == 12
    assert len(np.unique(written["path"])) == 25
    assert share(written, 409) == pytest.approx(0.04, abs=0.015)
    assert np.ptp(written["ts_ms"]) < 2_400_000
    for path in np.unique(written["path"])[:10].tolist():
        one = written[written["path"] == path]
        rivals = len(np.unique(one["key"]))
        assert 3 <= rivals <= 5
        assert (one["key"][rivals:] == one["key"][:-rivals]).all(), "seller after seller"
        assert np.diff(one["ts_ms"]).min() > 1900
        assert np.diff(one["ts_ms"]).max() < 6100
    idle = len(read) - len(written)
    assert idle / 12 == pytest.approx(scene.span_s / 300, abs=2)
    assert len(read) + len(written) == len(made)
