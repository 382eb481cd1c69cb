"""Staying awake for a reply that is likely to come at once, instead of falling asleep and being woken for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from os import sched_yield
from time import monotonic
from typing import Final

AWAKE_S: Final = 0.00015
PASSED_OVER_MAX: Final = 1_024


class Vigil:
    """Turns the loop over and over, at most `awake_s` a time; whatever else comes meanwhile is done as it comes.

    Where replies take longer it is not kept: each time in vain twice as many are passed over as the time before.
    """

    __slots__ = ("_awake_s", "_clock_s", "_passed_over", "_to_pass", "_turns", "_until_s", "_waits")

    def __init__(self, awake_s: float = AWAKE_S, clock_s: Callable[[], float] = monotonic) -> None:
        self._awake_s = awake_s
        self._clock_s = clock_s
        self._until_s = 0.0
        self._waits = False
        self._turns = False  # the next turn is asked for
        self._passed_over = 0  # after the last one in vain
        self._to_pass = 0  # of them

    @property
    def awake(self) -> bool:
        """Whether the loop turns on."""
        return self._turns

    def keep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Something was asked, and nothing else is waited for."""
        if self._to_pass:
            self._to_pass -= 1
            return
        self._waits = True
        self._until_s = self._clock_s() + self._awake_s
        if not self._turns:
            self._turns = True
            loop.call_soon(self._turn, loop)

    def end(self) -> None:
        """It is there."""
        if self._waits:
            self._waits = False
            self._passed_over = 0

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waits and self._clock_s() < self._until_s:
            sched_yield()  # it may be this processor that the other side waits for
            loop.call_soon(self._turn, loop)
            return
        self._turns = False
        if self._waits:
            self._waits = False
            self._passed_over = self._to_pass = min(self._passed_over * 2 + 1, PASSED_OVER_MAX)
