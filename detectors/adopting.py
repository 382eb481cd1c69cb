"""Another model over evidence that stands: who was halfway to a threshold is halfway to the new one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.artifact import Model
from detectors.drift import Drift
from detectors.entities import Entities
from detectors.errors import ArtifactError
from detectors.learn import set_nulls

Arrays = Mapping[str, NDArray[np.generic]]


def kept_under(model: Model) -> dict[str, NDArray[np.generic]]:
    """What `adopt` must know of the model that evidence was kept under, as arrays."""
    return {
        "model": np.frombuffer(model.version.encode(), np.uint8),
        "families": np.frombuffer(_families(model).encode(), np.uint8),
        "h": model.h,
    }


def check(kept: Arrays, model: Model) -> None:
    """Raises `ArtifactError` where `model` cannot go on with evidence `kept_under` another: it has other families."""
    was = kept["families"].tobytes().decode()
    if was != _families(model):
        raise ArtifactError(f"this evidence is of families {was}, the model is for {_families(model)}; start it anew")


def adopt(entities: Entities, drift: Drift, kept: Arrays, model: Model) -> None:
    """Have evidence `kept_under` another model stand as near to the thresholds of `model` as it did (mutates).

    The nulls are the new model's at once, with own histories as last committed; what was held to the old one begins
    anew. The same model changes nothing.
    """
    if kept["model"].tobytes().decode() == model.version:
        return
    drift.restart(entities)
    c = entities.c
    slot, family, at = c.standing(entities.used)
    c.tracks.s[at] *= (model.h / kept["h"].astype(np.float64))[c.kind[slot], family]
    set_nulls(entities, model)


def _families(model: Model) -> str:
    return ",".join(family.signature for family in model.families)
