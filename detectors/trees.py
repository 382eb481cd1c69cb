"""Isolation trees as machine code: rows down all trees, surprises, and the control group, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Flag = NDArray[np.bool_]


@compiled
def scores(x: F64, feature: I32, threshold: F32, left: I32, value: F64, roots: I32, depths: I32, usual: float) -> F64:
    """2 ** -(path length / `usual`) of each row: node `i` goes to `left[i]`, or the one after where it is above.

    A leaf is its own left child, with an infinite threshold: every walk of a tree takes as many steps as it is deep, no
    branch is mispredicted, and four walks go on at once. scikit-learn takes rows in single precision.
    """
    n, trees = len(x), len(roots)
    rows = x.astype(np.float32)
    out = np.zeros(n)
    whole = n - n % 4
    for begin in range(0, whole, 256):
        end = min(begin + 256, whole)
        for tree in range(trees):
            root, depth = roots[tree], depths[tree]
            for i in range(begin, end, 4):
                a, b, c, d = root, root, root, root
                for _ in range(depth):
                    a = left[a] + np.int32(rows[i, feature[a]] > threshold[a])
                    b = left[b] + np.int32(rows[i + 1, feature[b]] > threshold[b])
                    c = left[c] + np.int32(rows[i + 2, feature[c]] > threshold[c])
                    d = left[d] + np.int32(rows[i + 3, feature[d]] > threshold[d])
                out[i] += value[a]
                out[i + 1] += value[b]
                out[i + 2] += value[c]
                out[i + 3] += value[d]
    for i in range(whole, n):
        out[i] = _alone(rows[i], feature, threshold, left, value, roots, depths)
    for i in range(n):
        out[i] = 2.0 ** (-out[i] / usual)
    return out


@compiled
def _alone(row: F32, feature: I32, threshold: F32, left: I32, value: F64, roots: I32, depths: I32) -> float:
    """Path length of one row, down four trees at once."""
    total, trees = 0.0, len(roots)
    by_four = trees - trees % 4
    for tree in range(0, by_four, 4):
        a, b, c, d = roots[tree], roots[tree + 1], roots[tree + 2], roots[tree + 3]
        for _ in range(max(depths[tree], depths[tree + 1], depths[tree + 2], depths[tree + 3])):
            a = left[a] + np.int32(row[feature[a]] > threshold[a])
            b = left[b] + np.int32(row[feature[b]] > threshold[b])
            c = left[c] + np.int32(row[feature[c]] > threshold[c])
            d = left[d] + np.int32(row[feature[d]] > threshold[d])
        total = total + value[a] + value[b] + value[c] + value[d]
    for tree in range(by_four, trees):
        a = roots[tree]
        for _ in range(depths[tree]):
            a = left[a] + np.int32(row[feature[a]] > threshold[a])
        total += value[a]
    return total


@compiled
def surprises(x: F64, grid_x: F64, grid_t: F64, most: float) -> F64:
    """`Forest.surprise`: a look-up in each feature's grid, a straight line beyond it."""
    n, width = x.shape
    last = grid_x.shape[1] - 1
    out = np.empty((n, width))
    for j in range(width):
        xs, ts = grid_x[j], grid_t[j]
        slope = max(1.0, ts[last]) / max(xs[last] - xs[0], 1e-9)
        for i in range(n):
            v = x[i, j]
            if v >= xs[last]:
                t = ts[last] + (v - xs[last]) * slope
            elif v <= xs[0]:
                t = ts[0]
            else:
                low, high = 0, last  # xs[low] <= v < xs[high]
                while high - low > 1:
                    middle = (low + high) >> 1
                    if xs[middle] <= v:
                        low = middle
                    else:
                        high = middle
                t = ts[low] + (v - xs[low]) / (xs[high] - xs[low]) * (ts[high] - ts[low])
            out[i, j] = min(t, most)
    return out


@compiled
def expectations(left: I32, value: F64) -> F64:
    """Mean path length below each node, both ways alike; leaves know theirs, and children stand after their parent."""
    out = value.copy()
    for node in range(len(left) - 1, -1, -1):
        if left[node] != node:
            out[node] = (out[left[node]] + out[left[node] + 1]) / 2
    return out


@compiled
def residuals(
    t: F64,
    place: I64,
    hop: I64,
    weight: F64,
    own: F64,
    control: tuple[F64, I64],
    fade: float,
    shrink: float,
) -> F64:
    """What is left of surprises `t`, in the order of hops, beyond what the control group shows there and then.

    `control` (mutated) is samples, by feature their sum and sum of squares; and the hop they stand at. `place` is a
    row's in it, -1 for none, `weight` 1 for a sample, else 0. A hop's rows see all samples up to and with the hop but
    their own: `own` is what their earlier ones still weigh, taken to have been like the present one.
    """
    sums, at_hop = control
    n, width = t.shape
    out = np.empty((n, width))
    begin = 0
    while begin < n:
        end = begin
        while end < n and hop[end] == hop[begin]:
            p = place[end]
            if p >= 0:
                if at_hop[p] < hop[end]:
                    sums[p] *= fade ** (hop[end] - at_hop[p])
                    at_hop[p] = hop[end]
                if weight[end] > 0:
                    sums[p, 0] += 1.0
                    for j in range(width):
                        sums[p, 1 + j] += t[end, j]
                        sums[p, 1 + width + j] += t[end, j] * t[end, j]
            end += 1
        for i in range(begin, end):
            p = place[i]
            count = sums[p, 0] - own[i] - weight[i] if p >= 0 else 0.0
            if count < 0.5:
                out[i] = t[i]
                continue
            mine = own[i] + weight[i]
            for j in range(width):
                mean = max(sums[p, 1 + j] - mine * t[i, j], 0.0) / count
                square = max(sums[p, 1 + width + j] - mine * t[i, j] * t[i, j], 0.0) / count
                usual = (mean + np.sqrt(max(square - mean * mean, 0.0))) * count / (count + shrink)
                out[i, j] = max(t[i, j] - usual, 0.0)
        begin = end
    return out


@compiled
def owned(slot: I64, hop: I64, route: U64, weight: F64, state: tuple[F64, I64, U64], fade: float) -> F64:
    """By row (owners' rows in the order of time): what his earlier samples on this route still weigh.

    `state` (mutated) is by slot their weight, when, and on what route; on another one he begins anew.
    """
    shown, shown_hop, shown_route = state
    out = np.zeros(len(slot))
    for i in range(len(slot)):
        s = slot[i]
        if shown_route[s] == route[i]:
            out[i] = shown[s] * fade ** (hop[i] - shown_hop[s])
        shown[s], shown_hop[s], shown_route[s] = out[i] + weight[i], hop[i], route[i]
    return out
