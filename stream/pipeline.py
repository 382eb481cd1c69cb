"""Blocks in, alerts out: one usage partition from block chain to alert, without clock, wire or log.

    source partition 0   ......|####|####|                newest row 12:00:07.4
    source partition 1   ......|####|                     newest row 12:00:06.9  -> watermark = least of them - lateness
    panes                 closed (judged once, canonical) | open (peeked at: alerts may fire early)

The live worker, replay, evaluate and the benchmarks all run this class. The same decisions give the same closed panes,
so the same alerts; only early ones depend on when somebody looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Self

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.artifact import Model
from detectors.columns import Finding, Flows
from detectors.evidence import Engine
from detectors.outlook import Outlook
from schemas import codec
from schemas.alert import Alert
from schemas.usage import MEASURES, Block, Kind
from stream import flows as flow_rows
from stream import snapshot
from stream.bounds import Config
from stream.circumstances import Circumstances
from stream.episodes import Episodes
from stream.errors import SnapshotError
from stream.grouping import U64
from stream.history import History
from stream.kind_windows import Usage, measured
from stream.kinds import entity
from stream.names import Names
from stream.progress import VERSION, Progress, Source, chained, watermark_ms
from stream.rings import WINDOWS_S
from stream.rule_book import RuleBook
from stream.shadow import Judges
from stream.tallies import Tallies
from stream.windows import Windows


class Pipeline:
    """One usage partition. Not thread-safe; every call returns the alerts it gave rise to, in event-time order."""

    def __init__(self, model: Model, config: Config | None = None) -> None:
        self._config = config or Config()
        self._bounds = self._config.bounds
        self.judges = Judges(model, self._bounds)  # who judges; whoever sets a second model beside asks it
        self._episodes = Episodes(model.version, self._bounds.episodes)
        windows = Windows(self._bounds.entities, self._bounds.rows, self._bounds.distinct_bytes)
        self._tallies = self._tallied(windows, Names(self._bounds.names))
        self._open = Outlook(model.families)
        self._rules = RuleBook(self._config.rules, self._bounds)
        self._circumstances = Circumstances()
        self.history = History(self._config.history_s, self._bounds.flows)
        self._at = Progress(model=model.version)

    def step(self, blocks: Sequence[Block], now_ms: int, *, peek: bool = True) -> list[Alert]:
        """Apply blocks in their order. `peek`: look at open panes too, for early alerts.

        Raises:
            LostBlockError: a block is missing; nothing of this call has been applied.
        """
        alerts: list[Alert] = []
        for group in self._groups(chained(blocks, self._at)):
            self._take(group, now_ms)
            alerts += self._close_to(self._watermark_s(now_ms))
        return self._counted(alerts) + self.tick(now_ms, peek=peek)

    def _groups(self, blocks: list[Block]) -> Iterator[list[Block]]:
        """All blocks at once where nothing has to go for them, else one by one: what goes hangs on them alone."""
        flows, hits = sum(b.flows.num_rows for b in blocks), sum(b.hits.num_rows for b in blocks)
        if self._tallies.fits(blocks) and len(self._open) + flows <= self._bounds.flows and self._rules.fits(hits):
            yield from [blocks] if blocks else []
        else:
            yield from ([block] for block in blocks)

    def _take(self, blocks: list[Block], now_ms: int) -> None:
        for block in blocks:
            before = self._at.sources.get(block.partition)
            newest_ms = max(block.ts_ms_max, before.ts_ms_max if before else 0)
            self._at.sources[block.partition] = Source(block.end, newest_ms, now_ms, now_ms)
        seen = [(flow_rows.read(block.flows), block) for block in blocks]
        for flows, block in seen:
            self._circumstances.add(flows, block.flows, block.ts_ms_max // 1000 + 1)
            self._open.add(self._in_time(flows))
            self.history.add(block.flows, self._at.closed_s)
            self._at.unheld_rows += self._rules.add(block.hits, self._at.closed_s)
        if len(self._open) > self._bounds.flows:
            self._thin()
        self._tallies.add(seen)

    def _thin(self) -> None:
        """Open panes hold more than may be: those go of whom least is to be feared, and are counted."""
        gone = self._open.thin(self._bounds.flows, self._engine.worth)
        self._at.unheld_rows += int(gone.n.sum())
        self._engine.cardinality.missed(gone)

    def _tallied(self, windows: Windows, names: Names) -> Tallies:
        return Tallies(windows, names, self._engine.alive, self._watched)

    def _watched(self) -> U64:
        """Of whom evidence is held, or may come to be."""
        return np.concatenate([self._engine.held(), self._rules.held(), *(part.entity for part in self._open.parts)])

    def tick(self, now_ms: int, *, peek: bool = True) -> list[Alert]:
        """Time passes without blocks: silent partitions stop holding event time back."""
        alerts = self._close_to(self._watermark_s(now_ms))
        if peek and self.unseen:
            found = (self._engine.look(self._open) if self._open.unseen else []) + self._rules.look(self._known)
            alerts += self._episodes.peeked(found, self._named, self._oldest_s()) if found else []
        return self._counted(alerts)

    def silent(self, now_ms: int) -> list[int]:
        """Partitions that have not spoken for some time and will soon count as idle: does their log hold more?"""
        return self._at.silent(now_ms, self._config.idle_ms, self._config.stalled_ms)

    def awaits(self, ends: Mapping[int, int | None], now_ms: int) -> None:
        """Partitions whose log goes on beyond what was applied are not idle: event time waits for their blocks.

        None: the broker does not say. That is no sign of idleness either.
        """
        self._at.heard(set(self.silent(now_ms)), ends, now_ms)

    def adopt(self, model: Model) -> None:
        """Judge by `model` all panes not yet closed; open incidents go on. Raises `ArtifactError`: other families."""
        if model.version != self._at.model:
            self.judges.adopt(model)
            self._episodes.adopt(model.version)
            self._at.model = model.version

    def finish(self) -> list[Alert]:
        """End of input: all panes and all incidents close."""
        panes = [int(f.pane_s.max()) for f in self._open.parts] + self._rules.panes()
        last_s = max(panes, default=self._at.closed_s - 1)
        alerts = self._close_to(last_s + 1)
        return self._counted(alerts + self._episodes.finish())

    @property
    def windows(self) -> Windows:
        """What is counted, for questions; not to be changed."""
        return self._tallies.windows

    def usage(self, kind: Kind, value: str, window_s: int) -> Usage:
        """What the entity did in the last `window_s` seconds (10, 60, 600 or 3600) of event time."""
        return self._tallies.windows.usage(kind, codec.text_hash(entity(kind, value)), window_s)

    def rest(self, kind: Kind, window_s: int) -> Usage:
        """What all entities of a kind did that had to go, before they went: with those held it adds up."""
        return self._tallies.windows.rest(kind, window_s)

    def totals(self) -> dict[Kind, dict[str, int | float]]:
        """Exact sums over all entities of a kind, since the beginning."""
        sums = {kind: measured(self._tallies.windows.totals[kind]) for kind in Kind}
        return {kind: dict(zip(MEASURES, values, strict=True)) for kind, values in sums.items()}

    @property
    def progress(self) -> Progress:
        """Where it stands; not to be changed."""
        return self._at

    @property
    def unseen(self) -> bool:
        """Whether open panes hold what nobody has peeked at."""
        return self._open.unseen or self._rules.unseen

    @property
    def watermark_ms(self) -> int:
        """Event time before which all panes are closed."""
        return self._at.closed_s * 1000

    def sizes(self) -> dict[str, int]:
        """What is held, for metrics."""
        held = {kind.name.lower(): n for kind, n in self._tallies.windows.entities().items()}
        return held | {
            "open_flows": len(self._open),
            "episodes": len(self._episodes),
            "window_rows": self._tallies.windows.rows(),
            "distinct_bytes": self._tallies.windows.distinct_bytes(),
            "owners": self._engine.entities.used,
            "evidence": len(self._engine.entities.c.tracks),
            "pair_bytes": self._engine.memories.bytes(),
            "names": len(self._tallies.names),
            "evicted": sum(self._tallies.windows.evicted().values()),
            "owners_evicted": self._engine.entities.evicted,
            "unheld_rows": self._at.unheld_rows,
            "history": len(self.history),
            "history_unheld": self.history.unheld,
            **self._rules.sizes(),
        }

    def _known(self, owners: U64, kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Who of these owners has a history."""
        return self._engine.regular(owners, kinds)

    def snapshot(self) -> memoryview:
        """A copy of everything, from which `restore` goes on as if nothing had happened."""
        hashes, texts = self._tallies.names.merged(self._watched)
        arrays: dict[str, NDArray[np.generic]] = {"names": hashes}
        arrays |= {f"windows.{name}": array for name, array in self._tallies.windows.arrays().items()}
        arrays |= {f"engine.{name}": array for name, array in self._engine.arrays().items()}
        held = Flows.concat(self._open.parts)
        arrays |= {f"open.{f.name}": getattr(held, f.name) for f in fields(Flows)}
        arrays |= {f"rules.{name}": array for name, array in self._rules.arrays().items()}
        arrays |= {f"history.{name}": array for name, array in self.history.arrays().items()}
        arrays |= self._circumstances.arrays()
        words = {
            "progress": msgspec.msgpack.encode(self._at),
            "episodes": self._episodes.dump(),
            "texts": codec.encode(pa.record_batch({"text": texts})),
            "shadow": self.judges.dump(),
        }
        return snapshot.pack(arrays, words)

    @classmethod
    def restore(cls, model: Model, config: Config | None, data: bytes | memoryview) -> Self:
        """The inverse of `snapshot`; under another model it goes on as one that adopts that.

        Raises:
            SnapshotError: damaged, of another version, or of other families.
        """
        arrays, words = snapshot.unpack(data)
        try:
            made = cls(model, config)
            made._at = msgspec.msgpack.decode(words["progress"], type=Progress)
            if made._at.version != VERSION:
                raise SnapshotError(f"of version {made._at.version}")
            made._at.model = model.version
            made._episodes.load(words["episodes"])
            of, windows, engine = made._bounds, snapshot.under(arrays, "windows."), snapshot.under(arrays, "engine.")
            made.judges.restore(model, engine, words["shadow"])
            names = Names(of.names)
            counted = Windows.restore(of.entities, windows, of.rows, of.distinct_bytes)
            made._tallies = made._tallied(counted, names)
            held = Flows(*(arrays[f"open.{f.name}"] for f in fields(Flows)))
            made._open.add(held)
            made._rules.restore(snapshot.under(arrays, "rules."))
            made.history.restore(snapshot.under(arrays, "history."))
            made._circumstances.restore(arrays)
            with pa.ipc.open_stream(words["texts"]) as reader:
                names.load(arrays["names"].astype(np.uint64), reader.read_all()["text"].combine_chunks())
        except (KeyError, ValueError, msgspec.MsgspecError, pa.ArrowException) as error:
            raise SnapshotError(f"cannot go on from it: {error}") from error
        made._at.since_ms = None
        return made

    def _in_time(self, flows: Flows) -> Flows:
        late = flows.pane_s < self._at.closed_s
        self._at.late_rows += int(flows.n[late].sum())
        return flow_rows.no_sooner(flows, self._at.closed_s) if late.any() else flows

    def _watermark_s(self, now_ms: int) -> int:
        of = self._config
        return watermark_ms(self._at, now_ms, of.source_partitions, of.idle_ms, of.lateness_ms) // 1000

    def _oldest_s(self) -> int:
        """The oldest pane that may still change: of one that has closed none, the oldest it has rows of."""
        panes = [int(part.pane_s.min()) for part in self._open.parts]
        return self._at.closed_s or min([*panes, *self._rules.panes(least=True)])

    def _close_to(self, until_s: int) -> list[Alert]:
        if until_s <= self._at.closed_s:
            return []
        whole = flow_rows.bounded(self._open.close(until_s))
        findings: list[Finding] = []
        steps = self._rules.steps(self._at.closed_s, until_s)
        if len(steps) > 1:  # in order, so that each step takes its own from the front and looks at no other
            whole = whole.take(np.argsort(whole.pane_s, kind="stable"))
        for end_s in steps:
            # Who has a history is settled on the hour: rules are asked of an hour when the one before it is.
            findings += self._rules.close(end_s, self._known)
            cut = int(np.searchsorted(whole.pane_s, end_s)) if end_s < until_s else len(whole)
            findings += self.judges.close(whole.take(slice(cut)), end_s, self._named)
            whole = whole.take(slice(cut, None))
        self._at.closed_s = until_s
        self.history.close(until_s, findings)
        return self._episodes.closed(findings, until_s * 1000, self._named)

    @property
    def _engine(self) -> Engine:
        return self.judges.live

    def _named(self, wanted: Iterable[int]) -> Mapping[int, str]:
        return self._tallies.names(wanted)

    def _counted(self, alerts: list[Alert]) -> list[Alert]:
        return self._circumstances.told(alerts, self._tallies, self._engine)


__all__ = ["WINDOWS_S", "Config", "Pipeline", "Progress", "Source", "Usage"]
