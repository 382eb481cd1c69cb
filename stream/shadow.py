"""Who judges: the live model, and maybe a second one beside it that nobody is alerted for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.artifact import Model
from detectors.columns import Finding, Flows
from detectors.evidence import Engine
from schemas.models import Agreement
from stream.agreement import Tally
from stream.bounds import Bounds
from stream.episodes import Names


class Judges:
    """The live engine of a usage partition, and one in shadow that judges the same panes.

    The shadow takes up what the live engine holds when it begins, so that it begins warm. It costs what the live one
    costs: the memory of owners and pairs (`stream.bounds`) and the time once more.
    """

    def __init__(self, model: Model, bounds: Bounds) -> None:
        self.live = Engine(model, bounds.owners, pairs_max=bounds.pairs)
        self._bounds = bounds
        self._shadow: Engine | None = None
        self._since_s = 0  # alarms that began earlier are not the shadow's doing: it took them over
        self._tally: Tally | None = None  # without a shadow: of one there was when the snapshot was taken

    def close(self, flows: Flows, until_s: int, names: Names) -> list[Finding]:
        """What the live model says of these panes."""
        found = self.live.close(flows, until_s)
        if self._shadow is not None and self._tally is not None:
            both = [
                [f for f in each if f.pane_s >= self._since_s] for each in (found, self._shadow.close(flows, until_s))
            ]
            self._tally.take(both[0], both[1], until_s * 1000, names)
        return found

    def adopt(self, model: Model) -> None:
        """Have `model` live from the next pane on; a shadow ends. Raises `ArtifactError`: it has other families."""
        self.live.adopt(model)
        self.beside(None)

    def beside(self, model: Model | None) -> None:
        """Have `model` in shadow, or none; the one that is goes on. Raises `ArtifactError`: it has other families."""
        if model is None:
            self._shadow = self._tally = None
            return
        if self._shadow is not None and self._shadow.model.version == model.version:
            return
        self._since_s = self.live.closed_s
        about = self.live.model.version, model.version
        self._shadow = Engine.restore(model, self.live.arrays(), self._bounds.owners, self._bounds.pairs)
        if self._tally is None or self._tally.about != about:
            self._tally = Tally(*about, self.live.closed_s * 1000)

    @property
    def agreement(self) -> Agreement | None:
        """How the two agree."""
        return self._tally.report() if self._tally is not None and self._shadow is not None else None

    def dump(self) -> bytes:
        """What was counted of the shadow, for a snapshot. What it holds is not kept: it begins with the live one's."""
        return self._tally.dump() if self._tally is not None else b""

    def restore(self, model: Model, arrays: Mapping[str, NDArray[np.generic]], counted: bytes) -> None:
        """Go on from the live engine's arrays and a `dump`. Raises `ValueError`, and `ArtifactError` where others'."""
        self.live = Engine.restore(model, arrays, self._bounds.owners, self._bounds.pairs)
        self._tally = Tally.load(counted) if counted else None
