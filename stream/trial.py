"""A model tried on recorded traffic beside another: whom each would have alarmed about, and whom only one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from detectors.artifact import Model
from detectors.columns import Flows
from detectors.evidence import Engine
from schemas.models import Agreement
from stream.agreement import Tally

STEP_S = 600
ENTITIES_MAX = 1 << 20


def tried(live: Model, other: Model, flows: Flows) -> Agreement:
    """How `live` and `other` agree on `flows`, both knowing nobody at the beginning; names are `#` and the hash.

    Each judges what was let through then: what it would have denied itself goes on.
    """
    ordered = flows.take(np.argsort(flows.pane_s, kind="stable"))
    first_s = int(ordered.pane_s[0]) if len(ordered) else 0
    last_s = int(ordered.pane_s[-1]) + 1 if len(ordered) else 0
    tally = Tally(live.version, other.version, first_s * 1000)
    judges = [Engine(model, ENTITIES_MAX) for model in (live, other)]
    for until_s in [*range(first_s + STEP_S, last_s, STEP_S), last_s]:
        cut = int(np.searchsorted(ordered.pane_s, until_s))
        found = [judge.close(ordered.take(slice(cut)), until_s) for judge in judges]
        tally.take(found[0], found[1], until_s * 1000, _unnamed)
        ordered = ordered.take(slice(cut, None))
    return tally.report()


def _unnamed(_: Iterable[int]) -> Mapping[int, str]:
    return {}
