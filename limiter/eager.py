"""A coroutine begun on the spot, and run on as soon as what it waits for is told: no turn of the loop goes by between.

    future = begun(coroutine)           runs up to the first `await` of something that is not there yet
    Prompt().tell(value)                runs it on, now, where it waits for that and nothing but that

A task would begin in the next turn, and be woken in the one after its answer came: each a look at all sockets, while
one client waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Prompt(asyncio.Future[T]):
    """A future for one who waits, who is run on as soon as `tell` is called; else it is as any other.

    What fails is heard in the loop's next turn: whoever tells of a loss has others to tell.
    """

    __slots__ = ("wake",)

    def __init__(self) -> None:
        super().__init__()
        self.wake: Callable[[], None] | None = None

    def tell(self, value: T) -> None:
        """It is there. Never raises, whatever comes of it."""
        self.set_result(value)
        if self.wake is not None:
            self.wake()

    def fail(self, error: BaseException) -> None:
        """It does not come."""
        self.set_exception(error)
        if self.wake is not None:
            self.get_loop().call_soon(self.wake)


def begun(coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """Runs `coroutine` until it first waits, and on as described above: a future of what it returns.

    Until it waits for anything but a `Prompt` it is in no task, so it must not ask for one (as `asyncio.timeout` does).
    Raises what it raises before it waits. Cancelling the future cancels what it waits for.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        future = asyncio.get_running_loop().create_future()
        future.set_result(done.value)
        return future
    if isinstance(waits_for, Prompt):
        return _Driven(coroutine, waits_for)
    return asyncio.get_running_loop().create_task(_Rest(coroutine, waits_for))


class _Driven(asyncio.Future[T]):
    """What a coroutine returns that waits for one `Prompt` after the other; a task has it when it waits for more."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Prompt[Any]) -> None:
        super().__init__()
        self._coroutine = coroutine
        self._waits_for: asyncio.Future[Any] = waits_for
        waits_for.wake = self._go_on

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancels what is waited for; what comes of it is heard in the loop's next turn."""
        asked = self._waits_for.cancel(msg)
        if asked and isinstance(self._waits_for, Prompt):
            self.get_loop().call_soon(self._go_on)
        return asked

    def _go_on(self) -> None:
        try:
            waits_for = self._coroutine.send(None)
        except StopIteration as done:
            self.set_result(done.value)
        except asyncio.CancelledError:
            super().cancel()
        except Exception as error:  # noqa: BLE001 - as a task does: whoever awaits this is told
            self.set_exception(error)
        else:
            if isinstance(waits_for, Prompt):
                self._waits_for, waits_for.wake = waits_for, self._go_on
                return
            self._waits_for = self.get_loop().create_task(_Rest(self._coroutine, waits_for))
            self._waits_for.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[T]) -> None:
        if task.cancelled():
            super().cancel()
        elif (error := task.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(task.result())


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
