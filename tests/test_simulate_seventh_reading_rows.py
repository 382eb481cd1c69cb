"""What docs/simulate.md says of the seventh set's reading, content and networks: how many, how often; and its cases."""

from __future__ import annotations

import pytest
from simulated_rows import is_told_once, row_says

NAMES = (
    "tracker_swarm", "toll_free_tunnels", "leaked_link_reaping", "paywall_piercing", "television_spoofing",
    "spoken_solving",
)  # fmt: skip
CASES = (
    "museum_codes", "old_registers", "podcast_morning", "spoken_questions", "letter_by_letter", "mail_pictures",
    "metasearch_instances", "price_study", "old_browsers", "captive_portals", "purged_edges",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    row_says(name)


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of(name: str) -> None:
    is_told_once(name)
