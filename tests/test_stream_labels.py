"""What analysts say of clients moves thresholds by one rule, and makes a day with incidents one to learn from."""

from __future__ import annotations

import numpy as np
import pytest
from detectors_traffic import brute_force, site

from detectors import artifact
from detectors.calibration import Owners
from detectors.columns import Flows
from detectors.evidence import Engine
from detectors.pairs import mix
from stream.calibrate import Calibrated, calibrate
from stream.errors import SpanError
from stream.labels import Label, Labels

MODEL = artifact.load()
QUIET = site(1, span_s=9_000, requests=30_000)
GUESS = next(family.index for family in MODEL.families if family.name == "guess")
WRONG, RIGHT, UNKNOWN = 88_001, 88_002, 88_003


def said(entity: int, *, true: bool, family: str = "guess") -> Label:
    return Label(0, entity, family, true)


def calibrated(*labels: Label, **tries: int) -> Calibrated:
    """On a quiet span with so many failed logins of some."""
    of = {"wrong": WRONG, "right": RIGHT, "unknown": UNKNOWN}
    attacks = [brute_force(4_000 + 900 * i, n, entity=of[who]) for i, (who, n) in enumerate(tries.items())]
    return calibrate(MODEL, Flows.concat([QUIET, *attacks]), labels=Labels(labels))


def evidence(*of: tuple[int, float]) -> Owners:
    entity = np.array([who for who, _ in of], np.uint64)
    zero = np.zeros(len(of), np.uint8)
    counts = np.array([(0.0, 0.0, s) for _, s in of])
    return Owners(mix(entity, zero.astype(np.uint64)), zero, np.zeros(len(of), np.int64), zero.astype(bool), counts)


def moved(labels: list[Label], *of: tuple[int, float]) -> tuple[float, int]:
    """Where a threshold of 10 nats goes, and about how much is told."""
    h, told = Labels(tuple(labels)).moved(np.array([[10.0]]), evidence(*of), {"guess": 0})
    return float(h[0, 0]), len(told)


def test_a_span_is_clean_when_all_who_are_found_in_it_are_labelled() -> None:
    with pytest.raises(SpanError, match="not clean: 1 in it"):
        calibrated(said(RIGHT, true=True), right=60, unknown=60)
    found = calibrated(said(RIGHT, true=True), right=60)
    assert np.array_equal(found.model.h, calibrate(MODEL, QUIET).model.h), "an attack teaches nothing"
    assert found.moved == ()


def test_who_was_wrongly_found_is_not_found_again_and_who_was_rightly_found_is() -> None:
    found = calibrated(said(WRONG, true=False), said(RIGHT, true=True), wrong=9, right=60)
    [one] = found.moved
    assert (one.family, one.kind, one.enough) == ("guess", 0, True)
    assert one.base < one.h == pytest.approx(found.model.h[0, GUESS])
    whole = Flows.concat([QUIET, brute_force(4_000, 9, entity=WRONG), brute_force(4_900, 60, entity=RIGHT)])
    told = {f.entity for f in Engine(found.model).close(whole, int(whole.pane_s.max()) + 1) if f.family == "guess"}
    assert told & {WRONG, RIGHT} == {RIGHT}
    assert (np.delete(found.model.h, GUESS, 1) == np.delete(calibrate(MODEL, QUIET).model.h, GUESS, 1)).all()


def test_a_threshold_is_raised_just_above_the_false_positives() -> None:
    assert moved([said(WRONG, true=False)], (WRONG, 12.0)) == (pytest.approx(12.6), 1)
    assert moved([said(WRONG, true=False, family="")], (WRONG, 12.0)) == (pytest.approx(12.6), 1)


def test_a_label_of_another_family_or_of_who_did_not_come_to_the_threshold_moves_nothing() -> None:
    assert moved([said(WRONG, true=False, family="probe")], (WRONG, 12.0)) == (10.0, 0)
    assert moved([said(WRONG, true=False)], (WRONG, 9.0)) == (10.0, 0)


def test_no_threshold_is_raised_to_where_a_true_positive_would_be_lost_nor_below_what_it_was() -> None:
    both = [said(WRONG, true=False), said(RIGHT, true=True)]
    assert moved(both, (WRONG, 15.0), (RIGHT, 14.0)) == (pytest.approx(13.3), 1)
    assert moved(both, (WRONG, 15.0), (RIGHT, 10.1)) == (10.0, 1)
    assert moved(both, (WRONG, 15.0), (RIGHT, 4.0)) == (pytest.approx(15.75), 1), "who was found otherwise is not lost"


def test_no_label_more_than_doubles_a_threshold() -> None:
    assert moved([said(WRONG, true=False)], (WRONG, 300.0)) == (20.0, 1)


def test_of_many_false_positives_the_highest_does_not_speak_for_all() -> None:
    crowd = [(100 + i, 11.0) for i in range(99)] + [(WRONG, 19.0)]
    h, _ = moved([said(who, true=False) for who, _ in crowd], *crowd)
    assert h == pytest.approx(1.05 * 11.0)


def test_what_labels_raised_stays_raised_under_another_budget_of_false_alarms() -> None:
    found = calibrated(said(WRONG, true=False), wrong=9)
    assert artifact.thresholds(found.model.beta, found.model.entities) == pytest.approx(found.model.h)
