"""Of each group the rows of lowest rank, found in one pass: a heap for each group that has too many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from stream.compiled import I64, U64


@compiled
def beyond(groups: I64, count: int, rank: U64, keep: int) -> NDArray[np.bool_]:
    """Rows that are not among the `keep` lowest-ranked of their group; no two of a group have the same rank."""
    size, place, crowds = np.zeros(count, np.int64), np.full(count, -1, np.int64), 0
    for i in range(len(groups)):
        g = groups[i]
        size[g] += 1
        if size[g] == keep + 1:
            place[g] = crowds
            crowds += 1
    out = np.zeros(len(groups), np.bool_)
    if crowds == 0:
        return out
    heaps, held = np.empty((crowds, keep), np.uint64), np.zeros(crowds, np.int64)
    for i in range(len(groups)):
        p = place[groups[i]]
        if p < 0:
            continue
        if held[p] < keep:
            _put(heaps[p], held[p], rank[i])
            held[p] += 1
        elif rank[i] < heaps[p, 0]:
            _replace(heaps[p], rank[i])
    for i in range(len(groups)):
        p = place[groups[i]]
        out[i] = p >= 0 and rank[i] > heaps[p, 0]
    return out


@compiled
def _put(heap: U64, size: int, rank: np.uint64) -> None:
    """Put one more into a heap of `size`, the greatest of which stands first."""
    at = size
    while at and heap[(at - 1) // 2] < rank:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = rank


@compiled
def _replace(heap: U64, rank: np.uint64) -> None:
    """Put one into a full heap in place of the greatest."""
    at, child = 0, 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= rank:
            break
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    heap[at] = rank
