"""What docs/simulate.md says of the seventh set's machines and programs: from how many, how often."""

from __future__ import annotations

import pytest
from simulated_rows import is_told_once, row_says

NAMES = (
    "assistant_mailbox", "push_summons", "address_lottery", "unguarded_hour", "immobilised_cars", "faked_witnesses",
    "junk_listings",
)  # fmt: skip
CASES = (
    "rounded_numbers", "shadowed_requests", "smaller_pages", "token_each_time", "serverless_fanout", "punchout_carts",
    "layoff_morning", "stuck_agents", "gps_rollover", "satellite_passes", "frost_night", "wrong_country",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    row_says(name)


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of_once(name: str) -> None:
    is_told_once(name)
