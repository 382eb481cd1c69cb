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
    grid = forest.tail_grid(rows)
    return forest.fit(forest.surprise(rows, *grid), owner, grid, seed=3)


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


def test_a_forest_whose_walk_would_leave_it_is_refused(fitted: forest.Forest) -> None:
    arrays = fitted.arrays()
    inner = fitted.left != np.arange(len(fitted.left))
    for damaged in (np.where(inner, 0, fitted.left), np.where(inner, len(inner) - 1, fitted.left)):
        with pytest.raises(ValueError, match="damaged"):
            forest.from_arrays(arrays | {"left": damaged})


@pytest.mark.parametrize("rows_n", [0, 1, 2, 3, 4, 5, 257])
def test_scores_are_the_same_however_many_rows_are_asked_at_once(rows: np.ndarray, rows_n: int) -> None:
    model = IsolationForest(n_estimators=7, max_samples=64, random_state=1).fit(rows)
    ours = forest.from_sklearn(model, np.zeros((6, 2)), np.zeros((6, 2)))
    assert np.array_equal(ours.score(rows[:rows_n]), ours.score(rows)[:rows_n])


DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.mark.parametrize(
    ("name", "every", "auroc_least", "precision_least"), [("16_http", 8, 0.9998, 0.95), ("34_smtp", 2, 0.9, 0.004)]
)
def test_on_public_attacks_our_forest_finds_at_least_what_scikit_learns_plain_one_finds(
    name: str, every: int, auroc_least: float, precision_least: float
) -> None:
    """KDD Cup 99 http and smtp as ADBench has them: fitted on all rows, attacks and all, with values as they are, for
    the low end tells as much as the high; judged on every attack and on each eighth or second other row, which counts
    as so many. Means of three seeds."""
    if not (DATA / f"{name}.npz").exists():
        pytest.skip(f"no {name}.npz beside the repository")
    with np.load(DATA / f"{name}.npz") as file:
        x, attack = file["X"].astype(np.float64), file["y"] == 1
    kept = attack | (np.arange(len(x)) % every == 0)
    asked, weight = np.ascontiguousarray(x[kept]), np.where(attack[kept], 1, every)
    owner = np.random.default_rng(0).integers(0, 1 << 62, len(x)).astype(np.uint64)
    grid, reached = forest.tail_grid(x), []
    for seed in (1, 2, 3):
        theirs = -IsolationForest(n_estimators=100, random_state=seed).fit(x).score_samples(asked)
        ours = forest.fit(x, owner, grid, seed, samples_max=256).score(asked)
        reached.append(
            [
                measure(attack[kept], scores, sample_weight=weight)
                for scores in (ours, theirs)
                for measure in (roc_auc_score, average_precision_score)
            ]
        )
    auroc, precision, auroc_plain, precision_plain = np.mean(reached, axis=0)
    assert auroc >= max(auroc_least, auroc_plain)
    assert precision >= max(precision_least, precision_plain)
