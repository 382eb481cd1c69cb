"""What is given back after the answer: slots of a request that is done, and all of one that shall not count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limiter.guarded import AWAY
from limiter.known import LOCAL_SLOT, Known
from limiter.shared import SharedLimits
from limiter.verdict import Answer, Mode, Slot


class GivingBack:
    """Tells Redis, or this node's memory where that gave; `failed` is told when Redis does not answer."""

    def __init__(
        self,
        shared: SharedLimits,
        known: Known,
        sharers: Callable[[], int],
        failed: Callable[[Exception], None],
    ) -> None:
        self._shared = shared
        self._known = known
        self._sharers = sharers
        self._failed = failed

    async def release(self, slots: Sequence[Slot]) -> bool:
        """Frees `slots`; again does no harm. False: Redis is told when it answers, else their leases free them."""
        for slot in slots:
            if slot.id == LOCAL_SLOT:
                self._known.release(slot.limit, slot.identity, slot.cost)
        shared = [slot for slot in slots if slot.id != LOCAL_SLOT]
        if not shared:
            return True
        try:
            await self._shared.release(shared)
        except AWAY as error:
            self._failed(error)
            return False
        return True

    async def refund(self, answer: Answer) -> bool:
        """Gives back everything that `answer` took, once; False: Redis could not be told."""
        if not answer.allowed:  # nothing was taken
            return True
        if answer.mode is Mode.LOCAL:
            self._known.give_back([one for one, _ in answer.given], self._sharers())
            return True
        try:
            await self._shared.give_back(answer.given)
        except AWAY as error:
            self._failed(error)
            return False
        return True
