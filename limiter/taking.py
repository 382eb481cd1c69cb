"""Takes from Redis what several requests ask for, in one round trip, and gives back what came to nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from limiter.algorithms.taken import Taken, all_allowed
from limiter.guarded import AWAY
from limiter.matcher import Applied
from limiter.shared import SharedLimits


class Taking:
    """Gives back within `deadline_s` of a check's beginning, or alone; `failed` hears of each call not answered."""

    def __init__(self, shared: SharedLimits, deadline_s: float, failed: Callable[[Exception], None]) -> None:
        self._shared = shared
        self._deadline_s = deadline_s
        self._failed = failed
        self._giving: set[asyncio.Task[None]] = set()

    async def groups(self, asking: Sequence[Sequence[Applied]], began_s: float) -> list[list[Taken] | None]:
        """What Redis says to each group, None where it did not say all of it in time.

        A group that is not answered, or that one of its limits refuses, gets back what the others took.
        """
        flat = [one for applied in asking for one in applied]
        replies = await self._shared.take(flat) if flat else []
        groups: list[list[Taken] | None] = []
        back: list[tuple[Applied, Taken]] = []
        at = 0
        for applied in asking:
            its_replies = replies[at : at + len(applied)]
            at += len(applied)
            taken = [its for its in its_replies if isinstance(its, Taken)]
            if len(taken) == len(its_replies) and all_allowed(taken):
                groups.append(taken)
                continue
            told = list(zip(applied, its_replies, strict=True))
            failed = next((its for its in its_replies if isinstance(its, Exception)), None)
            if failed is not None:
                self._failed(failed)
            back += [(one, its) for one, its in told if isinstance(its, Taken) and its.allowed]
            groups.append(taken if failed is None else None)
        if back:
            await self.give_back(back, began_s)
        return groups

    async def give_back(self, back: list[tuple[Applied, Taken]], began_s: float) -> None:
        """Waits for it no longer than the check may take; then it goes on alone."""
        giving = asyncio.create_task(self._given_back(back), name="limiter-give-back")
        self._giving.add(giving)
        giving.add_done_callback(self._giving.discard)
        await asyncio.wait((giving,), timeout=max(0.0, self._deadline_s - (time.perf_counter() - began_s)))

    async def _given_back(self, back: list[tuple[Applied, Taken]]) -> None:
        try:
            await self._shared.give_back(back)
        except AWAY as error:  # refused all the same, and a little poorer
            self._failed(error)

    async def aclose(self) -> None:
        """Waits for what is being given back."""
        await asyncio.gather(*self._giving, return_exceptions=True)
