"""A source whose rows say where clients are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from limiter.ingest.reader import Read, Reader
from limiter.located import Known, located


class Located:
    """A reader whose batches say where clients are; what the source says goes before."""

    def __init__(self, reader: Reader, known: Known) -> None:
        self._reader = reader
        self._known = known

    def read(self, values: Sequence[bytes]) -> Read:
        """Decisions of `values` in their order. Never raises on what they hold."""
        found = self._reader.read(values)
        return replace(found, batches=[located(batch, self._known) for batch in found.batches])
