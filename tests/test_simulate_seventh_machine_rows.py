"""What docs/simulate.md says of the seventh set's machines and programs: from how many, how often."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from floodwarden.simulate import catalogue

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()
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
    (line,) = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |")]
    said = re.search(r"([\d,]+) / ([\d,]+) / ([\d,]+) .*; ([\d.,]+), ([\d.,]+), ([\d.,]+) a (minute|second) in", line)
    assert said is not None
    numbers = [float(one.replace(",", "")) for one in said.groups()[:6]]
    how = catalogue.families()[name].strengths.values()
    assert numbers[:3] == [one.sources for one in how]
    a_second = [one / (60 if said[7] == "minute" else 1) for one in numbers[3:]]
    assert a_second == pytest.approx([one.sources * one.per_s for one in how], rel=0.03)


@pytest.mark.parametrize("name", CASES)
def test_a_good_case_is_told_of_once(name: str) -> None:
    assert name in catalogue.cases()
    assert len(re.findall(rf"`{name}`\s\(", DOCS)) == 1
