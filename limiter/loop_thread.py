"""An event loop on a thread of its own, for callers that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs until `close`. Every method may be called from any thread but its own."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], within_s: float | None = None) -> T:
        """What `work` returns or raises. Raises TimeoutError when that takes longer; the work goes on."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def ask(self, at_once: Callable[[], T | None], work: Callable[[], Coroutine[Any, Any, T]], within_s: float) -> T:
        """What `at_once` returns there, or what `work` does where that is None: a task costs more than most answers.

        Raises TimeoutError when it takes longer; the work is cancelled.
        """
        told: Future[T] = Future()
        tasks: list[asyncio.Task[None]] = []  # the loop itself holds them weakly

        async def finish() -> None:
            told.set_result(await work())

        def begin() -> None:
            found = at_once()
            if found is None:
                tasks.append(self._loop.create_task(finish()))
            else:
                told.set_result(found)

        self._loop.call_soon_threadsafe(begin)
        try:
            return told.result(within_s)
        except TimeoutError:  # nobody will have the answer: nor shall it hold anything
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
            raise

    def close(self) -> None:
        """Stops the loop; what still runs on it is cancelled."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
