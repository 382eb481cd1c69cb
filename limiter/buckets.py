"""Where buckets are kept: shared in Redis, or in this node's memory while Redis is away. Both answer alike."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from limiter.matcher import Applied
from limiter.token_bucket import SCRIPT, Taken, answer, take
from schemas.keys import Keys

LOCAL_MAX: Final = 100_000
ROUND_TRIPS_MAX: Final = 4
_Call = tuple[str, int, int]  # key, increment_us, capacity_us


class RedisBuckets:
    """Buckets in Redis: one script call each, all of a request in one round trip.

    At most `ROUND_TRIPS_MAX` are under way; requests that come meanwhile share the next one, so that connections stay
    few and throughput grows with load. Calls raise `redis.RedisError`, `OSError` or `TimeoutError` when there is no
    answer within `deadline_ms`.
    """

    def __init__(self, redis: Redis, keys: Keys, deadline_ms: float) -> None:
        self._redis = redis
        self._keys = keys
        self._deadline_s = deadline_ms / 1000
        self._sha = ""
        self._under_way = 0
        self._waiting: list[tuple[list[_Call], asyncio.Future[list[Any]]]] = []
        self._shared: set[asyncio.Task[None]] = set()

    async def take(self, applied: Sequence[Applied]) -> list[Taken]:
        """Takes what each of `applied` costs, where there is enough."""
        replies = await self._ask([self._call(one, one.cost) for one in applied])
        return [
            answer(one.bucket, one.cost, tat_us, now_us, allowed=allowed == 1)
            for one, (allowed, tat_us, now_us) in zip(applied, replies, strict=True)
        ]

    async def give_back(self, applied: Sequence[Applied]) -> None:
        """Undoes an earlier `take` of each of `applied`."""
        await self._ask([self._call(one, -one.cost) for one in applied])

    async def ping(self) -> None:
        """Returns when Redis answers and has the script."""
        async with asyncio.timeout(max(self._deadline_s, 0.05)):
            self._sha = str(await self._redis.script_load(SCRIPT))

    def _call(self, one: Applied, cost: int) -> _Call:
        increment_us = min(cost * one.bucket.emission_us, one.bucket.capacity_us + 1)  # no more than "too much"
        return self._keys.limiter(one.limit.name, one.identity), increment_us, one.bucket.capacity_us

    def _within_s(self, calls: int) -> float:
        return self._deadline_s + calls // 16 * 0.001  # a batch may take its own work longer

    async def _ask(self, calls: list[_Call]) -> list[Any]:
        async with asyncio.timeout(self._within_s(len(calls))):
            if self._under_way < ROUND_TRIPS_MAX:
                return await self._round_trip(calls)
            future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            self._waiting.append((calls, future))
            return await future

    async def _round_trip(self, calls: list[_Call]) -> list[Any]:
        self._under_way += 1
        try:
            return await self._send(calls)
        except NoScriptError:
            self._sha = ""
            return await self._send(calls)
        finally:
            self._under_way -= 1
            if self._waiting:
                task = asyncio.create_task(self._serve_waiting())
                self._shared.add(task)
                task.add_done_callback(self._shared.discard)

    async def _serve_waiting(self) -> None:
        batch, self._waiting = [one for one in self._waiting if not one[1].done()], []
        if not batch:
            return
        flat = [call for calls, _ in batch for call in calls]
        try:
            async with asyncio.timeout(self._within_s(len(flat))):
                replies = await self._round_trip(flat)
        except (RedisError, OSError, TimeoutError) as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        at = 0
        for calls, future in batch:
            if not future.done():
                future.set_result(replies[at : at + len(calls)])
            at += len(calls)

    async def _send(self, calls: list[_Call]) -> list[Any]:
        if not self._sha:
            self._sha = str(await self._redis.script_load(SCRIPT))
        if len(calls) == 1:
            return [await self._redis.evalsha(self._sha, 1, *calls[0])]
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.evalsha(self._sha, 1, *call)
        replies: list[Any] = await pipeline.execute()
        return replies


class LocalBuckets:
    """Buckets in memory, at most `most` of them (the longest unused goes first): this node's share of each limit."""

    def __init__(self, most: int = LOCAL_MAX) -> None:
        self._most = most
        self._tats: OrderedDict[tuple[str, str], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tats)

    def take(self, applied: Sequence[Applied], nodes: int, now_us: int) -> list[Taken]:
        """Takes what each of `applied` costs from a bucket of a `nodes`-th of its size, or nothing from any."""
        shares = [one.bucket.scaled(1, nodes, one.cost) for one in applied]
        at = [(one.limit.name, one.identity) for one in applied]
        taken = [
            take(share, self._tats.get(key), one.cost, now_us)
            for one, share, key in zip(applied, shares, at, strict=True)
        ]
        if all(one.allowed for one in taken):
            for key, one in zip(at, taken, strict=True):
                self._tats[key] = one.tat_us
                self._tats.move_to_end(key)
            while len(self._tats) > self._most:
                self._tats.popitem(last=False)
        return taken

    def clear(self) -> None:
        """Forgets everything: Redis is back, and its buckets were never touched meanwhile."""
        self._tats.clear()
