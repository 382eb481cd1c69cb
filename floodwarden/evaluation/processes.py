"""Traces judged by several processes at once: a trace each, the outcomes in the order of the traces."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from floodwarden.evaluation.contest import Contest
from floodwarden.evaluation.material import Trace
from floodwarden.evaluation.verdict import Outcome
from floodwarden.formats import Rejects

MEMORY_OF_ONE: Final = 4 << 30  # bytes of the machine's for each process, lest it begin to swap


@dataclass(frozen=True, slots=True)
class Judged:
    """One trace: what each detector made of it, and how many of its lines could not be read."""

    outcomes: dict[str, Outcome]
    rejected: int


def judge(
    traces: Sequence[Trace], contest: Contest, jobs: int, on_rows: Callable[[int], None], on_trace: Callable[[], None]
) -> list[Judged]:
    """Each of `traces` by `contest`, `jobs` at once; with one job in this process, and `on_rows` hears of its rows.

    Raises:
        CommandError: a trace cannot be read.
    """
    if jobs == 1:
        done = []
        for trace in traces:
            done.append(_one(trace, contest, on_rows))
            on_trace()
        return done
    # Spawned: a forked child would inherit locks that the threads of polars and Arrow may hold.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), end_with_parent) as pool:
        waiting = [pool.submit(_one, trace, contest) for trace in traces]
        for future in waiting:
            future.add_done_callback(lambda _: on_trace())
        return [future.result() for future in waiting]


def end_with_parent() -> None:
    """Have this process end when the one that spawned it is gone: it would judge on for hours, for nobody."""
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def jobs_of(traces: int, asked: int | None = None) -> int:
    """How many processes: as `asked`, else one a processor where there is memory for it; never more than traces."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(traces, asked or min(cores, _memory_bytes() // MEMORY_OF_ONE)))


def _one(trace: Trace, contest: Contest, on_rows: Callable[[int], None] = lambda _: None) -> Judged:
    rejects = Rejects()
    outcomes = contest.judge(trace(rejects), on_rows)
    return Judged(outcomes, rejects.total)


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # not told on this system
        return MEMORY_OF_ONE
