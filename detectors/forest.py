"""An isolation forest as plain arrays: fitted by scikit-learn, scored here, explained exactly. No pickle.

Rows are surprises (`surprise`): how far up the tail of good traffic each feature stands, so that odd means odd upwards;
of `odd`, what the control group leaves of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from detectors import trees

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Array = NDArray[np.generic]
TREES: Final = 100
SAMPLES_MAX: Final = 512
GRID: Final = 96  # tail probabilities a feature's surprise is kept at
TAIL: Final = 2_000  # calibration scores kept, the highest
SURPRISE_MAX: Final = 8.0


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees side by side: node `i` goes to `left[i]` where the feature is at most the threshold, else one further.

    A leaf is its own left child, its threshold infinite. `nodes` has feature, threshold and left child of each beside
    each other, for a step is a line of cache then. `value` is the path length a row that ends in a leaf counts for,
    `expected` the mean below a node; `trees` is where each begins and how deep it is.
    """

    nodes: I32  # (node, 4): feature, threshold's bits, left child, nothing
    value: F64
    expected: F64
    trees: I32  # (tree, 2): root, depth
    samples: int
    usual: float  # path length of all trees together that scores a half
    grid_x: F64  # (feature, GRID), ascending
    grid_t: F64  # surprise at each
    tail: F64  # highest calibration scores, ascending
    calibrated: int  # how many there were

    @property
    def feature(self) -> I32:
        """Which feature each node looks at."""
        return self.nodes[:, 0]

    @property
    def threshold(self) -> F32:
        """Above which it is the right child."""
        bits: F32 = self.nodes.view(np.float32)[:, 1]
        return bits

    @property
    def left(self) -> I32:
        """Each node's left child."""
        return self.nodes[:, 2]

    def surprise(self, x: F64) -> F64:
        """-log10 P(X >= x) by feature, as good traffic had it; beyond its last value by the mean slope."""
        return surprise(x, self.grid_x, self.grid_t)

    def score(self, t: F64) -> F64:
        """Anomaly of rows of surprises in (0, 1), higher is odder: the negative of scikit-learn's `score_samples`."""
        return trees.scores(t, self.nodes, self.value, self.trees, self.usual)

    def p_value(self, score: F64) -> F64:
        """Conformal: the share of good rows never trained on that are at least as odd; 1 below the kept tail."""
        above = len(self.tail) - np.searchsorted(self.tail, score, side="left")
        inside = score >= (self.tail[0] if len(self.tail) else np.inf)
        return np.where(inside | (len(self.tail) == self.calibrated), (1 + above) / (self.calibrated + 1), 1.0)

    def attribution(self, t: F64) -> F64:
        """What each feature took off one row's path length, summed over trees: exact and additive.

        A step from a node to its child changes the expected path length; the change is the feature's.
        """
        out, row = np.zeros(len(t)), t.astype(np.float32)
        feature, threshold, left = self.feature, self.threshold, self.left
        for root in self.trees[:, 0].tolist():
            node = root
            while left[node] != node:
                child = int(left[node]) + int(row[feature[node]] > threshold[node])
                out[feature[node]] += self.expected[node] - self.expected[child]
                node = child
        return out

    def arrays(self) -> dict[str, Array]:
        """As plain arrays."""
        return {
            "feature": self.feature.astype(np.int8),
            "threshold": self.threshold,
            "left": self.left,
            "value": self.value,
            "roots": self.trees[:, 0],
            "depths": self.trees[:, 1],
            "samples": np.array(self.samples),
            "grid_x": self.grid_x,
            "grid_t": self.grid_t,
            "tail": self.tail,
            "calibrated": np.array(self.calibrated),
        }


def surprise(x: F64, grid_x: F64, grid_t: F64) -> F64:
    """`Forest.surprise`, by a grid of `tail_grid`."""
    return trees.surprises(x, grid_x, grid_t, SURPRISE_MAX)


def from_arrays(a: Mapping[str, Array]) -> Forest:
    """What `arrays` gave. Raises KeyError or ValueError where they are not a forest's."""
    left, value = a["left"].astype(np.int32), a["value"].astype(np.float64)
    feature, threshold = a["feature"].astype(np.int32), a["threshold"].astype(np.float32)
    roots, depths = a["roots"].astype(np.int32), a["depths"].astype(np.int32)
    nodes, width, samples = len(left), len(a["grid_x"]), int(a["samples"])
    here = np.arange(nodes)
    inner = left != here
    # Children stand after their parent and inside the file: a walk stays in it.
    sound = (
        len({nodes, len(feature), len(threshold), len(value)}) == 1
        and (left[inner] > here[inner]).all()
        and (left[inner] < nodes - 1).all()
        and (feature >= 0).all()
        and (feature < max(width, 1)).all()
        and np.isposinf(threshold[~inner]).all()
        and (roots >= 0).all()
        and (roots < nodes).all()
        and len(roots) == len(depths)
        and (depths < max(nodes, 1)).all()
    )
    if not sound:
        raise ValueError("the forest is damaged")
    return Forest(
        nodes=np.stack([feature, threshold.view(np.int32), left, np.zeros_like(left)], axis=1),
        value=value,
        expected=trees.expectations(left, value),
        trees=np.stack([roots, depths], axis=1),
        samples=samples,
        usual=len(roots) * float(average_path(np.array([samples]))[0]),
        grid_x=a["grid_x"].astype(np.float64),
        grid_t=a["grid_t"].astype(np.float64),
        tail=a["tail"].astype(np.float64),
        calibrated=int(a["calibrated"]),
    )


def average_path(n: NDArray[np.integer]) -> F64:
    """Mean path length of an unsuccessful search among `n` (Liu, Ting, Zhou 2008, equation 1)."""
    size = n.astype(np.float64)
    out = np.zeros(len(size))
    out[size == 2] = 1.0
    big = size > 2
    out[big] = 2 * (np.log(size[big] - 1) + np.euler_gamma) - 2 * (size[big] - 1) / size[big]
    return out


def fit(t: F64, owner: NDArray[np.uint64], grid: tuple[F64, F64], seed: int, samples_max: int = SAMPLES_MAX) -> Forest:
    """A forest on the rows of half of the owners, calibrated on the other half's: rows of one owner are alike.

    `t` is what the forest is to be asked, `grid` (`tail_grid`) where surprises come from. Rows full of what is to be
    found want a smaller `samples_max`: in a sample of hundreds the few are not company for each other.
    """
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - seconds to import, and only training needs it

    half = (owner >> np.uint64(17)) & np.uint64(1) == 0
    if not 0 < half.sum() < len(half):
        half = np.arange(len(t)) % 2 == 0
    model = IsolationForest(n_estimators=TREES, max_samples=min(samples_max, int(half.sum())), random_state=seed)
    model.fit(t[half])
    bare = from_sklearn(model, *grid)
    calibration = np.sort(bare.score(t[~half]))
    arrays = bare.arrays() | {"tail": calibration[-TAIL:], "calibrated": np.array(len(calibration))}
    return from_arrays(arrays)


def from_sklearn(model: IsolationForest, grid_x: F64, grid_t: F64) -> Forest:
    """The trees of a fitted scikit-learn forest, flattened, brothers side by side."""
    parts: list[tuple[Array, Array, Array, Array]] = []
    roots: list[int] = []
    depths: list[int] = []
    base = 0
    for estimator in model.estimators_:
        tree = estimator.tree_
        order, depth = _by_level(tree.children_left, tree.children_right)
        inner = tree.children_left[order] >= 0
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        left = np.where(inner, place[tree.children_left[order]], np.arange(len(order))) + base
        single = tree.threshold[order].astype(np.float32)
        # Single-precision rows are on the same side of the next lower single-precision number.
        single = np.where(single > tree.threshold[order], np.nextafter(single, np.float32(-np.inf)), single)
        value = depth + np.where(inner, 0.0, average_path(tree.n_node_samples[order]))
        parts.append((np.where(inner, tree.feature[order], 0), np.where(inner, single, np.inf), left, value))
        roots.append(base)
        depths.append(int(depth.max()))
        base += len(order)
    feature, threshold, left, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return from_arrays(
        {
            "feature": feature,
            "threshold": threshold,
            "left": left,
            "value": value,
            "roots": np.array(roots),
            "depths": np.array(depths),
            "samples": np.array(model.max_samples_),
            "grid_x": grid_x,
            "grid_t": grid_t,
            "tail": np.empty(0),
            "calibrated": np.array(0),
        }
    )


def _by_level(left: NDArray[np.int64], right: NDArray[np.int64]) -> tuple[NDArray[np.int64], F64]:
    """Nodes of a tree level by level, brothers next to each other, and how deep each stands."""
    level = np.zeros(1, np.int64)
    levels: list[NDArray[np.int64]] = []
    depths: list[F64] = []
    while len(level):
        levels.append(level)
        depths.append(np.full(len(level), float(len(depths))))
        inner = level[left[level] >= 0]
        level = np.stack([left[inner], right[inner]], axis=1).reshape(-1)
    return np.concatenate(levels), np.concatenate(depths)


def tail_grid(x: F64) -> tuple[F64, F64]:
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
