"""What is known of how good a model is: what it learned from, and how it fares on traffic that it has not seen."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from detectors.artifact import Model
from detectors.calibration import Owners, Witness
from detectors.columns import KINDS_N, USER, Flows
from detectors.evidence import Engine
from detectors.families import Families, forests_family
from detectors.planting import odd_share

HELD_OUT_SHARE: Final = 4
"""The last so many-th of the traffic is held out."""
HELD_OUT_S_MIN: Final = 2 * 3600
_DAY_S: Final = 86_400
_KINDS: Final = ("ip", "key", "user")


def seen(flows: Flows, owners: Owners, families: Families) -> dict[str, float]:
    """What was learned from: requests, clients by kind, and by family the share of opportunities that were marked."""
    of = owners.kind
    out = {"requests": _requests(flows)}
    out |= {f"clients.{_KINDS[kind]}": float(len(np.unique(owners.owner[of == kind]))) for kind in range(KINDS_N)}
    for family in families:
        marks, tries = owners.counts[owners.family == family.index, :2].sum(axis=0)
        if tries and not family.rate:
            out[f"marked.{family.name}"] = float(marks / tries)
    return out


def held_out_from_s(flows: Flows) -> int | None:
    """From when on traffic is to be held out; None where it is too short for that."""
    first_s, end_s = (int(flows.pane_s.min()), int(flows.pane_s.max()) + 1) if len(flows) else (0, 0)
    part_s = (end_s - first_s) // HELD_OUT_SHARE
    return end_s - part_s if part_s >= HELD_OUT_S_MIN else None


def held_out(earlier: Model, flows: Flows, from_s: int) -> dict[str, float]:
    """How `earlier`, learned from `flows` before `from_s`, judges the rest, having judged what went before as well.

    Alarms a day, and of how many somebody would be answered; by family; the share of minutes that the forest finds as
    odd as one in a hundred. Who is bad in that part counts as well: alarms are not all false.
    """
    engine = Engine(earlier, entities_max=1 << 20)
    before, end_s = flows.pane_s < from_s, int(flows.pane_s.max()) + 1
    engine.close(flows.take(before), from_s)
    engine.watch = watch = Witness(odd=forests_family(earlier.families).index)
    found = engine.close(flows.take(~before), end_s)
    begun = {(f.kind, f.entity, f.family, f.pane_s): f.answer for f in found if f.pane_s >= from_s}
    a_day = _DAY_S / (end_s - from_s)
    out = {
        "held_out.hours": (end_s - from_s) / 3600,
        "held_out.requests": _requests(flows.take(~before)),
        "held_out.alarms": len(begun) * a_day,
        "held_out.answered": sum(answer != "notice" for answer in begun.values()) * a_day,
    }
    out |= {f"held_out.alarms.{name}": n * a_day for name, n in sorted(Counter(key[2] for key in begun).items())}
    odd = odd_share(earlier, watch.asked)
    return out if odd is None else out | {"held_out.odd_share": odd}


def _requests(flows: Flows) -> float:
    """Those that are evidence; a login's result stands under its account once more."""
    return float(flows.n[flows.kind != USER].sum())
