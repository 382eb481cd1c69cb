"""The fourth set's attacks by machines are what their sentences say: how often, by how many, in what order."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, ITEMS

BELOW_THE_LIMIT_OF_AN_ADDRESS = (
    "stealth_crawler", "repeat_downloads", "distillation", "git_dump", "timing_pairs", "cache_deception", "blind_sql",
    "web_shell", "hangups", "pingback_reflection", "serial_claiming", "dead_drop",
)  # fmt: skip


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", BELOW_THE_LIMIT_OF_AN_ADDRESS)
def test_no_address_comes_near_its_limit(name: str, strength: str) -> None:
    assert most_in_a_minute(attack(name, strength)[0], "ip") <= 120 * 1.15, "chance may exceed it for a moment"


def test_what_a_crawler_was_refused_is_read_by_machines_without_a_name() -> None:
    made, scene = attack("stealth_crawler")
    assert len(agents(made, scene)) == 2
    named = made[made["ua"] == made["ua"][0]]
    assert paths(named[:4], scene) == ["/robots.txt"] * 4
    assert share(named[4:], 403) == 1
    hidden = made[made["ua"] != named["ua"][0]]
    assert not np.isin(hidden["ip"], named["ip"]).any()
    assert set(hidden["status"].tolist()) == {200}
    assert not len(of(made, "static"))
    assert len(of(hidden, "article")) == len(named) - 4
    assert len(of(hidden, "item")) == 2 * len(of(hidden, "article"))
    begun, read = of(named, "article"), of(hidden, "article")
    waited_ms = [
        int(read["ts_ms"][read["path"] == path].min() - begun["ts_ms"][begun["path"] == path].min())
        for path in np.unique(begun["path"]).tolist()
    ]
    assert min(waited_ms) > 0
    assert np.median(waited_ms) == pytest.approx(30_000, rel=0.25)


def test_the_same_archives_are_fetched_over_and_over_and_none_is_ever_unchanged() -> None:
    made, scene = attack("repeat_downloads")
    archives = of(made, "missing")
    assert len(np.unique(archives["path"])) == 8
    assert each(archives["path"]).min() > 100
    assert set(made["status"].tolist()) == {200, 503}
    assert len(of(made, "article")) / len(made) == pytest.approx(0.2, abs=0.04)
    assert len(np.unique(made["path"])) == 9
    assert not any(agent.startswith("Mozilla") for agent in agents(made, scene))


def test_questions_are_dealt_out_to_accounts_and_none_asks_much_more_than_another() -> None:
    made, _ = attack("distillation", "strong")
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES["assistant"], ENDPOINT_CODES["token"]}
    assert np.ptp(each(made["user"])) <= 1
    assert len(np.unique(np.stack([made["user"], made["ip"]]), axis=1).T) == len(np.unique(made["user"])) == 250
    one = made[made["user"] == made["user"][0]]
    assert one["endpoint"][0] == ENDPOINT_CODES["token"]
    assert len(of(one, "assistant")) > 0.85 * len(one)
    a_minute = np.bincount(made["ts_ms"] // 60_000)[:7]
    assert np.ptp(a_minute) < 0.1 * a_minute.mean(), "an even pace all told"


def test_a_repository_is_taken_away_each_file_once_and_nearly_all_is_there() -> None:
    made, scene = attack("git_dump")
    asked = paths(made, scene)
    assert asked[:3] == ["/.git/HEAD", "/.git/config", "/.git/index"]
    assert all(path.startswith("/.git/objects/") for path in asked[10:])
    assert each(made["path"]).max() == 1
    assert share(made, 404) == pytest.approx(1 / 12, abs=0.03)
    assert share(made, 200, 404) == 1


def test_the_site_is_made_to_call_machines_inside_each_once() -> None:
    made, scene = attack("ssrf_probing", "strong")
    asked = paths(made, scene)
    assert "169.254.169.254" in asked[0]
    assert all(path.startswith("/api/v1/exports?notify=http://10.") for path in asked[3:])
    assert each(made["path"]).max() == 1
    hosts = [path.split("//")[1].split(":")[0] for path in asked[3:]]
    assert np.median(each(np.unique(hosts, return_inverse=True)[1])) == 10
    assert (share(made, 422), share(made, 202), share(made, 504)) == pytest.approx((0.5, 0.25, 0.2), abs=0.05)
    assert len(np.unique(made["key"])) == 1
    assert most_in_a_minute(made, "key") <= 120


def test_times_are_measured_in_pairs_twenty_times_each() -> None:
    made, scene = attack("timing_pairs")
    at_ms, of_pair = made["ts_ms"].reshape(-1, 2), made["path"].reshape(-1, 2)
    assert (at_ms[:, 0] == at_ms[:, 1]).all()
    assert (made["ip"].reshape(-1, 2)[:, 0] == made["ip"].reshape(-1, 2)[:, 1]).all()
    plain = int(np.bincount(made["path"]).argmax())
    assert ((of_pair == plain).sum(axis=1) == 1).all()
    secret = made["path"][made["path"] != plain]
    assert set(each(secret)[:-1].tolist()) == {20}, "the last word is broken off"
    assert len(np.unique(secret)) == -(-len(secret) // 20)
    text = scene.world.paths.texts[plain]
    assert all(path.startswith(text + "&") for path in paths(made[made["path"] != plain], scene))
    assert share(made, 200) == 1
    assert 0.4 < (of_pair[:, 0] == plain).mean() < 0.6


def test_a_bait_is_asked_for_twenty_times_until_somebody_follows_it() -> None:
    made, scene = attack("cache_deception", "strong")
    assert set(made["user"].tolist()) == {ABSENT}
    assert set(each(made["path"]).tolist()) == {20}
    assert all(path.split(".")[1] in ("css", "js", "png") for path in paths(made, scene))
    fallen = made[made["status"] == 200]
    assert len(fallen) / len(np.unique(made["path"])) == pytest.approx(0.2, abs=0.08)
    for path, at_ms in zip(fallen["path"].tolist(), fallen["ts_ms"].tolist(), strict=True):
        assert made["ts_ms"][made["path"] == path].max() == at_ms
    gaps_ms = np.diff(made["ts_ms"][made["path"] == made["path"][0]])
    assert np.median(gaps_ms) == pytest.approx(6000, abs=700)
    assert len(of(made, "account")) + len(of(made, "orders")) == len(made)


def test_a_table_is_read_letter_by_letter_and_a_yes_is_slow() -> None:
    made, scene = attack("blind_sql")
    assert each(made["path"]).max() == 1
    letters = [path.split(",1),")[1].split(",1))")[0] for path in paths(made, scene)]
    assert letters[:7] == ["1"] * 7
    assert letters[7] == "2"
    assert len(of(made, "search_deep")) / len(made) == pytest.approx(0.5, abs=0.06)
    assert share(made, 500) == pytest.approx(0.02, abs=0.015)
    assert not any("sqlmap" in agent for agent in agents(made, scene))
    loud, where = attack("blind_sql", "strong")
    assert all("sqlmap" in agent for agent in agents(loud, where))


def test_a_file_left_behind_takes_commands_in_bouts() -> None:
    made, scene = attack("web_shell")
    assert {path.split("?")[0] for path in paths(made, scene)} == {"/uploads/thumb_8841.php"}
    assert each(made["path"]).max() == 1
    assert len(agents(made, scene)) == 1
    assert share(made, 500) == pytest.approx(1 / 15, abs=0.04)
    weak, _ = attack("web_shell", "weak")
    assert most_in_a_minute(weak, "ip") <= 16
    assert np.diff(weak["ts_ms"]).max() > 120_000


def test_searches_are_hung_up_on_fifteen_within_a_tenth_of_a_second() -> None:
    made, scene = attack("hangups")
    assert share(made, 499) == pytest.approx(24 / 25, abs=0.02)
    assert set(made["status"].tolist()) == {499, 200}
    at_ms = np.sort(made["ts_ms"][made["ip"] == made["ip"][0]])
    assert len(at_ms) % 15 == 0
    assert (np.ptp(at_ms.reshape(-1, 15), axis=1) <= 100).mean() > 0.8
    assert {path.split("=")[0] for path in paths(made, scene)} == {"/search?q"}


def test_blogs_look_at_the_front_page_each_under_its_own_name() -> None:
    made, scene = attack("pingback_reflection", "strong")
    assert len(np.unique(np.stack([made["ip"], made["ua"]]), axis=1).T) == len(np.unique(made["ip"]))
    assert len(agents(made, scene)) > 850
    assert all("verifying pingback from" in agent for agent in agents(made, scene))
    assert each(made["path"]).max() <= 2
    assert share(made, 503) == pytest.approx(0.2, abs=0.02)
    assert share(attack("pingback_reflection", "weak")[0], 503) < 0.02


@pytest.mark.parametrize(("strength", "spoilt"), [("weak", 4), ("medium", 7), ("strong", 8)])
def test_a_key_is_used_up_within_four_seconds_of_a_full_minute(strength: str, spoilt: int) -> None:
    made, scene = attack("quota_burning", strength)
    at_ms = scene.start_ms + made["ts_ms"]
    assert (at_ms % 60_000 < 4000).all()
    assert len(np.unique(at_ms // 60_000)) == spoilt
    assert len(np.unique(made["key"])) == (3 if strength == "strong" else 1)
    assert set(each(made["key"].astype(np.int64) * 100_000_000 + at_ms // 60_000).tolist()) == {130}
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES["api_items"]}


def test_stock_is_overwritten_item_by_item_with_a_partners_key_from_a_home() -> None:
    made, scene = attack("stock_sabotage", "strong")
    assert [int(path.split("/")[-1]) for path in paths(made, scene)[:3]] == [1, 2, 3]
    assert each(made["path"]).max() == 1
    assert len(made) < ITEMS
    assert most_in_a_minute(made, "key") <= 1200 * 1.05
    assert scene.world.keys.texts[int(made["key"][0])] in ("key-batch-1", "key-batch-3")
    assert share(made, 409) == pytest.approx(1 / 150, abs=0.004)
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= set(range(64496, 64502)), "providers of homes"


def test_devices_are_claimed_by_their_numbers_and_one_in_twenty_is_taken() -> None:
    made, scene = attack("serial_claiming")
    assert each(made["path"]).max() == 1
    for ip in np.unique(made["ip"]).tolist():
        mine = made[made["ip"] == ip]
        assert len(np.unique(mine["user"])) == 1
        numbers = [int(path.split("SG4")[1]) for path in paths(mine, scene)]
        assert set(np.diff(numbers).tolist()) == {1}
    assert (share(made, 404), share(made, 409), share(made, 201)) == pytest.approx((0.7, 0.25, 0.05), abs=0.05)


@pytest.mark.parametrize(("strength", "every_s"), [("weak", 3000), ("medium", 1200), ("strong", 600)])
def test_infected_computers_read_one_page_each_by_its_own_timer(strength: str, every_s: int) -> None:
    made, scene = attack("dead_drop", strength)
    assert len(np.unique(made["path"])) == len(agents(made, scene)) == 1
    assert set(np.unique(made["endpoint"]).tolist()) == {ENDPOINT_CODES["reviews"]}
    assert int(paths(made, scene)[0].split("/")[2]) > ITEMS * 3 / 4, "what is asked for least"
    assert share(made, 200) == 1
    often = np.flatnonzero(np.bincount(made["ip"]) > 1)
    gaps_ms = np.concatenate([np.diff(made["ts_ms"][made["ip"] == ip]) for ip in often[:40].tolist()])
    assert gaps_ms.min() > 0.96 * every_s * 1000
    assert gaps_ms.max() < 1.04 * every_s * 1000
