"""What any limiter over this HTTP/2 and this loop must at least do: one EVALSHA, and the same answer to everybody.

`python rls_floor.py PORT REDIS_PORT` serves ShouldRateLimit until it is killed. No message is read, no limit is looked
for, no row is told: what `floodwarden bench rls` measures beyond it is the limiter's own work.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from hashlib import sha1
from typing import Any

import uvloop

from limiter.algorithms.token_bucket import SCRIPT, Bucket
from limiter.envoy.replies import response
from limiter.grpc import Server
from limiter.line import packed
from limiter.rls import SHOULD_RATE_LIMIT
from limiter.verdict import Answer, Mode

ANSWER = response([Answer("allow", "/x", "default", 1, Mode.SHARED, None, None, "ip", 1_000_000, 1_000, 999_999, 1)])
SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
COMMAND = packed("EVALSHA", SHA, "1", "floor", *Bucket(1, 1_000_000).arguments(1))


class Asking(Server):
    """Hands calls to Redis, and answers them in order as its replies come."""

    def __init__(self, redis: Replies) -> None:
        super().__init__({SHOULD_RATE_LIMIT: lambda _: ()})
        self._redis = redis

    def hand_over(self, connection: Any, path: str, calls: list[tuple[int, bytes]]) -> None:  # noqa: ARG002 - one path
        for stream, _ in calls:
            self._redis.waiting.append((connection, stream))
        self._redis.write(COMMAND * len(calls))


class Replies(asyncio.Protocol):
    """The connection to Redis; replies of three numbers, each of them four lines."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Any, int]] = deque()
        self._lines = 0

    def connection_made(self, transport: Any) -> None:
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self._lines += data.count(b"\n")
        while self._lines >= 4 and self.waiting:
            self._lines -= 4
            connection, stream = self.waiting.popleft()
            connection.reply([(stream, ANSWER)])


async def serve(port: int, redis_port: int) -> None:
    """Until it is killed."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", redis_port)
    writer.write(packed("SCRIPT", "LOAD", SCRIPT))
    await reader.readline()
    writer.close()
    _, replies = await loop.create_connection(Replies, "127.0.0.1", redis_port)
    await Asking(replies).start("127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
