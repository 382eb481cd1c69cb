"""A coroutine that is begun before it is a task."""

from __future__ import annotations

import asyncio

import pytest

from limiter.eager import begun


async def test_what_never_waits_is_done_at_once() -> None:
    async def told() -> int:
        return 7

    future = begun(told())
    assert future.done()
    assert await future == 7


async def test_what_waits_goes_on_in_a_task_where_it_stopped() -> None:
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    seen = []

    async def asks() -> int:
        seen.append("asked")
        first = await answer
        await asyncio.sleep(0)
        return first + 1

    task = begun(asks())
    assert seen == ["asked"]
    answer.set_result(1)
    assert await task == 2


async def test_a_cancelled_task_is_told_where_it_waits_also_before_its_first_turn() -> None:
    told = []

    async def waits() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    for turns in (0, 2):
        task = begun(waits())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert told == ["cancelled"] * 2


async def test_what_fails_before_it_waits_raises_at_once() -> None:
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        begun(fails())
