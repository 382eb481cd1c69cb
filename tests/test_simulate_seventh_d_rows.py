"""What docs/simulate.md says of the seventh set's people and what presses them: how many, how often, every case."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import World

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()
NAMES = (
    "doorstep_orders", "review_extortion", "coached_purchases", "bust_out", "redelivered_orders", "double_letting",
)  # fmt: skip
CASES = (
    "moving_day", "asking_children", "block_orders", "hailstorm_claims", "festival_thefts", "stranded_travellers",
    "reception_centre", "shared_bills", "switching_deadline", "formula_shortage", "paper_catalogue",
    "register_readers",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    (line,) = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |")]
    said = re.search(r"([\d,]+) / ([\d,]+) / ([\d,]+) .*; ([\d.,]+), ([\d.,]+), ([\d.,]+) a (minute|second) in", line)
    assert said is not None
    numbers = [float(one.replace(",", "")) for one in said.groups()[:6]]
    how = catalogue.families()[name].strengths.values()
    assert numbers[:3] == [one.sources for one in how]
    a_second = [one / (60 if said[7] == "minute" else 1) for one in numbers[3:]]
    assert a_second == pytest.approx([one.sources * one.per_s for one in how], rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_begins_seconds_before_the_run_is_over_does_what_it_can(name: str) -> None:
    family = catalogue.families()[name]
    for how in family.strengths.values():
        scene = Scene(np.random.default_rng(3), World(), 20.0, START_MS, 1.0, 50)
        made = family.make(scene, replace(how, lasts_s=20.0))
        assert len(made) >= 3
        assert (made["ts_ms"] >= 0).all()
        assert (made["ts_ms"] < 140_000).mean() > 0.9


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of(name: str) -> None:
    assert len(re.findall(rf"`{name}`\s\(", DOCS)) == 1
    assert name in catalogue.cases()


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_of_a_long_run_stays_small(name: str) -> None:
    make = catalogue.cases()[name].make
    assert make is not None
    made = make(Scene(np.random.default_rng(3), World(), 32_400.0, START_MS, 5.0, 2000))
    assert 500 < len(made) < 30_000
