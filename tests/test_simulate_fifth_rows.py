"""What docs/simulate.md says of the fifth set's machines: from how many addresses, how many requests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from floodwarden.simulate import catalogue

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()
NAMES = (
    "forged_signon", "parting_exports", "partner_breach", "registry_drain", "token_keeping", "skimmer_planting",
    "catalogue_wipe", "dealer_portal", "agentic_intrusion", "hijacked_agents", "first_day_rush", "desync_probing",
    "cache_denial", "saml_bomb", "one_hit_crawl", "price_watching", "covisit_injection", "quote_mining",
    "download_inflation", "volunteer_flood", "cart_flood", "assistant_drain", "smokescreen", "subscription_trojan",
    "free_hosting",
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
