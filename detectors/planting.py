"""Forests from what they would have been asked on a calm day: grids, what the control group leaves, trees."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import trees
from detectors.artifact import Model, forests_of
from detectors.backdrop import FADE, Backdrop
from detectors.columns import USER
from detectors.forest import Forest, fit, surprise, tail_grid
from detectors.odd import Asked

F64 = NDArray[np.float64]
ODD_SHARE: Final = 0.01
ROWS_MIN: Final = 4_000  # a population with fewer shares the forest of its kind


def plant(parts: list[Asked], seed: int) -> dict[int, Forest]:
    """A forest for each population with enough rows, and for the others of its kind one of all; by population."""
    if not parts:
        return {}
    kind, of = (np.concatenate([getattr(part, name) for part in parts]) for name in ("kind", "population"))
    rows = np.concatenate([part.features for part in parts])
    grids = _grids(rows, kind, of)
    if not grids:
        return {}
    t = np.zeros_like(rows)
    for number, grid in grids.items():
        t[of == number] = surprise(rows[of == number], *grid)
    left = _left(t, parts, kind, np.isin(of, list(grids)))
    owner = np.concatenate([part.owner for part in parts])
    out: dict[int, Forest] = {}
    for number, grid in grids.items():
        own = of == number
        some = own if own.sum() >= ROWS_MIN else (kind == number // 2) & np.isin(of, list(grids))
        out[number] = fit(left[some], owner[some], grid, seed)
    return out


def _grids(rows: F64, kind: NDArray[np.uint8], of: NDArray[np.int64]) -> dict[int, tuple[F64, F64]]:
    out: dict[int, tuple[F64, F64]] = {}
    for one in range(USER):
        if (kind == one).sum() < ROWS_MIN:
            continue
        for number in (2 * one, 2 * one + 1):
            own = of == number
            out[number] = tail_grid(rows[own if own.sum() >= ROWS_MIN else kind == one])
    return out


def _left(t: F64, parts: list[Asked], kind: NDArray[np.uint8], has: NDArray[np.bool_]) -> F64:
    """What the control group leaves of them, as it goes through the day."""
    owner, route, hop, known = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("owner", "route", "hop", "established")
    )
    _, slot = np.unique(owner, return_inverse=True)
    order = np.lexsort((hop, slot))
    weight = np.where(known & has, 1.0, 0.0)
    owners = int(slot.max(initial=0)) + 1
    shown = (np.zeros(owners), np.zeros(owners, np.int64), np.zeros(owners, np.uint64))
    own = np.empty(len(t))
    own[order] = trees.owned(slot[order], hop[order], route[order], weight[order], shown, FADE)
    return Backdrop().left_of(t, kind, route, hop, weight, own)


def odd_share(model: Model, parts: list[Asked]) -> float | None:
    """Of the minutes `model`'s forests were asked about, those with a p-value up to `ODD_SHARE`; None: too few of them.

    Where good traffic is as it was when they were planted, it is that share.
    """
    hits = total = 0
    for number, forest in forests_of(model).items():
        rows = np.concatenate([part.surprise[part.population == number] for part in parts] or [np.empty((0, 0))])
        if len(rows):
            hits += int((forest.p_value(forest.score(rows)) <= ODD_SHARE).sum())
            total += len(rows)
    return hits / total if total >= ROWS_MIN else None
