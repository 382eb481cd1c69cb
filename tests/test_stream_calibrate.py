from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detectors_traffic import brute_force, site

from detectors import artifact
from detectors.columns import Flows
from stream.calibrate import calibrate
from stream.errors import SpanError

MODEL = artifact.load()


def test_thresholds_come_from_the_span_and_what_is_normal_stays() -> None:
    done = calibrate(MODEL, site(1, span_s=9_000, requests=30_000))
    assert not np.array_equal(done.model.h, MODEL.h)
    assert np.array_equal(done.model.prior, MODEL.prior)
    assert done.model.forest is MODEL.forest
    assert done.model.span_s == pytest.approx(9_000, abs=60)


def test_calibrating_again_on_the_same_span_changes_nothing_more() -> None:
    span = site(1, span_s=9_000, requests=30_000)
    once = calibrate(MODEL, span).model
    assert calibrate(once, span).model.version == once.version


def test_an_hour_is_too_short() -> None:
    with pytest.raises(SpanError, match=r"too short: 1\.0 h"):
        calibrate(MODEL, site(1, span_s=3_600))


def test_a_span_with_an_attacker_in_it_is_refused_and_names_him() -> None:
    with pytest.raises(SpanError, match="not clean: 1 in it") as refused:
        calibrate(MODEL, Flows.concat([site(1, span_s=9_000, requests=30_000), brute_force(4_000, entity=88_001)]))
    assert [(f.family, f.entity) for f in refused.value.found] == [("guess", 88_001)]


def test_a_model_that_is_deaf_does_not_make_a_span_clean() -> None:
    """What a model no longer notices is still found by the stated thresholds, and the other way round."""
    quick = replace(MODEL, h=np.full_like(MODEL.h, 0.5))
    with pytest.raises(SpanError, match="not clean"):
        calibrate(quick, Flows.concat([site(1, span_s=9_000), brute_force(4_000, entity=88_001)]))


def test_a_span_in_which_answers_stopped_somebody_is_refused() -> None:
    with pytest.raises(SpanError, match="3 of its decisions were denied"):
        calibrate(MODEL, site(1, span_s=9_000), stopped=3)
