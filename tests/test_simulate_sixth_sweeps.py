"""The sixth set's sweeps, and what is found out by asking often, are what their sentences say."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import agents, attack, each, of, paths, share

from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_file_with_a_key_is_found_and_another_machine_reads_with_it_while_the_rest_look_on(strength: str) -> None:
    made, scene = attack("env_sweep", strength)
    swept, read = of(made, "missing"), of(made, "api_orders")
    assert len(swept) + len(read) == len(made)
    (found,) = swept[swept["status"] == 200]
    assert paths(np.array([found]), scene) == ["/old/.env.backup"]
    assert found["ts_ms"] / 1000 == pytest.approx(scene.span_s * 0.4, rel=0.2)
    assert read["ts_ms"].min() > found["ts_ms"]
    assert len(np.unique(read["ip"])) == len(np.unique(read["key"])) == 1
    assert not np.isin(read["ip"], swept["ip"]).any()
    assert scene.world.keys.texts[int(read["key"][0])].startswith("key-app-")
    assert [path.split("=")[1] for path in paths(read, scene)] == [str(page) for page in range(1, len(read) + 1)]
    assert len(read) / len(made) == pytest.approx(0.05, abs=0.01)
    assert swept["ts_ms"].max() > read["ts_ms"].min()
    assert share(swept, 403, 404) > 0.99


def test_routers_name_themselves_and_twenty_times_as_many_join_at_the_end() -> None:
    made, scene = attack("worm_spreading", "strong")
    assert agents(made, scene) == {"Hello, world"}
    assert all(scene.world.ips.texts[row["ip"]] in path for row, path in zip(made, paths(made, scene), strict=True))
    assert share(made, 404) == pytest.approx(0.96, abs=0.01)
    firsts_ms = np.array([made["ts_ms"][made["ip"] == ip].min() for ip in np.unique(made["ip"]).tolist()])
    tenths = np.bincount((firsts_ms / (scene.span_s * 97)).astype(int), minlength=10)
    assert tenths[8:10].sum() > 6 * tenths[:2].sum()
    assert len({path.split("?")[0] for path in paths(made, scene)}) == 5


def test_doors_of_models_are_tried_in_order_and_the_assistant_is_asked_one_in_eight() -> None:
    made, scene = attack("model_hunting")
    tried, asked = of(made, "missing"), of(made, "assistant")
    assert len(asked) / len(made) == pytest.approx(1 / 8, abs=0.01)
    assert share(tried, 404) == 1
    assert share(asked, 200) > 0.85
    assert len(np.unique(tried["path"])) == 72 * 7 // 8, "but where the assistant is asked"
    assert np.ptp(each(tried["path"])) <= 1
    assert set(made["user"].tolist()) == {ABSENT}
    assert {"/v1/models", "/ollama/api/tags"} <= set(paths(tried, scene))


def test_one_spelling_of_the_back_office_is_let_through_at_last_and_then_used() -> None:
    made, scene = attack("confused_paths")
    late = made["ts_ms"] > scene.span_s * 750
    tried, used = made[~late], made[late]
    assert share(tried, 200) == 0
    assert len(of(tried, "backoffice")) == pytest.approx(len(tried) / 2, rel=0.06)
    assert share(of(tried, "backoffice"), 403) == 1
    assert share(of(tried, "missing"), 400, 404) == 1
    assert share(used, 200) == 1
    assert each(used["path"]).max() == 1, "number after number"
    asked = paths(tried, scene)
    numbers = {"".join(one for one in path.split("orders/")[1] if one.isdigit())[:6] for path in asked}
    assert len(numbers) == 10
    assert len({path.replace(one, "") for path in asked for one in numbers if one in path}) == 25
    assert set(made["user"].tolist()) == {ABSENT}


def test_a_link_is_changed_byte_by_byte_and_one_in_a_hundred_and_twenty_eight_fits() -> None:
    made, scene = attack("padding_oracle", "strong")
    assert each(made["path"]).max() == 1
    assert len(of(made, "exported")) == len(made)
    fits = np.flatnonzero(made["status"] == 403)
    assert np.diff(fits).max() <= 256
    assert np.diff(fits).mean() == pytest.approx(128, rel=0.25)
    own = made[made["status"] == 200]
    assert own["ts_ms"].min() >= scene.span_s * 970
    assert share(made[made["ts_ms"] < own["ts_ms"].min()], 400, 403) == 1
    assert set(made["key"].tolist()) == {ABSENT}


@pytest.mark.parametrize("strength", STRENGTHS)
def test_an_empty_form_is_sent_over_and_over_and_sessions_are_used_elsewhere(strength: str) -> None:
    made, _ = attack("memory_bleed", strength)
    bled, used = of(made, "sso"), of(made, "account", "orders", "profile")
    assert len(bled) + len(used) == len(made)
    assert share(made, 200) == 1
    assert set(bled["user"].tolist()) == {ABSENT}
    assert not np.isin(used["ip"], bled["ip"]).any()
    found = len(np.unique(used["user"]))
    assert len(bled) / found == pytest.approx(25, rel=0.15)
    for user in np.unique(used["user"])[:20].tolist():
        steps = [ENDPOINT_CODES[name] for name in ("account", "orders", "profile")]
        assert used["endpoint"][used["user"] == user].tolist() == steps


@pytest.mark.parametrize("strength", STRENGTHS)
def test_results_are_asked_for_under_every_name_until_they_are_there(strength: str) -> None:
    made, scene = attack("embargo_guessing", strength)
    taken = made[made["status"] == 200]
    guessed = made[made["status"] == 404]
    assert len(taken) + len(guessed) == len(of(made, "article")) == len(made)
    assert len(np.unique(taken["path"])) == 1
    assert taken["ts_ms"].min() >= scene.span_s * 600 >= guessed["ts_ms"].max() - 2000
    assert set(np.unique(taken["ip"]).tolist()) == set(np.unique(guessed["ip"]).tolist())
    assert each(taken["ip"]).max() <= 2
    assert len(np.unique(guessed["path"])) == 24
    one = guessed[guessed["ip"] == guessed["ip"][0]]
    gaps_ms = np.diff(one["ts_ms"])
    assert gaps_ms.std() < 0.35 * gaps_ms.mean(), "his own clock"
    assert len(agents(made, scene)) == len(np.unique(made["ip"]))


def test_short_links_are_made_up_and_what_is_behind_one_in_forty_is_opened() -> None:
    made, scene = attack("short_link_scan", "strong")
    asked, opened = of(made, "missing"), of(made, "cart")
    assert each(asked["path"]).max() == 1
    there = asked[asked["status"] == 302]
    assert len(there) / len(asked) == pytest.approx(1 / 40, rel=0.2)
    assert share(asked, 302, 404) == 1
    links = [path.split("/")[-1] for path in paths(there, scene)]
    assert all(len(link) == 6 for link in links)
    assert {path.split("=")[1] for path in paths(opened, scene)} == set(links)
    assert sorted((opened["ts_ms"] - 300).tolist()) == pytest.approx(sorted(there["ts_ms"].tolist()), abs=2)
