"""A second model beside the live one: how they agree, and that it touches nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from detectors_traffic import brute_force, site
from stream_traffic import NOW_MS, blocks, crowd
from test_stream_episodes import finding, names, until

from detectors.artifact import NEVER, load
from detectors.columns import Flows
from schemas.models import Counts
from stream.agreement import Tally
from stream.episodes import QUIET_MS
from stream.pipeline import Pipeline
from stream.trial import tried

MODEL = load()
DEAF = replace(MODEL, h=np.full_like(MODEL.h, NEVER))
CROWD = crowd(5, 900, span_ms=8000)


def test_an_incident_of_both_models_is_one_whichever_was_first() -> None:
    tally = Tally("aa", "bb", until(0))
    tally.take([], [finding(3)], until(4), names)
    assert tally.report().total == Counts(0, 0, 1)
    tally.take([finding(60)], [finding(60)], until(61), names)
    assert tally.report().by_family == {"guess": Counts(1, 0, 0)}
    assert tally.report().only_shadow == []


def test_twenty_quiet_minutes_make_it_another_incident_and_who_was_alone_is_named() -> None:
    tally = Tally("aa", "bb", until(0))
    tally.take([finding(3)], [finding(3)], until(4), names)
    again_s = 4 + QUIET_MS // 1000
    tally.take([finding(again_s)], [], until(again_s + 1), names)
    tally.take([], [finding(again_s, entity=99)], until(again_s + 2), names)
    tally = Tally.load(tally.dump())
    tally.take([], [], until(9 * again_s), names)
    told = tally.report()
    assert told.total == Counts(1, 1, 1)
    assert [(one.entity, one.sentence, one.answer) for one in told.only_live] == [
        ("203.0.113.7", "6 failed logins", "deny")
    ]
    assert [one.entity for one in told.only_shadow] == [f"#{99:016x}"]
    assert (told.from_ms, told.until_ms) == (until(0), until(9 * again_s))


def test_a_shadow_changes_no_alert_and_its_count_goes_on_behind_a_restart() -> None:
    alone, beside = Pipeline(MODEL), Pipeline(MODEL)
    beside.judges.beside(DEAF)
    told = [pipeline.step(blocks(CROWD[:450]), NOW_MS) for pipeline in (alone, beside)]
    beside = Pipeline.restore(MODEL, None, beside.snapshot())
    beside.judges.beside(DEAF)
    for pipeline, alerts in zip((alone, beside), told, strict=True):
        alerts.extend(pipeline.step(blocks(CROWD[450:], start=1), NOW_MS) + pipeline.finish())
    assert told[0] == told[1]
    found = beside.judges.agreement
    assert found is not None
    assert found.total.only_live == len({alert.uid for alert in told[0]}) > 0
    assert (found.total.both, found.total.only_shadow) == (0, 0)
    assert 0 < found.until_ms - found.from_ms < 60_000
    assert {"203.0.113.7"} <= {one.entity for one in found.only_live}


def test_a_shadow_of_the_same_thresholds_agrees_in_everything() -> None:
    pipeline = Pipeline(MODEL)
    pipeline.step(blocks(CROWD[:30]), NOW_MS)
    pipeline.judges.beside(replace(MODEL, made_from="again"))
    pipeline.step(blocks(CROWD[30:], start=1), NOW_MS)
    pipeline.finish()
    found = pipeline.judges.agreement
    assert found is not None
    assert found.total.both > 0
    assert (found.total.only_live, found.total.only_shadow) == (0, 0)


def test_a_model_promoted_in_the_middle_goes_on_with_open_incidents_and_says_its_name() -> None:
    pipeline, other = Pipeline(MODEL), replace(MODEL, h=MODEL.h * 0.7)
    told = pipeline.step(blocks(CROWD[:450]), NOW_MS)
    pipeline.judges.beside(other)
    pipeline.adopt(other)
    assert pipeline.judges.agreement is None, "the shadow is over"
    more = pipeline.step(blocks(CROWD[450:], start=1), NOW_MS) + pipeline.finish()
    assert {alert.model for alert in told} == {MODEL.version}
    assert {alert.model for alert in more} == {other.version}
    opened = [alert.uid for alert in [*told, *more] if alert.status == "open"]
    assert len(opened) == len(set(opened)), "nobody is told of twice"
    assert {alert.uid for alert in told} & {alert.uid for alert in more}


def test_a_snapshot_kept_under_another_model_is_gone_on_with() -> None:
    pipeline, other = Pipeline(MODEL), replace(MODEL, h=MODEL.h * 0.7)
    pipeline.step(blocks(CROWD[:450]), NOW_MS)
    again = Pipeline.restore(other, None, pipeline.snapshot())
    pipeline.adopt(other)
    told = [p.step(blocks(CROWD[450:], start=1), NOW_MS) + p.finish() for p in (pipeline, again)]
    assert told[0] == told[1]


def test_a_replay_says_whom_only_the_candidate_would_have_hit() -> None:
    flows = Flows.concat([site(1, span_s=5_400), brute_force(4_000, entity=88_001)])
    found = tried(DEAF, MODEL, flows)
    assert (found.total.both, found.total.only_live) == (0, 0)
    assert f"#{88_001:016x}" in {one.entity for one in found.only_shadow}
    assert tried(MODEL, MODEL, flows).total.only_shadow == 0
