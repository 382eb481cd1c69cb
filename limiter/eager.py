"""A coroutine begun on the spot: what it sends is sent in this turn of the loop, and not in the next."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


def begun(coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """Runs `coroutine` until it first waits, and then in a task: a future of what it returns, done if it never waited.

    Until it waits it is in no task, so it must not ask for one (as `asyncio.timeout` does). Raises what it raises then.
    """
    loop = asyncio.get_running_loop()
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        future = loop.create_future()
        future.set_result(done.value)
        return future
    return loop.create_task(_Rest(coroutine, waits_for))


class _Rest(Coroutine[Any, Any, T]):
    """What a task runs: first it is told what is already waited for."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def send(self, value: Any) -> Any:
        waits_for, self._waits_for = self._waits_for, None
        return self._coroutine.send(value) if waits_for is None else waits_for

    def throw(self, *error: Any) -> Any:
        self._waits_for = None
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return (yield from self._coroutine.__await__())
