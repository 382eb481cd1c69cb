"""Thresholds anew from a span of traffic in which nobody bad was: how high good evidence rises, how many clients are.

What is normal stays as the model has it. A span that is too short, or that somebody is found in, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from detectors.artifact import Model, defaults, slopes, thresholds
from detectors.columns import Finding, Flows
from detectors.evidence import Engine
from detectors.planting import ODD_SHARE, odd_share
from stream import quality
from stream.errors import SpanError
from stream.labels import NOBODY, Labels, Moved
from stream.train import SPAN_S_MIN, watched

ODD_SHARE_MAX = 3.0 * ODD_SHARE


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The model with its new thresholds; how many of the span's minutes the forest finds as odd as one in a hundred.

    `odd_share` None: it was asked about too few. `moved`: what labels did to thresholds.
    """

    model: Model
    odd_share: float | None
    moved: tuple[Moved, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether the forest no longer knows what is normal: train anew."""
        return self.odd_share is not None and self.odd_share > ODD_SHARE_MAX


def calibrate(model: Model, flows: Flows, stopped: int = 0, labels: Labels = NOBODY) -> Calibrated:
    """`model` with thresholds from `flows`; `stopped` decisions of the span were denied or challenged by an answer.

    Who is labelled is not held against the span and is not learned from, but moves thresholds (`stream.labels`).

    Raises:
        SpanError: too short, or not clean: why, and about whom.
    """
    span_s = int(flows.pane_s.max() - flows.pane_s.min() + 1) if len(flows) else 0
    if span_s < SPAN_S_MIN:
        raise SpanError(f"too short: {span_s / 3600:.1f} h of traffic, and two hours are the least (a day is best)")
    if stopped:
        raise SpanError(f"not clean: {stopped:,} of its decisions were denied or challenged")
    whole, flows = flows, labels.without(flows)
    if not len(flows):
        raise SpanError("nothing to learn from: everybody in it is labelled")
    found = suspects(model, flows)
    if found:
        raise SpanError(f"not clean: {len(found)} in it would be answered", found)
    witness = watched(model, flows)
    learned = witness.learned(model)
    entities = learned.entities()
    regulars, null = learned.regulars(thresholds(np.ones_like(model.beta), entities))
    beta = learned.slopes(regulars, defaults(model.families).beta, trim_share=0.0)
    moved: tuple[Moved, ...] = ()
    if labels:
        seen = watched(model, whole).learned(model).owners
        h, moved = labels.moved(thresholds(beta, entities), seen, {f.name: f.index for f in model.families})
        beta = slopes(h, beta, entities)
    made_from = model.made_from.removesuffix("+calibrated") + "+calibrated"
    odd = odd_share(model, witness.asked)
    metrics = quality.seen(flows, learned.owners, model.families) | ({} if odd is None else {"odd_share": odd})
    fresh = replace(
        model, beta=beta, entities=entities, h=thresholds(beta, entities), regulars=regulars, regulars_p0=null,
        span_s=span_s, made_from=made_from, metrics=metrics,
    )  # fmt: skip
    return Calibrated(fresh, odd, moved)


def suspects(model: Model, flows: Flows) -> tuple[Finding, ...]:
    """Whom `model` would answer, or the stated defaults where they are more patient; once each.

    What soft families find is not held against a span: machines nobody knew, which become regulars by it.
    """
    soft = {family.name for family in model.families if family.soft}
    patient = replace(model, h=np.maximum(model.h, defaults(model.families).h))
    told: dict[tuple[int, int], Finding] = {}
    for finding in Engine(patient, entities_max=1 << 20).close(flows, int(flows.pane_s.max()) + 1):
        if finding.answer != "notice" and finding.family not in soft:
            told.setdefault((finding.kind, finding.entity), finding)
    return tuple(told.values())
