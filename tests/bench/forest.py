"""How many rows a second our isolation forest scores, by the rows it is asked at once, beside scikit-learn's own trees.

`floodwarden bench forest` calls `run()`: a forest of the shape that `odd` uses (58 features, 100 trees, samples of 512)
is fitted by scikit-learn, and the same trees are asked the same rows by its `score_samples` and by ours, in turn. What
is told is the best of five rounds each, rows a second of one thread's processor time; and by how much scores differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from detectors import forest
from detectors.features import FEATURES

F64 = NDArray[np.float64]
Scorer = Callable[[F64], F64]
AT_ONCE: Final = (1, 4, 50, 1_000, 20_000)
ROUNDS: Final = 5
ROWS: Final = 20_000  # of ours in a round; of scikit-learn as many calls as take about as long
THEIR_CALLS: Final = {1: 20, 4: 20, 50: 10, 1_000: 5, 20_000: 1}
GOAL: Final = 250_000


def run() -> dict[str, Any]:
    """Rows a second, the least over all sizes of a batch; by size, and of scikit-learn."""
    rng = np.random.default_rng(1)
    width = len(FEATURES)
    rows: F64 = rng.gamma(1, 0.5, (ROWS, width))
    model = IsolationForest(n_estimators=forest.TREES, max_samples=forest.SAMPLES_MAX, random_state=1, n_jobs=1)
    model.fit(rng.gamma(1, 0.5, (50_000, width)))
    grid = np.zeros((width, 2))
    ours = forest.from_sklearn(model, grid, grid)
    difference = float(np.abs(ours.score(rows) + model.score_samples(rows)).max())
    mine, theirs = {}, {}
    for size in AT_ONCE:
        calls = min(ROWS // size, 2_000)
        pairs = [
            (_per_s(ours.score, rows, size, calls), _per_s(model.score_samples, rows, size, THEIR_CALLS[size]))
            for _ in range(ROUNDS)
        ]
        mine[size], theirs[size] = (max(side) for side in zip(*pairs, strict=True))
    least = min(mine.values())
    return {
        "name": "forest",
        "unit": "rows/s",
        "ours": round(least),
        "peers": {f"scikit_learn_{size}": round(rate) for size, rate in theirs.items()},
        "limit": f"one thread, {width} features, {forest.TREES} trees, samples of {forest.SAMPLES_MAX}",
        "by_rows_at_once": {str(size): round(rate) for size, rate in mine.items()},
        "difference_max": difference,
        "ratios": {
            "to_goal": round(least / GOAL, 2),
            **{f"to_scikit_learn_{size}": round(mine[size] / theirs[size], 1) for size in AT_ONCE},
        },
    }


def _per_s(score: Scorer, rows: F64, size: int, calls: int) -> float:
    begin = time.thread_time()
    for call in range(calls):
        at = call * size % (len(rows) - size + 1)
        score(rows[at : at + size])
    return calls * size / (time.thread_time() - begin)
