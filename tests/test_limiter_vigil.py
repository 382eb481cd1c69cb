"""How long the loop stays awake for a reply, and how often it does so in vain."""

from __future__ import annotations

import asyncio

from limiter.vigil import AWAKE_S, PASSED_OVER_MAX, Vigil


class Clock:
    """Stands until it is moved."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def in_vain(vigil: Vigil, clock: Clock) -> int:
    """Asks until a vigil is kept, and has no reply come to that; how many were passed over before."""
    loop = asyncio.get_running_loop()
    passed_over = 0
    vigil.keep(loop)
    while not vigil.awake:
        passed_over += 1
        vigil.keep(loop)
    clock.now_s += AWAKE_S
    await asyncio.sleep(0)
    assert not vigil.awake
    return passed_over


async def test_it_stays_awake_until_the_reply_comes_and_no_longer() -> None:
    vigil, loop = Vigil(clock_s=Clock()), asyncio.get_running_loop()
    vigil.keep(loop)
    for _ in range(100):
        await asyncio.sleep(0)  # whatever else is to be done is done
        assert vigil.awake
    vigil.end()
    await asyncio.sleep(0)
    assert not vigil.awake


async def test_replies_that_come_one_after_the_other_keep_one_vigil_going() -> None:
    vigil, loop = Vigil(clock_s=Clock()), asyncio.get_running_loop()
    for _ in range(100):
        vigil.keep(loop)
        vigil.end()
    vigil.keep(loop)
    await asyncio.sleep(0)
    assert vigil.awake
    vigil.end()
    await asyncio.sleep(0)
    assert not vigil.awake


async def test_where_replies_are_late_it_is_kept_ever_more_rarely() -> None:
    clock = Clock()
    vigil = Vigil(clock_s=clock)
    passed_over = [await in_vain(vigil, clock) for _ in range(14)]
    assert passed_over[:5] == [0, 1, 3, 7, 15]
    assert passed_over[-1] == PASSED_OVER_MAX


async def test_one_reply_in_time_is_enough_to_trust_the_next() -> None:
    clock = Clock()
    vigil = Vigil(clock_s=clock)
    assert [await in_vain(vigil, clock) for _ in range(3)] == [0, 1, 3]
    for _ in range(8):
        vigil.keep(asyncio.get_running_loop())
    vigil.end()
    await asyncio.sleep(0)
    assert [await in_vain(vigil, clock) for _ in range(3)] == [0, 1, 3]
