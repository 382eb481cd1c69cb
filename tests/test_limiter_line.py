"""The connection to one Redis, on the loop that uvicorn takes where it is installed."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from limiter.line import Line, packed


@pytest.mark.integration
def test_a_deadline_that_is_over_as_soon_as_it_is_set_is_a_timeout_or_an_answer_on_every_loop(redis_url: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def late() -> list[object]:
        client: Redis = Redis.from_url(redis_url)
        line = Line(client.connection_pool.make_connection)
        ping = packed("PING")
        assert await line.ask(ping, 1, 10) == [b"PONG"]
        told = await asyncio.gather(*(line.ask(ping, 1, 0) for _ in range(3)), return_exceptions=True)
        told += await line.ask(ping, 1, 10)
        await line.aclose()
        return told

    *timeouts, answer = uvloop.run(late())
    assert all(isinstance(each, list | TimeoutError) for each in timeouts), timeouts
    assert answer == b"PONG"
