"""What docs/simulate.md says of the fifth set's machines: from how many addresses, how many requests."""

from __future__ import annotations

import pytest
from simulated_rows import row_says

NAMES = (
    "forged_signon", "parting_exports", "partner_breach", "registry_drain", "token_keeping", "skimmer_planting",
    "catalogue_wipe", "dealer_portal", "agentic_intrusion", "hijacked_agents", "first_day_rush", "desync_probing",
    "cache_denial", "saml_bomb", "one_hit_crawl", "price_watching", "covisit_injection", "quote_mining",
    "download_inflation", "volunteer_flood", "cart_flood", "assistant_drain", "smokescreen", "subscription_trojan",
    "free_hosting",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_there_are_and_how_often_they_come(name: str) -> None:
    row_says(name)
