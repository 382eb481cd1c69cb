"""A route that newcomers begin to come for is told of; a crowd that comes for what people come for is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from detectors_traffic import T0_S, closed, flows, tags_of

from detectors.artifact import NEVER, Model, defaults
from detectors.columns import ROUTE, Finding, Flows
from detectors.evidence import Engine
from detectors.influx_routes import HOP_S, VISITS
from detectors.influx_shares import Shares

MANY, ONE, RARE = 11, 12, 13  # a route with many paths, one with one, and one that hardly anybody comes for
WARM_S = 3 * 3600


def quiet_families() -> Model:
    """Nobody but the influx speaks."""
    model = defaults()
    return replace(model, h=np.full_like(model.h, NEVER))


def people(
    seed: int, begin_s: int, span_s: int, n: int, mix: tuple[float, ...] = (0.55, 0.43, 0.02), *, one_path: bool = False
) -> Flows:
    """`n` newcomers, three visits each, by the shares of the three routes."""
    g = np.random.default_rng(seed)
    entity = np.repeat(g.integers(1 << 40, 1 << 60, n), 3)
    t_ms = np.sort(g.integers(begin_s * 1000, (begin_s + span_s) * 1000, n)).repeat(3) + np.tile([0, 4000, 9000], n)
    route = g.choice([MANY, ONE, RARE], 3 * n, p=mix)
    path = np.where((route == MANY) & ~one_path, route * 10_000 + g.integers(0, 3000, 3 * n), route * 10_000)
    return flows(3 * n, entity=entity, t_ms=t_ms, route=route, path=path)


def regulars(begin_s: int, span_s: int, routes: tuple[int, ...], every_s: int = 60) -> Flows:
    """Forty clients that come all the time."""
    at_s = np.arange(begin_s, begin_s + span_s, every_s)
    n = len(at_s) * 40
    number = np.arange(n)
    route = np.array(routes)[(number // 40 + number % 40) % len(routes)]
    return flows(n, entity=1 + number % 40, t_ms=at_s.repeat(40) * 1000 + number % 40 * 20, route=route, path=route)


def usual_hours() -> list[Flows]:
    return [people(1, 0, WARM_S + 1800, 3000), regulars(0, WARM_S + 1800, (MANY, ONE))]


def told(parts: list[Flows], step_s: int = 600, model: Model | None = None, restart_s: int = 0) -> list[Finding]:
    engine = Engine(model or quiet_families())
    traffic = Flows.concat(parts)
    found = closed(engine, traffic, step_s, restart_s)
    return [finding for finding in found if finding.family == "influx"]


def test_newcomers_who_come_for_what_hardly_anybody_came_for_are_told_of_once_and_nobody_is_answered() -> None:
    found = told([*usual_hours(), people(2, WARM_S, 600, 200, (0.0, 0.0, 1.0))])
    assert {(f.kind, f.entity, f.answer, f.pane_s) for f in found} == {(ROUTE, RARE, "notice", found[0].pane_s)}
    assert 0 <= found[0].crossed_ms - (T0_S + WARM_S) * 1000 < 90_000
    assert "newcomers came for this" in found[0].facts[0].sentence


def test_a_crowd_that_comes_for_what_people_come_for_is_not_told_of_whether_by_many_pages_or_by_one() -> None:
    assert told([*usual_hours(), people(3, WARM_S, 600, 3000)]) == []
    link = people(4, WARM_S, 600, 3000, (0.9, 0.1, 0.0), one_path=True)
    assert MANY not in {finding.entity for finding in told([*usual_hours(), link])}


def test_what_established_clients_come_for_more_often_as_well_is_usual() -> None:
    newcomers = people(5, WARM_S, 1200, 400, (0.2, 0.2, 0.6))
    assert RARE in {finding.entity for finding in told([*usual_hours(), newcomers])}
    assert told([*usual_hours(), newcomers, regulars(WARM_S - 300, 1500, (RARE,), 5)]) == []


def test_one_route_in_alarm_makes_no_other_one_a_larger_share_of_the_rest() -> None:
    g, shares = np.random.default_rng(8), Shares(VISITS)
    usual, attacked = (0.6, 0.1, 0.1, 0.1, 0.1), (0.92, 0.02, 0.02, 0.02, 0.02)  # for four of them as many as always
    for begin, end, visits, mix in ((1, 1200, 40, usual), (1200, 1500, 200, attacked)):
        hop = np.arange(begin, end).repeat(visits)
        shares.count(g.choice(np.arange(1, 6, dtype=np.uint64), len(hop), p=mix), hop)
    assert {finding.entity for finding in shares.close(1500 * HOP_S)} == {1}


def test_what_is_told_hangs_neither_on_batches_nor_on_a_restart() -> None:
    parts = [*usual_hours(), people(2, WARM_S, 600, 200, (0.0, 0.0, 1.0))]
    whole = told(parts)
    assert len(whole) > 1
    assert told(parts, step_s=37) == whole
    assert told(parts, step_s=200, restart_s=WARM_S + 200) == whole


def test_with_what_a_model_learned_a_route_is_known_that_nobody_came_for_yet() -> None:
    engine = Engine(quiet_families())
    learned = Flows.concat(usual_hours())
    engine.close(learned, int(learned.pane_s.max()) + 1)
    model = replace(quiet_families(), influx=engine.influx.learned())
    begins = [people(6, 0, 3600, 700), people(7, 2400, 600, 200, (0.0, 0.0, 1.0))]
    assert {finding.entity for finding in told(begins, model=model)} == {RARE}
    assert len(engine.influx.learned()["route"]) == 3
    assert not len(Engine(quiet_families()).influx.learned()["route"])


def alike(tags: int) -> Flows:
    """Two hundred newcomers who each come for one of four paths of a route that has many."""
    n = 200
    t_ms = WARM_S * 1000 + np.arange(n) * 3000
    return flows(
        n, entity=(1 << 61) + np.arange(n), t_ms=t_ms, route=RARE, path=RARE * 10 + np.arange(n) % 4, tags=tags
    )


def test_nobody_submits_by_a_link_so_of_submissions_each_client_counts_whatever_the_path() -> None:
    usual = Flows.concat(usual_hours())
    rare = usual.route == RARE
    usual = replace(usual, path=np.where(rare, 500_000 + np.arange(len(usual)), usual.path).astype(np.uint64))
    assert RARE in {finding.entity for finding in told([usual, alike(tags_of("focus", marked=False))])}
    assert RARE not in {finding.entity for finding in told([usual, alike(0)])}


THING = 99


def submissions(seed: int, begin_s: int, span_s: int, n: int, *, one: bool) -> Flows:
    """`n` newcomers who each submit something on the rare route: where all do, or each somewhere else."""
    g = np.random.default_rng(seed)
    t_ms = np.sort(g.integers(begin_s * 1000, (begin_s + span_s) * 1000, n))
    path = np.full(n, THING) if one else g.integers(600_000, 1 << 40, n)
    who = g.integers(1 << 40, 1 << 60, n)
    return flows(n, entity=who, t_ms=t_ms, route=RARE, path=path, tags=tags_of("focus", marked=False))


def voted(*, one: bool) -> list[Flows]:
    """Hours in which forty newcomers an hour submit something; then thirty more do within half an hour."""
    usual = submissions(21, 0, WARM_S + 1800, 140, one=False)
    return [people(1, 0, WARM_S + 1800, 3000, (0.55, 0.45, 0.0)), usual, submissions(22, WARM_S, 1500, 30, one=one)]


def test_two_dozen_who_submit_at_one_thing_are_told_of_on_a_route_that_has_as_many_anyway() -> None:
    found = told(voted(one=True))
    assert {(f.kind, f.entity, f.answer) for f in found} == {(ROUTE, RARE, "notice")}
    assert "submitted something where others just had" in found[0].facts[0].sentence
    assert told(voted(one=False)) == []


def test_what_is_told_of_one_thing_hangs_neither_on_batches_nor_on_a_restart() -> None:
    whole = told(voted(one=True))
    assert told(voted(one=True), step_s=37) == whole
    assert told(voted(one=True), step_s=200, restart_s=WARM_S + 600) == whole


def test_what_a_route_is_told_of_for_itself_is_told_once() -> None:
    crowd = submissions(23, WARM_S, 600, 400, one=True)
    sentences = {f.facts[0].sentence.partition(" within")[0].split(" ", 1)[1] for f in told([*voted(one=False), crowd])}
    assert sentences == {"newcomers came for this"}


def test_paths_made_up_in_one_attack_hide_no_other_one_on_their_route() -> None:
    made_up = people(8, WARM_S - 3600, 600, 1200, (0.0, 0.0, 1.0))
    made_up = replace(made_up, path=(700_000 + np.arange(len(made_up))).astype(np.uint64))
    flood = people(9, WARM_S, 600, 200, (0.0, 0.0, 1.0))
    crossed = {f.pane_s for f in told([*usual_hours(), made_up, flood]) if f.entity == RARE}
    assert len([pane_s for pane_s in crossed if pane_s >= T0_S + WARM_S]) == 1
