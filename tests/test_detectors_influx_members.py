"""Of newcomers who begin to come for a route: who reads pages that no other newcomer asks for is part of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detectors_traffic import closed, flows

from detectors.artifact import NEVER, defaults
from detectors.columns import IP, ROUTE, Finding, Flows
from detectors.evidence import Engine
from detectors.influx_members import Members, evidence

ITEMS, HOME, RESET = 11, 12, 13  # a route of many pages, two of one page each
WARM_S = 3 * 3600
POPULAR = 40


def people(seed: int, begin_s: int, span_s: int, n: int, mix: tuple[float, ...] = (0.5, 0.48, 0.02)) -> Flows:
    """`n` newcomers, six requests each, who read what is popular."""
    g = np.random.default_rng(seed)
    entity = np.repeat(g.integers(1 << 40, 1 << 60, n), 6)
    begins_ms = np.sort(g.integers(begin_s * 1000, (begin_s + span_s) * 1000, n))
    route = g.choice([ITEMS, HOME, RESET], 6 * n, p=mix)
    page = np.where(route == ITEMS, g.integers(0, POPULAR, 6 * n), 0)
    t_ms = begins_ms.repeat(6) + np.tile(np.arange(6) * 3000, n)
    return flows(6 * n, entity=entity, t_ms=t_ms, route=route, path=route * 100_000 + page)


def gang(begin_s: int, span_s: int, n: int, pages: int, looked_round: int = 0) -> Flows:
    """`n` newcomers that read `pages` items each, all of them others; they `looked_round` at home before."""
    g, each = np.random.default_rng(9), looked_round + pages
    entity = np.arange(n).repeat(each) + 5_000
    begins_ms = np.sort(g.integers(begin_s * 1000, (begin_s + span_s) * 1000, n))
    t_ms = begins_ms.repeat(each) + np.tile(np.arange(each) * 4000, n)
    item = np.tile(np.arange(each) >= looked_round, n)
    path = np.where(item, ITEMS * 100_000 + 1_000 + np.arange(n * each), HOME * 100_000)
    return flows(n * each, entity=entity, t_ms=t_ms, route=np.where(item, ITEMS, HOME), path=path)


def told(parts: list[Flows], step_s: int = 600, restart_s: int = 0) -> list[Finding]:
    model = defaults()
    engine = Engine(replace(model, h=np.full_like(model.h, NEVER)))
    traffic = Flows.concat([people(1, 0, WARM_S + 1800, 3000), *parts])
    found = closed(engine, traffic, step_s, restart_s)
    return [finding for finding in found if finding.family == "influx"]


def clients(found: list[Finding]) -> set[int]:
    return {finding.entity for finding in found if finding.kind == IP}


def test_who_reads_page_after_page_of_his_own_is_challenged_and_nobody_else_and_it_is_one_campaign() -> None:
    found = told([gang(WARM_S, 900, 400, 6)])
    members = clients(found)
    assert len(members) > 200
    assert members <= set(range(5_000, 5_400))
    assert {f.answer for f in found if f.kind == IP} == {"challenge"}
    assert {f.answer for f in found if f.kind == ROUTE} == {"notice"}
    assert {f.campaign for f in found} == {(ROUTE, ITEMS)}
    (words, *_) = next(f for f in found if f.kind == IP).facts
    assert "requests were for pages of this route that no other newcomer asked for" in words.sentence


def test_newcomers_who_come_for_one_page_are_told_of_and_none_of_them_is_part_of_anything() -> None:
    found = told([people(2, WARM_S, 900, 400, (0.05, 0.05, 0.9))])
    assert {(f.kind, f.entity) for f in found} == {(ROUTE, RESET)}


def test_who_looked_round_before_is_left_alone() -> None:
    found = told([gang(WARM_S, 900, 400, 4, looked_round=15)])
    assert not clients(found) & set(range(5_000, 5_400))


def test_what_is_said_of_members_hangs_neither_on_batches_nor_on_a_restart() -> None:
    parts = [gang(WARM_S, 900, 400, 6)]
    whole = told(parts)
    assert told(parts, step_s=37) == whole
    assert told(parts, step_s=200, restart_s=WARM_S + 400) == whole


def test_evidence_grows_with_pages_of_his_own_and_sinks_with_others() -> None:
    assert evidence(3, 3, 0.2) > evidence(3, 5, 0.2) > evidence(3, 9, 0.2)
    assert evidence(4, 4, 0.2) > evidence(3, 3, 0.2) > 0 > evidence(0, 1, 0.2)


@pytest.mark.parametrize("n", [0, 3])
def test_members_are_kept_over_a_restart_and_forgotten_when_they_are_long_gone(n: int) -> None:
    rows = np.array([[k, 1000 * k, 2000 * k, 0, 0, 0] for k in range(n)], np.int64).reshape(-1, 6)
    members = Members()
    members.restore(np.arange(n, dtype=np.uint64), rows)
    kept = members.arrays()
    assert kept["member"].tolist() == rows.tolist()
    members.forget(2001)
    assert len(members.arrays()["owner"]) == max(0, n - 2)
