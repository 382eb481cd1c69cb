"""Which overload alerts are open: a file for each worker that samples, so that who takes over closes what it left open.

The file holds the alert as it was told last and the decisions partitions of its worker. Who is dealt some of them takes
those away; who is dealt the last, or has the worker's name anew, closes the alert.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog
from pydantic import ValidationError
from xxhash import xxh3_64_hexdigest

from schemas.alert import Alert, Status

log = structlog.get_logger(__name__)


class _Left(msgspec.Struct):
    worker: str
    partitions: list[int]
    alert: str


class OpenOverload:
    """`directory` is shared by workers of one machine, or of one volume."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "stream" / "overload"
        self._own = ""  # uid of our own alert

    def told(self, alert: Alert, worker: str, partitions: Iterable[int]) -> None:
        """Our own alert, as it was just told."""
        file = self._directory / f"{xxh3_64_hexdigest(worker.encode())}.json"
        closed = alert.status is Status.CLOSED
        self._own = "" if closed else alert.uid
        try:
            if closed:
                file.unlink(missing_ok=True)
            else:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._write(file, _Left(worker, sorted(partitions), alert.model_dump_json()))
        except OSError as error:
            log.warning("open overload not kept", why=str(error), meaning="it stays open should this worker die")

    def taken_over(self, worker: str, partitions: set[int]) -> list[Alert]:
        """Alerts that nobody will close any more, now that we hold `partitions`; each is given once."""
        found: list[Alert] = []
        for file in sorted(self._directory.glob("*.json")):
            try:
                left = msgspec.json.decode(file.read_bytes(), type=_Left)
                alert = Alert.model_validate_json(left.alert)
                if alert.uid == self._own:
                    continue
                rest = [] if left.worker == worker else sorted(set(left.partitions) - partitions)
                if not rest:
                    file.unlink(missing_ok=True)
                    found.append(alert)
                elif rest != left.partitions:
                    self._write(file, _Left(left.worker, rest, left.alert))
            except FileNotFoundError:
                continue  # another one was quicker
            except (OSError, msgspec.MsgspecError, ValidationError) as error:
                log.warning("open overload unreadable", path=str(file), why=str(error))
        return found

    @staticmethod
    def _write(file: Path, left: _Left) -> None:
        made = file.with_suffix(".new")
        made.write_bytes(msgspec.json.encode(left))
        made.replace(file)
