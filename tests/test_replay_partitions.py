from __future__ import annotations

import numpy as np
from stream_traffic import row

from detectors.artifact import load
from floodwarden.closed_loop import ClosedLoop, Floodwarden
from floodwarden.formats_trace import Labelled
from schemas import codec
from schemas.settings import Settings

LOGIN = {"method": "POST", "route": "/login", "path": "/login"}


def answered(usage_partitions: int) -> dict[str, int]:
    """What becomes of forty guessers among two hundred clients, a tenth of whom may be under action in any case."""
    rows = [row(i * 20, ip=f"198.51.100.{i % 200}") for i in range(400)]
    # The door works: at one that lets nobody in nobody is denied.
    rows += [row(8000, ip=f"198.51.100.{i}", **LOGIN, status=200, user=f"member{i}") for i in range(10)]
    rows += [row(8000 + i * 5, ip=f"203.0.113.{i % 40}", **LOGIN, status=401, user=f"u{i}") for i in range(40 * 12)]
    slices = [
        Labelled(codec.from_rows(rows[i : i + 40]), np.full(len(rows[i : i + 40]), "", object))
        for i in range(0, len(rows), 40)
    ]
    settings = Settings(usage_partitions=usage_partitions, live_floor=1, live_share_max=0.1, campaign_share_max=0.1)
    counts: dict[str, int] = {}
    for judged in ClosedLoop(Floodwarden(load(), settings), settings).run(slices):
        for action in judged.actions:
            what = f"{action.status} {action.kind} {action.guard}"
            counts[what] = counts.get(what, 0) + 1
    return counts


def test_an_offline_run_holds_everybody_however_many_partitions_the_installation_has() -> None:
    whole = answered(1)
    assert whole.get("active challenge live_share"), "the share that may be denied is reached"
    assert answered(16) == whole
