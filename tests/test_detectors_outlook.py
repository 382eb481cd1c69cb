from __future__ import annotations

import numpy as np
from detectors_traffic import LOGIN_ROUTE, T0_S, attacked, brute_force, flows, site

from detectors import artifact
from detectors.columns import AUTH_FAILED, Finding, Flows
from detectors.evidence import Engine
from detectors.outlook import Outlook
from detectors.rows import Rows


class Counting(Engine):
    """How many rows were judged."""

    judged = looks = 0

    def _judge(self, rows: Rows) -> object:
        self.judged += len(rows)
        self.looks += 1
        return super()._judge(rows)


def who(found: list[Finding]) -> set[tuple[object, ...]]:
    return {(f.kind, f.entity, f.family, f.pane_s, f.crossed_ms, f.crossed_after) for f in found if f.pane_s == f.at_s}


def test_looks_bit_by_bit_say_once_what_closing_all_of_it_would_and_change_no_evidence() -> None:
    model, chance = artifact.load(), np.random.default_rng(1)
    traffic = attacked(21)
    traffic = traffic.take((traffic.pane_s >= T0_S + 960) & (traffic.pane_s < T0_S + 1560))
    engine, outlook = Engine(model), Outlook()
    told: set[tuple[object, ...]] = set()
    closed: set[tuple[object, ...]] = set()
    for pane_s in range(T0_S + 960, T0_S + 1560):
        pane = traffic.take(traffic.pane_s == pane_s)
        for part in np.array_split(chance.permutation(len(pane)), 2):
            outlook.add(pane.take(np.sort(part)))
            if not outlook.unseen or chance.random() < 0.3:
                continue
            before = engine.arrays()
            early = who(engine.look(outlook))
            assert all(np.array_equal(value, before[name]) for name, value in engine.arrays().items())
            assert not outlook.unseen
            assert not early & told
            if early:
                again = Engine.restore(model, before).close(Flows.concat(outlook.parts), pane_s + 1)
                assert early <= who(again)
            told |= early
        closed |= who(engine.close(Flows.concat(outlook.close(pane_s - 1)), pane_s - 1))
    told_of = {(entity, family) for _, entity, family, *_ in told}
    assert (
        told_of
        == {(entity, family) for _, entity, family, *_ in closed}
        == {
            (9_001, "guess"),
            (9_002, "hammer"),
            (9_002, "limit"),
        }
    )


def test_a_look_judges_only_owners_with_new_marks_that_could_cross() -> None:
    engine, outlook = Counting(artifact.load()), Outlook()
    traffic = site(22)
    engine.close(traffic.take(traffic.pane_s < T0_S + 5000), T0_S + 5000)
    engine.judged = 0
    open_panes = traffic.take(traffic.pane_s >= T0_S + 5000)
    outlook.add(open_panes)
    assert engine.look(outlook) == []
    assert engine.judged == 0
    outlook.add(brute_force(5400))
    assert [f.entity for f in engine.look(outlook)] == [9_001]
    assert 0 < engine.judged < len(open_panes) / 2
    engine.judged = 0
    outlook.add(brute_force(5430))
    assert engine.look(outlook) == [], "told once"
    assert engine.judged == 0


def test_marks_that_came_before_the_newest_count_towards_a_crossing() -> None:
    engine, outlook = Engine(artifact.load()), Outlook()
    for i in range(20):
        outlook.add(
            flows(1, entity=7, t_ms=i * 10, route=LOGIN_ROUTE, path=LOGIN_ROUTE, user=i + 1, outcome=AUTH_FAILED,
                  login=True)
        )  # fmt: skip
        found = engine.look(outlook)
        if found:
            assert found[0].crossed_after == i
            return
    raise AssertionError("not found")


def test_who_was_judged_and_did_not_cross_is_not_judged_again_for_each_further_mark() -> None:
    engine, outlook = Counting(artifact.load()), Outlook()
    traffic = site(24)
    engine.close(traffic, T0_S + 5400)
    engine.looks = 0
    for i, path in enumerate(np.unique(traffic.path).tolist()):
        outlook.add(flows(1, entity=7, t_ms=5_400_000 + i, path=path))
        assert engine.look(outlook) == []
    assert i > 200
    assert 3 < engine.looks < 30


def test_panes_that_leave_take_their_marks_with_them() -> None:
    engine, outlook = Counting(artifact.load()), Outlook()
    for pane_s in range(30):
        outlook.add(
            flows(1, entity=7, t_ms=pane_s * 1000, route=LOGIN_ROUTE, path=LOGIN_ROUTE, user=pane_s + 1,
                  outcome=AUTH_FAILED, login=True)
        )  # fmt: skip
        assert engine.look(outlook) == []
        outlook.close(T0_S + pane_s)
    assert engine.judged == 0
    assert len(outlook) == 1


def test_an_engine_closes_panes_in_which_nothing_was_asked() -> None:
    engine = Engine(artifact.load())
    assert engine.close(Flows.empty(), T0_S) == []
    engine.close(site(23), T0_S + 5400)
    assert engine.close(Flows.empty(), T0_S + 9000) == []
    assert engine.closed_s == T0_S + 9000
