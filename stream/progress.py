"""How far a pipeline has come, beside what it holds."""

from __future__ import annotations

from typing import Final

import msgspec

VERSION: Final = 3  # of snapshots


class Source(msgspec.Struct):
    """What is known of one decisions partition: applied up to offset `end`, newest event time, when it last spoke.

    `seen_ms` is when it was last known not to be idle.
    """

    end: int
    ts_ms_max: int
    seen_ms: int
    spoke_ms: int = 0


class Progress(msgspec.Struct):
    """Where a pipeline stands; what a snapshot keeps beside arrays."""

    version: int = VERSION
    model: str = ""
    closed_s: int = 0
    sources: dict[int, Source] = msgspec.field(default_factory=dict)
    since_ms: int | None = None
    late_rows: int = 0
    repeated_blocks: int = 0
    unheld_rows: int = 0  # requests in flows of open panes that nobody had room for
