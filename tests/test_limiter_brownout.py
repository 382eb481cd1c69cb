"""What a brownout turns away: by class and level, a client for a whole turn, what is critical never."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limiter_world import action

from limiter import answers, policy_file
from limiter.facts import Facts
from limiter.lint import warnings
from limiter.matcher import Identity, Matcher
from limiter.orders import order
from limiter.overrides import Overrides
from limiter.placing import Placing
from limiter.policy import DEFAULT, PPM, Policy
from limiter.verdict import TURN_MS, Request, turned_away

EXAMPLE = policy_file.load(Path(__file__).parent.parent / "deploy/policies/example.yaml")
NOW_MS = 1_800_000_000_000
ANN = Identity(ip="192.0.2.1", key_id="9f86d081884c7d65")


PLACINGS: dict[tuple[str, int, float | None], Placing] = {}


def placing(policy: Policy, level: int, part: float | None = None) -> Placing:
    """Made once for each policy's name, level and part."""
    at = policy.name, level, part
    if at not in PLACINGS:
        PLACINGS[at] = made(policy, level, part)
    return PLACINGS[at]


def made(policy: Policy, level: int, part: float | None) -> Placing:
    overrides = Overrides()
    overrides.put(action("brownout", "global:*", level=level, factor=part, expires_ms=NOW_MS + 10**9), NOW_MS)
    return Placing(Matcher(policy), overrides)


def share(policy: Policy, level: int, part: float | None = None) -> float:
    """Of two thousand addresses, those that are let in."""
    asked = (Request("GET", "/items/1", Identity(f"10.0.{n // 250}.{n % 250}")) for n in range(2_000))
    return sum(placing(policy, level, part).place(each, NOW_MS).shed is None for each in asked) / 2_000


def test_who_is_anonymous_goes_first_then_who_is_free_and_who_pays_last() -> None:
    assert [round(share(EXAMPLE, level), 1) for level in range(1, 5)] == [1.0, 0.7, 0.3, 0.0]
    tiers = [EXAMPLE.brownout.admit_ppm(4, name) for name in ("batch", "dear", "anonymous", "free", "paid", None)]
    assert tiers == [0, 0, 0, 300_000, 800_000, PPM]


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (Request("GET", "/search", ANN), "dear"),
        (Request("GET", "/items/1", ANN), "paid"),
        (Request("GET", "/items/1", Identity(ip="192.0.2.1")), "anonymous"),
        (Request("GET", "/items/1", ANN, tier="free"), "free"),
        (Request("GET", "/items/1", ANN, attributes={"header:x-request-class": "batch"}), "batch"),
        (Request("POST", "/checkout", Identity(ip="192.0.2.1")), None),
    ],
)
def test_a_request_is_of_the_first_class_it_fits_and_of_none_where_it_is_critical(
    request_: Request, name: str | None
) -> None:
    tier = EXAMPLE.tier_of(request_.tier, request_.identity.key_id, None, None).name
    route = Matcher(EXAMPLE).route(request_.method, request_.path)
    facts = Facts(request_.identity, tier, request_.attributes, NOW_MS)
    assert EXAMPLE.brownout.class_of(request_.method, route, facts) == name


def test_headers_that_tell_classes_apart_are_asked_for() -> None:
    assert "x-request-class" in Matcher(EXAMPLE).headers


@given(st.integers(0, 255), st.integers(1, 4), st.sampled_from([0.25, 0.5, 0.75]))
def test_on_the_way_back_whoever_is_in_stays_in(host: int, level: int, part: float) -> None:
    request = Request("GET", "/items/1", Identity(ip=f"192.0.2.{host}"))
    whole, partly, below = (
        placing(DEFAULT, *at).place(request, NOW_MS).shed is None
        for at in ((level, None), (level, part), (max(1, level - 1), None))
    )
    assert whole <= partly <= (below if level > 1 else True)


def test_a_level_by_halves_lies_between_the_levels() -> None:
    assert share(DEFAULT, 3, 0.5) == pytest.approx((0.75 + 0.40) / 2, abs=0.04)
    assert DEFAULT.brownout.factor_ppm(3, "default", "GET", "/items", PPM // 2) == 375_000
    assert DEFAULT.brownout.factor_ppm(1, "default", "GET", "/items", PPM // 2) == 875_000


def test_a_client_is_in_or_out_for_a_whole_turn_and_then_it_is_others_turn() -> None:
    requests = [Request("GET", "/items/1", Identity(ip=f"192.0.2.{host}")) for host in range(200)]
    first, same, later = (
        [placing(DEFAULT, 3).place(each, NOW_MS + after_ms).shed is None for each in requests]
        for after_ms in (0, TURN_MS - 1 - NOW_MS % TURN_MS, TURN_MS)
    )
    assert first == same != later


def test_who_is_turned_away_is_told_to_come_back_and_is_no_evidence() -> None:
    answer = turned_away(placing(EXAMPLE, 4).place(Request("GET", "/search", ANN), NOW_MS), "dear", NOW_MS)
    assert (answer.verdict, answer.rule, answer.allowed) == ("deny", "brownout:dear", False)
    refusal = answers.refusal(answer)
    assert refusal.status == 503
    assert dict(refusal.headers)["retry-after"] == "60"
    assert b"temporary-reduced-capacity" in refusal.body


def test_the_stricter_of_two_levels_holds() -> None:
    overrides = Overrides()
    for uid, level, part in (("a", 2, None), ("b", 3, 0.25), ("c", 1, None)):
        overrides.put(action("brownout", "global:*", uid, level=level, factor=part, expires_ms=NOW_MS + 10**9), NOW_MS)
    ruling = overrides.judge(ANN, "/items", NOW_MS, "standard", None)
    assert (ruling.level, ruling.part_ppm) == (3, 250_000)
    assert order(action("brownout", "global:*", level=1)).factor is None


BOTH = "  levels: { 1: { admit: { a: 0.5, b: 0.5 } } }\n"
LEVELS = "  levels: { 1: { admit: { a: 0.5 } }, 2: { admit: { a: 0.4 } } }\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (
            "  classes:\n    - { name: a, known: no }\n    - { name: b, known: yes }\n" + LEVELS,
            5,
            "is shed at no level",
        ),
        (
            "  classes:\n    - { name: a, routes: [/x] }\n    - { name: b, routes: [/x] }\n" + BOTH,
            5,
            "is nobody: 'a' stands before it",
        ),
        (
            "  classes: [{ name: a, known: no }]\n  levels:\n    1: { admit: { a: 0.5 } }\n    2: { factor: 0.5 }\n",
            6,
            "lets in more of 'a' than the level below",
        ),
    ],
)
def test_what_a_brownout_hardly_means_is_told_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("version: 1\nbrownout:\n" + text + "default: [{ name: d, per: ip, rate: 9/s }]\n")
    found = policy_file.examine(file)
    assert found.errors == []
    assert [(each.line, says in each.reason) for each in warnings(found, NOW_MS)] == [(line, True)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "classes: [{ name: a }]\n  levels: { 1: { factor: 0.5 } }",
            "p.yaml:3: policy.brownout.classes[0]: says of no",
        ),
        ("levels: { 1: { admit: { a: 1 } } }", "is of classes, and there are none (add `classes`"),
        ("classes: [{ name: a, known: no }]\n  levels: { 1: { admit: { b: 1 } } }", "'b' is no class of this brownout"),
        ("levels: { 1: {} }", "has neither `factor` nor `admit`"),
        ("classes: [{ name: a, when: { tier: gold } }]\n  levels: { 1: { factor: 1 } }", "asks for a tier 'gold'"),
    ],
)
def test_a_brownout_that_cannot_be_taken_names_the_field_and_the_fix(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"version: 1\nbrownout:\n  {text}\n")
    with pytest.raises(policy_file.PolicyError) as found:
        policy_file.load(file)
    assert says in str(found.value)


def test_a_policy_that_names_no_classes_turns_nobody_away() -> None:
    plain = replace(DEFAULT, name="plain", brownout=replace(DEFAULT.brownout, classes=()))
    assert share(plain, 4) == 1.0
