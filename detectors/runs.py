"""Flows by stretches of event time, each judged at once; in a stretch their order does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from detectors.columns import Flows

RUN_S = 600  # a run is at most so long: prefix sums in scaled time keep their digits


def runs(flows: Flows) -> Iterator[Flows]:
    """Flows by stretches of `RUN_S`."""
    number = flows.pane_s // RUN_S
    if not len(flows) or number.min() == number.max():
        yield from [flows] if len(flows) else []
        return
    order = np.argsort(number, kind="stable")
    flows = flows.take(order)
    cuts = np.flatnonzero(np.diff(flows.pane_s // RUN_S, prepend=-1))
    for begin, end in pairwise([*cuts.tolist(), len(flows)]):
        yield flows.take(slice(begin, end))


def pieces(run: Flows, until_s: int, fits: Callable[[int], bool]) -> Iterator[tuple[Flows, int]]:
    """The run and where it ends; where something may have to go for it, its halves, and so on down to single panes.

    So what goes does so after the same pane however panes were batched. `fits` is asked anew for each piece, when those
    before it have been judged.
    """
    waiting = [(run, until_s)]
    while waiting:
        piece, end_s = waiting.pop()
        first_s, last_s = int(piece.pane_s.min()), int(piece.pane_s.max())
        if fits(len(piece)):
            yield piece, end_s
        elif first_s == last_s:
            yield piece, first_s + 1
        else:
            middle_s = (first_s + last_s + 1) // 2
            early = piece.pane_s < middle_s
            waiting += [(piece.take(~early), end_s), (piece.take(early), middle_s)]
