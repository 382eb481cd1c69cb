"""What docs/simulate.md says of the seventh set's reading, content and networks: how many, how often; and its cases."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from floodwarden.simulate import catalogue

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()
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
