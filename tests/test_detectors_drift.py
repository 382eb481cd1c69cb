"""Drift: good clients' p-values by family are watched, an incident freezes that, and nobody trains it slowly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from detectors_traffic import T0_S, brute_force, flows

from detectors import artifact
from detectors.columns import CLIENT_ERROR, EVERYBODY, GLOBAL, IP, Finding, Flows
from detectors.drift import BAD_MIN, DAY_HOURS, LEAST, WARM_S, merged, refit
from detectors.evidence import Engine
from detectors.families import HOUR_S

PEOPLE_N = 300
PROBE = next(f.index for f in artifact.load().families if f.name == "probe")


def people(hours: int, *, lost: int = 0, from_h: int = 0, links: int = 4) -> Flows:
    """Each looks at ten pages an hour; so many others of them every hour first follow dead links."""
    parts = []
    for hour in range(from_h, hours):
        at_s = hour * HOUR_S + 60 + np.arange(PEOPLE_N) * 10
        who = 1 + np.arange(PEOPLE_N)
        pages = np.tile(np.arange(10), PEOPLE_N)
        t_ms = np.repeat(at_s + 100, 10) * 1000 + pages * 5_000
        parts.append(flows(10 * PEOPLE_N, entity=np.repeat(who, 10), t_ms=t_ms, path=1_000 + pages))
        some = (hour * lost + np.arange(lost)) % PEOPLE_N
        dead = np.tile(np.arange(links), lost)
        path = 5_000_000 + hour * 10_000 + np.arange(lost * links)
        t_ms = np.repeat(at_s[some], links) * 1000 + dead * 5_000
        parts.append(
            flows(lost * links, entity=np.repeat(who[some], links), t_ms=t_ms, path=path, outcome=CLIENT_ERROR)
        )
    return Flows.concat(parts)


def told(found: list[Finding]) -> list[Finding]:
    return [f for f in found if f.family == "drift"]


def watched(traffic: Flows, hours: int) -> tuple[Engine, list[Finding]]:
    engine = Engine(artifact.load())
    return engine, told(engine.close(traffic, T0_S + hours * HOUR_S + 1))


def test_good_traffic_as_the_model_knows_it_drifts_nowhere() -> None:
    engine, found = watched(people(6), 6)
    assert found == []
    assert engine.drift.day.hours == 6 - WARM_S // HOUR_S, "the first two hours do not count"
    assert engine.drift.day.n[IP, PROBE] == PEOPLE_N


def test_a_family_whose_evidence_rises_on_good_clients_is_told_by_name_and_how_much_and_since_when() -> None:
    engine, (one, *more) = watched(people(8, lost=10), 8)
    assert more == [], "once a day"
    assert (one.kind, one.entity, one.answer, one.severity) == (GLOBAL, EVERYBODY, "notice", "info")
    assert one.facts[0].sentence.startswith("probe of addresses: evidence against good clients rises 1.")
    assert one.facts[0].value >= LEAST * one.facts[0].baseline
    assert one.first_ms == (T0_S + WARM_S) * 1000
    assert engine.drift.slope[IP, PROBE] > engine.model.beta[IP, PROBE]


def test_since_when_it_drifts_is_kept_until_a_whole_day_has_passed_without() -> None:
    engine, (one,) = watched(people(6, lost=10), 6)
    for hour, since_s in ((6, one.first_ms // 1000), (7, 0)):
        engine.drift.day.hours = DAY_HOURS  # as if it had gone on so long
        assert told(engine.close(people(hour + 1, from_h=hour), T0_S + (hour + 1) * HOUR_S + 1)) == []
        assert engine.drift.day.hours == 1
        assert engine.drift.since_s[IP, PROBE] == since_s


def test_an_hour_with_an_incident_is_frozen_and_the_one_after_it() -> None:
    attackers = [brute_force(4 * HOUR_S + 1800, entity=9_000 + n, every_ms=500) for n in range(BAD_MIN)]
    engine, _ = watched(Flows.concat([people(9), *attackers]), 9)
    assert engine.drift.frozen_s == T0_S + 6 * HOUR_S
    assert engine.drift.day.hours == 9 - WARM_S // HOUR_S - 2


def test_what_an_attacker_did_before_he_was_found_is_taken_out() -> None:
    patient = flows(5, entity=9_001, t_ms=(3 * HOUR_S + 60 + np.arange(5) * 5) * 1000, path=7_000_000 + np.arange(5),
                    outcome=CLIENT_ERROR)  # fmt: skip
    engine, _ = watched(Flows.concat([people(5), patient]), 4)
    before = engine.drift.day.top[IP, PROBE, 0]
    assert before > 9
    engine.close(Flows.concat([people(5, from_h=4), brute_force(4 * HOUR_S + 1800, entity=9_001)]), T0_S + 5 * HOUR_S)
    assert engine.drift.day.top[IP, PROBE, 0] < before - 2


def test_a_watch_goes_on_where_a_snapshot_was_taken_and_whatever_the_batching() -> None:
    traffic = people(7, lost=10)
    whole, found = watched(traffic, 7)
    restored, said = Engine(artifact.load()), []
    for until_s in range(T0_S + 1700, T0_S + 7 * HOUR_S + 1, 1700):
        part = traffic.take((traffic.pane_s >= restored.closed_s) & (traffic.pane_s < until_s))
        said += told(restored.close(part, until_s))
        restored = Engine.restore(artifact.load(), restored.arrays())
    said += told(restored.close(traffic.take(traffic.pane_s >= restored.closed_s), T0_S + 7 * HOUR_S + 1))
    assert [(f.pane_s, f.facts[0].sentence) for f in said] == [(f.pane_s, f.facts[0].sentence) for f in found]
    for name, array in whole.drift.arrays("drift").items():
        np.testing.assert_allclose(restored.drift.arrays("drift")[name], array, rtol=1e-6, err_msg=name)


def test_another_model_begins_a_new_day() -> None:
    engine, _ = watched(people(6, lost=10), 6)
    engine.adopt(replace(engine.model, h=engine.model.h * 1.1))
    assert engine.drift.day.hours == 0
    assert not engine.drift.slope.any()
    assert not engine.entities.c.counted.any()


def test_a_refit_raises_what_drifted_to_the_days_slope_and_touches_nothing_else() -> None:
    engine, _ = watched(people(8, lost=10), 8)
    model = engine.model
    fresh = refit(model, engine.drift.day)
    assert fresh is not None
    changed = np.argwhere(fresh.h != model.h)
    assert changed.tolist() == [[IP, PROBE]]
    assert model.h[IP, PROBE] < fresh.h[IP, PROBE] <= artifact.defaults().h[IP, PROBE]
    assert fresh.made_from.endswith("+drift")
    assert refit(model, watched(people(6), 6)[0].drift.day) is None


def test_days_of_several_workers_are_judged_as_one_of_all_their_clients() -> None:
    day = watched(people(8, lost=10), 8)[0].drift.day
    other = watched(people(8), 8)[0].drift.day
    both = merged([other, day])
    assert both.n[IP, PROBE] == 2 * PEOPLE_N
    np.testing.assert_array_equal(both.top[IP, PROBE], day.top[IP, PROBE])
    assert (np.diff(both.top, axis=2) <= 0).all()
