"""What docs/simulate.md says of the sixth set's half on people and money: how many, how often, and every case."""

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
MODULES = ("impostors", "payouts", "bookings", "games", "strangers", "schemes")
GOOD = ("mornings", "relatives", "letters", "replacements")
NAMES = [
    name for name, one in catalogue.families().items() if one.make.__module__.endswith(tuple(f"_{m}" for m in MODULES))
]


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


def test_all_of_them_are_there_and_every_case_is_named() -> None:
    assert len(NAMES) == 22  # the others are tuned
    cases = [
        name
        for name, one in catalogue.cases().items()
        if one.make is not None and one.make.__module__.endswith(tuple(f"_{m}" for m in GOOD))
    ]
    assert len(cases) == 12
    assert [name for name in cases if f"`{name}` (" not in " ".join(DOCS.split())] == []
