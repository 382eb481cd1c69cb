"""Who stays when there are too many to hold: suspects, heavy hitters, regulars, then the newest.

    |-- evidence --|-- heavy --|-- regulars --|------ newest ------|........ gone
        a quarter    a quarter   half the rest           3/4 of size

Heavy is meant as Misra and Gries (Finding repeated elements, 1982) mean it, purged in bulk: every purge takes the same
off all weights, as much as the heaviest beyond a quarter of `size` has. So whoever makes more than 4/size of all
requests weighs something after every purge, whatever the stream, and stays. Who goes depends on what was fed in
alone, never on a clock or on the order in memory: ties are broken by hash.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
Flag = NDArray[np.bool_]
ALIVE: Final = 0.5  # of the threshold: evidence from which on others who hold something of a suspect hold on to it
QUARTER: Final = 4
LEAVE: Final = 0.75  # of the bound is left after a purge, so that the next one is some way off


def order(ids: U64, weight: I64, last: I64, evidence: F64, regular: Flag, size: int) -> NDArray[np.intp]:
    """Places in the order in which they are worth keeping (`weight` is mutated: see above).

    `last` is when each was last seen, `evidence` what stands against it as a share of the threshold. `size` is the
    bound; the caller keeps as many of the first as it has room for.
    """
    quarter = max(1, size // QUARTER)
    suspects = np.flatnonzero(evidence > 0)
    if len(suspects) > quarter:
        suspects = suspects[np.lexsort((ids[suspects], -last[suspects], -evidence[suspects]))[:quarter]]
    if len(weight) > quarter:
        weight -= np.partition(weight, -quarter - 1)[-quarter - 1]
        np.maximum(weight, 0, out=weight)
    tier = np.full(len(ids), 3)
    tier[weight > 0] = 1
    tier[suspects] = 0
    light = np.flatnonzero((tier == 3) & regular)
    room = max(0, int(size * LEAVE) - int((tier < 3).sum())) // 2
    tier[light[np.lexsort((ids[light], -last[light]))[:room]]] = 2
    return np.lexsort((ids, np.where(tier == 1, -weight, -last), tier))
