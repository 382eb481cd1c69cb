"""What docs/simulate.md says of the sixth set's floods, scans, scrapers and lures: from how many, how often."""

from __future__ import annotations

import pytest
from simulated_rows import is_told_once, row_says

NAMES = (
    "yoyo_scaling", "ransom_demonstration", "borrowed_browsers", "cracked_servers", "nonsense_agents",
    "long_passwords", "fetcher_reflection", "exit_testing", "env_sweep", "worm_spreading", "model_hunting",
    "confused_paths", "padding_oracle", "memory_bleed", "embargo_guessing", "short_link_scan", "map_scanning",
    "face_harvest", "thread_reading", "cloned_site", "cookie_stuffing", "planted_number", "doorway_pages",
    "sponsored_drain",
)  # fmt: skip
CASES = (
    "cable_cut", "vpn_evening", "password_checkup", "bookmark_icons", "feed_readers", "saved_links", "page_savers",
    "link_rot_check", "crawler_trap", "landing_review", "statistics_office", "answer_engine", "race_photographs",
    "advent_door", "riddle_hunt", "switch_control",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    row_says(name)


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of(name: str) -> None:
    is_told_once(name)
