"""Files of a source, followed as they grow; how far each was read is kept on disk behind what the broker has."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec
import structlog

from limiter.ingest.mapping import Source
from limiter.ingest.outlet import Ticket
from limiter.ingest.source import Intake
from limiter.ingest.tail import Place, Tail
from schemas.dead_letter import Origin
from schemas.settings import Settings

FILES_MAX: Final = 1_000
_LOOK_S: Final = 0.1
_FIND_EVERY_S: Final = 1.0
_KEEP_EVERY_S: Final = 0.2
_COMPLAIN_EVERY_S: Final = 10.0
_SETTLE_S: Final = 5.0
_IDLE_S: Final = 60.0  # then a file is let go, and taken up again where it grows
_PACKED: Final = (".gz", ".bz2", ".xz", ".zst")
_PLACES: Final = msgspec.json.Decoder(dict[str, Place])
log = structlog.get_logger("ingest.files")


class FilesSource:
    """Of one thread, but for `why_not_ready`."""

    def __init__(self, settings: Settings, source: Source, intake: Intake) -> None:
        self._source, self._intake = source, intake
        self._state = settings.data_dir / "ingest" / f"{source.name}.json"
        self._places = self._kept()
        self._tails: dict[str, Tail] = {}
        self._grew_s: dict[str, float] = {}
        self._pending: deque[tuple[Ticket, str, Place]] = deque()
        self._changed = False
        self._looked = False
        self._find_due_s = self._keep_due_s = self._complain_due_s = 0.0

    @property
    def why_not_ready(self) -> str:
        """What it waits for; empty once it has looked for its files."""
        return "" if self._looked else f"{self._source.name}: has not looked for its files yet"

    def run(self, stopping: threading.Event) -> None:
        """Follows until stopped."""
        while not stopping.is_set():
            if not self._turn(time.monotonic()):
                stopping.wait(_LOOK_S)
        by_s = time.monotonic() + _SETTLE_S
        while self._pending and self._pending[0][0].wait(max(0.0, by_s - time.monotonic())):
            self._arrived()
        self._keep()
        for tail in self._tails.values():
            tail.close()

    def _turn(self, now_s: float) -> bool:
        """Whether there was anything to read."""
        if now_s >= self._find_due_s:
            self._find_due_s = now_s + _FIND_EVERY_S
            self._let_go(now_s)
            self._find(now_s)
        busy = False
        for name, tail in self._tails.items():
            busy |= self._read(name, tail, now_s)
        self._arrived()
        if now_s >= self._keep_due_s:
            self._keep_due_s = now_s + _KEEP_EVERY_S
            self._keep()
        self._intake.metrics.lag.labels(self._source.name).set(sum(t.lag_bytes for t in self._tails.values()))
        return busy

    def _read(self, name: str, tail: Tail, now_s: float) -> bool:
        lost = tail.lost
        try:
            lines = tail.read(now_s)
        except OSError as error:
            if now_s >= self._complain_due_s:
                self._complain_due_s = now_s + _COMPLAIN_EVERY_S
                log.warning("file_failed", source=self._source.name, path=name, why=str(error))
            tail.close()
            return False
        if tail.lost > lost:
            self._intake.metrics.files_lost.labels(self._source.name).inc()
            log.error("file_lost", path=name, fix="keep rotated files uncompressed beside it for a while")
        if lines is None:
            return False
        self._grew_s[name] = now_s

        def origin(at: int) -> Origin:
            return Origin(name, 0, lines.offsets[at], self._source.name)

        _, ticket = self._intake.take(lines.values, origin)
        self._pending.append((ticket, name, lines.place))
        return True

    def _let_go(self, now_s: float) -> None:
        """Files that are read and grow no more; of those that are gone nothing is kept."""
        under_way = {name for _, name, _ in self._pending}
        for name in [n for n, grew_s in self._grew_s.items() if now_s - grew_s > _IDLE_S and n not in under_way]:
            self._tails.pop(name).close()
            del self._grew_s[name]
            if not Path(name).exists():
                self._changed |= self._places.pop(name, None) is not None

    def _is_new(self, name: str) -> bool:
        """Whether a file holds anything that was not read."""
        if name in self._tails or name.endswith(_PACKED):
            return False
        try:
            status = Path(name).stat()
        except OSError:
            return False
        place = self._places.get(name)
        read = place is not None and (place.inode, place.offset) == (status.st_ino, status.st_size)
        return stat.S_ISREG(status.st_mode) and not read

    def _find(self, now_s: float) -> None:
        found = sorted({str(path) for pattern in self._source.files for path in Path("/").glob(pattern.lstrip("/"))})
        fresh = [name for name in found if self._is_new(name)]
        if len(fresh) > FILES_MAX - len(self._tails):
            log.warning("too_many_files", source=self._source.name, waiting=len(fresh), limit=FILES_MAX)
        # `latest` is meant for what was there at the first start: a file that appears later is read from its beginning.
        latest = self._source.latest and not self._looked
        for name in fresh[: FILES_MAX - len(self._tails)]:
            self._tails[name] = Tail(Path(name), self._places.get(name), latest=latest)
            self._grew_s[name] = now_s
            log.info("file_followed", source=self._source.name, path=name)
        if not found and not self._looked:
            log.warning("no_files_yet", source=self._source.name, files=list(self._source.files))
        self._looked = True
        self._intake.metrics.files.labels(self._source.name).set(len(self._tails))

    def _arrived(self) -> None:
        """Notes how far what the broker has reaches."""
        while self._pending and self._pending[0][0].done:
            _, name, place = self._pending.popleft()
            if self._places.get(name) != place:
                self._places[name] = place
                self._changed = True

    def _kept(self) -> dict[str, Place]:
        try:
            return _PLACES.decode(self._state.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("positions_unreadable", path=str(self._state), why=str(error), meaning="files are read anew")
            return {}

    def _keep(self) -> None:
        if not self._changed:
            return
        try:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            made = self._state.with_suffix(".new")
            with made.open("wb") as file:
                file.write(msgspec.json.encode({name: asdict(place) for name, place in self._places.items()}))
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._state)
            self._changed = False
        except OSError as error:
            self._intake.metrics.position_errors.labels(self._source.name).inc()
            if time.monotonic() >= self._complain_due_s:
                self._complain_due_s = time.monotonic() + _COMPLAIN_EVERY_S
                log.warning("positions_not_kept", why=str(error), fix="set FLOODWARDEN_DATA_DIR to a directory of ours")
