"""Wakes who follows the stream when the store has heard something new."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Live:
    """A bell that one thread rings and tasks of one event loop wait for."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell = asyncio.Event()
        self.followers = 0
        self.closed = False

    def open(self) -> None:
        """Take the running loop for that of the followers."""
        self._loop = asyncio.get_running_loop()

    def ring(self) -> None:
        """There is something new; from any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._ring)

    def close(self) -> None:
        """Have every follower go; from any thread."""
        self.closed = True
        self.ring()

    def bell(self) -> asyncio.Event:
        """What is set at the next ring. Take it before looking, so that nothing comes between."""
        return self._bell

    def _ring(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()
