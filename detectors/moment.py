"""At which request of its pane an owner crossed: rows hold like requests, so they are taken apart again.

    row a   n 3   first |-----------x-----------x-----------|  last        of a row's requests the first and the last
    row b   n 2             first |-----------x--|  last                   have known times, those between lie evenly

Evidence is the rows' (`judge`); only the time of crossing, and the requests before it, come from here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import families as fam
from detectors.cusum import Leak, Row, Track, first_crossing
from detectors.rows import Rows

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
REQUESTS_MAX: Final = 1 << 16  # of one owner and pane; more are not taken apart


def crossed(
    track: Track, rows: Rows, of_pane: slice, evidence: tuple[NDArray[np.intp], F64, F64], h: float, leak: Leak
) -> tuple[int, int] | None:
    """Event time of the crossing request and the owner's requests of this pane before it; None when none crosses.

    `track` is the standing before the pane, `of_pane` the owner's rows in it, `evidence` those of the family:
    their places among `rows`, the evidence of each row's first request, and that of each further one.
    """
    n = rows.flows.n[of_pane]
    if int(n.sum()) > REQUESTS_MAX:
        return None
    first_ms, begin = rows.t_ms[of_pane], int(of_pane.start)
    last_ms = np.clip(rows.flows.last_ms[of_pane], first_ms, rows.flows.pane_s[begin] * 1000 + 999)
    row = np.repeat(np.arange(len(n)), n)
    place = np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n)
    t_ms = first_ms[row] + (last_ms - first_ms)[row] * place // np.maximum(n - 1, 1)[row]
    at, first, further = evidence
    gain = np.zeros((2, len(n)))
    gain[:, at - begin] = first, further
    judged = np.zeros(len(n), np.bool_)
    judged[at - begin] = True
    x = gain[np.minimum(place, 1), row]
    order = np.lexsort((place, row, t_ms))
    own = np.flatnonzero(judged[row[order]])
    order = order[own]
    pane_s = int(rows.flows.pane_s[begin])
    steps = (
        Row(0, pane_s, at_ms, value, int(value > 0), 1, 0, before)
        for at_ms, value, before in zip(t_ms[order].tolist(), x[order].tolist(), own.tolist(), strict=True)
    )
    return first_crossing(track, steps, h, leak)


def shares(family: fam.Family, x: F64, marks: I64, distinct: I64, p0: F64, n: I64) -> tuple[F64, F64]:
    """Evidence of the first request of each row, and of each further one; together they are the row's `x`.

    A new pair, path or novelty is its row's first request; repeats are those after it.
    """
    if family.rate and family.mark.new is None:
        return x / n, x / n
    if family.rate:
        return x, np.zeros(len(x))
    repeats = marks - distinct
    gain = np.minimum(fam.MARK_MAX, np.log(family.q1 / np.minimum(p0, family.q1)))
    quick = np.where(repeats >= n, x / n, 0.0)
    first = np.where(distinct > 0, gain, np.where(repeats > 0, quick, x / n))
    return first, np.where(n > 1, (x - first) / np.maximum(n - 1, 1), 0.0)
