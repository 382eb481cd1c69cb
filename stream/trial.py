"""A model tried on recorded traffic beside another: whom each would have alarmed about, and whom only one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from detectors.artifact import Model
from detectors.columns import Finding, Flows
from detectors.evidence import Engine
from schemas.models import Agreement
from stream.agreement import Tally

STEP_S = 600
ENTITIES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Step:
    """What two judges say of `flows`, those of ten minutes until `until_s`."""

    flows: Flows
    until_s: int
    judges: tuple[Engine, Engine]
    found: tuple[list[Finding], list[Finding]]


def side_by_side(live: Model, other: Model, flows: Flows) -> Iterator[Step]:
    """Both judge `flows`, in order of time, knowing nobody at the beginning.

    Each judges what was let through then: what it would have denied itself goes on.
    """
    ordered = flows.take(np.argsort(flows.pane_s, kind="stable"))
    first_s = int(ordered.pane_s[0]) if len(ordered) else 0
    last_s = int(ordered.pane_s[-1]) + 1 if len(ordered) else 0
    judges = Engine(live, ENTITIES_MAX), Engine(other, ENTITIES_MAX)
    for until_s in [*range(first_s + STEP_S, last_s, STEP_S), last_s]:
        cut = int(np.searchsorted(ordered.pane_s, until_s))
        now, ordered = ordered.take(slice(cut)), ordered.take(slice(cut, None))
        yield Step(now, until_s, judges, (judges[0].close(now, until_s), judges[1].close(now, until_s)))


def tried(live: Model, other: Model, flows: Flows) -> Agreement:
    """How `live` and `other` agree on `flows` (`side_by_side`); names are `#` and the hash."""
    first_s = int(flows.pane_s.min()) if len(flows) else 0
    tally = Tally(live.version, other.version, first_s * 1000)
    for step in side_by_side(live, other, flows):
        tally.take(*step.found, step.until_s * 1000, _unnamed)
    return tally.report()


def _unnamed(_: Iterable[int]) -> Mapping[int, str]:
    return {}
