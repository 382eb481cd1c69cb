"""What docs/simulate.md says of the sixth set's half on people and money: how many, how often, and every case."""

from __future__ import annotations

import pytest
from simulated_rows import DOCS, begins_late, row_says

from floodwarden.simulate import catalogue

MODULES = ("impostors", "payouts", "bookings", "games", "strangers", "schemes")
GOOD = ("mornings", "relatives", "letters", "replacements")
NAMES = [
    name for name, one in catalogue.families().items() if one.make.__module__.endswith(tuple(f"_{m}" for m in MODULES))
]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    row_says(name)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_begins_seconds_before_the_run_is_over_does_what_it_can(name: str) -> None:
    begins_late(name)


def test_all_of_them_are_there_and_every_case_is_named() -> None:
    assert len(NAMES) == 22  # the others are tuned
    cases = [
        name
        for name, one in catalogue.cases().items()
        if one.make is not None and one.make.__module__.endswith(tuple(f"_{m}" for m in GOOD))
    ]
    assert len(cases) == 12
    assert [name for name in cases if f"`{name}` (" not in " ".join(DOCS.split())] == []
