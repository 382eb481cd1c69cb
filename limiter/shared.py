"""Limits shared by all nodes, in Redis: one script call each, all of a request in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import SCRIPT, answer
from limiter.known import Known
from limiter.line import Line, packed
from limiter.matcher import Applied
from schemas.keys import Keys

PATIENCE_S: Final = 0.25  # for what no client waits for
SETTLED_AT_ONCE: Final = 256


class SharedLimits:
    """Tells `known` whatever Redis says, also what it says too late.

    Calls raise `redis.RedisError`, `OSError` or `TimeoutError` when there is no answer within `deadline_ms`.
    """

    def __init__(self, redis: Redis, keys: Keys, deadline_ms: float, known: Known, clock_ms: Callable[[], int]) -> None:
        self._line = Line(redis)
        self._keys = keys
        self._deadline_s = deadline_ms / 1000
        self._known = known
        self._clock_ms = clock_ms
        self._sha = ""

    async def take(self, applied: Sequence[Applied]) -> list[Taken]:
        """Takes what each of `applied` costs, where there is enough."""
        calls = [(one, self._increment_us(one), one.shape.local().capacity_us) for one in applied]
        replies = await self._ask(calls, self._within_s(len(applied)))
        return [
            answer(one.shape.local(), one.cost, tat_us, now_us, allowed=allowed == 1)
            for one, (allowed, tat_us, now_us) in zip(applied, replies, strict=True)
        ]

    async def give_back(self, applied: Sequence[Applied]) -> None:
        """Undoes an earlier `take` of each of `applied`."""
        calls = [(one, -self._increment_us(one), one.shape.local().capacity_us) for one in applied]
        await self._ask(calls, self._within_s(len(applied)))

    async def settle(self) -> None:
        """Charges what was given out locally, best effort: what fails on the way is not charged."""
        while due := self._known.settle(SETTLED_AT_ONCE, self._clock_ms() * 1000):
            # With that much more room, so that no charge is refused.
            calls = [(one, owed_us, one.shape.local().capacity_us + owed_us) for one, owed_us in due]
            await self._ask(calls, PATIENCE_S)

    async def ping(self) -> None:
        """Returns when Redis answers and has the script."""
        (reply,) = await self._line.ask(packed("SCRIPT", "LOAD", SCRIPT), 1, max(self._deadline_s, PATIENCE_S))
        _raised([reply])
        self._sha = reply.decode() if isinstance(reply, bytes) else str(reply)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._line.aclose()

    def _increment_us(self, one: Applied) -> int:
        return min(
            one.cost * one.shape.local().emission_us, one.shape.local().capacity_us + 1
        )  # no more than "too much"

    def _within_s(self, calls: int) -> float:
        return self._deadline_s + calls // 16 * 0.001  # a batch may take its own work longer

    async def _ask(self, calls: list[tuple[Applied, int, int]], within_s: float) -> list[Any]:
        def hear(replies: list[Any], *, late: bool = True) -> None:
            now_us = self._clock_ms() * 1000
            for (one, increment_us, _), reply in zip(calls, replies, strict=True):
                if not isinstance(reply, Exception):
                    charged = late and increment_us > 0 and reply[0] == 1
                    self._known.heard(one, reply[1] - reply[2], now_us, late=charged)

        if not self._sha:
            await self.ping()
        try:
            replies = _raised(await self._line.ask(self._packed(calls), len(calls), within_s, hear))
        except NoScriptError:  # a Redis that was emptied or replaced
            await self.ping()
            replies = _raised(await self._line.ask(self._packed(calls), len(calls), within_s, hear))
        hear(replies, late=False)
        return replies

    def _packed(self, calls: list[tuple[Applied, int, int]]) -> bytes:
        limiter = self._keys.limiter
        return b"".join(
            [
                packed("EVALSHA", self._sha, "1", limiter(one.limit.name, one.identity), str(inc_us), str(capacity_us))
                for one, inc_us, capacity_us in calls
            ]
        )


def _raised(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies
