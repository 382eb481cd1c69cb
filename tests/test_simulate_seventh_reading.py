"""The seventh set's swarm, tunnels, leaked links, articles, televisions and spoken questions are as their sentences."""

from __future__ import annotations

import re

import numpy as np
import pytest
from simulated_sets import agents, attack, each, most_in_a_minute, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.machines import ENGINE
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import ABSENT, Rows

NAMES = (
    "tracker_swarm", "toll_free_tunnels", "leaked_link_reaping", "paywall_piercing", "television_spoofing",
    "spoken_solving",
)  # fmt: skip
CARRIERS = {64502, 64503}


def like(made: Rows, scene: Scene, pattern: str) -> Rows:
    """Its rows whose path has `pattern` in it."""
    return np.asarray(made[[re.search(pattern, path) is not None for path in paths(made, scene)]])


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", NAMES)
def test_no_address_comes_near_its_limit(name: str, strength: str) -> None:
    assert most_in_a_minute(attack(name, strength)[0], "ip") <= 120


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_swarm_grows_as_names_lapse_and_gets_nothing(strength: str) -> None:
    made, scene = attack("tracker_swarm", strength)
    lasts_ms = scene.span_s * 1000
    assert share(made, 404, 503) == 1
    assert len(of(made, "missing")) == len(made)
    firsts_ms = np.array([made["ts_ms"][made["ip"] == ip].min() for ip in np.unique(made["ip"]).tolist()])
    assert firsts_ms.max() <= lasts_ms * 0.45, "two fifths of the time, and an announcement"
    assert (firsts_ms < lasts_ms * 0.2).mean() == pytest.approx(0.5, abs=0.15)
    early = (made["ts_ms"] < lasts_ms * 0.2).sum()
    assert early < (made["ts_ms"] > lasts_ms * 0.8).sum() / 2
    assert share(attack("tracker_swarm", "strong")[0], 503) == pytest.approx(0.3, abs=0.02)


def test_a_sharer_announces_its_files_in_turn_and_says_at_first_that_it_begins() -> None:
    made, scene = attack("tracker_swarm")
    sharers = like(made, scene, r"^/(announce|scrape)\?")
    others = len(np.unique(made["ip"])) - len(np.unique(sharers["ip"]))
    assert others == 50, "one home of ten wanted another site"
    assert len(like(sharers, scene, "^/scrape")) / len(sharers) == pytest.approx(1 / 8, abs=0.02)
    for ip in np.unique(sharers["ip"])[:40].tolist():
        mine = sharers[sharers["ip"] == ip]
        assert len(np.unique(mine["ua"])) == 1
        hashes = {re.findall("info_hash=([0-9a-f]{16})", path)[0] for path in paths(mine, scene)}
        begun = ["event=started" in path for path in paths(mine, scene)]
        assert 1 <= len(hashes) <= sum(begun) <= 6
        assert all(begun[: sum(begun)]), "each file once, and first of all"
        gaps_ms = np.diff(mine["ts_ms"])
        assert gaps_ms.std() < 0.2 * gaps_ms.mean(), "its program's interval"
    assert len({scene.world.countries[ip] for ip in made["ip"].tolist()}) > 8


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_telephone_and_a_machine_write_and_read_one_profile_by_turns(strength: str) -> None:
    made, scene = attack("toll_free_tunnels", strength)
    assert len(of(made, "profile", "account")) == len(made)
    assert len(of(made, "profile")) * 2 == len(made)
    assert share(of(made, "account"), 200) == 1
    assert share(made, 200, 409) == 1
    at = np.array([scene.world.asns[ip] in CARRIERS for ip in made["ip"].tolist()])
    for user in np.unique(made["user"]).tolist():
        mine = made["user"] == user
        assert len(np.unique(made["ip"][mine & at])) == len(np.unique(made["ip"][mine & ~at])) == 1
        assert (mine & at).sum() == (mine & ~at).sum()
    assert 0 < share(of(attack("toll_free_tunnels", "strong")[0], "profile"), 409) < 0.035


def test_a_piece_is_read_half_a_second_after_it_was_written_and_somebody_reads_for_half_a_minute() -> None:
    made, _ = attack("toll_free_tunnels", "weak")
    written, read = of(made, "profile"), of(made, "account")
    waits_ms = [int(np.abs(read["ts_ms"] - at_ms).min()) for at_ms in written["ts_ms"].tolist()]
    assert np.median(waits_ms) == pytest.approx(500, abs=120)
    gaps_s = np.diff(made["ts_ms"]) / 1000
    assert 30 <= (gaps_s > 15).sum() <= 45, "a pause in every 67 seconds of forty minutes"


@pytest.mark.parametrize("strength", STRENGTHS)
def test_six_links_of_others_are_opened_and_nobody_guessed_them(strength: str) -> None:
    made, scene = attack("leaked_link_reaping", strength)
    links = like(made, scene, r"^/(s|reset)/[0-9a-f]{15}$|token=[0-9a-f]{15}$")
    resets, codes = of(made, "reset"), of(made, "verify")
    assert len(links) == 6 * len(resets)
    assert each(links["path"]).max() == 1
    assert (links["user"] == ABSENT).all()
    assert share(of(links, "missing"), 200, 404) == share(of(links, "invoice"), 200, 403) == 1
    assert share(links, 404, 403) == pytest.approx(0.6, abs=0.13)
    assert share(resets, 202) == share(codes, 200) == 1
    assert len(codes) == pytest.approx(len(resets) / 2, abs=1)
    assert len(of(made, "orders")) == len(codes)
    assert len(made) == len(links) + len(resets) + 3 * len(codes)


def test_a_reset_is_followed_one_to_three_minutes_later_by_who_asked_for_it() -> None:
    made, _ = attack("leaked_link_reaping")
    for code in of(made, "verify"):
        (reset,) = [one for one in of(made, "reset") if one["user"] == code["user"]]
        assert 60_000 <= code["ts_ms"] - reset["ts_ms"] <= 180_000
        assert reset["ip"] == code["ip"]


@pytest.mark.parametrize("strength", STRENGTHS)
def test_an_article_is_asked_for_as_ever_other_people_until_one_is_let_through(strength: str) -> None:
    made, scene = attack("paywall_piercing", strength)
    assert len(of(made, "article")) == len(made)
    refused, printed = made[made["status"] == 402], like(made, scene, "output=print$")
    assert (made["status"] == 200).sum() == len(refused), "each link ends well"
    assert share(printed, 200) == 1
    assert len(printed) / len(refused) == pytest.approx(0.25, abs=0.1)
    names = np.array([scene.world.agents.texts[ua] for ua in made["ua"].tolist()])
    engine, preview = made[names == ENGINE], made[np.char.startswith(names, "previewbot")]
    assert len(engine) == len(refused)
    assert share(engine, 200) == pytest.approx(0.5, abs=0.12)
    assert len(preview) == (engine["status"] == 403).sum()
    assert (made["user"] == ABSENT).all()


def test_all_of_it_happens_within_three_seconds_on_one_machine() -> None:
    made, scene = attack("paywall_piercing", "weak")
    for begun in made[made["status"] == 402][:60]:
        near = made[(made["ip"] == begun["ip"]) & (made["ts_ms"] >= begun["ts_ms"])]
        near = near[near["ts_ms"] <= begun["ts_ms"] + 3000]
        article = paths(np.array([begun]), scene)[0]
        assert 200 in near["status"][[path.startswith(article) for path in paths(near, scene)]].tolist()


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_television_sees_two_breaks_wholly_and_is_never_there_again(strength: str) -> None:
    made, scene = attack("television_spoofing", strength)
    assert share(made, 200) == 1
    name = np.array([re.findall(r"tv-\d{7}", path)[0] for path in paths(made, scene)])
    _, which, often = np.unique(name, return_inverse=True, return_counts=True)
    assert set(often.tolist()) == {12}
    order = np.lexsort((made["ts_ms"], which))
    at_s = made["ts_ms"][order].reshape(-1, 12) / 1000
    kinds = made["endpoint"][order].reshape(-1, 12)
    assert (kinds == kinds[0]).all()
    assert kinds[0, 0] == kinds[0, 6] != kinds[0, 1]
    for first in (1, 7):
        gaps_s = np.diff(at_s[:, first : first + 5], axis=1)
        assert gaps_s == pytest.approx(np.full_like(gaps_s, 7.5), abs=0.3)
    assert at_s[:, 6] - at_s[:, 0] == pytest.approx(np.full(len(at_s), 60.0), abs=0.01)
    assert len(agents(made, scene)) == 6


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_program_has_itself_asked_aloud_and_answers_within_six_seconds(strength: str) -> None:
    made, scene = attack("spoken_solving", strength)
    spoken, answers = like(made, scene, "/speech.mp3$"), like(made, scene, "answer=speech$")
    assert len(like(made, scene, "picture")) == 0
    assert len(spoken) == len(answers)
    number = {path.split("/")[2]: at for path, at in zip(paths(spoken, scene), spoken["ts_ms"].tolist(), strict=True)}
    for path, at_ms in zip(paths(answers, scene), answers["ts_ms"].tolist(), strict=True):
        assert 4990 <= at_ms - number[path.split("/")[2].split("?")[0]] <= 6210
    assert share(answers, 200) == pytest.approx(0.85, abs=0.06)
    shown = like(made, scene, "^/contact/")
    assert len(shown) == (answers["status"] == 200).sum()
    assert each(of(made, "item")["path"]).max() <= 1 + len(of(made, "item")) // 6000
    assert {scene.world.asns[ip] for ip in made["ip"].tolist()} <= set(range(64496, 64502))
