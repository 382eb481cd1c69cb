"""What docs/simulate.md says of the sixth set's floods, scans, scrapers and lures: from how many, how often."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from floodwarden.simulate import catalogue

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()
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
    (line,) = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |")]
    said = re.search(r"([\d,]+) / ([\d,]+) / ([\d,]+) .*; ([\d.,]+), ([\d.,]+), ([\d.,]+) a (minute|second) in", line)
    assert said is not None
    numbers = [float(one.replace(",", "")) for one in said.groups()[:6]]
    how = catalogue.families()[name].strengths.values()
    assert numbers[:3] == [one.sources for one in how]
    a_second = [one / (60 if said[7] == "minute" else 1) for one in numbers[3:]]
    assert a_second == pytest.approx([one.sources * one.per_s for one in how], rel=0.03)


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of(name: str) -> None:
    assert len(re.findall(rf"`{name}`\s\(", DOCS)) == 1
    assert name in catalogue.cases()
