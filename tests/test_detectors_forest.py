from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

from detectors import forest


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(1).gamma(2, 1, (3000, 6))


@pytest.fixture(scope="module")
def fitted(rows: np.ndarray) -> forest.Forest:
    owner = np.repeat(np.random.default_rng(2).integers(0, 1 << 62, 300).astype(np.uint64), 10)
    return forest.fit(rows, owner, seed=3)


def test_scores_are_those_of_scikit_learn(rows: np.ndarray) -> None:
    model = IsolationForest(n_estimators=50, max_samples=256, random_state=1).fit(rows)
    ours = forest.from_sklearn(model, np.zeros((6, 2)), np.zeros((6, 2)))
    assert np.abs(ours.score(rows) + model.score_samples(rows)).max() < 1e-12


def test_p_values_of_good_rows_never_seen_are_uniform_in_the_tail(fitted: forest.Forest) -> None:
    fresh = np.random.default_rng(9).gamma(2, 1, (20_000, 6))
    p = fitted.p_value(fitted.score(fitted.surprise(fresh)))
    for alpha in (0.01, 0.05, 0.2):
        assert 0.6 * alpha < (p <= alpha).mean() < 1.6 * alpha


def test_a_row_beyond_everything_seen_is_odder_than_any(fitted: forest.Forest, rows: np.ndarray) -> None:
    scores = fitted.score(fitted.surprise(np.vstack([rows, np.full((1, 6), 100.0)])))
    assert scores[-1] > scores[:-1].max()


def test_only_more_is_odd_never_less(fitted: forest.Forest) -> None:
    low = fitted.score(fitted.surprise(np.zeros((1, 6))))
    high = fitted.score(fitted.surprise(np.full((1, 6), 20.0)))
    assert low[0] < high[0]


def test_the_attribution_names_the_feature_that_stands_out(fitted: forest.Forest, rows: np.ndarray) -> None:
    row = np.median(rows, axis=0)
    row[4] = 50.0
    shares = fitted.attribution(fitted.surprise(row[None])[0])
    assert int(np.argmax(shares)) == 4


def test_a_forest_survives_its_arrays(fitted: forest.Forest, rows: np.ndarray) -> None:
    again = forest.from_arrays(fitted.arrays())
    assert np.array_equal(again.score(rows), fitted.score(rows))


def test_a_forest_whose_walk_would_not_end_is_refused(fitted: forest.Forest) -> None:
    arrays = fitted.arrays()
    arrays["left"] = np.where(fitted.left >= 0, 0, -1)
    with pytest.raises(ValueError, match="damaged"):
        forest.from_arrays(arrays)


DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.mark.parametrize(
    ("name", "every", "auroc_least", "precision_least"), [("16_http", 8, 0.9998, 0.95), ("34_smtp", 2, 0.88, 0.003)]
)
def test_on_public_attacks_the_flattened_forest_judges_as_well_as_scikit_learns(
    name: str, every: int, auroc_least: float, precision_least: float
) -> None:
    """KDD Cup 99 http and smtp as ADBench has them: fitted on all rows, judged on every attack and on every eighth or
    second of the rest, which counts as so many."""
    if not (DATA / f"{name}.npz").exists():
        pytest.skip(f"no {name}.npz beside the repository")
    with np.load(DATA / f"{name}.npz") as file:
        x, attack = file["X"].astype(np.float64), file["y"] == 1
    peer = IsolationForest(n_estimators=100, random_state=1).fit(x)
    kept = attack | (np.arange(len(x)) % every == 0)
    x, attack = x[kept], attack[kept]
    weight = np.where(attack, 1, every)
    blank = np.zeros((x.shape[1], 2))
    ours, theirs = forest.from_sklearn(peer, blank, blank).score(x), -peer.score_samples(x)
    for measure, least in ((roc_auc_score, auroc_least), (average_precision_score, precision_least)):
        reached = measure(attack, ours, sample_weight=weight)
        assert reached >= least
        assert reached >= measure(attack, theirs, sample_weight=weight) - 1e-9
