"""The sixth set's good cases of builds, agents and keys are what their sentences say: how many, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, bouts, each, good, grows_with_the_site, keys, most_in_a_minute, of, paths, share

# At a site of 2,000 accounts so many customers, robots, shops or people of the staff.
SIZES = {
    "advisory_day": ("key", 80), "guessing_agent": ("key", 8), "bookkeeping_cloud": ("key", 100),
    "mass_rotation": ("ip", 80), "sunset_brownouts": ("key", 40), "demand_response": ("ip", 202),
    "shelf_labels": ("ip", 8), "shift_release": ("user", 250), "overseas_shift": ("user", 25),
    "year_end_exports": ("key", 80),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_case_grows_with_the_site(name: str) -> None:
    grows_with_the_site(name, *SIZES[name])


def test_thirty_builds_fetch_all_packages_while_the_cache_is_cold() -> None:
    made, scene = good("cold_build_cache")
    assert len(np.unique(made["ip"])) == 1
    assert keys(made, scene) == {"key-batch-buildfarm"}
    assert len(of(made, "build")) == len(made)
    plain = made[["?" not in path for path in paths(made, scene)]]
    asked = each(plain["path"])
    assert len(asked) == 90
    assert asked.min() >= 30
    gone = (made["status"] == 410).sum()
    assert gone / (30 * 90) == pytest.approx(1 / 40, abs=0.01)
    assert sum(path.endswith("?version=latest") for path in paths(made, scene)) == gone
    early_ms, late_ms = np.quantile(plain["ts_ms"], [0.02, 0.98])
    assert late_ms - early_ms < 0.27 * scene.span_s * 1000
    assert most_in_a_minute(made, "key") <= 1200


def test_robots_look_into_all_packages_and_wait_for_the_mended_one() -> None:
    made, scene = good("advisory_day")
    assert len(keys(made, scene)) == 32
    assert len(agents(made, scene)) == 2
    asked = np.array(paths(made, scene))
    mended = made[asked == "/api/v1/packages/lib-17?version=4.1.2"]
    assert (np.diff((mended["status"] == 200).astype(int)) >= 0).all(), "there is none, and then there is"
    assert {200, 404} == set(mended["status"].tolist())
    looked = made[asked != "/api/v1/packages/lib-17?version=4.1.2"]
    assert share(looked, 200) == 1
    for key in np.unique(looked["key"]).tolist():
        mine = looked[looked["key"] == key]
        assert 21 <= len(mine) <= 61
        assert each(mine["path"]).max() <= 2
        assert np.ptp(mine["ts_ms"]) < 60_000
        assert np.diff(mended["ts_ms"][mended["key"] == key]).mean() == pytest.approx(900_000, rel=0.1)


def test_a_mirror_takes_all_versions_once_and_then_looks_every_two_hours() -> None:
    made, scene = good("registry_mirror")
    asked = np.array(paths(made, scene))
    first = made[: 90 * 11]
    assert len(np.unique(first["path"])) == 990
    assert len(first) / (np.ptp(first["ts_ms"]) / 1000) == pytest.approx(2, rel=0.05)
    lists = made[np.char.endswith(asked, "?versions")]
    rounds = bouts(lists, 3_600_000)
    assert [len(one) for one in rounds] == [90] * len(rounds)
    assert len(rounds) == 2
    assert share(lists, 304) == pytest.approx(7 / 8, abs=0.06)
    fetched = made[990:][~np.char.endswith(asked[990:], "?versions")]
    assert len(fetched) == 2 * (lists["status"] == 200).sum()
    assert len(np.unique(made["ip"])) == len(keys(made, scene)) == 1


def test_builds_see_to_it_that_thirteen_of_twenty_are_refused() -> None:
    made, scene = good("contract_tests")
    assert len(keys(made, scene)) == 15
    for key in np.unique(made["key"]).tolist():
        builds = bouts(made[made["key"] == key], 10_000)
        assert 2 <= len(builds) <= 5, "two may come at once"
        one = builds[0]
        assert len(one) % 60 == 0
        assert share(one, 200) == pytest.approx(7 / 20)
        assert len(np.unique(one["status"])) == 9
    alone = next(
        one for key in np.unique(made["key"]) for one in bouts(made[made["key"] == key], 10_000) if len(one) == 60
    )
    assert (alone["endpoint"][:20] == alone["endpoint"][20:40]).all(), "the same sequence"
    assert np.ptp(alone["ts_ms"]) < 60_000
    assert len(np.unique(alone["ip"])) == 1
    assert 20 < len(np.unique(made["ip"])) <= 40


def test_a_model_guesses_and_then_understands() -> None:
    made, scene = good("guessing_agent")
    assert len(keys(made, scene)) == len(np.unique(made["ip"])) == 3
    for key in np.unique(made["key"]).tolist():
        mine = made[made["key"] == key]
        tries, works = mine[:60], mine[60:]
        assert share(tries, 404) == pytest.approx(0.5, abs=0.2)
        assert share(tries, 400, 405, 422) == pytest.approx(0.25, abs=0.17)
        assert len(of(tries, "missing")) == (tries["status"] == 404).sum()
        assert len(of(works, "api_item")) == 300
        assert len(of(works, "export", "exported")) == 2
        assert share(works, 200, 202) == 1
        together = bouts(works[:300], 1000)
        assert np.median([len(one) for one in together]) in (8, 16)


def test_one_service_comes_with_all_its_customers_keys_three_at_once() -> None:
    made, scene = good("bookkeeping_cloud")
    assert len(np.unique(made["ip"])) == 4
    assert len(agents(made, scene)) == 1
    assert len(keys(made, scene)) == 40
    gone = made["status"] == 401
    assert len(np.unique(made["key"][gone])) == 4
    assert gone.sum() == 12
    assert not np.isin(made["key"][~gone], made["key"][gone]).any()
    for key in np.unique(made["key"][~gone]).tolist():
        mine = made[made["key"] == key]
        assert of(mine, "exported")["status"].tolist() == [202, 202, 200]
        assert 3 <= len(of(mine, "api_orders")) <= 12
        assert len(of(mine, "token", "export")) == 2
    spans = [
        (rows["ts_ms"].min(), rows["ts_ms"].max()) for rows in (made[made["key"] == k] for k in np.unique(made["key"]))
    ]
    assert max(sum(begin <= at <= end for begin, end in spans) for at in made["ts_ms"].tolist()) == 3


def test_all_change_their_keys_and_some_forget_a_program() -> None:
    made, scene = good("mass_rotation")
    made_new = of(made, "token")
    assert len(made_new) == len(np.unique(made["ip"])) == 32
    assert share(made_new, 201) == 1
    assert np.ptp(made_new["ts_ms"]) <= 0.35 * scene.span_s * 1000
    forgot = 0
    for one in made_new:
        mine = made[(made["ip"] == one["ip"]) & (made["ts_ms"] > one["ts_ms"])]
        old = mine[mine["key"] == one["key"]]
        assert share(old, 401) == 1
        assert len(old) >= 1
        assert share(mine[mine["key"] != one["key"]], 200) == 1
        forgot += len(old) > 1
    assert forgot / 32 == pytest.approx(0.3, abs=0.15)
    assert len(keys(made, scene)) == 64


def test_an_old_version_is_off_for_ten_minutes_and_ever_fewer_ask_for_it() -> None:
    made, scene = good("sunset_brownouts")
    assert len(keys(made, scene)) == 16
    off = bouts(made[made["status"] == 410], 600_000)
    assert len(off) == 5
    assert all(len(one) % 4 == 0 for one in off)
    assert all(np.ptp(one["ts_ms"]) <= 630_000 for one in off)
    assert len(off[0]) > len(off[-1])
    for key in np.unique(made["key"]).tolist():
        mine = made[made["key"] == key]
        new = of(mine, "app_item")
        if len(new):
            assert of(mine, "api_item")["ts_ms"].max() < new["ts_ms"].min() + 30_000, "moved for good"
            assert share(new, 200) == 1
    assert len(np.unique(of(made, "app_item")["key"])) >= 5
