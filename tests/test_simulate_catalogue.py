"""Every family and good case, also those that others wrote, keeps what `docs/simulate.md` asks of one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from floodwarden import simulate
from floodwarden.simulate import catalogue, declare, told
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.declare import STRENGTHS
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene, rows
from floodwarden.simulate.world import ENDPOINTS, Rows, World

FOREIGN = """
from floodwarden.simulate.declare import Strength, case, family
from floodwarden.simulate.scene import Rows, Scene

@family(oat="OAT-002", weak=Strength(1, 6, 600), medium=Strength(1, 60, 300), strong=Strength(1, 600, 60))
def a_family_of_this_test(scene: Scene, how: Strength) -> Rows:
    \"\"\"Coupons are guessed.\"\"\"
    return scene.requests(scene.steady(how.per_s, how.lasts_s), "coupon", ip=int(scene.addresses(1)[0]), status=404)

@case()
def a_case_of_this_test(scene: Scene) -> Rows:
    \"\"\"Somebody comes once.\"\"\"
    return scene.requests(scene.scattered(1, scene.span_s), "home", ip=int(scene.addresses(1, "home")[0]))
"""


def scene(seed: int, span_s: float) -> Scene:
    return Scene(np.random.default_rng(seed), World(), span_s, START_MS, requests_per_s=1.0, clients=200)


def are_rows_we_take(made: Rows, where: Scene) -> None:
    world = where.world
    for column, words in (("ip", world.ips), ("path", world.paths), ("ua", world.agents)):
        assert (made[column] >= 0).all(), f"a request without {column}"
        assert made[column].max() < len(words.texts)
    for column, words in (("user", world.users), ("key", world.keys)):
        assert made[column].max() < len(words.texts)
    assert (made["ts_ms"] >= 0).all()
    assert made["endpoint"].min() >= 0
    assert made["endpoint"].max() < len(ENDPOINTS)
    assert ((made["status"] >= 100) & (made["status"] < 600)).all()


@pytest.mark.parametrize("name", catalogue.families())
def test_a_family_has_three_strengths_each_stronger_than_the_one_before(name: str) -> None:
    family = catalogue.families()[name]
    assert family.about.endswith("."), "say in a sentence what it is"
    per_s = []
    for strength in STRENGTHS:
        how = family.strengths[strength]
        where = scene(1, how.lasts_s)
        made = family.make(where, how)
        are_rows_we_take(made, where)
        assert len(made) >= 3
        assert (made["ts_ms"] < how.lasts_s * 1000 + 120_000).mean() > 0.95, "it goes on after its time"
        per_s.append(len(made) / how.lasts_s)
    assert per_s[0] < per_s[1] < per_s[2]


@pytest.mark.parametrize("name", catalogue.cases())
def test_a_good_case_gives_rows_or_says_which_it_changed(name: str) -> None:
    case, where = catalogue.cases()[name], scene(2, 7200.0)
    assert case.about.endswith("."), "say in a sentence what it is"
    if case.make is not None:
        made = case.make(where)
        are_rows_we_take(made, where)
        assert len(made) >= 3
    if case.change is not None:
        good = people(where, frozenset())
        before = good.copy()
        touched = case.change(where, good)
        are_rows_we_take(good, where)
        assert touched.any()
        assert (good[~touched] == before[~touched]).all(), "rows changed that it did not name"


def test_attacks_of_first_sight_name_who_has_seen_such_a_thing_and_no_case_of_it_is_learned_from() -> None:
    kept = catalogue.families(first_sight=True)
    assert [name for name, one in kept.items() if not re.search(r"\b20[12]\d\b", one.source)] == []
    assert not catalogue.usual_cases() & catalogue.cases(first_sight=True).keys(), "it would be learned from"


def test_the_list_says_who_has_seen_a_family_or_case_of_first_sight(capsys: pytest.CaptureFixture[str]) -> None:
    told.show(as_json=True)
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["type"] for one in records} == {"attack", "case"}
    seen = {one["name"] for one in records if re.search(r"\b20[0-9]{2}\b", one["source"])}
    assert {"bust_out", "expired_casters", "leap_day_pumps"} <= seen
    assert next(one for one in records if one["name"] == "crawler")["source"] == ""


def test_what_a_first_sight_module_declares_is_found_and_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first_sight_of_this_test.py").write_text(FOREIGN)
    monkeypatch.setattr(simulate, "__path__", [*simulate.__path__, str(tmp_path)])
    monkeypatch.setattr(declare, "families", dict(declare.families))
    monkeypatch.setattr(declare, "cases", dict(declare.cases))
    catalogue._declared()
    assert "a_family_of_this_test" in catalogue.families(first_sight=True)
    assert "a_case_of_this_test" in catalogue.cases(first_sight=True)
    assert "a_family_of_this_test" not in catalogue.families(first_sight=False)
    assert "a_case_of_this_test" not in catalogue.usual_cases()


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="already"):
        declare.case()(catalogue.cases()["poller"].make or (lambda _: rows(0)))
