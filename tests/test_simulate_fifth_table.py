"""The fifth set's rows in docs/simulate.md say how many there are, and how often they come."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from simulated_sets import attack, of

from floodwarden.simulate import catalogue
from floodwarden.simulate.declare import STRENGTHS

DOCS = (Path(__file__).parent.parent / "docs" / "simulate.md").read_text()
REQUESTS = (
    "forged_tokens", "graphql_batching", "reset_sandwich", "mass_assignment", "webhook_replay", "assistant_poisoning",
    "blind_xss", "trilateration", "forgotten_version", "integration_breach", "borrowed_crawler", "slow_bodies",
    "range_amplification", "imitated_visitors",
)  # fmt: skip
# What a row counts otherwise, and the request that is one of them.
COUNTED = {
    "session_handover": "checkout", "reset_poisoning": "reset", "pre_hijacking": "register", "points_pooling": "token",
    "card_cracking": "checkout", "referral_ring": "home", "name_field_spam": "register", "install_fraud": "device",
}  # fmt: skip
REACHED = {"session_handover": 2 / 3}  # of those it counts so many come so far


def row(name: str) -> str:
    (line,) = [line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |")]
    return line.split("|")[2]


def rates(text: str) -> list[float]:
    return [float(one.replace(",", "")) for one in re.split(r", (?=\d)", text)]


@pytest.mark.parametrize("name", [*REQUESTS, *COUNTED, "device_code_phishing", "bid_sniping"])
def test_a_row_says_from_how_many_addresses(name: str) -> None:
    addresses = re.findall(r"([\d,]+) / ([\d,]+) / ([\d,]+)", row(name))
    said = [sum(int(one.replace(",", "")) for one in strength) for strength in zip(*addresses, strict=True)]
    assert said == [how.sources for how in catalogue.families()[name].strengths.values()]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_row_says_how_many_requests(name: str) -> None:
    found = re.search(r"; ([\d., ]+) a (minute|second) in all", row(name))
    assert found is not None
    per_minute = [one * (60 if found[2] == "second" else 1) for one in rates(found[1])]
    made_of = catalogue.families()[name].strengths.values()
    assert per_minute == pytest.approx([how.sources * how.per_minute for how in made_of], rel=0.05)


@pytest.mark.parametrize("name", COUNTED)
def test_a_row_says_how_many_of_what_it_counts(name: str) -> None:
    found = re.search(r"; ([\d., ]+) \w+ a minute", row(name))
    assert found is not None
    for strength, said in zip(STRENGTHS, rates(found[1]), strict=True):
        made, scene = attack(name, strength)
        begun = len(of(made, COUNTED[name]))
        a_minute = begun / REACHED.get(name, 1.0) / scene.span_s * 60
        assert a_minute == pytest.approx(said, rel=0.15, abs=0.06)
