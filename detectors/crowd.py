"""A second with more newcomers than there is room for: whose flows are looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Flows
from detectors.compiled import unique_rows
from detectors.entities import RESERVED, Entities
from detectors.pairs import mix


def admitted(flows: Flows, entities: Entities) -> NDArray[np.bool_]:
    """Which flows of a pane are looked at: of known owners all, of newcomers those who ask most.

    No more newcomers than half of what may be held, so that between two purges there are at most half too many.
    """
    owner = mix(flows.entity, flows.kind.astype(np.uint64))
    ids, at, which = unique_rows(owner)
    new = np.flatnonzero(entities.find(ids, flows.kind[at]) < RESERVED)
    weight = np.bincount(which, weights=flows.n)[new]
    stays = np.ones(len(ids), np.bool_)
    stays[new[np.lexsort((ids[new], -weight))[entities.size_max // 2 :]]] = False
    return stays[which]
