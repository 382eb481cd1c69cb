"""Learning what is normal from a file of traffic: decisions -> flows -> nulls, thresholds, forest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from detectors.artifact import ENTITIES_MIN, NEVER, Model, defaults, save, thresholds, with_forests
from detectors.calibration import Learned, Witness
from detectors.columns import Flows
from detectors.evidence import Engine
from detectors.families import Families, forests_family
from detectors.family_file import conditions
from detectors.planting import plant
from stream import quality
from stream.combine import combine
from stream.flows import read as read_flows
from stream.labels import NOBODY, Labels
from stream.rule_source import without_rules

SPAN_S_MIN: Final = 2 * 3600
"""Shorter training than this knows no lives and no established clients: thresholds keep the defaults' slope."""
TRIM_SHARE: Final = 5e-4
ADAPT_WEIGHT: Final = 50.0


def gather(batches: Iterable[pa.RecordBatch], login_globs: tuple[str, ...], families: Families) -> Flows:
    """All flows of decisions, held in memory (about 100 bytes each)."""
    asked, plan = conditions(families), without_rules()
    parts = [
        read_flows(block.flows)
        for batch in batches
        for block in combine(
            batch,
            partition=0,
            start=0,
            end=0,
            ts_ms_max=0,
            usage_partitions=1,
            login_globs=login_globs,
            conditions=asked,
            plan=plan,
        )
    ]
    return Flows.concat(parts)


def train(
    batches: Iterable[pa.RecordBatch],
    *,
    login_globs: tuple[str, ...],
    clean: bool = False,
    seed: int = 1,
    made_from: str = "",
    families: Families | None = None,
    measure: bool = False,
    labels: Labels = NOBODY,
) -> Model:
    """A model of the traffic in `batches`, for `families`, else for the built-in ones.

    Nothing is learned of clients whom `labels` have as rightly found; of the wrongly found all is, they are good.

    Unless `clean` says that nobody bad is in it, the worst owners of each family are left out where they stand alone.
    Less than two hours of it, or fewer than 20 owners in some population, leave the stated defaults in that place.
    To `measure` how good it is (`stream.quality`) takes about as long again: another is learned from the beginning.
    """
    start = defaults(families)
    flows = labels.without_found(gather(batches, login_globs, start.families))
    return learn(flows, start, clean=clean, seed=seed, made_from=made_from, measure=measure)


def learn(
    flows: Flows,
    start: Model | None = None,
    *,
    clean: bool = False,
    seed: int = 1,
    made_from: str = "",
    measure: bool = False,
) -> Model:
    """`train` on flows, from stated defaults."""
    start = start or defaults()
    model, learned = _learn(flows, start, clean=clean, seed=seed, made_from=made_from)
    if not measure:
        return model
    metrics = quality.seen(flows, learned.owners, start.families)
    from_s = quality.held_out_from_s(flows)
    if from_s is not None:
        earlier, _ = _learn(flows.take(flows.pane_s < from_s), start, clean=clean, seed=seed)
        metrics |= quality.held_out(earlier, flows, from_s)
    return replace(model, metrics=metrics)


def _learn(flows: Flows, start: Model, *, clean: bool, seed: int, made_from: str = "") -> tuple[Model, Learned]:
    span_s = int(flows.pane_s.max() - flows.pane_s.min() + 1) if len(flows) else 0
    first = watched(start, flows)
    model = with_forests(_with_nulls(start, first.learned(start)), plant(first.asked, seed))
    odd = forests_family(model.families).index
    model.prior[:, :, odd] = watched(model, flows).learned(model).prior[:, :, odd]
    last = watched(model, flows)
    learned = last.learned(model)
    entities = learned.entities()
    model = replace(model, entities=entities, h=thresholds(start.beta, entities), span_s=span_s, made_from=made_from)
    model = replace(model, influx=last.influx)
    if span_s < SPAN_S_MIN:
        return model, learned
    regulars, null = learned.regulars(thresholds(np.ones_like(start.beta), entities))
    beta = learned.slopes(regulars, start.beta, trim_share=0.0 if clean else TRIM_SHARE)
    return replace(model, beta=beta, h=thresholds(beta, entities), regulars=regulars, regulars_p0=null), learned


def adapt(model: Model, batches: Iterable[pa.RecordBatch], login_globs: tuple[str, ...]) -> Model:
    """`model` fitted to a site it was not trained on, from the very log it is to judge (`replay`'s first pass)."""
    return adapt_flows(model, gather(batches, login_globs, model.families))


def adapt_flows(model: Model, flows: Flows) -> Model:
    """`adapt` on flows.

    The nulls begin from the stated defaults, counting as 50 owners, for we know little of a strange site, and take what
    the log says, its worst owners left out. The slopes are the shipped ones; a log of fewer than
    a thousand owners takes the defaults' thresholds, so that a short one does not make us quick to judge.
    """
    stated = defaults(model.families)
    strange = replace(model, prior=stated.prior, position=stated.position, rate_per_s=stated.rate_per_s)
    learned = watched(strange, flows).learned(strange, shipped_weight=ADAPT_WEIGHT)
    entities = learned.entities()
    entities = np.where(entities >= ENTITIES_MIN, entities, stated.entities)
    adapted = _with_nulls(strange, learned)
    return replace(adapted, entities=entities, h=thresholds(model.beta, entities), made_from=f"{model.made_from}+log")


def watched(model: Model, flows: Flows) -> Witness:
    """`flows` run through an engine that never alarms."""
    witness = Witness(odd=forests_family(model.families).index)
    engine = Engine(replace(model, h=np.full_like(model.h, NEVER)), entities_max=1 << 20, watch=witness)
    engine.entities.born_s = 1  # as if long at work: what is learned is how those differ who had their hour
    if len(flows):
        engine.close(flows, int(flows.pane_s.max()) + 1)
        witness.influx = engine.influx.learned()
    return witness


def _with_nulls(model: Model, learned: Learned) -> Model:
    return replace(model, prior=learned.prior, position=learned.position, rate_per_s=learned.rate_per_s)


DEFAULT_SEED: Final = 1
DEFAULT_PATH: Final = Path(__file__).parent.parent / "detectors" / "data" / "default.npz"


def rebuild_default(
    batches: Iterable[pa.RecordBatch], login_globs: tuple[str, ...], path: Path = DEFAULT_PATH
) -> Model:
    """Make the shipped model anew from a clean simulated day of seed `DEFAULT_SEED`: same seed, same file.

    It knows no regulars and no routes: those of the simulated site are nobody's elsewhere.
    """
    made_from = f"simulated day, seed {DEFAULT_SEED}"
    model = train(batches, login_globs=login_globs, clean=True, made_from=made_from, measure=True)
    shipped = replace(model, regulars=model.regulars[:0], regulars_p0=model.regulars_p0[:0], influx={})
    path.parent.mkdir(exist_ok=True)
    save(shipped, path)
    return shipped
