"""Detectors side by side over one trace, which is made and sliced once for all of them.

    trace ─► slices ─┬─► attackers ─► ClosedLoop(ours) ─► Verdict
                     └─► attackers ─► ClosedLoop(a peer) ─► Verdict

Each has a loop of its own: what one denies, the others still see. They go slice by slice, so that no more of the trace
is held than a slice or two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import tee
from typing import Final

from floodwarden.closed_loop import ClosedLoop, Detector, sliced
from floodwarden.evaluation.adaptive import Adapt, Attackers, adapted
from floodwarden.evaluation.said import Said, Words
from floodwarden.evaluation.verdict import Outcome, Verdict
from floodwarden.formats_trace import Labelled
from floodwarden.passing import Passing
from schemas.settings import Settings

SLICE_MS: Final = 10_000
SLICE_ROWS: Final = 5_000
Fresh = Callable[[], Detector]
"""Gives a detector that has seen nothing but the clean day; goes to another process by pickle."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Who judges, by name, what attackers do about refusals, and what people said of clients."""

    fresh: Mapping[str, Fresh]
    settings: Settings
    adapt: Adapt = Adapt.NOTHING
    said: Words = field(default_factory=dict)

    def judge(self, trace: Iterable[Labelled], on_rows: Callable[[int], None] = lambda _: None) -> dict[str, Outcome]:
        """What each made of `trace` (in time order)."""
        ahead, *copies = tee(sliced(trace, span_ms=SLICE_MS, rows_max=SLICE_ROWS), len(self.fresh) + 1)
        runs = {name: _Run(fresh(), self, copy) for (name, fresh), copy in zip(self.fresh.items(), copies, strict=True)}
        going = list(runs.values())
        next(ahead, None)  # made before any detector asks for it, so that none is charged with it
        while going:
            next(ahead, None)
            for run in tuple(going):
                rows = run.take()
                if rows is None:
                    going.remove(run)
                else:
                    on_rows(rows)
        return {name: run.outcome() for name, run in runs.items()}


class _Run:
    """One detector's way through the trace, and the processor time of it: detecting, planning, enforcing."""

    def __init__(self, detector: Detector, contest: Contest, slices: Iterator[Labelled]) -> None:
        self._verdict, self._cpu_ns = Verdict(Said(contest.said)), 0
        self._attackers = Attackers(contest.adapt) if contest.adapt else None
        coming = adapted(slices, self._attackers) if self._attackers else slices
        self._judged = ClosedLoop(detector, contest.settings, Passing()).run(coming)

    def take(self) -> int | None:
        """Judge the next slice; how many rows it had, None when there are no more."""
        begun_ns = time.process_time_ns()
        judged = next(self._judged, None)
        self._cpu_ns += time.process_time_ns() - begun_ns
        if judged is None:
            return None
        self._verdict.take(judged)
        if self._attackers:
            self._attackers.told(judged)
        return len(judged.slice.labels)

    def outcome(self) -> Outcome:
        return replace(self._verdict.outcome(), cpu_ns=self._cpu_ns)
