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
def scores(x: F64, node: I32, value: F64, trees: I32, usual: float) -> F64:
    """2 ** -(path length / `usual`) of each row.

    A line of `node` is a node: its feature, its threshold (the bits of a float), its left child, whose neighbour is
    the right one. A leaf is its own left child, with an infinite threshold: every walk of a tree (a line of `trees`:
    root and depth) takes as many steps as it is deep, no branch is mispredicted, and eight walks go on at once.
    scikit-learn takes rows in single precision.
    """
    n, cut = len(x), node.view(np.float32)
    rows = x.astype(np.float32)
    out = np.zeros(n)
    whole = n - n % 8
    for begin in range(0, whole, 256):
        end = min(begin + 256, whole)
        for tree in range(len(trees)):
            root, depth = trees[tree, 0], trees[tree, 1]
            for i in range(begin, end, 8):
                a, b, c, d, e, f, g, h = root, root, root, root, root, root, root, root
                for _ in range(depth):
                    a = node[a, 2] + np.int32(rows[i, node[a, 0]] > cut[a, 1])
                    b = node[b, 2] + np.int32(rows[i + 1, node[b, 0]] > cut[b, 1])
                    c = node[c, 2] + np.int32(rows[i + 2, node[c, 0]] > cut[c, 1])
                    d = node[d, 2] + np.int32(rows[i + 3, node[d, 0]] > cut[d, 1])
                    e = node[e, 2] + np.int32(rows[i + 4, node[e, 0]] > cut[e, 1])
                    f = node[f, 2] + np.int32(rows[i + 5, node[f, 0]] > cut[f, 1])
                    g = node[g, 2] + np.int32(rows[i + 6, node[g, 0]] > cut[g, 1])
                    h = node[h, 2] + np.int32(rows[i + 7, node[h, 0]] > cut[h, 1])
                out[i] += value[a]
                out[i + 1] += value[b]
                out[i + 2] += value[c]
                out[i + 3] += value[d]
                out[i + 4] += value[e]
                out[i + 5] += value[f]
                out[i + 6] += value[g]
                out[i + 7] += value[h]
    for i in range(whole, n):
        out[i] = _alone(rows[i], node, cut, value, trees)
    for i in range(n):
        out[i] = 2.0 ** (-out[i] / usual)
    return out


@compiled
def _alone(row: F32, node: I32, cut: F32, value: F64, trees: I32) -> float:
    """Path length of one row, down eight trees at once; summed tree by tree, as of many rows."""
    total, many = 0.0, len(trees)
    by_eight = many - many % 8
    for tree in range(0, by_eight, 8):
        a, b, c, d = trees[tree, 0], trees[tree + 1, 0], trees[tree + 2, 0], trees[tree + 3, 0]
        e, f, g, h = trees[tree + 4, 0], trees[tree + 5, 0], trees[tree + 6, 0], trees[tree + 7, 0]
        for _ in range(trees[tree : tree + 8, 1].max()):
            a = node[a, 2] + np.int32(row[node[a, 0]] > cut[a, 1])
            b = node[b, 2] + np.int32(row[node[b, 0]] > cut[b, 1])
            c = node[c, 2] + np.int32(row[node[c, 0]] > cut[c, 1])
            d = node[d, 2] + np.int32(row[node[d, 0]] > cut[d, 1])
            e = node[e, 2] + np.int32(row[node[e, 0]] > cut[e, 1])
            f = node[f, 2] + np.int32(row[node[f, 0]] > cut[f, 1])
            g = node[g, 2] + np.int32(row[node[g, 0]] > cut[g, 1])
            h = node[h, 2] + np.int32(row[node[h, 0]] > cut[h, 1])
        total = total + value[a] + value[b] + value[c] + value[d] + value[e] + value[f] + value[g] + value[h]
    for tree in range(by_eight, many):
        a = trees[tree, 0]
        for _ in range(trees[tree, 1]):
            a = node[a, 2] + np.int32(row[node[a, 0]] > cut[a, 1])
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
