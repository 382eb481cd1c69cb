"""Marks of events that the broker has, on disk, so that a restart takes none of them again; forgotten half at a time.

`SOURCE.ids` holds the younger ones, appended before a position is kept or a sender told; when it holds as many as are
to be remembered it becomes `SOURCE.ids.old`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from limiter.ingest.metrics import Metrics

_BYTES: Final = 8
_COMPLAIN_EVERY_S: Final = 10.0
log = structlog.get_logger("ingest.taken")


class TakenIds:
    """Of one source; at most `2 * kept` marks are on disk."""

    def __init__(self, directory: Path, source: str, kept: int, metrics: Metrics) -> None:
        self._young = directory / "ingest" / f"{source}.ids"
        self._old = self._young.with_suffix(".ids.old")
        self._source, self._kept, self._metrics = source, kept, metrics
        self._complain_due_s = 0.0

    def known(self) -> tuple[list[int], list[int]]:
        """What earlier runs took: older ones, younger ones."""
        return self._read(self._old), self._read(self._young)

    def keep(self, marks: Sequence[int]) -> None:
        """The broker has these."""
        data = np.array([mark for mark in marks if mark], "<u8").tobytes()
        try:
            self._young.parent.mkdir(parents=True, exist_ok=True)
            with self._young.open("ab") as file:
                if torn := file.tell() % _BYTES:  # a full disk took part of one
                    file.truncate(file.tell() - torn)
                file.write(data)
                size = file.tell()
            if size >= self._kept * _BYTES:
                self._young.replace(self._old)
        except OSError as error:
            self._metrics.position_errors.labels(self._source).inc()
            if time.monotonic() >= self._complain_due_s:
                self._complain_due_s = time.monotonic() + _COMPLAIN_EVERY_S
                log.warning("ids_not_kept", why=str(error), fix="set FLOODWARDEN_DATA_DIR to a directory of ours")

    def _read(self, path: Path) -> list[int]:
        try:
            data = path.read_bytes()[-self._kept * 2 * _BYTES :]
        except FileNotFoundError:
            return []
        except OSError as error:
            log.warning("ids_unreadable", path=str(path), why=str(error), meaning="repeats of earlier runs are taken")
            return []
        found: list[int] = np.frombuffer(data[: len(data) // _BYTES * _BYTES], "<u8").tolist()
        return found
