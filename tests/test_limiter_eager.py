"""A coroutine that is begun before it is a task."""

from __future__ import annotations

import asyncio

import pytest

from limiter.eager import Prompt, begun


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


async def test_what_waits_for_a_prompt_is_done_before_whoever_told_it_goes_on() -> None:
    first, second = Prompt[int](), Prompt[int]()

    async def adds() -> int:
        return await first + await second

    future = begun(adds())
    first.tell(3)
    assert not future.done()
    second.tell(4)
    assert future.done()
    assert await future == 7


async def test_after_a_prompt_it_may_wait_for_anything_and_fail() -> None:
    prompt = Prompt[int]()

    async def asks() -> None:
        got = await prompt
        async with asyncio.timeout(10):  # needs a task
            await asyncio.sleep(0)
        raise ValueError(got)

    future = begun(asks())
    prompt.tell(7)
    with pytest.raises(ValueError, match="7"):
        await future


async def test_a_loss_is_heard_where_it_waits_when_whoever_told_of_it_is_done() -> None:
    prompt = Prompt[int]()

    async def asks() -> str:
        try:
            await prompt
        except OSError as error:
            return str(error)
        return "nothing lost"

    future = begun(asks())
    prompt.fail(OSError("gone"))
    assert not future.done()
    assert await future == "gone"


@pytest.mark.parametrize("waits_longer", [False, True])
async def test_who_is_cancelled_while_it_waits_for_a_prompt_is_told_there(*, waits_longer: bool) -> None:
    prompt = Prompt[int]()
    told = []

    async def asks() -> None:
        try:
            await prompt
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    future = begun(asks())
    if waits_longer:
        prompt.tell(1)
    assert future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await future
    assert told == ["cancelled"]
    assert not future.cancel()


async def test_in_a_task_a_prompt_is_a_future() -> None:
    prompt = Prompt[int]()
    asyncio.get_running_loop().call_soon(prompt.tell, 5)
    assert await asyncio.wait_for(prompt, 10) == 5
