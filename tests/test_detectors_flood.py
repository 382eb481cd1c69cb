"""Many newcomers who ask one route for thing after thing at once are told of; crowds, reloaders and exits are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detectors_traffic import T0_S, closed, flows

from detectors import flood_members
from detectors.artifact import NEVER, Model, defaults
from detectors.columns import IP, KEY, ROUTE, Finding, Flows
from detectors.evidence import Engine

SEARCH, ITEMS = 21, 22
AT_S = 2400  # when it comes


def quiet_families() -> Model:
    model = defaults()
    return replace(model, h=np.full_like(model.h, NEVER))


def visitors(span_s: int = 3600, a_minute: int = 12, seed: int = 1) -> Flows:
    """Newcomers who each look for one thing or two and at some of what they find."""
    g = np.random.default_rng(seed)
    n = span_s * a_minute // 60
    who = np.repeat(np.arange(n), 4)
    begin_ms = np.sort(g.integers(0, span_s * 1000, n)).repeat(4)
    return flows(
        4 * n,
        entity=(1 << 40) + who,
        agent=1 + who % 7,
        t_ms=begin_ms + np.tile([0, 7000, 15_000, 31_000], n),
        route=np.tile([SEARCH, SEARCH, ITEMS, ITEMS], n),
        path=g.integers(0, 4000, 4 * n) + np.tile([0, 0, 10_000, 10_000], n),
    )


def wave(
    clients: int,
    things: int,
    *,
    route: int = SEARCH,
    same: bool = False,
    parts: int = 3989,
    exits: int = 0,
    kind: int = IP,
    at_s: int = AT_S,
) -> Flows:
    """`clients` who each ask `route` for so many things within nine seconds, the `same` or others."""
    n = clients * things
    who = np.arange(n) // things
    return flows(
        n,
        kind=kind,
        entity=(1 << 50) + (who % exits if exits else who),
        agent=1 + who,
        t_ms=at_s * 1000 + np.arange(n) * 7919 % 9000,
        route=route,
        path=1_000_000 * route + (0 if same else np.arange(n) * 31 % parts),
    )


def told(*parts: Flows, step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    found = closed(Engine(quiet_families()), Flows.concat([visitors(), *parts]), step_s, restart_s)
    return [finding for finding in found if finding.family == "flood"]


def entities(found: list[Finding]) -> set[tuple[int, int]]:
    return {(finding.kind, finding.entity) for finding in found}


def test_who_comes_in_hundreds_and_asks_for_thing_after_thing_is_found_in_its_first_ten_seconds() -> None:
    found = told(wave(200, 8))
    (route,) = [finding for finding in found if finding.kind == ROUTE]
    assert (route.entity, route.answer, route.severity) == (SEARCH, "notice", "high")
    assert 0 <= route.crossed_ms - (T0_S + AT_S) * 1000 < 10_000
    members = [finding for finding in found if finding.kind == IP]
    assert len(members) == 200
    assert {(one.answer, one.route, one.campaign) for one in members} == {("challenge", SEARCH, (ROUTE, SEARCH))}
    assert "asked this route for 8 different things in 10 s" in members[0].facts[0].sentence


@pytest.mark.parametrize(
    ("came", "why"),
    [
        (wave(800, 1), "a crowd, each for one thing"),
        (wave(300, 30, same=True), "everybody reloads one page"),
        (wave(100, 12, kind=KEY), "jobs of machines that all begin on the minute"),
        (wave(5, 40), "five are no flood: each has evidence of his own"),
        (wave(300, 8, route=91), "nobody knows what visitors of a new route do"),
        (wave(300, 1, exits=6), "six addresses that many share, each with one thing of his own"),
    ],
)
def test_what_looks_like_a_flood_and_is_none(came: Flows, why: str) -> None:
    assert told(came) == [], why


def test_who_asks_for_one_thing_meanwhile_is_no_part_of_it() -> None:
    found = entities(told(wave(200, 8)))
    assert not {entity for kind, entity in found if kind == IP} & set(visitors().entity.tolist())


def test_who_is_known_is_no_part_of_it() -> None:
    """Twelve who were here for two hours and now each ask for ten things at once."""
    at_s = np.arange(0, 7200, 120)
    here = flows(12 * len(at_s), entity=5 + np.arange(12).repeat(len(at_s)), t_ms=np.tile(at_s, 12) * 1000, path=3)
    burst = replace(wave(12, 10, at_s=8000), entity=5 + np.arange(120, dtype=np.uint64) // 10)
    found = closed(Engine(quiet_families()), Flows.concat([visitors(9000), here, burst]), 600)
    assert [finding for finding in found if finding.family == "flood"] == []


def test_it_is_the_same_whatever_the_batching_and_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [wave(200, 8), wave(150, 6, at_s=AT_S + 120), wave(60, 20, route=ITEMS, at_s=AT_S + 600)]
    for most in (flood_members.ASKED_MAX, 900):
        monkeypatch.setattr(flood_members, "ASKED_MAX", most)
        whole = told(*parts)
        assert len(whole) > 100
        for step_s, restart_s in ((7, AT_S + 3), (60, AT_S + 120)):
            assert told(*parts, step_s=step_s, restart_s=restart_s) == whole


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood_members, "MEMBERS_MAX", 40)
    engine = Engine(quiet_families())
    closed(engine, Flows.concat([visitors(), wave(200, 8)]), 600)
    assert len(engine.flood.members.arrays("m")["m.key"]) == 40


def test_a_crowd_that_is_shown_the_same_page_asks_for_the_same_parts_of_it() -> None:
    """The cache before the site is down: every visitor fetches all seven scripts; a walk does not."""
    assert not told(wave(200, 7, parts=7))
    assert (ROUTE, SEARCH) in entities(told(wave(200, 7, parts=70)))
