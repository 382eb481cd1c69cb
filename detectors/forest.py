"""An isolation forest as plain arrays: fitted by scikit-learn, scored here, explained exactly. No pickle.

Rows are surprises (`surprise`): how far up the tail of good traffic each feature stands, so that odd means odd upwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Array = NDArray[np.generic]
TREES: Final = 100
SAMPLES_MAX: Final = 512
GRID: Final = 96  # tail probabilities a feature's surprise is kept at
TAIL: Final = 2_000  # calibration scores kept, the highest
CHUNK: Final = 512
SURPRISE_MAX: Final = 8.0


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees side by side: node `i` goes to `left[i]` where the feature is at most the threshold, else one further.

    `value` is the path length a row that ends in the node counts for, leaf or not; `roots` is where each tree begins.
    """

    feature: I32
    threshold: F64
    left: I32
    right: I32
    value: F64
    roots: I32
    samples: int
    grid_x: F64  # (feature, GRID), ascending
    grid_t: F64  # surprise at each
    tail: F64  # highest calibration scores, ascending
    calibrated: int  # how many there were

    def surprise(self, x: F64) -> F64:
        """-log10 P(X >= x) by feature, as good traffic had it; beyond its last value by the mean slope."""
        out = np.empty_like(x)
        for j, (xs, ts) in enumerate(zip(self.grid_x, self.grid_t, strict=True)):
            slope = max(1.0, float(ts[-1])) / max(float(xs[-1] - xs[0]), 1e-9)
            out[:, j] = np.interp(x[:, j], xs, ts) + np.maximum(0.0, x[:, j] - xs[-1]) * slope
        return np.minimum(out, SURPRISE_MAX)

    def score(self, t: F64) -> F64:
        """Anomaly of rows of surprises in (0, 1), higher is odder: the negative of scikit-learn's `score_samples`."""
        parts = [self._score(t[at : at + CHUNK]) for at in range(0, len(t), CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _score(self, t: F64) -> F64:
        depth = self.value[self._leaves(t)].sum(axis=1)
        out: F64 = 2.0 ** (-depth / (len(self.roots) * average_path(np.array([self.samples]))[0]))
        return out

    def _leaves(self, t: F64) -> NDArray[np.int64]:
        # scikit-learn compares single-precision features with double-precision thresholds.
        single = t.astype(np.float32).astype(np.float64)
        node = np.broadcast_to(self.roots.astype(np.int64), (len(t), len(self.roots))).copy()
        flat, row = node.reshape(-1), np.repeat(np.arange(len(t)), len(self.roots))
        live = np.flatnonzero(self.left[flat] >= 0)
        while len(live):
            at = flat[live]
            low = single[row[live], self.feature[at]] <= self.threshold[at]
            flat[live] = np.where(low, self.left[at], self.right[at])
            live = live[self.left[flat[live]] >= 0]
        return node

    def p_value(self, score: F64) -> F64:
        """Conformal: the share of good rows never trained on that are at least as odd; 1 below the kept tail."""
        above = len(self.tail) - np.searchsorted(self.tail, score, side="left")
        inside = score >= (self.tail[0] if len(self.tail) else np.inf)
        return np.where(inside | (len(self.tail) == self.calibrated), (1 + above) / (self.calibrated + 1), 1.0)

    def attribution(self, t: F64) -> F64:
        """What each feature took off one row's path length, summed over trees: exact and additive.

        A step from a node to its child changes the expected path length; the change is the feature's.
        """
        out = np.zeros(len(t))
        expected = self._expected()
        for root in self.roots.tolist():
            node = root
            while self.left[node] >= 0:
                low = float(np.float32(t[self.feature[node]])) <= self.threshold[node]
                child = int(self.left[node] if low else self.right[node])
                out[self.feature[node]] += expected[node] - expected[child]
                node = child
        return out

    def _expected(self) -> F64:
        """Mean path length below each node, both ways alike; leaves know theirs."""
        expected = self.value.copy()
        for node in range(len(expected) - 1, -1, -1):
            if self.left[node] >= 0:
                expected[node] = (expected[self.left[node]] + expected[self.right[node]]) / 2
        return expected

    def arrays(self) -> dict[str, Array]:
        """As plain arrays; leaves keep their size, from which `value` is made again."""
        return {
            "feature": self.feature.astype(np.int8),
            "threshold": self.threshold,
            "left": self.left,
            "right": self.right,
            "value": self.value,
            "roots": self.roots,
            "samples": np.array(self.samples),
            "grid_x": self.grid_x,
            "grid_t": self.grid_t,
            "tail": self.tail,
            "calibrated": np.array(self.calibrated),
        }


def from_arrays(a: Mapping[str, Array]) -> Forest:
    """What `arrays` gave. Raises KeyError or ValueError where they are not a forest's."""
    forest = Forest(
        feature=a["feature"].astype(np.int32),
        threshold=a["threshold"].astype(np.float64),
        left=a["left"].astype(np.int32),
        right=a["right"].astype(np.int32),
        value=a["value"].astype(np.float64),
        roots=a["roots"].astype(np.int32),
        samples=int(a["samples"]),
        grid_x=a["grid_x"].astype(np.float64),
        grid_t=a["grid_t"].astype(np.float64),
        tail=a["tail"].astype(np.float64),
        calibrated=int(a["calibrated"]),
    )
    inner = forest.left >= 0
    here = np.flatnonzero(inner)
    nodes, features = len(forest.left), len(forest.grid_x)
    # Children stand after their parent and inside the file: a walk always ends.
    sound = (
        (forest.left[inner] > here).all()
        and (forest.right[inner] > here).all()
        and (forest.left[inner] < nodes).all()
        and (forest.right[inner] < nodes).all()
        and (forest.feature[inner] >= 0).all()
        and (forest.feature[inner] < features).all()
        and (forest.roots >= 0).all()
        and (forest.roots < nodes).all()
    )
    if not sound or len({nodes, len(forest.right), len(forest.feature), len(forest.threshold), len(forest.value)}) > 1:
        raise ValueError("the forest is damaged")
    return forest


def average_path(n: NDArray[np.integer]) -> F64:
    """Mean path length of an unsuccessful search among `n` (Liu, Ting, Zhou 2008, equation 1)."""
    size = n.astype(np.float64)
    out = np.zeros(len(size))
    out[size == 2] = 1.0
    big = size > 2
    out[big] = 2 * (np.log(size[big] - 1) + np.euler_gamma) - 2 * (size[big] - 1) / size[big]
    return out


def fit(x: F64, owner: NDArray[np.uint64], seed: int) -> Forest:
    """A forest on the rows of half of the owners, calibrated on the other half's: rows of one owner are alike."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - seconds to import, and only training needs it

    half = (owner >> np.uint64(17)) & np.uint64(1) == 0
    if not 0 < half.sum() < len(half):
        half = np.arange(len(x)) % 2 == 0
    grid_x, grid_t = _grid(x)
    blank = Forest(*_nothing(), grid_x, grid_t, np.empty(0), 0)
    t = blank.surprise(x)
    model = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLES_MAX, int(half.sum())), random_state=seed)
    model.fit(t[half])
    bare = from_sklearn(model, grid_x, grid_t)
    calibration = np.sort(bare.score(t[~half]))
    arrays = bare.arrays() | {"tail": calibration[-TAIL:], "calibrated": np.array(len(calibration))}
    return from_arrays(arrays)


def from_sklearn(model: IsolationForest, grid_x: F64, grid_t: F64) -> Forest:
    """The trees of a fitted scikit-learn forest, flattened."""
    parts: list[tuple[Array, Array, Array, Array, Array]] = []
    roots, base = [], 0
    for estimator in model.estimators_:
        tree = estimator.tree_
        left, right = tree.children_left.astype(np.int64), tree.children_right.astype(np.int64)
        depth = np.zeros(len(left))
        for node in np.flatnonzero(left >= 0).tolist():  # parents stand before their children
            depth[left[node]] = depth[right[node]] = depth[node] + 1
        value = depth + np.where(left < 0, average_path(tree.n_node_samples), 0.0)
        shifted = (np.where(left >= 0, left + base, -1), np.where(right >= 0, right + base, -1))
        parts.append((np.maximum(tree.feature, 0), tree.threshold, *shifted, value))
        roots.append(base)
        base += len(left)
    feature, threshold, left, right, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Forest(
        feature.astype(np.int32),
        threshold.astype(np.float64),
        left.astype(np.int32),
        right.astype(np.int32),
        value.astype(np.float64),
        np.array(roots, np.int32),
        int(model.max_samples_),
        grid_x,
        grid_t,
        np.empty(0),
        0,
    )


def _nothing() -> tuple[I32, F64, I32, I32, F64, I32, int]:
    none = np.empty(0, np.int32)
    return none, np.empty(0), none, none, np.empty(0), none, 2


def _grid(x: F64) -> tuple[F64, F64]:
    """By feature, values at falling tail probabilities down to 1e-3 (or one row), and the surprise there."""
    n = len(x)
    share = np.geomspace(1.0, max(1e-3, 1.0 / n), GRID)
    xs, ts = np.empty((x.shape[1], GRID)), np.empty((x.shape[1], GRID))
    for j in range(x.shape[1]):
        column = np.sort(x[:, j])
        at = column[np.minimum((n * (1 - share)).astype(np.intp), n - 1)]
        xs[j] = at
        ts[j] = -np.log10((n - np.searchsorted(column, at, side="left")) / n)
    return xs, ts
