"""What docs/simulate.md says of the sixth set's machines: from how many addresses, how many requests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from floodwarden.simulate import catalogue

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()
NAMES = (
    "celebrity_snooping", "staff_stalking", "listing_favours", "laptop_farm", "logic_bomb", "key_hydra", "heap_dumps",
    "tenant_hopping", "callback_loop", "redirect_stealing", "open_bucket_raid", "backup_fetching", "meter_tampering",
    "load_switching", "charger_eviction", "covert_reports", "install_script", "skill_skimming", "confused_assistant",
    "spec_fuzzing", "surge_collusion", "shift_grabbing", "tester_cashout", "kiosk_breakout",
)  # fmt: skip
CASES = (
    "cold_build_cache", "advisory_day", "registry_mirror", "contract_tests", "guessing_agent", "bookkeeping_cloud",
    "mass_rotation", "sunset_brownouts", "demand_response", "flapping_modems", "shelf_labels", "shift_release",
    "overseas_shift", "fraud_desk", "year_end_exports", "outage_watchers",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    (line,) = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |")]
    said = re.search(r"([\d,]+) / ([\d,]+) / ([\d,]+) .*; ([\d.,]+), ([\d.,]+), ([\d.,]+) a minute in all", line)
    assert said is not None
    numbers = [float(one.replace(",", "")) for one in said.groups()]
    how = catalogue.families()[name].strengths.values()
    assert numbers[:3] == [one.sources for one in how]
    assert numbers[3:] == pytest.approx([one.sources * one.per_minute for one in how], rel=0.03)


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_told_of_once(name: str) -> None:
    assert name in catalogue.cases()
    assert len(re.findall(rf"`{name}` \(", DOCS)) == 1
