"""The evidence engine of one usage partition: panes of flows in, findings out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors import adopting, campaigns, drift_words, odd, recent
from detectors import families as fam
from detectors.artifact import Model, forests_of
from detectors.backdrop import Backdrop
from detectors.cardinality import Cardinality
from detectors.columns import IP, KEY, Finding, Flows
from detectors.control import Control
from detectors.crowd import admitted
from detectors.drift import Drift
from detectors.elsewhere import Elsewhere
from detectors.entities import RESERVED, Entities, Slots
from detectors.eviction import ALIVE
from detectors.explain import findings
from detectors.features import HOP_S
from detectors.floods import Flood
from detectors.groups import Groups
from detectors.influx import Influx
from detectors.judge import Judged, judge
from detectors.kin import Kin
from detectors.learn import Watch, early, establish, refresh, settle
from detectors.memories import SIZE_MAX, Memories
from detectors.misfits import Misfits
from detectors.outlook import Outlook
from detectors.peeking import Peek
from detectors.rarities import AFAR, GUISE, UNHEARD, Rarities
from detectors.record import write_crossing, write_member, write_memories, write_requests, write_series
from detectors.rows import Rows, canonical
from detectors.runs import RUN_S, pieces, runs
from detectors.sampling import WARM_KEY
from detectors.standing import apart, has_room, standing

ENTITIES_MAX = 1 << 17
Flag = NDArray[np.bool_]
Watchers = Influx | Elsewhere | Rarities | Flood | Misfits
Parts = Mapping[str, Control | Groups | Backdrop | Cardinality | Drift | Kin | Watchers]


class Engine:
    """Evidence about every owner of one usage partition.

    The same flows give the same findings, live or replayed, however calls are batched, float rounding aside: canonical
    order is made inside, runs are cut at event-time boundaries, and own histories are committed on the event-time hour.
    At most `entities_max` owners are held after a pane, and `pairs_max` pairs in each memory (paths: four times that).
    Who goes, and which memory turns over, is settled after each pane that could bring it about, so that hangs on the
    flows alone as well.
    """

    def __init__(
        self,
        model: Model,
        entities_max: int = ENTITIES_MAX,
        watch: Watch | None = None,
        pairs_max: int = SIZE_MAX,
    ) -> None:
        self.model = model
        self.watch = watch
        self.forests = forests_of(model)
        self.family_of_forest = fam.forests_family(model.families)
        self.entities = Entities(entities_max, len(model.families))
        self.memories = Memories(pairs_max)
        self.cardinality = Cardinality(entities_max)
        self.influx = Influx()
        self.elsewhere = Elsewhere(fam.refused_keys(model.families))
        self.rarities = {what.told.family: Rarities(what) for what in (AFAR, GUISE, UNHEARD)}
        self.flood = Flood()
        self.misfits = Misfits(fam.submissions(model.families), pairs_max)
        self.control = Control()
        self.groups = Groups()
        self.backdrop = Backdrop()
        self.kin = Kin()
        self.drift = Drift.begun(len(model.families))
        self._index = {family.name: family.index for family in model.families}
        self.closed_s = 0
        self.hour_s = 0  # the hour that has flows not yet committed; 0: none
        self.seen_n = 0  # samples ever, for the warmth of `novel`
        self.influx.begin(model.influx, fam.submissions(model.families))
        refresh(self.entities, model)

    def close(self, flows: Flows, until_s: int) -> list[Finding]:
        """Judge all flows of the panes in [closed until now, `until_s`): what crossed, and updates, in pane order.

        Every flow of these panes must be in this call; flows of later panes must not.
        """
        out: list[Finding] = []
        for run in runs(flows):
            first_s = int(run.pane_s.min())
            out += self._commit_before(first_s) + self._establish(first_s)
            for piece, end_s in pieces(run, min(until_s, (first_s // RUN_S + 1) * RUN_S), self._fits):
                out += self._run(self._admitted(piece), end_s)
            self.hour_s = first_s // fam.HOUR_S * fam.HOUR_S
        out += self._odd(None, np.empty(0, np.intp), until_s)
        out += self._commit_before(until_s)
        out += self.cardinality.close(until_s) + self.influx.close(until_s)
        out += self.elsewhere.close(until_s) + self._rarities(until_s) + self.flood.close(until_s)
        self.closed_s = max(self.closed_s, until_s)
        return out

    def _admitted(self, flows: Flows) -> Flows:
        """The flows of a piece, or of a crowded pane those there is room for; the others are counted."""
        if self._fits(len(flows)):
            return flows
        looked_at = admitted(flows, self.entities)
        if looked_at.all():
            return flows
        self.entities.evicted += len(flows) - int(looked_at.sum())
        self.cardinality.missed(flows.take(~looked_at))
        return flows.take(looked_at)

    def _fits(self, rows: int) -> bool:
        """Whether so many more rows push nobody and nothing out."""
        return self.entities.used + rows <= self.entities.size_max and self.memories.fits(rows)

    def peek(self, flows: Flows) -> list[Finding]:
        """Who crosses in these open panes: of what `close` of these flows, and no others, would say, what is new.

        Changes nothing.
        """
        outlook = Outlook(self.model.families)
        outlook.add(flows)
        return self.look(outlook)

    def look(self, outlook: Outlook) -> list[Finding]:
        """What open panes say that was not said before, and `close` of the same content would say. Changes nothing."""
        return Peek(self.entities, self.memories, self.model, self._judge, self._common).look(outlook)

    def _judge(self, rows: Rows) -> Judged:
        slots = self.entities.find(rows.owner, rows.flows.kind[rows.starts])
        model, by = self.model, (self.control, self.kin, self._common)
        return judge(rows, slots, self.entities.c, self.memories, by, model, self.seen_n)

    def _common(self, operator: NDArray[np.uint64], least: float) -> Flag:
        return self.elsewhere.accounts.common(operator, least)

    def _run(self, flows: Flows, until_s: int) -> list[Finding]:
        rows = canonical(flows)
        judged = self._judge(rows)
        if not has_room(self.entities.c, self.entities.used, judged):
            first_s = int(flows.pane_s.min())  # what goes does so after the same pane however panes were batched
            if first_s < flows.pane_s.max():
                halves = pieces(flows, until_s, lambda rows: rows < len(flows))
                return [finding for half, end_s in halves for finding in self._run(half, end_s)]
            until_s = first_s + 1
        followed = campaigns.follow(self.groups, judged, self.entities.c, self.model)
        told = followed.told_of(judged, findings(judged, self.entities.c, self.model))
        told += followed.told + [finding for _, _, finding in followed.members]
        heads = rows.starts
        first_ms = rows.t_ms[heads]
        slots = self.entities.place(rows.owner, rows.flows.kind[heads], rows.flows.entity[heads], first_ms)
        self.cardinality.take(rows, self.entities.c.seen[slots], self.entities.c.born_ms[slots])
        known, seen = self.entities.c.established[slots], self.entities.c.seen[slots]
        people = known[rows.seg]
        of = ~people & ~judged.kin, people & ~judged.kin
        visits = self.influx.take(rows, of, seen, self.memories.visits)
        for part in self.rarities.values():
            part.take(rows, visits, seen, judged.sight.anyone)
        self.elsewhere.take(rows, known, seen, self.memories.whence)
        self.flood.take(rows, ~people)
        self.misfits.take(rows, people, judged.kin)
        self.kin.take(rows, slots, self.entities.c, (judged.sight, judged.series, judged.kin))
        write_requests(self.entities.c, rows, slots)
        for series in judged.series:
            write_series(self.entities.c, series, rows, slots, followed.teaches.get(series.family.index))
        for crossing in judged.crossings:
            write_crossing(self.entities.c, crossing, slots)
        for seg, track, finding in followed.members:
            write_member(self.entities.c, int(slots[seg]), self._index[finding.family], track)
        write_memories(self.memories, self.entities.c, judged, slots)
        samples = tuple(np.concatenate(pair) for pair in zip(judged.samples, judged.warm, strict=True))
        self.control.advance((samples[0], samples[1], samples[2]), until_s)
        self.seen_n += int((samples[0] == WARM_KEY).sum())
        if self.watch is not None:
            self.watch.take(judged)
        told += self._odd(judged, slots, until_s) + self.influx.close(until_s) + self.elsewhere.close(until_s)
        told += self._rarities(until_s) + self.flood.close(until_s) + self.misfits.close(until_s)
        if self.entities.used > self.entities.size_max:
            self.entities.purge(standing(self.entities.c, np.arange(self.entities.used), self.model, until_s * 1000))
        if len(self.entities.c.tracks) > self.entities.c.tracks.room:
            self.entities.forget(*apart(self.entities.c, self.entities.used, self.model, until_s * 1000))
        return sorted(told, key=lambda f: (f.at_s, f.crossed_ms, f.kind, f.entity, f.family))

    def _rarities(self, until_s: int) -> list[Finding]:
        return [finding for part in self.rarities.values() for finding in part.close(until_s)]

    def worth(self, owners: NDArray[np.uint64], kinds: NDArray[np.uint8]) -> tuple[NDArray[np.float64], Flag]:
        """The evidence that stands against owners, and whether they are regulars."""
        slots = self.entities.find(owners, kinds)
        known, evidence = np.flatnonzero(slots >= RESERVED), np.zeros(len(slots))
        evidence[known] = self._standing(slots[known])
        return evidence, self.entities.c.established[slots]

    def regular(self, owners: NDArray[np.uint64], kinds: NDArray[np.uint8]) -> Flag:
        """Which owners have a good history."""
        out: Flag = self.entities.c.established[self.entities.find(owners, kinds)]
        return out

    def regulars(self, within_ms: int) -> int:
        """How many addresses and keys with a good history had a request so lately."""
        c, used, since_ms = self.entities.c, slice(self.entities.used), self.closed_s * 1000 - within_ms
        clients = (c.kind[used] == IP) | (c.kind[used] == KEY)
        return int((c.established[used] & clients & (c.last_ms[used] >= since_ms)).sum())

    def held(self) -> NDArray[np.uint64]:
        """Entities of whom something is held."""
        return self.entities.c.entity[RESERVED : self.entities.used]

    def alive(self, kind: int) -> NDArray[np.uint64]:
        """Entities of a kind that are attackers alive, to whom everybody who keeps something of them holds on."""
        used = np.flatnonzero(self.entities.c.kind[: self.entities.used] == kind)
        return self.entities.c.entity[used[self._standing(used) >= ALIVE]]

    def _standing(self, slots: Slots) -> NDArray[np.float64]:
        return standing(self.entities.c, slots, self.model, self.closed_s * 1000)

    def _odd(self, judged: Judged | None, slots: Slots, until_s: int) -> list[Finding]:
        """Ask the forest about the ten seconds that are complete at `until_s`."""
        if not self.forests and self.watch is None:
            return []
        complete = recent.advance(self.entities, judged, slots, until_s)
        if not len(complete.slot):
            return []
        told_as = self.family_of_forest, self.model.h
        asked, told = odd.ask(self.entities, self.forests, self.backdrop, told_as, complete)
        if self.watch is not None:
            self.watch.take_asked(asked)
        return sorted(told, key=lambda f: (f.at_s, f.kind, f.entity))

    def _commit_before(self, pane_s: int) -> list[Finding]:
        """Commit the hour that has flows when `pane_s` lies beyond it."""
        if not self.hour_s or pane_s < self.hour_s + fam.HOUR_S:
            return []
        now_s = self.hour_s + fam.HOUR_S
        told = self._odd(None, np.empty(0, np.intp), now_s)
        self.hour_s = 0
        told += drift_words.found(self.drift, self.entities, self.groups, self.model, now_s)
        self.kin.commit(self.entities, self.model.families, now_s)
        settle(self.entities, self.model, now_s * 1000)
        self.groups.commit()
        self.backdrop.forget(now_s // HOP_S)
        self.entities.drop_idle(now_s * 1000)
        self.memories.age(now_s)
        return told

    def _establish(self, pane_s: int) -> list[Finding]:
        """In the first two hours, see every ten minutes who is established already."""
        now_s = early(self.entities, pane_s)
        told = self._odd(None, np.empty(0, np.intp), now_s) if now_s else []
        if now_s:
            establish(self.entities, now_s)
        return told

    def adopt(self, model: Model) -> None:
        """Judge by `model` from the next pane on (`detectors.adopting`).

        Raises:
            ArtifactError: it has other families; nothing has changed.
        """
        kept = adopting.kept_under(self.model)
        adopting.check(kept, model)
        adopting.adopt(self.entities, self.drift, kept, model)
        self.model, self.forests = model, forests_of(model)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """State as plain arrays, for `restore`."""
        out: dict[str, NDArray[np.generic]] = {"clock": np.array([self.closed_s, self.hour_s, self.seen_n], np.int64)}
        out |= adopting.kept_under(self.model) | self.entities.arrays() | self.memories.arrays()
        for name, part in self._parts().items():
            out |= part.arrays(name)
        return out

    def _parts(self) -> Parts:
        return {
            "control": self.control, "groups": self.groups, "backdrop": self.backdrop,
            "cardinality": self.cardinality, "drift": self.drift, "influx": self.influx, "elsewhere": self.elsewhere,
            "kin": self.kin, "flood": self.flood, "misfits": self.misfits, **self.rarities,
        }  # fmt: skip

    @classmethod
    def restore(
        cls,
        model: Model,
        arrays: Mapping[str, NDArray[np.generic]],
        entities_max: int = ENTITIES_MAX,
        pairs_max: int = SIZE_MAX,
    ) -> Engine:
        """An engine that goes on where `arrays` were taken: exactly, or as one that adopts `model` there.

        Raises:
            ArtifactError: they are of other families.
        """
        adopting.check(arrays, model)
        engine = cls(model, entities_max, pairs_max=pairs_max)
        engine.closed_s, engine.hour_s, engine.seen_n = (int(v) for v in arrays["clock"])
        engine.entities.restore(arrays)
        engine.memories.restore(arrays)
        for name, part in engine._parts().items():
            part.restore(name, arrays)
        adopting.adopt(engine.entities, engine.drift, arrays, model)
        return engine
