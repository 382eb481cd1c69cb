"""Limits shared by all nodes, in Redis: one script call each, all of a request in one round trip."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from limiter.algorithms.concurrency import Slots
from limiter.algorithms.fixed_window import FixedWindow
from limiter.algorithms.leaky_bucket import Queue
from limiter.algorithms.shape import SCRIPTS
from limiter.algorithms.sliding_counter import SlidingCounter
from limiter.algorithms.sliding_log import SlidingLog
from limiter.algorithms.taken import Taken
from limiter.algorithms.token_bucket import Bucket
from limiter.known import Known
from limiter.line import Hear, Line, packed
from limiter.matcher import Applied
from schemas.keys import Keys

PATIENCE_S: Final = 0.25  # for what no client waits for
SETTLED_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class _Call:
    """One script on the state of one limit for one identity: what it costs (negative: gives back), by which slot."""

    one: Applied
    cost: int
    arguments: tuple[str, ...]
    slot: str = ""


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
        self._shas: dict[str, str] = {}
        self._name = secrets.token_hex(8)  # slots are named after this node's life, so that no other releases them
        self._slots = 0

    async def take(self, applied: Sequence[Applied]) -> list[Taken]:
        """Takes what each of `applied` costs where there is enough; from those that only look, nothing."""
        return await self._ask([self._taking(one) for one in applied], self._within_s(len(applied)))

    async def give_back(self, given: Sequence[tuple[Applied, Taken]]) -> None:
        """Undoes what an earlier `take` answered."""
        calls = [_call(one, -one.cost, its.slot) for one, its in given if not one.look]
        await self._ask(calls, self._within_s(len(calls)))

    async def settle(self) -> None:
        """Charges what was given out locally, best effort: what fails on the way is not charged."""
        while due := self._known.settle(SETTLED_AT_ONCE, self._clock_ms() * 1000):
            await self._ask([_charge(one, owed_us) for one, owed_us in due], PATIENCE_S)

    async def ping(self) -> None:
        """Returns when Redis answers and has the scripts."""
        commands = b"".join([packed("SCRIPT", "LOAD", script) for script in SCRIPTS.values()])
        replies = _raised(await self._line.ask(commands, len(SCRIPTS), max(self._deadline_s, PATIENCE_S)))
        self._shas = {name: reply.decode() for name, reply in zip(SCRIPTS, replies, strict=True)}

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._line.aclose()

    def _taking(self, one: Applied) -> _Call:
        if not isinstance(one.shape, Slots) or one.look:
            return _call(one, one.cost, "")
        self._slots += 1
        return _call(one, one.cost, f"{self._name}{self._slots:x}")

    def _within_s(self, calls: int) -> float:
        return self._deadline_s + calls // 16 * 0.001  # a batch may take its own work longer

    async def _ask(self, calls: list[_Call], within_s: float) -> list[Taken]:
        if not self._shas:
            await self.ping()
        try:
            replies = _raised(await self._line.ask(self._packed(calls), len(calls), within_s, self._late(calls)))
        except NoScriptError:  # a Redis that was emptied or replaced
            await self.ping()
            replies = _raised(await self._line.ask(self._packed(calls), len(calls), within_s, self._late(calls)))
        now_us = self._clock_ms() * 1000
        return [self._heard(call, reply, now_us) for call, reply in zip(calls, replies, strict=True)]

    def _heard(self, call: _Call, reply: Sequence[int], now_us: int, *, late: bool = False) -> Taken:
        taken = call.one.shape.taken(call.cost, reply, look=call.one.look)
        charged = late and taken.allowed and call.cost > 0 and not call.one.look
        self._known.heard(call.one, taken, reply[-1], now_us, late=charged)
        return replace(taken, slot=call.slot) if call.slot and taken.allowed else taken

    def _late(self, calls: list[_Call]) -> Hear:
        def hear(replies: list[Any]) -> None:
            now_us = self._clock_ms() * 1000
            for call, reply in zip(calls, replies, strict=True):
                if not isinstance(reply, Exception):
                    self._heard(call, reply, now_us, late=True)

        return hear

    def _packed(self, calls: list[_Call]) -> bytes:
        limiter, shas = self._keys.limiter, self._shas
        return b"".join(
            [
                packed(
                    "EVALSHA",
                    shas[call.one.shape.algorithm],
                    "1",
                    limiter(call.one.state, call.one.identity),
                    *call.arguments,
                )
                for call in calls
            ]
        )


def _call(one: Applied, cost: int, slot: str) -> _Call:
    return _Call(one, cost, one.shape.arguments(cost, slot, look=one.look), slot)


def _charge(one: Applied, owed_us: int) -> _Call:
    """What was given out locally, `owed_us` of the bucket that stood in; with more room, so that it is not refused."""
    shape = one.shape
    match shape:
        case Bucket() | Queue():  # to the microsecond
            return _Call(one, 1, Bucket(1, shape.window_us + owed_us).arguments(owed_us))
        case FixedWindow() | SlidingLog() | SlidingCounter():
            tokens = owed_us // shape.local().emission_us
            return _Call(one, tokens, replace(shape, tokens=shape.tokens + tokens).arguments(tokens))
        case Slots():  # who holds a slot that Redis never gave has nothing to release there
            return _Call(one, 0, shape.arguments(0))
        case _ as never:
            assert_never(never)


def _raised(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies
