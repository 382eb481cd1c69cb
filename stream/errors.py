"""Typed errors of the stream."""

from __future__ import annotations

from detectors.columns import Finding


class LostBlockError(RuntimeError):
    """Between what a usage partition has applied and the block that came, blocks are missing: counts would be wrong."""

    def __init__(self, partition: int, applied: int, start: int, end: int) -> None:
        super().__init__(
            f"decisions partition {partition}: applied up to {applied}, then came block [{start}, {end}); "
            "what lies between was lost. Stop all workers, delete the snapshots and start again: usage is rebuilt "
            "from what the usage topic still holds"
        )
        self.partition, self.applied, self.start, self.end = partition, applied, start, end


class SnapshotError(ValueError):
    """A snapshot that this program and model cannot go on from; the state is rebuilt from the usage topic instead."""


class LeaseLostError(RuntimeError):
    """The group has given this worker's partitions to another generation; it must not write for them any more."""


class NameTakenError(RuntimeError):
    """Within one generation the group has known another member by our name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"another stream worker is named {name!r}: give each its own FLOODWARDEN_NODE; where there is only one, it "
            "was replaced while it was frozen and may just start again"
        )


class SpanError(ValueError):
    """Traffic that thresholds cannot be taken from: the message says why, `found` about whom, where it is for them."""

    def __init__(self, why: str, found: tuple[Finding, ...] = ()) -> None:
        super().__init__(why)
        self.found = found
