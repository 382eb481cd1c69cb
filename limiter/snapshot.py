"""Reads the snapshot page by page while the feed goes on, so that neither a check nor a delta waits for it.

Redis gives no whole hash of a million actions without stopping for it, and nobody could take it in at once. So it is
scanned, and after each page the deltas written meanwhile are applied. That is as good as one atomic read:

    an action there from the first page to the last   HSCAN gives it, at least once
    one that came while we read                       a delta after our position has it; a page may have had it before
    one that went while we read                       its delta comes after the page that had it, for the page was read
                                                      before: position <= the page's version < the version that took it
    another snapshot in its place (RENAME)            another epoch with the next page: begin again

Until the last page nothing known before is taken out of force; what the snapshot did not have is dropped then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from redis.asyncio import Redis

from limiter.metrics import Metrics
from limiter.orders import Order, decoded_lines
from limiter.overrides import SLICE, Overrides
from schemas.errors import BadMessageError
from schemas.keys import Keys

PAGE: Final = 250
_SCRIPT: Final = (Path(__file__).parent / "page.lua").read_text(encoding="utf-8")
_PATIENCE_S: Final = 2.0
log = structlog.get_logger("limiter.feed")


@dataclass(frozen=True, slots=True)
class Head:
    """Which snapshot it is, and where in the feed it stands."""

    version: int
    id: str
    epoch: bytes


class Snapshot:
    """One node's reader. `pages` are read one by one; between them its caller applies the deltas."""

    def __init__(
        self, redis: Redis, keys: Keys, overrides: Overrides, metrics: Metrics, clock_ms: Callable[[], int]
    ) -> None:
        self._redis = redis
        self._key = keys.enforcement
        self._overrides = overrides
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._cursor = b"0"
        self.done = False

    async def begin(self) -> Head | None:
        """The first page, in force; None where there is no snapshot, and then nothing changes."""
        self._cursor, self.done = b"0", False
        return await self._page(first=True)

    async def page(self) -> Head | None:
        """The next page, in force. Reads as `begin`; `done` is true after the last."""
        return await self._page(first=False)

    async def settle(self) -> None:
        """The snapshot is whole, and so are the deltas since: what was not in it is over."""
        for _ in self._overrides.settle():
            await asyncio.sleep(0)

    async def _page(self, *, first: bool) -> Head | None:
        async with asyncio.timeout(_PATIENCE_S):
            pending: Any = self._redis.eval(_SCRIPT, 1, self._key, self._cursor, PAGE)
            self._cursor, version, entry_id, epoch, lines = await pending
        if not version:
            return None
        if first:
            self._overrides.mark()
        await self._put(lines)
        self.done = self._cursor == b"0"
        return Head(int(version), entry_id.decode() or "0-0", epoch)

    async def _put(self, lines: bytes) -> None:
        now_ms = self._clock_ms()
        for at, one in enumerate(decoded_lines(lines), 1):
            if at % SLICE == 0:
                await asyncio.sleep(0)
            if isinstance(one, BadMessageError):
                bad_entry(self._metrics, one)
            else:
                put(self._overrides, one, now_ms, self._metrics)


def put(overrides: Overrides, one: Order, now_ms: int, metrics: Metrics) -> None:
    """In force, unless there is no room: that is counted, and so is what gave way."""
    before = overrides.given_way
    overrides.put(one, now_ms)
    if overrides.given_way != before:
        metrics.overrides_given_way.inc(overrides.given_way - before)


def bad_entry(metrics: Metrics, error: BadMessageError) -> None:
    """Nobody can read it: it is counted and passed."""
    metrics.feed_bad_entries.inc()
    log.warning("feed_bad_entry", field=error.field, why=error.reason)
