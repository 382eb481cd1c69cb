"""Takes a changed playbook into force while the enforcer runs; one that cannot be taken changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from enforcer import metrics
from enforcer.ladder import Ladder
from enforcer.playbook import Playbook
from enforcer.playbook_file import examine
from schemas.documents import files_of
from schemas.errors import FileError

EVERY_S: Final = 1.0
_Seen = tuple[tuple[str, int, int], ...]
log = structlog.get_logger("enforcer.playbook")


class PlaybookWatch:
    """Watches `path`, and the files that are named there. `use` is called with each playbook read from it, whole."""

    def __init__(self, path: Path, ladder: Ladder, use: Callable[[Playbook], None]) -> None:
        self._path = path
        self._ladder = ladder
        self._use = use
        self._named: tuple[Path, ...] = ()
        self._seen: _Seen | None = None

    async def run(self) -> None:
        """Look now and again, forever."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Take what is there, if it is other than before; the first look takes it in any case."""
        seen = await asyncio.to_thread(_seen, self._path, self._named)
        if seen != self._seen:
            self._seen = seen
            await self._take()

    async def _take(self) -> None:
        found = await asyncio.to_thread(examine, self._path, self._ladder)
        if tuple(found.files) != self._named:  # only now is it known which files it names: looked at, and read again
            self._named = tuple(found.files)
            self._seen = await asyncio.to_thread(_seen, self._path, self._named)
            found = await asyncio.to_thread(examine, self._path, self._ladder)
        if found.errors:
            metrics.PLAYBOOKS.labels("failed").inc()
            log.error("playbook_not_taken", error=str(found.errors[0]), errors=len(found.errors), kept="the one before")
            return
        self._use(found.playbook)
        metrics.PLAYBOOKS.labels("ok").inc()
        log.info("playbook_taken", plays=len(found.playbook.plays))


def _seen(path: Path, named: tuple[Path, ...]) -> _Seen:
    """What the files look like from outside; those that cannot be looked at are left out."""
    try:
        files = [*files_of(path), *named]
    except FileError:
        files = list(named)
    found = []
    for file in files:
        try:
            at = file.stat()
        except OSError:
            continue
        found.append((str(file), at.st_mtime_ns, at.st_size))
    return tuple(found)
