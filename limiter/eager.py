"""A coroutine begun on the spot: what it sends is sent in this turn of the loop, and not in the next."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")
_Futures = Coroutine[Any, Any, T]


def begun(coroutine: _Futures[T]) -> tuple[T, None] | tuple[None, _Futures[T]]:
    """Runs `coroutine` until it first waits: what it returned, or what is left of it, to be made a task of.

    Until then it is in no task, so it must not ask for one (as `asyncio.timeout` does). Raises what it raises.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        return done.value, None
    return None, _Rest(coroutine, waits_for)


class _Rest(Coroutine[Any, Any, T]):
    """What a task runs: first it is told what is already waited for."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: _Futures[T], waits_for: Any) -> None:
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
