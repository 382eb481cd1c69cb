"""What docs/simulate.md says of the seventh set's people and what presses them: how many, how often, every case."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_rows import begins_late, is_told_once, row_says

from floodwarden.simulate import catalogue
from floodwarden.simulate.config import START_MS
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.world import World

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
    row_says(name)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_begins_seconds_before_the_run_is_over_does_what_it_can(name: str) -> None:
    begins_late(name)


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of(name: str) -> None:
    is_told_once(name)


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_of_a_long_run_stays_small(name: str) -> None:
    make = catalogue.cases()[name].make
    assert make is not None
    made = make(Scene(np.random.default_rng(3), World(), 32_400.0, START_MS, 5.0, 2000))
    assert 500 < len(made) < 30_000
