"""Keeps leases filled and gives back what they, or nobody, need any more: in the background, in no check's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from limiter.guarded import AWAY, reason_of
from limiter.leases import Leases
from limiter.shared import SharedLimits

SWEEP_EVERY_S: Final = 0.1
STOPPING_S: Final = 0.5
log = structlog.get_logger("limiter.lender")


class Lender:
    """Works while there are leases; `failed` is told of every call that Redis did not answer."""

    def __init__(
        self, leases: Leases, shared: SharedLimits, clock_ms: Callable[[], int], failed: Callable[[Exception], None]
    ) -> None:
        self._leases = leases
        leases.ran_low = shared.has_unheld = self.wake
        self._shared = shared
        self._clock_ms = clock_ms
        self._failed = failed
        self._filling: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Some leases ran low, or the first was opened, or a slot was given to nobody."""
        if self._leases.low and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill(), name="limiter-lender-fill")
        if self._has_work and (self._sweeping is None or self._sweeping.done()):
            self._sweeping = asyncio.create_task(self._sweep(), name="limiter-lender-sweep")

    @property
    def _has_work(self) -> bool:
        return len(self._leases) > 0 or self._shared.unheld > 0

    async def aclose(self) -> None:
        """Gives back everything, as far as Redis takes it in `STOPPING_S`."""
        tasks = [task for task in (self._filling, self._sweeping) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._leases.clear()
        try:
            async with asyncio.timeout(STOPPING_S):
                await self._shared.free()
                await self._shared.return_lots()
        except AWAY as error:
            log.info("lots_not_returned", reason=reason_of(error))

    async def _fill(self) -> None:
        while self._leases.low:
            due = self._leases.refills(self._clock_ms() * 1000)
            try:
                if due:
                    await self._shared.refill(due)
            except AWAY as error:
                self._failed(error)

    async def _sweep(self) -> None:
        while self._has_work:
            await asyncio.sleep(SWEEP_EVERY_S)
            self._leases.lapse(self._clock_ms() * 1000)
            try:
                await self._shared.free()
                await self._shared.return_lots()
            except AWAY as error:
                self._failed(error)
