"""Open panes looked at before they close: who crosses already. Nothing is changed by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detectors.accounts import Common, with_past
from detectors.artifact import Model
from detectors.columns import Finding, Flows
from detectors.compiled import within
from detectors.entities import Entities
from detectors.explain import findings
from detectors.judge import Judged
from detectors.memories import Memories
from detectors.outlook import Outlook
from detectors.pairs import mix
from detectors.rows import Rows, canonical


@dataclass(frozen=True, slots=True)
class Peek:
    """A look by what is held. `judge` holds rows against it."""

    entities: Entities
    memories: Memories
    model: Model
    judge: Callable[[Rows], Judged]
    common: Common

    def look(self, outlook: Outlook) -> list[Finding]:
        """What open panes say that was not said before.

        Cheap where nobody can cross: first a bound by counting, of owners with new marks alone; then these judged by
        themselves, who so lack others' novelty and control samples and look no better than they are; only who still
        crosses is judged beside the control group, or for `novel` beside all. Who does not is not judged again before
        he has marks enough that came since.
        """
        marked = outlook.count(outlook.fresh(), self.memories)
        if not len(marked):
            return []
        entity, kind = outlook.reach(marked, self.entities, self.model)
        if not len(entity):
            return []
        judged = self.judge(canonical(outlook.rows_of(entity, kind)))
        outlook.stood(judged, self.entities.c.tracks.s[self.entities.c.at[judged.slots]])
        alone = self._crossing(judged, outlook)
        if not alone:
            return []
        told = self._crossing(self.judge(canonical(self._beside(alone, outlook))), outlook)
        suspects = {(f.kind, f.entity) for f in alone}
        told = [f for f in told if (f.kind, f.entity) in suspects]
        outlook.tell(told)
        return told

    def _crossing(self, judged: Judged, outlook: Outlook) -> list[Finding]:
        """Findings of owners that cross in these rows, not told before."""
        if not any(e.track.crossed_pane_s == e.pane_s for c in judged.crossings for e in c.events):
            return []
        found = findings(judged, self.entities.c, self.model)
        return [f for f in found if f.pane_s == f.at_s and outlook.is_new(f)]

    def _beside(self, alone: list[Finding], outlook: Outlook) -> Flows:
        """All open rows of who crossed alone, and of all others that bear on their nulls."""
        to_anyone = {family.name for family in self.model.families if family.mark.to_anyone}
        if any(f.family in to_anyone for f in alone):
            return Flows.concat(outlook.parts)
        kind = np.array([f.kind for f in alone], np.uint8)
        own = outlook.rows_of(np.array([f.entity for f in alone], np.uint64), kind)
        near = outlook.on_routes(np.unique(own.route))
        owner = mix(near.entity, near.kind.astype(np.uint64))
        slots = self.entities.find(owner, near.kind)
        known = self.entities.c.established[slots] & ~self.entities.c.alarmed[slots]
        suspect = within(owner, mix(own.entity, own.kind.astype(np.uint64)))
        known |= with_past(near, self.memories, self.common)
        return Flows.concat([own, near.take(known & ~suspect)])
