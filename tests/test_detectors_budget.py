from __future__ import annotations

import numpy as np
import pytest

from detectors import artifact, budget

MODEL = artifact.load()
NAMES = [family.name for family in MODEL.families]


def test_what_nobody_asks_for_stays_as_it_was_calibrated() -> None:
    assert budget.at(MODEL, budget.parse("")) is MODEL


def test_the_stated_budget_gives_the_thresholds_the_model_came_with() -> None:
    again = budget.at(MODEL, budget.parse(f"{artifact.BUDGET_PER_DAY * len(NAMES)}"))
    assert again.h == pytest.approx(MODEL.h)


def test_ten_times_the_false_alarms_lower_each_threshold_by_ln_10_of_its_slope() -> None:
    few, many = (budget.at(MODEL, budget.parse(text)) for text in ("0.1", "1"))
    assert few.h - many.h == pytest.approx(np.maximum(MODEL.beta, 1) * np.log(10))
    assert few.version != many.version


def test_a_family_named_has_its_own_and_the_others_share_the_rest() -> None:
    model = budget.at(MODEL, budget.parse("0.2, odd=2"))
    odd = NAMES.index("odd")
    n = np.maximum(MODEL.entities, artifact.ENTITIES_MIN)
    assert model.h[0, odd] == pytest.approx(max(MODEL.beta[0, odd], 1) * np.log(n[0, odd] / 2))
    other = NAMES.index("guess")
    share = 0.2 / (len(NAMES) - 1)
    assert model.h[0, other] == pytest.approx(max(MODEL.beta[0, other], 1) * np.log(n[0, other] / share))


@pytest.mark.parametrize("text", ["much", "odd=", "0", "-1", "odd=nan", "2000"])
def test_what_is_no_number_of_alarms_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no number|a day"):
        budget.parse(text)


def test_a_family_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'gess'"):
        budget.at(MODEL, budget.parse("gess=1"))
